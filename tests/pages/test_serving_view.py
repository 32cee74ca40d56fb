"""The serving view, empty and full, without a browser."""

import pytest
from streamlit.testing.v1 import AppTest

from profiler.record.store import Store
from tests.served import load_run

SCRIPT = "from pages._libraries_serving import serving_view\nserving_view()\n"


@pytest.fixture
def view(tmp_path, monkeypatch):
    """The view alone, with a store of its own."""
    import streamlit as st

    monkeypatch.setenv("NEED_FOR_SPEED_HOME", str(tmp_path))
    monkeypatch.setattr("profiler.record.jobs.Jobs._turn", lambda *args: None)
    st.cache_resource.clear()
    return AppTest.from_string(SCRIPT, default_timeout=60)


def kept(run) -> str:
    """A load test in the store, as if it had been measured here."""
    store = Store()
    id = store.add(run.spec)
    store.append(id, list(run.events))
    store.set_status(id, run.status)
    return id


def go(at):
    return at.button(key="serve_go")


def test_before_the_first_test_it_says_what_will_come(view):
    """A question, what it will show, and what open loop and Poisson mean; no empty figure."""
    at = view.run()

    assert not at.exception
    assert not at.error
    assert at.subheader[0].value.startswith("How many requests a second")
    assert any("Open loop" in caption.value and "Poisson" in caption.value for caption in at.caption)
    assert not at.get("plotly_chart")
    assert not go(at).disabled


def test_the_newest_test_is_shown(view):
    """Finding, figures with alternative texts, sentence, table, command."""
    view.run()
    kept(load_run(lost=[(6.0, "refused", 10, "503: busy")]))
    at = view.run()

    assert not at.exception
    assert at.subheader[0].value.startswith("It keeps up with 3.0 requests/s")
    assert [chart.proto.alt.split(",")[-1] for chart in at.get("plotly_chart")] == [" 4 rates measured"] * 4
    assert any("10 were refused (“503: busy”)" in text.value for text in at.markdown)
    assert at.dataframe[0].value["keeps up"].tolist()[:3] == ["yes"] * 3
    assert at.code[0].value.startswith("python -m profiler serve-bench --model smollm2-135m")


def test_a_test_is_shown_by_its_link(view):
    """Another than the newest; a stale link is told in a sentence."""
    view.run()
    first = kept(load_run(rates=(8.0, 9.0)))
    kept(load_run())
    view.query_params["serve_run"] = first
    at = view.run()
    assert at.subheader[0].value == "It does not even keep up with 8.0 requests/s"

    view.query_params["serve_run"] = "gone"
    assert "no load test gone" in view.run().warning[0].value


def test_the_button_queues_the_test_that_the_fields_ask_for(view):
    """Its run is in the address, it cannot be pressed twice, and Cancel ends it."""
    at = view.run()
    at.text_input(key="serve_rates").set_value("0.5, 2")
    at.selectbox(key="serve_format").set_value("q4_0")
    go(at.run()).click().run()
    (run,) = Store().heads()

    assert not at.exception
    assert (run.spec.work.rates, run.spec.setup.quantization, run.spec.setup.engine) == ((0.5, 2.0), "q4_0", "llama.cpp")
    assert at.query_params["serve_run"] in (run.id, [run.id])
    assert go(at).disabled
    next(button for button in at.button if button.label == "Cancel").click().run()
    assert Store().status(run.id) == "cancelled"


def test_points_land_while_it_runs(view):
    """The live view draws what there is."""
    view.run()
    kept(load_run(status="running"))
    at = view.run()

    assert not at.exception
    assert go(at).disabled
    assert any(button.label == "Cancel" for button in at.button)


def test_a_server_that_runs_already_is_asked_by_its_address(view):
    """No model is needed; a stranger's address is refused with the remedy, and nothing can be started."""
    at = view.run()
    at.segmented_control(key="serve_where").set_value("One that runs already").run()
    assert not at.error
    at.text_input(key="serve_url").set_value("http://example.com/v1").run()

    assert "NEED_FOR_SPEED_SERVERS=example.com" in at.error[0].value
    assert go(at).disabled


def test_rates_that_are_none_are_one_sentence(view):
    """With an example."""
    at = view.run()
    at.text_input(key="serve_rates").set_value("fast").run()

    assert "write requests per second separated by commas" in at.error[0].value


def test_a_test_that_failed_keeps_its_points(view):
    """The reason stands beside what was measured until then."""
    view.run()
    run = load_run(rates=(1.0, 2.0), status="running")
    id = kept(run)
    from profiler.record.events import Failed

    Store().append(id, [Failed(at=99.0, reason="The server went away.")])
    Store().set_status(id, "failed")
    at = view.run()

    assert at.warning[0].value == "Failed: The server went away."
    assert len(at.get("plotly_chart")) == 3
