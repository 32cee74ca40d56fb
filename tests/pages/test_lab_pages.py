"""The pages Compute and Memory, empty and full, without a browser."""

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from profiler.catalog import models
from profiler.catalog.machine import native_dtype, this_machine
from profiler.record.process import ROOT
from profiler.record.store import Store
from profiler.spec.run import Setup
from tests.builders import ceilings, generate_run
from tests.experiments import curves, experiment, kept

PAGES = {
    "compute": ("Batch sweep", "Matrix products", "Arithmetic by operator"),
    "memory": ("Time against bytes", "Growth with context", "Cache staircase", "What fits"),
}
VIEWS = [(page, view) for page, views in PAGES.items() for view in views]
HERE = Setup(device="cpu", threads=this_machine().cores, dtype=native_dtype("cpu"))
BASE = {"setup": HERE, "model": models.rows()[models.DEFAULT].spec()}


@pytest.fixture(autouse=True)
def sample(monkeypatch):
    """A recorded machine with the roofs of every number format."""
    recorded = generate_run(roofs=ceilings(matmul={"float32": 1e11, "bfloat16": 2e11, "float16": 1e11}))
    monkeypatch.setattr("pages._lab.sample_machine", lambda: recorded)
    monkeypatch.setattr("pages._backend.sample_run", lambda: recorded)


def visit(app, page, **params):
    """A page by its address."""
    app.run()
    app.query_params.update(params)
    return app.switch_page(f"pages/{page}.py").run()


def alts(at) -> list[str]:
    return [chart.proto.alt for chart in at.get("plotly_chart")]


def primary(at):
    return next(button for button in at.button if button.label.startswith("Run this experiment"))


@pytest.mark.parametrize(("page", "view"), VIEWS)
def test_a_first_visit_draws_a_prediction(app, page, view):
    """Every view has a title that says something, and a figure with an alternative text, before anything was measured."""
    at = visit(app, page, **{f"{page}_view": view})

    assert not at.exception
    assert not at.error
    assert at.subheader[0].value
    assert alts(at)
    assert all(alts(at))


def test_a_prediction_on_anothers_roofs_says_so(app):
    """Without ceilings of this machine the recorded run's are taken, labelled as such."""
    at = visit(app, "compute")

    assert any("recorded on another machine" in caption.value for caption in at.caption)


STAIRS = {"read": {"1 thread": [(8192, 1e11), (1 << 26, 2e10)]}}
MADE = {
    "Batch sweep": lambda: experiment("batch", lambda spec: 0.05, **BASE),
    "Growth with context": lambda: experiment("context", lambda spec: 0.1 + 1e-5 * spec.generate.prompt_tokens, **BASE),
    "Time against bytes": lambda: experiment("bytes", lambda spec: 0.1 + 1e-5 * spec.model.hidden, dtypes=(HERE.dtype,), **BASE),
    "Cache staircase": lambda: curves("staircase", STAIRS, **HERE.model_dump()),
}


@pytest.mark.parametrize(("page", "view"), [row for row in VIEWS if row[1] in MADE])
def test_an_experiment_is_shown_by_its_link(app, page, view):
    """?lab=… alone opens it: its finding as the title, its sentence, its data, its command; the fields are filled."""
    at = visit(app, page, lab=kept(MADE[view]()))

    assert not at.exception
    assert any("points measured" in alt and not alt.endswith(" 0 points measured") for alt in alts(at))
    assert not at.subheader[0].value.startswith(("Predicted", "Known"))
    assert at.dataframe
    assert at.code[0].value.startswith("python -m profiler lab")


def test_the_newest_experiment_that_fits_the_fields_is_shown(app):
    """Without a link, too; and another number format shows its prediction."""
    kept(experiment("batch", lambda spec: 0.05, **BASE))
    at = visit(app, "compute")
    assert "tokens per second" in at.subheader[0].value
    at.selectbox(key="dtype").set_value("float16").run()

    assert at.subheader[0].value.startswith("Predicted")


def test_what_failed_is_named_and_the_rest_is_kept(app):
    """A lost run has its reason; the others have their points."""
    made = experiment("batch", lambda spec: 0.05, **BASE)
    lost = generate_run(spec=made.runs[-1].spec, status="failed")
    whole = kept(replace(made, runs=(*made.runs[:-1], lost)))
    at = visit(app, "compute", lab=whole)

    assert "failed. why" in at.warning[0].value
    assert any("3 points measured" in alt for alt in alts(at))


