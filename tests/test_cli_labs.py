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
        (["libraries", "--engines", "tensorrt"], "There is no engine 'tensorrt'; there are eager, sdpa"),
        (["libraries", "--engines", "graphs,flash"], "None of these engines can run here. graphs: It has kernels for NVIDIA GPUs only."),
        (["choices", "--choices", "one-thread", "--threads", "1"], "It would change nothing here"),
        (["choices", "--choices", "self-draft", "--dtype", "float32"], "choose that number format"),
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
def test_engines_race_and_answers_are_checked(tmp_path, monkeypatch):
    """A small model that reads, in transformers three ways: all say the same, compiled code pays off after some tokens or never."""
    monkeypatch.setenv("NEED_FOR_SPEED_HOME", str(tmp_path / "home"))
    folder = reader(tmp_path / "reader", layers=2)
    words = ["lab", "libraries", "--model", str(folder), "--engines", "sdpa,compiled", "--dtype", "float32", "--json"]
    result = CliRunner().invoke(app, words)
    told = json.loads(result.stdout)
    found = {row["name"]: row for row in told["variants"]}

    assert result.exit_code == 0, told["lost"]
    assert set(found) == {"eager", "sdpa", "compiled"}
    assert all(row["answer"]["agrees"] for row in found.values())
    assert found["compiled"]["compile"] > 1
    assert set(found["sdpa"]["throughput"]) == {"1", "4"}
    assert all(sum(row["waterfall"].values()) == pytest.approx(1 / row["decode_rate"]) for row in found.values())


@pytest.mark.slow
def test_choices_are_measured_and_guessing_says_the_same(tmp_path, monkeypatch):
    """Every choice lands; guesses were made, and the answer is the reference's to the last token."""
    monkeypatch.setenv("NEED_FOR_SPEED_HOME", str(tmp_path / "home"))
    folder = reader(tmp_path / "reader", layers=2)
    words = ["lab", "choices", "--model", str(folder), "--choices", "prefix,lookup", "--dtype", "float32", "--json"]
    result = CliRunner().invoke(app, words)
    told = json.loads(result.stdout)
    found = {row["name"]: row for row in told["variants"]}

    assert result.exit_code == 0, told["lost"]
    assert set(found) == {"usual", "prefix", "lookup"}
    assert all((row["answer"]["same"], row["answer"]["agrees"]) == (row["answer"]["tokens"], True) for row in found.values())
    assert "of the guesses are right" in told["finding"]["sentence"]


@pytest.mark.slow
def test_a_native_crash_fails_that_engine_alone(tmp_path, monkeypatch):
    """A library that reads address 0 ends its own process: a sentence for that engine, results of all others."""
    crashing = tmp_path / "packages"
    (crashing / "cyllama" / "llama").mkdir(parents=True)
    (crashing / "cyllama-9.dist-info").mkdir()
    (crashing / "cyllama-9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: cyllama\nVersion: 9\n")
    (crashing / "cyllama" / "__init__.py").touch()
    (crashing / "cyllama" / "llama" / "__init__.py").touch()
    (crashing / "cyllama" / "llama" / "llama_cpp.py").write_text("import ctypes\nctypes.string_at(0)\n")
    monkeypatch.syspath_prepend(str(crashing))
    monkeypatch.setenv("PYTHONPATH", str(crashing))
    monkeypatch.setenv("NEED_FOR_SPEED_HOME", str(tmp_path / "home"))
    words = ["lab", "libraries", "--model", str(reader(tmp_path / "reader")), "--engines", "llamacpp,sdpa", "--dtype", "float32", "--json"]
    result = CliRunner().invoke(app, words)
    told = json.loads(result.stdout)

    assert result.exit_code == 1
    assert [row["name"] for row in told["variants"]] == ["eager", "sdpa"]
    assert "crashed with signal SIGSEGV" in told["lost"][0]["reason"]


@pytest.mark.slow
def test_a_prompt_is_answered_in_the_terminal(tmp_path, monkeypatch):
    """The text, and how fast it came."""
    monkeypatch.setenv("NEED_FOR_SPEED_HOME", str(tmp_path / "home"))
    folder = reader(tmp_path / "reader")
    words = ["write", str(folder), "The statement", "--new-tokens", "8", "--dtype", "bfloat16", "--quantization", "int8-rows"]
    result = CliRunner().invoke(app, words)

    assert result.exit_code == 0, result.output
    assert "tokens/s" in result.output
