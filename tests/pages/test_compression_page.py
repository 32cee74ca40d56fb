"""The page Compression, empty and full, without a browser."""

from dataclasses import replace

import pytest

from profiler.analysis.duel import plan as duel_plan
from profiler.analysis.experiment import Experiment
from profiler.catalog import models
from profiler.catalog.machine import this_machine
from profiler.record.store import Store
from profiler.spec.methods import METHODS
from profiler.spec.run import Setup
from tests.builders import ceilings, generate_run
from tests.compressed import OUTCOMES, comparison, sensitivity, spoken
from tests.experiments import kept

VIEWS = ("Compare methods", "Layer by layer", "On other hardware", "What others measured")
HERE = Setup(device="cpu", threads=this_machine().cores, dtype="bfloat16")
HERE_TOO = ("none", "int8", "int4", "magnitude", "wanda", "channels", "layers")  # methods that torch alone runs
MODEL = models.rows()[models.DEFAULT].spec()


@pytest.fixture(autouse=True)
def sample(monkeypatch):
    """A recorded machine with the roofs of every number format; no package beside torch's own."""
    recorded = generate_run(roofs=ceilings(matmul={"float32": 1e11, "bfloat16": 2e11, "float16": 1e11}))
    monkeypatch.setattr("pages._lab.sample_machine", lambda: recorded)
    monkeypatch.setattr("pages._backend.sample_run", lambda: recorded)
    monkeypatch.setattr("profiler.catalog.methods.find_spec", lambda name: None)


def visit(app, **params):
    """The page by its address."""
    app.run()
    app.query_params.update(params)
    return app.switch_page("pages/compression.py").run()


def measured(**changes):
    return comparison({name: OUTCOMES[name] for name in HERE_TOO}, **({"setup": HERE} | changes))


def alts(at) -> list[str]:
    return [chart.proto.alt for chart in at.get("plotly_chart")]


def with_random_weights(at):
    return at.selectbox(key="model").set_value("smollm2-360m").run()


def primary(at):
    return next(button for button in at.button if button.label.startswith(("Run this experiment", "Let both")))


@pytest.mark.parametrize("view", VIEWS)
def test_a_first_visit_draws_something(app, view):
    """Every view has a title that says something, and figures with alternative texts, before anything was measured."""
    at = visit(app, compression_view=view)

    assert not at.exception
    assert not at.error
    assert at.subheader[0].value
    assert alts(at)
    assert all(alts(at))


def test_what_cannot_run_is_listed_before_running(app):
    """With the reason, and left out of the plan that is on the button."""
    at = visit(app)

    assert any("cannot run here, and why" in folded.label for folded in at.expander)
    assert any("Q4_0 by llama.cpp (it needs a package" in caption.value for caption in at.caption)
    assert not primary(at).disabled


def test_a_comparison_is_shown_by_its_link(app):
    """?lab=… alone opens it: title, sentence, figures, table, command; the fields are filled."""
    made = measured()
    at = visit(app, lab=kept(made))

    assert not at.exception
    assert at.subheader[0].value == "With int8 weights it is 1.6 times as fast, for +0.40 % perplexity"
    assert any("7 points measured" in alt for alt in alts(at))
    assert sum(alt.startswith("Waterfall") for alt in alts(at)) == 2
    assert at.multiselect(key="methods").value == list(HERE_TOO[1:])
    assert "--methods int8,int4,magnitude,wanda,channels,layers" in at.code[0].value
    assert any("against float32" in table.value.columns for table in at.dataframe)


def test_another_variants_waterfall_can_be_chosen(app):
    """The sentence and the figure follow."""
    at = visit(app, lab=kept(measured()))
    before = [text.value for text in at.markdown]
    next(box for box in at.selectbox if box.label.startswith("Where a token")).set_value("wanda").run()

    assert any("With half zeros, by Wanda a token takes" in text.value for text in at.markdown)
    assert before != [text.value for text in at.markdown]


def test_a_comparison_made_where_more_can_run_is_shown_too(app):
    """Q4_0 of llama.cpp cannot run here; the link opens the whole of it all the same."""
    made = comparison(setup=HERE)
    at = visit(app, lab=kept(made))

    assert any("8 points measured" in alt for alt in alts(at))


def test_the_newest_comparison_of_the_same_methods_is_shown(app):
    """Without a link; with one method less it is another question."""
    kept(measured())
    at = visit(app)
    assert at.subheader[0].value.startswith("With int8 weights")
    at.multiselect(key="methods").set_value(["int8"]).run()

    assert at.subheader[0].value.startswith("Predicted")


def test_presets_fill_the_methods(app):
    """All that run here are more than the quick ones, and none of them cannot."""
    at = visit(app)
    at.segmented_control(key="methods_preset").set_value("all").run()
    chosen = at.multiselect(key="methods").value

    assert {"int8-dynamic", "kv-int8", "layers"} <= set(chosen)
    assert not {name for name in chosen if METHODS[name].package}
    assert not any(caption.value.startswith("Left out") for caption in at.caption)