@pytest.mark.parametrize("lab", ["", "nonsense", "lab-", "lab-context-1", "lab--"])
def test_a_link_to_something_else_is_no_harm(app, lab):
    """Another page's experiment, or nonsense: the page shows its own prediction."""
    at = visit(app, "compute", lab=lab)

    assert not at.exception
    assert alts(at)


def test_an_unknown_experiment_is_said_to_be_gone(app):
    """A stale link leads to a sentence and the prediction."""
    at = visit(app, "compute", lab="lab-batch-nothing")

    assert "no experiment lab-batch-nothing" in at.warning[0].value
    assert alts(at)


@pytest.mark.parametrize(
    ("page", "params", "said"),
    [
        ("compute", {"model": "nosuchmodel"}, "nosuchmodel"),
        ("compute", {"model": "qwen3-30b-a3b"}, "Nothing of this experiment fits here"),
        ("memory", {"memory_view": "What fits", "model": "weights.bin"}, "pickled"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_can_be_started(app, page, params, said):
    """What is wrong is said before anything runs."""
    at = AppTest.from_file(str(ROOT / "pages" / f"{page}.py"), default_timeout=60)
    at.query_params.update(params)
    at.run()

    assert not at.exception
    assert said in at.error[0].value
    assert all(button.disabled for button in at.button if button.label.startswith("Run this experiment"))


def test_the_button_queues_every_run_of_the_experiment(app, monkeypatch):
    """All are parts of one whole, whose name is in the address; Cancel ends them all."""
    monkeypatch.setattr("profiler.record.jobs.Jobs._turn", lambda *args: None)
    at = visit(app, "compute")
    primary(at).click().run()
    (whole,) = Store().wholes("lab-batch-")

    assert not at.exception
    assert at.query_params["lab"] in (whole, [whole])
    assert len(Store().parts(whole)) >= 3
    assert Store().heads() == []
    assert primary(at).disabled
    next(button for button in at.button if button.label == "Cancel").click().run()
    assert {run.status for run in Store().parts(whole)} == {"cancelled"}


def test_the_planner_says_what_fits(app):
    """More context, less batch; a model that is too large does not fit."""
    at = visit(app, "memory", memory_view="What fits")
    before = at.markdown[-1].value
    at.select_slider(key="context").set_value(8192).run()

    assert "fits" in at.subheader[0].value
    assert at.markdown[-1].value != before
    at.selectbox(key="model").set_value("mixtral-8x7b").run()
    assert "does not fit" in at.subheader[0].value or this_machine().memory > 90e9


def test_attention_overtakes_as_the_prompt_grows(app):
    """Dragging the prompt changes the share in the title."""
    at = visit(app, "compute", compute_view="Arithmetic by operator")
    at.select_slider(key="length").set_value(16).run()
    short = at.subheader[0].value
    at.select_slider(key="length").set_value(8192).run()

    assert short != at.subheader[0].value
    assert "attention takes more than all the rest" in at.markdown[-1].value


def test_earlier_experiments_are_a_click_away(app):
    """Two were made; the other one is listed, opens, and fills the fields."""
    one = {"setup": Setup(device="cpu", threads=1, dtype=HERE.dtype), "model": BASE["model"]}
    old = kept(experiment("batch", lambda spec: 0.05, **one))
    new = kept(replace(MADE["Batch sweep"](), whole="lab-batch-new"))
    at = visit(app, "compute", lab=new)
    next(button for button in at.button if "1 threads" in button.label).click().run()

    assert at.query_params["lab"] in (old, [old])
    assert at.number_input(key="threads").value == 1


def test_a_full_queue_leaves_no_half_experiment(app, monkeypatch):
    """The sentence is shown, and what was queued already is cancelled."""
    monkeypatch.setattr("profiler.record.jobs.Jobs._turn", lambda *args: None)
    monkeypatch.setattr("profiler.record.jobs.QUEUE_LIMIT", 2)
    at = visit(app, "compute")
    primary(at).click().run()
    (whole,) = Store().wholes("lab-batch-")

    assert "waiting already" in at.error[0].value
    assert {run.status for run in Store().parts(whole)} == {"cancelled"}
