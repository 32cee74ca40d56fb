"""The terminal's labs: listed, refused in one sentence."""

import json

import pytest
from typer.testing import CliRunner

from profiler.analysis.labs import LABS
from profiler.cli import app


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
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(words, said):
    """Before anything is measured."""
    result = CliRunner().invoke(app, ["lab", *words, "--json"])

    assert result.exit_code == 2
    assert said in json.loads(result.stdout)["reason"]
