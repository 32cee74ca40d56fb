"""Every page, empty and full, without a browser."""

import json

import pytest

from profiler.analysis.proof import name_of, plan
from profiler.record.process import ROOT
from profiler.record.store import Store
from tests.builders import SPEC, ceilings, generate_run, kernels


def kept(tmp_path, status="finished") -> str:
    store = Store()
    id = store.add(SPEC)
    store.append(id, list(generate_run(status=status).events))
    store.set_status(id, status)
    return id


def alts(at) -> list[str]:
    return [chart.proto.alt for chart in at.get("plotly_chart")]


def test_a_first_visit_shows_a_prediction_and_a_recorded_run(app):
    """No empty box: four predicted figures, one primary button, a real sample labelled as such."""
    at = app.run()

    assert not at.exception
    assert [metric.label for metric in at.metric][:3] == ["Fits in memory", "Read per token", "Arithmetic for the prompt"]
    assert "recorded" in at.info[0].value
    assert any(alt.startswith("Waterfall of decode") for alt in alts(at))


def test_the_card_says_what_a_run_will_take(app, monkeypatch):
    """With ceilings known: both times expected, their intervals, and what physics allows at least."""
    monkeypatch.setattr("profiler.record.jobs.Jobs.ceilings", lambda *args: ceilings(kernels=kernels()))
    at = app.run()
    prompt, token = at.metric[3:5]

    assert not at.exception
    assert (prompt.label, token.label) == ("Time to first token", "Time per token")
    assert " to " in prompt.delta
    assert " to " in token.delta
    assert any("at least" in said.value for said in at.caption)


def test_without_the_kernels_speed_the_card_says_at_least(app, monkeypatch):
    """Ceilings of an earlier version, or of an accelerator, give the bound alone."""
    monkeypatch.setattr("profiler.record.jobs.Jobs.ceilings", lambda *args: ceilings())
    at = app.run()

    assert [metric.label for metric in at.metric[3:5]] == ["Time to first token, at least", "Time per token, at least"]


def test_a_run_is_held_against_its_prediction(app, tmp_path):
    """After a run: predicted, measured, and by how much they differ, in words."""
    store = Store()
    id = store.add(SPEC)
    store.append(id, list(generate_run(roofs=ceilings(kernels=kernels())).events))
    store.set_status(id, "finished")
    app.query_params["run"] = id
    at = app.run()

    assert not at.exception
    assert any(said.value.startswith("Predicted") and "than predicted" in said.value for said in at.markdown)


def test_a_run_is_shown_by_its_link(app, tmp_path):
    """?run=… opens that run: headline, waterfall, verdict, every figure with an alternative text."""
    app.query_params["run"] = kept(tmp_path)
    at = app.run()

    assert not at.exception
    assert "20.0 tok/s" in [metric.value for metric in at.metric]
    assert all(alts(at))
    assert any("limited by" in header.value or "loses" in header.value for header in at.subheader)


def test_the_phase_can_be_switched(app, tmp_path):
    """Prefill has a waterfall of its own."""
    app.query_params["run"] = kept(tmp_path)
    app.query_params["phase"] = "prefill"

    assert any(alt.startswith("Waterfall of prefill") for alt in alts(app.run()))


@pytest.mark.parametrize("status", ["failed", "cancelled", "interrupted"])
def test_a_run_without_result_says_why(app, tmp_path, status):
    """The reason, not an empty page."""
    app.query_params["run"] = kept(tmp_path, status)
    at = app.run()

    assert not at.exception
    assert "why" in [said.value for said in (*at.error, *at.info)]


def test_an_unknown_run_is_said_to_be_gone(app):
    """A stale link leads to a sentence and the sample."""
    app.query_params["run"] = "nothing"
    at = app.run()

    assert "no run nothing" in at.warning[0].value


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"model": "nosuchmodel"}, "nosuchmodel"),
        ({"model": "llama-3.1-8b", "batch": "4000"}, "GB"),
        ({"prompt_tokens": "9000"}, "8192"),
        ({"model": "weights.bin"}, "pickled"),
    ],
)
def test_bad_input_is_one_sentence_and_the_button_is_off(app, params, said):
    """What is wrong is said before anything runs, and nothing can be started."""
    for key, value in params.items():
        app.query_params[key] = value
    at = app.run()

    assert not at.exception
    assert said in at.error[0].value
    assert next(button for button in at.button if button.label == "Measure").disabled


