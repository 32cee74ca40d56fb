"""The page Code & libraries, empty and full, without a browser."""

import pytest

from profiler.catalog.machine import this_machine
from profiler.record.store import Store
from profiler.spec.run import Setup
from tests.builders import ceilings, generate_run
from tests.experiments import kept
from tests.raced import CHOICES, race
from tests.served import load_run

HERE = Setup(device="cpu", threads=this_machine().cores, dtype="bfloat16")
TORCH = {"eager": (0.040, 0.40, 0.0, 0.015, 70.0), "sdpa": (0.036, 0.20, 0.0, 0.015, 80.0), "static": (0.030, 0.20, 0.0, 0.9, 90.0)}


@pytest.fixture(autouse=True)
def sample(monkeypatch):
    """A recorded machine with the roofs of every number format; no package beside torch's own; bfloat16 is fast here."""
    recorded = generate_run(roofs=ceilings(matmul={"float32": 1e11, "bfloat16": 2e11, "float16": 1e11}))
    monkeypatch.setattr("pages._lab.sample_machine", lambda: recorded)
    monkeypatch.setattr("pages._backend.sample_run", lambda: recorded)
    monkeypatch.setattr("profiler.catalog.methods.find_spec", lambda name: None)
    monkeypatch.setattr("pages._lab_form.default_setup", lambda: HERE)


def visit(app, **params):
    """The page by its address."""
    app.run()
    app.query_params.update(params)
    return app.switch_page("pages/libraries.py").run()


def alts(at) -> list[str]:
    return [chart.proto.alt for chart in at.get("plotly_chart")]


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ("Race of engines", "cheapest speed-up"),
        ("Choices of the loop", "the engine stays the same"),
        ("Many requests", "A batch shares them"),
        ("A server under load", "arrive at random moments"),
    ],
)
def test_every_view_says_what_it_will_measure(app, view, words):
    """A word on what comes, a prediction or what to do, and no exception."""
    at = visit(app, libraries_view=view)

    assert not at.exception
    assert any(words in caption.value for caption in at.caption)
    assert at.subheader or at.info


def test_missing_engines_are_listed_with_their_command(app):
    """What to install, for each of them."""
    at = visit(app)
    listed = at.dataframe[0].value

    assert {"OpenVINO, Q8_0", "llama.cpp, Q8_0", "CTranslate2, int8"} <= set(listed["engine"])
    assert "pip install openvino-genai" in " ".join(listed["reason"])
    assert "NVIDIA" in " ".join(listed["reason"])


def test_a_measured_race_is_told_and_replayed(app):
    """The finding, the figure of parts, the throughput, the race, advice; the wrong engine is named."""
    at = visit(app, lab=kept(race(outcomes=TORCH, setup=HERE)))

    assert not at.exception
    assert at.subheader[0].value == "transformers, SDPA writes 1.1 times as fast as transformers, eager; 2 of 3 engines say the same"
    assert any("transformers, static cache" in markdown.value and "Wrong" in markdown.value for markdown in at.markdown)
    assert [alt.split(",")[0] for alt in alts(at)][:2] == ["Time per token by engine", "Throughput by batch: transformers"]
    assert any(markdown.value.startswith("**Take transformers, SDPA") for markdown in at.markdown)


def test_advice_follows_the_fields(app):
    """Many at once asks for the largest throughput; a hundred million tokens a day need several machines."""
    at = visit(app, lab=kept(race(outcomes=TORCH, setup=HERE)), goal="Many at once", day_tokens="100000000")
    said = next(markdown.value for markdown in at.markdown if markdown.value.startswith("**Take"))

    assert "4 at once: 80.0 tok/s" in said
    assert "it takes 14 of them" in said


def test_choices_are_told_one_by_one(app):
    """A sentence each; the waterfall of the best beside the usual one."""
    at = visit(app, lab=kept(race("choices", {name: CHOICES[name] for name in ("usual", "no-cache", "lookup")}, setup=HERE)))

    assert not at.exception
    assert any("Without a KV cache, a token takes 10 times as long" in markdown.value for markdown in at.markdown)
    assert any("of the guesses are right" in markdown.value for markdown in at.markdown)


def test_a_load_test_is_opened_where_it_belongs(app):
    """From the list of runs: a link to the page that draws it, and no exception."""
    made = load_run()
    id = Store().add(made.spec)
    Store().append(id, list(made.events))
    Store().set_status(id, "finished")
    app.run()
    app.query_params["run"] = id
    at = app.switch_page("pages/measure.py").run()

    assert not at.exception
    assert "done" in at.success[0].value

    at = visit(app, serve_run=id, libraries_view="A server under load")
    assert not at.exception
    assert "keeps up" in at.subheader[0].value