def test_no_method_is_one_sentence(app):
    """And nothing can be started."""
    at = visit(app)
    at.multiselect(key="methods").set_value([]).run()

    assert at.error[0].value == "No method is chosen; choose at least one, or a preset."
    assert not [button for button in at.button if button.label.startswith("Run this experiment")]


def test_a_text_that_is_not_there_is_one_sentence(app):
    """Before anything runs."""
    at = visit(app)
    at.text_input(key="text").set_value("/no/such/file.txt").run()

    assert "There is no file /no/such/file.txt" in at.error[0].value


def test_random_weights_are_bars_of_speed_and_size(app):
    """No quality to compare: its figures say so."""
    at = with_random_weights(visit(app))

    assert not at.exception
    assert any(alt.startswith("Decode speed by method") for alt in alts(at))


def test_the_button_queues_the_uncompressed_model_first(app, monkeypatch):
    """All are parts of one whole, whose name is in the address; Cancel ends them all."""
    monkeypatch.setattr("profiler.record.jobs.Jobs._turn", lambda *args: None)
    at = visit(app)
    primary(at).click().run()
    (whole,) = Store().wholes("lab-compression-")

    assert not at.exception
    assert [run.spec.setup.compressed for run in Store().parts(whole)] == [False] + [True] * 6
    assert primary(at).disabled
    next(button for button in at.button if button.label == "Cancel").click().run()
    assert {run.status for run in Store().parts(whole)} == {"cancelled"}


def test_what_failed_is_named_and_the_rest_is_kept(app):
    """A lost run has its reason; the others are compared."""
    made = measured()
    lost = generate_run(spec=made.runs[-1].spec, status="failed")
    at = visit(app, lab=kept(replace(made, runs=(*made.runs[:-1], lost))))

    assert "failed. why" in at.warning[0].value
    assert any("6 points measured" in alt for alt in alts(at))


def test_sensitivity_is_shown_by_its_link(app):
    """Title, heat map, what keeping the worst would bring, and the table."""
    made = sensitivity({"attention": [0.01] * 30, "MLP": [0.5] + [0.02] * 29, "lm_head": [0.1]}, setup=HERE)
    at = visit(app, lab=kept(made))

    assert not at.exception
    assert at.subheader[0].value.startswith("Layer 0's MLP matters most")
    assert sum("61 points measured" in alt for alt in alts(at)) == 2
    assert at.code[0].value.startswith("python -m profiler lab sensitivity")


def test_sensitivity_of_random_weights_is_refused_in_a_sentence(app):
    """Their quality is not defined."""
    at = with_random_weights(visit(app, compression_view="Layer by layer"))

    assert "random weights here, so there is no quality to lose" in at.error[0].value


def duel() -> str:
    specs = duel_plan(MODEL, HERE, "Why?", ("none", "int4"), 16)
    return kept(Experiment("duel-test", (spoken(specs[0], "the sky is blue", 0.02), spoken(specs[1], "the sky is high", 0.01))))


def test_two_answers_stand_side_by_side(app):
    """By the link: the comparison as the title, both texts, both commands."""
    at = visit(app, compression_view="Side by side", duel=duel())

    assert not at.exception
    assert at.subheader[0].value.endswith("the first 3 words are the same")
    assert [text.value for text in at.text] == ["the sky is blue", "the sky is high"]
    assert at.code[0].value.count("python -m profiler write") == 2


def test_a_duel_is_two_runs_one_after_the_other(app, monkeypatch):
    """Left, then right, parts of one whole; Cancel ends both."""
    monkeypatch.setattr("profiler.record.jobs.Jobs._turn", lambda *args: None)
    at = visit(app, compression_view="Side by side")
    primary(at).click().run()
    (whole,) = Store().wholes("duel-")

    assert not at.exception
    assert [run.spec.setup.quantization for run in Store().parts(whole)] == ["", "int4-rows-g32"]
    next(button for button in at.button if button.label == "Cancel").click().run()
    assert {run.status for run in Store().parts(whole)} == {"cancelled"}


def test_a_duel_of_random_weights_offers_the_default_model(app):
    """It explains, and one click takes a model that can answer."""
    at = with_random_weights(visit(app, compression_view="Side by side"))
    assert "its answers mean nothing" in at.info[0].value
    next(button for button in at.button if button.label.startswith("Take ")).click().run()

    assert primary(at)


def test_an_unknown_duel_is_said_to_be_gone(app):
    """A stale link leads to a sentence and the fields."""
    at = visit(app, compression_view="Side by side", duel="duel-nothing")

    assert "no duel duel-nothing" in at.warning[0].value
    assert not at.exception


def test_another_device_is_one_choice_away(app):
    """The title names it."""
    at = visit(app, compression_view="On other hardware")
    before = at.subheader[0].value
    box = at.selectbox(key="other_device")
    box.set_value(next(title for title in box.options if "H100" in title)).run()

    assert not at.exception
    assert "H100" in at.subheader[0].value != before


def test_zeros_of_others_can_be_two_of_four(app):
    """The figure follows the pattern."""
    at = visit(app, compression_view="What others measured")
    at.segmented_control(key="pattern").set_value("2:4").run()

    assert not at.exception
    assert any("2:4 zeros" in alt for alt in alts(at))
    assert any(caption.value.startswith("Source") for caption in at.caption)