def test_a_preset_fills_the_form(app):
    """Many at once: batch 8."""
    at = app.run()
    at.get("button_group")[0].set_value("Many at once (batch 8)").run()

    assert not at.exception
    assert at.number_input(key="batch").value == 8


def test_measure_queues_the_spec_of_the_form(app, monkeypatch):
    """The run is in the store and its id in the address."""
    monkeypatch.setattr("profiler.record.jobs.Jobs._turn", lambda *args: None)
    at = app.run()
    next(button for button in at.button if button.label == "Measure").click().run()

    (run,) = Store().heads()
    assert not at.exception
    assert at.query_params["run"] in (run.id, [run.id])  # a list before Streamlit 1.66
    assert run.spec.model == SPEC.model
    assert any(button.label == "Cancel" for button in at.button)


def test_the_runs_page_is_empty_at_first(app):
    """It says so, and leads to Measure."""
    at = app.run().switch_page("pages/runs.py").run()

    assert not at.exception
    assert "No runs yet" in at.info[0].value


def test_the_runs_page_lists_and_repeats(app, tmp_path):
    """The newest run is chosen: its command can be copied, it can be opened, exported and deleted."""
    kept(tmp_path)
    at = app.run().switch_page("pages/runs.py").run()

    assert not at.exception
    assert at.code[0].value == SPEC.command
    assert {"Open", "Delete for good"} <= {button.label for button in at.button}
    next(button for button in at.button if button.label == "Delete for good").click().run()
    assert Store().heads() == []


def test_the_recorded_sample_is_a_real_export():
    """assets/sample-run.json is a finished run with ceilings, made by the program itself."""
    from profiler.record.store import parse_export

    read = parse_export((ROOT / "assets" / "sample-run.json").read_bytes())

    assert read.status == "finished"
    assert {"ceilings", "measured", "step", "finished"} <= {event["kind"] for event in json.loads(read.model_dump_json())["events"]}


def test_the_operators_of_a_run_are_shown(app, tmp_path):
    """The longest operator is named with its share of its roof; the table holds all; traced and untraced totals stand there."""
    app.query_params["run"] = kept(tmp_path)
    at = app.run()

    assert not at.exception
    assert any(alt.startswith("Longest operators: aten::linear in MLP") for alt in alts(at))
    assert any("The longest operator, linear in MLP" in text.value for text in at.markdown)
    assert any("untraced the median is 50.0 ms" in caption.value for caption in at.caption)


def test_levers_say_what_they_bring(app, tmp_path):
    """Each button stands with what is expected and what physics allows."""
    app.query_params["run"] = kept(tmp_path)
    at = app.run()

    assert any(button.label == "bfloat16 instead of float32" for button in at.button)
    assert any("the tokens per second; physics allows ×" in caption.value for caption in at.caption)


def test_prove_it_queues_the_changes(app, tmp_path, monkeypatch):
    """One press: baseline, changes, baselines in between, all part of the proof; the live panel can cancel them."""
    monkeypatch.setattr("profiler.record.jobs.Jobs._turn", lambda *args: None)
    id = kept(tmp_path)
    app.query_params["run"] = id
    at = app.run()
    next(button for button in at.button if button.label.startswith("Prove it")).click().run()

    parts = Store().parts(f"proof-{id}")
    assert not at.exception
    assert len(parts) > 8
    assert parts[0].spec == parts[-1].spec
    assert {part.spec.setup.dtype for part in parts} == {"float32", "bfloat16"}
    assert [run.id for run in Store().heads()] == [id]  # the list of runs stays short
    assert any(button.label == "Cancel" for button in at.button)


def test_a_proof_is_shown_with_its_outcome(app, tmp_path):
    """Runs in which only the number format has the foretold effect: the sentence, the figure, the table."""
    id = kept(tmp_path)
    store, run = Store(), Store().run(id)
    for spec in plan(run, lambda spec: True):
        seconds = 0.031 if spec.setup.dtype == "bfloat16" else 0.05
        part = store.add(spec, part_of=name_of(run))
        store.append(part, list(generate_run(decode=(seconds,) * 96, spec=spec).events))
        store.set_status(part, "finished")
    app.query_params["run"] = id
    at = app.run()

    assert not at.exception
    assert any(alt.startswith("Proof of the verdict: Proved") for alt in alts(at))
    assert any("confirmed" in text.value for text in at.markdown)


def test_every_phase_has_words():
    """The live panel can tell whatever the worker is doing."""
    from typing import get_args

    from pages._live import NAMES
    from profiler.record.events import Phase

    assert set(get_args(Phase)) == set(NAMES)
