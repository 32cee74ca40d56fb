"""The race on a page, without a browser: what the element gets, and what stands below it."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from pages._race import payload
from profiler.analysis.race import lanes
from tests.races import ENGINES, WRONG, race, titled, wrong

SCRIPT = """
from pages._race import race_view
from profiler.analysis.experiment import Experiment
from tests.races import race, titled, wrong

race_view({}, titled, wrong, {})
"""


def page(experiment: str = "race()", live: bool = False) -> AppTest:
    at = AppTest.from_string(SCRIPT.format(experiment, live), default_timeout=30).run()
    assert not at.exception
    return at


def element(at: AppTest) -> dict:
    """What the element was given."""
    return json.loads(at.get("bidi_component")[0].proto.json)


def test_the_finding_stands_below_the_lanes():
    """In bold, and then what a bar means."""
    at = page()

    assert element(at)["id"] == "lab-engines-test"
    assert at.caption[0].value.startswith("**llama.cpp wrote 32 tokens while transformers, eager attention without a cache wrote 7;")
    assert "A bar is an answer of 32 tokens" in at.caption[0].value


def test_a_race_on_its_way_is_told_so_far():
    """The element knows that it is live."""
    at = page("race(live=True, stage=1)", live=True)

    assert element(at)["live"] is True
    assert at.caption[0].value.startswith("**So far llama.cpp wrote")


def test_nothing_is_drawn_where_nobody_runs():
    """An experiment without runs that generate has no lanes."""
    at = page("Experiment('lab-engines-none', ())")

    assert not at.get("bidi_component")
    assert not at.caption


def test_the_payload_has_all_that_is_drawn():
    """Times and texts of each lane, its place, and from when on what is written is pale."""
    found = payload("x", lanes(race(), titled, wrong), live=False)
    rows = {row["title"]: row for row in found["lanes"]}

    assert list(rows) == list(ENGINES)
    assert [row["place"] for row in found["lanes"]] == [1, 2, 3, 0, 4, 5]
    assert found["goal"] == 32
    assert found["pace"] == pytest.approx(0.616)
    assert rows["llama.cpp"]["rate"] == "62.5 tok/s"
    assert rows["llama.cpp"]["detail"] == "first 120 ms · all 616 ms"
    assert rows["ONNX Runtime"]["wrong"] == WRONG
    assert found["label"].startswith("Race. 1. llama.cpp")


def test_lanes_without_tokens_say_what_they_wait_for():
    """Their turn, or the phase they are in; a failed one has its reason."""
    found = payload("x", lanes(race(live=True), titled, wrong), live=True)

    assert [row["note"] for row in found["lanes"]] == [
        "", "", "warm-up …", "The memory does not suffice; take a smaller model.", "waits for its turn", "waits for its turn",
    ]  # fmt: skip
    assert found["lanes"][3]["status"] == "failed"
