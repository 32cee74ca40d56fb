"""The page Machine, empty and full, without a browser."""

import pytest

from profiler.record.events import Failed, Finished, Point, Probed, Started
from profiler.record.process import ROOT
from profiler.record.store import Store, parse_export
from profiler.spec.run import RunSpec, Setup
from profiler.spec.work import MeasureCeilings
from tests.analysis.test_roofs import full
from tests.builders import MACHINE

SPEC = RunSpec(work=MeasureCeilings(scope="full"), setup=Setup(threads=2))
CURVES = {"read": "1 thread", "copy": "1 thread", "triad": "2 threads", "matmul": "float32 · 2 threads", "matvec": "float32"}


def kept(machine=MACHINE, spec=SPEC, end=None, **changes) -> str:
    """A measured machine in the store; its id."""
    store = Store()
    id = store.add(spec)
    events = [Started(at=0, hardware=machine, versions={}, warm=False)]
    events += [Point(at=1, curve=curve, series=series, x=x, value=1e11) for curve, series in CURVES.items() for x in (8192.0, 16384.0)]
    if spec.work.scope != "memory":
        events.append(Probed(at=2, ceilings=full(versions={"torch": "2.test"}, **changes), kept=False))
    store.append(id, [*events, end or Finished(at=3)])
    store.set_status(id, "failed" if end else "finished")
    return id


def opened(app):
    at = app.run().switch_page("pages/machine.py").run()
    assert not at.exception
    return at


def alts(at) -> list[str]:
    return [chart.proto.alt for chart in at.get("plotly_chart")]


def test_before_anything_is_measured_a_recorded_machine_stands_there(app):
    """No empty box: its numbers and every figure, labelled as recorded."""
    at = opened(app)

    assert "recorded" in at.info[0].value
    assert len(at.metric) == 5
    assert len(alts(at)) == 4
    assert all(alts(at))


def test_the_newest_measurement_is_shown(app):
    """Its numbers, roofs, staircase, products and threads; when, with what, and on what."""
    kept()
    at = opened(app)

    assert "40.0 GB/s" in [metric.value for metric in at.metric]
    assert "Memory delivers 40.0 GB/s" in at.subheader[0].value
    assert any("Test CPU · 2 threads · float32" in caption.value and "torch 2.test" in caption.value for caption in at.caption)
    assert [alt.split(" ")[0] for alt in alts(at)] == ["Roofline", "Staircase", "Matrix", "Scaling"]
    assert not at.warning


def test_another_kernel_is_chosen_by_the_address(app):
    """?kernel=triad shows that staircase."""
    kept()
    app.query_params["kernel"] = "triad"

    assert any(alt.startswith("Staircase of triad") for alt in alts(opened(app)))


def test_a_disturbed_measurement_says_so(app):
    """Shown, but with the warning that it is not the machine's."""
    kept(disturbed=True)

    assert "busy with other programs" in opened(app).warning[0].value


def test_a_device_without_a_data_sheet_says_so(app):
    """The system's name for it stands there, and no number is guessed."""
    kept()

    assert any('"Test CPU"' in caption.value for caption in opened(app).caption)


def test_a_data_sheet_stands_beside(app):
    """A processor that is named precisely is compared, with the source."""
    kept(MACHINE.model_copy(update={"name": "AMD EPYC 9654 96-Core Processor"}))
    at = opened(app)

    assert any("of what the data sheet promises" in text.value for text in at.markdown)
    assert any("EPYC 9654, of one whole socket. Source:" in caption.value for caption in at.caption)


def test_a_failed_measurement_says_why(app):
    """The reason, by its link."""
    app.query_params["run"] = kept(end=Failed(at=3, reason="why"))

    assert "why" in [said.value for said in opened(app).error]


def test_a_single_curve_is_no_machine(app):
    """A run of one curve alone leads to the whole measurement."""
    app.query_params["run"] = kept(spec=SPEC.model_copy(update={"work": MeasureCeilings(scope="memory")}))

    assert "single curve" in opened(app).error[0].value


def test_an_unknown_measurement_is_said_to_be_gone(app):
    """A stale link leads to a sentence and the sample."""
    app.query_params["run"] = "nothing"

    assert "no measurement nothing" in opened(app).warning[0].value


def test_measuring_queues_the_full_scope(app, monkeypatch):
    """One button: a run of the fields' set-up, which can be cancelled."""
    monkeypatch.setattr("profiler.record.jobs.Jobs._turn", lambda *args: None)
    at = opened(app)
    next(button for button in at.button if button.label.startswith("Measure this machine")).click().run()

    (run,) = Store().heads()
    assert not at.exception
    assert run.spec.work == MeasureCeilings(scope="full")
    assert any(button.label == "Cancel" for button in at.button)
    assert next(button for button in at.button if button.label.startswith("Measure this machine")).disabled


@pytest.mark.parametrize(("scope", "said"), [("full", "See this machine's roofs"), ("memory", None)])
def test_a_ceilings_run_on_the_first_page_leads_here(app, scope, said):
    """Opened from Runs: a link to this page; a single curve as its points."""
    app.query_params["run"] = kept(spec=SPEC.model_copy(update={"work": MeasureCeilings(scope=scope)}))
    at = app.run()

    assert not at.exception
    assert [link.proto.label for link in at.get("page_link")] == ([said] if said else [])
    assert len(at.dataframe) == (0 if said else 1)


def test_the_recorded_machine_is_a_real_full_measurement():
    """assets/sample-machine.json was made by the program itself, on a quiet machine, and is small."""
    file = ROOT / "assets" / "sample-machine.json"
    read = parse_export(file.read_bytes())

    assert read.status == "finished"
    assert read.spec.work == MeasureCeilings(scope="full")
    assert file.stat().st_size < 200_000
    assert not next(event for event in read.events if event.kind == "ceilings").ceilings.disturbed
