import shlex

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from profiler import cli
from profiler.analysis.changes import changed
from profiler.spec.compression import Pruning
from profiler.spec.frozen import sentence
from profiler.spec.run import RunSpec, Setup
from profiler.spec.work import FetchModel, Generate, MeasureCeilings
from tests.builders import SPEC


def test_a_spec_survives_json():
    """Equal specs before and after a trip through JSON."""
    assert RunSpec.model_validate_json(SPEC.model_dump_json()) == SPEC


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        changed(
            SPEC,
            work={"batch": 3, "seconds": 2.5, "seed": 7, "trace": False},
            setup={
                "attention": "eager",
                "huge_pages": False,
                "dtype": "bfloat16",
                "threads": 1,
                "compile": True,
                "layout": "columns",
                "hog": "memory",
            },
        ),
        changed(
            SPEC,
            work={"quality": 256, "text": "a text.txt"},
            setup={
                "engine": "llama.cpp",
                "quantization": "q4_0",
                "kv": "q8_0",
                "pruning": Pruning(method="wanda", share=0.5, pattern="2:4"),
            },
        ),
        RunSpec(work=MeasureCeilings(scope="full"), setup=Setup(threads=1)),
        RunSpec(work=FetchModel()),
    ],
    ids=["plain", "all settings", "compressed", "ceilings", "fetch"],
)
def test_the_command_repeats_the_run(spec, monkeypatch):
    """The command line that a run shows leads to an equal spec."""
    asked = []
    monkeypatch.setattr(cli, "do", lambda spec, time_limit=0: asked.append(spec))
    monkeypatch.setattr(cli, "finish", lambda *args: None)

    words = shlex.split(spec.command)
    result = CliRunner().invoke(cli.app, words[3:])

    assert words[:3] == ["python", "-m", "profiler"]
    assert result.exit_code == 0, result.output
    if spec.work.task != "fetch":
        assert asked == [spec]


@pytest.mark.parametrize("field", [{"batch": 0}, {"prompt_tokens": -1}, {"new_tokens": 1}, {"seconds": 0}])
def test_absurd_work_is_refused_in_one_sentence(field):
    """Zero and negative numbers name their field and what was given."""
    with pytest.raises(ValidationError) as caught:
        Generate(**field)

    name, value = next(iter(field.items()))
    assert name.replace("_", " ") in sentence(caught.value)
    assert repr(value) in sentence(caught.value)


def test_generating_needs_a_model():
    """A generate run without a model is refused."""
    with pytest.raises(ValidationError, match="a model is needed"):
        RunSpec(work=Generate())
