"""The terminal's load test."""

import json

import pytest
from typer.testing import CliRunner

from profiler.cli import app
from profiler.cli_serve import show
from tests.fake_openai import fake_openai
from tests.served import load_run


def bench(*words):
    return CliRunner().invoke(app, ["serve-bench", *words])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["http://example.com/v1"], "Only servers on this machine are tested"),
        (["nonsense address"], "is no address of a server"),
        (["--rate", "0"], "choose rates above 0"),
        (["--model", "nosuchmodel"], "No model is called 'nosuchmodel'"),
        (["--engine", "onnxruntime"], "Only llama.cpp's server is started here"),
        (["--slots", "0"], "slots: "),
        (["--prompt-tokens", "9000"], "was made for 8192 tokens"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(words, said):
    """Before anything is started or asked."""
    result = bench(*words, "--json")

    assert result.exit_code == 2
    assert said in json.loads(result.stdout)["reason"]


def test_a_finding_and_a_row_for_each_rate_are_printed(capsys):
    """With the command that repeats it."""
    show(load_run(lost=[(6.0, "refused", 10, "503: busy")]))
    text = capsys.readouterr().out

    assert "It keeps up with 3.0 requests/s" in text
    assert "(“503: busy”)" in text
    assert sum(line.split()[0] in ("1.00", "2.00", "3.00", "6.00") for line in text.splitlines() if line.strip()) == 4
    assert "python -m profiler serve-bench --model" in text


@pytest.mark.slow
def test_a_server_is_tested_from_the_terminal():
    """A real worker, a fake server: one JSON object with every rate and its counts."""
    with fake_openai(fault=lambda number: "503" if number > 4 and number % 4 == 0 else "") as server:
        result = bench(server.url, "--rate", "10", "--rate", "20", "--seconds", "1", "--json")
    told = json.loads(result.stdout)["serving"]

    assert result.exit_code == 0
    assert [row["offered"] for row in told["rates"]] == [10.0, 20.0]
    assert all(row["outcomes"]["refused"] > 0 for row in told["rates"])
    assert list(told["rates"][0]["notes"]) == ["503: too many people here"]


@pytest.mark.slow
def test_a_server_that_is_not_there_is_a_failed_run():
    """One sentence and exit code 1."""
    result = bench("localhost:1", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["reason"].startswith("Nothing answers at http://localhost:1/v1")
