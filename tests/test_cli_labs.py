"""The terminal's labs: listed, refused in one sentence."""

import json

import pytest
from typer.testing import CliRunner

from profiler.analysis.labs import LABS
from profiler.cli import app
from tests.worker.reading import reader


def test_labs_are_listed_without_a_name():
    """One row each, as words and as JSON."""
    assert all(name in CliRunner().invoke(app, ["lab"]).output for name in LABS)
    assert set(json.loads(CliRunner().invoke(app, ["lab", "--json"]).output)["labs"]) == set(LABS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "There is no lab 'nothing'"),
        (["batch", "--model", "nosuchmodel"], "No model is called 'nosuchmodel'"),
        (["batch", "--threads", "5000"], "less than or equal to 4096"),
        (["bytes", "--dtype", "float8"], "float32"),
        (["compression", "--methods", "q4"], "There is no method 'q4'"),
        (["compression", "--methods", "ao-int4"], "None of these methods can run here"),
        (["compression", "--methods", "int8", "--dtype", "float32"], "choose that number format"),
        (["sensitivity", "--model", "random:smollm2-135m"], "random weights"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(words, said):
    """Before anything is measured."""
    result = CliRunner().invoke(app, ["lab", *words, "--json"])

    assert result.exit_code == 2
    assert said in json.loads(result.stdout)["reason"]


@pytest.mark.slow
def test_a_comparison_of_methods_is_measured(tmp_path, monkeypatch):
    """A small model that reads: every method lands with its speed, size and quality, beside the uncompressed one."""
    monkeypatch.setenv("NEED_FOR_SPEED_HOME", str(tmp_path / "home"))
    folder = reader(tmp_path / "reader", layers=5)
    result = CliRunner().invoke(app, ["lab", "compression", "--model", str(folder), "--methods", "int8,wanda,layers", "--json"])
    told = json.loads(result.stdout)
    found = {row["method"]: row for row in told["variants"]}

    assert result.exit_code == 0, told["lost"]
    assert set(found) == {"none", "int8", "wanda", "layers"}
    assert all(row["decode_rate"] > 0 and row["quality"]["perplexity"] > 1 for row in found.values())
    assert found["int8"]["weights"] < found["layers"]["weights"] < found["none"]["weights"]


@pytest.mark.slow
def test_the_sensitivity_of_each_part_is_measured(tmp_path, monkeypatch):
    """Attention and MLP of each layer, and the lm_head."""
    monkeypatch.setenv("NEED_FOR_SPEED_HOME", str(tmp_path / "home"))
    folder = reader(tmp_path / "reader", layers=3)
    result = CliRunner().invoke(app, ["lab", "sensitivity", "--model", str(folder), "--json"])
    told = json.loads(result.stdout)

    assert result.exit_code == 0, told["lost"]
    assert {part: len(x) for part, (x, _) in told["curves"]["sensitivity"].items()} == {"attention": 3, "MLP": 3, "lm_head": 1}


@pytest.mark.slow
def test_a_prompt_is_answered_in_the_terminal(tmp_path, monkeypatch):
    """The text, and how fast it came."""
    monkeypatch.setenv("NEED_FOR_SPEED_HOME", str(tmp_path / "home"))
    folder = reader(tmp_path / "reader")
    words = ["write", str(folder), "The statement", "--new-tokens", "8", "--dtype", "bfloat16", "--quantization", "int8-rows"]
    result = CliRunner().invoke(app, words)

    assert result.exit_code == 0, result.output
    assert "tokens/s" in result.output
