"""The race in a real browser: drawn, run to its end, updated without a new start, and narrow."""

import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from playwright.sync_api import Page, expect

from profiler.record.process import ROOT
from tests.races import ENGINES, WRONG
from tests.test_browser import chromium, serious, visit  # noqa: F401 - fixtures are used by their names

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SCRIPT = """
import streamlit as st
from pages._race import race_view
from tests.races import race, titled, wrong

st.set_page_config(layout="wide")
asked = st.query_params
if "stage" not in st.session_state:
    st.session_state.stage = 0
if st.button("More"):
    st.session_state.stage += 1
whole = "other" if st.button("Another") else "test"
live = asked.get("live") == "yes"
if not st.toggle("Away"):
    race_view(race(live, st.session_state.stage, whole, float(asked.get("slower", 1))), titled, wrong, live)
"""
RIGHT = [title for title in ENGINES if title != "ONNX Runtime"]
LANES = """[...document.querySelectorAll('.race-lane')]
  .map((lane) => [lane.dataset.written, lane.querySelector('.race-place').dataset.place ?? ''])"""
COUNTED = """() => {
  window.frames_of_race = 0;
  const usual = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (call) => {
    window.frames_of_race += String(call).includes('state.seconds') ? 1 : 0;
    return usual(call);
  };
}"""
OVERLAPS = """() => [...document.querySelectorAll('.race-lane')].flatMap((lane) => {
  const parts = [...lane.children].filter((part) => part.textContent.trim() || part.className === 'race-track');
  const boxes = parts.map((part) => [part.className, part.getBoundingClientRect()]);
  return boxes.flatMap(([one, a], place) => boxes.slice(place + 1).filter(([, b]) =>
    a.right > b.left + 1 && b.right > a.left + 1 && a.bottom > b.top + 1 && b.bottom > a.top + 1).map(([other]) => `${one} ${other}`));
})"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A page with nothing but a race, and two buttons that make it run again."""
    script = tmp_path_factory.mktemp("race") / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port), "--server.address", "127.0.0.1"]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
    try:
        for _ in range(150):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1)
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def running(page: Page, is_so: bool = True) -> None:
    page.wait_for_function(f"document.querySelector('.race')?.dataset.running === '{str(is_so).lower()}'", timeout=20_000)


def written(page: Page) -> list[int]:
    return page.evaluate("[...document.querySelectorAll('.race-lane')].map((lane) => Number(lane.dataset.written))")


def lane(page: Page, title: str):
    return page.locator(".race-lane", has=page.locator(f".race-title[title='{title}']"))


def test_a_race_runs_to_its_end_and_stands(chromium, address):  # noqa: F811 - the fixtures imported above
    """All start together; places are in the order of arrival; the wrong lane has none and says why; the console is clean."""
    page, errors = visit(chromium, address)
    running(page)
    running(page, False)

    assert written(page) == [32] * 6
    by_place = page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('.race-place[data-place]')]"
        ".map((mark) => [mark.textContent, mark.parentElement.querySelector('.race-title').textContent]))"
    )
    assert [by_place[place] for place in sorted(by_place)] == RIGHT
    wrong = lane(page, "ONNX Runtime")
    expect(wrong).to_contain_text("wrong answers")
    expect(wrong).to_contain_text(WRONG)
    assert page.evaluate("getComputedStyle(document.querySelector('[data-wrong] .race-title')).textDecorationLine") == "line-through"
    assert page.locator(".race-blocks").count() == 1
    expect(page.get_by_text("llama.cpp wrote 32 tokens while")).to_be_visible()
    expect(page.get_by_role("figure", name="Race. 1. llama.cpp: 32 tokens in 616 ms")).to_be_visible()
    assert serious(errors) == []


def test_places_appear_as_lanes_arrive(chromium, address):  # noqa: F811 - the fixtures imported above
    """Half-way the fast have one and the slow write on, by their recorded times."""
    page, _ = visit(chromium, f"{address}?slower=4")
    page.wait_for_selector(".race-place[data-place='1']", timeout=20_000)
    one = page.evaluate(LANES)

    assert one[0] == ["32", "1"]
    assert 5 <= int(one[-1][0]) < 32
    assert not one[-1][1]


def test_new_data_do_not_start_it_anew_unless_it_is_another_race(chromium, address):  # noqa: F811 - the fixtures imported above
    """The page runs again in the middle: the lanes go on; of another experiment they start."""
    page, _ = visit(chromium, f"{address}?slower=8")
    running(page)
    page.wait_for_function("document.querySelector('.race-lane')?.dataset.written > 8", timeout=20_000)
    page.evaluate("document.querySelector('.race-lane').seen = true")
    before = written(page)
    page.get_by_role("button", name="More").click()
    page.wait_for_timeout(700)

    assert page.evaluate("document.querySelector('.race-lane').seen && document.querySelector('.race').dataset.running") == "true"
    assert all(now >= then for now, then in zip(written(page), before))
    page.get_by_role("button", name="Another").click()
    page.wait_for_function("document.querySelector('.race-lane').dataset.written < 5", timeout=5000)


def test_slow_motion_is_slower_and_race_begins_again(chromium, address):  # noqa: F811 - the fixtures imported above
    """The clock of the race goes at a quarter of its speed; the button puts it back to nought."""
    page, _ = visit(chromium, f"{address}?slower=4")
    running(page)
    page.get_by_role("button", name="¼×").click()
    expect(page.get_by_role("button", name="¼×")).to_have_attribute("aria-pressed", "true")
    clock = "parseFloat(document.querySelector('.race-clock').textContent)"
    took = page.evaluate(
        f"async () => {{ const [then, at] = [{clock}, performance.now()]; await new Promise((go) => setTimeout(go, 1200));"
        f" return ({clock} - then) / ((performance.now() - at) / 1000) }}"
    )
    assert 0 < took < 0.5
    page.get_by_role("button", name="Race").click()

    assert page.evaluate(clock) < 0.3


def test_live_lanes_grow_by_what_was_measured(chromium, address):  # noqa: F811 - the fixtures imported above
    """In one and the same element, without motion or buttons; what waits or failed says so."""
    page, errors = visit(chromium, f"{address}?live=yes")
    page.wait_for_selector(".race-lane")
    page.evaluate("document.querySelector('.race-lane').seen = true")
    assert written(page) == [32, 32, 0, 0, 0, 0]
    for stage in (1, 2):
        page.get_by_role("button", name="More").click()
        page.wait_for_function(f"document.querySelectorAll('.race-lane')[2].dataset.written == {10 * stage}", timeout=10_000)

    assert page.evaluate("document.querySelector('.race-lane').seen")
    expect(lane(page, "ONNX Runtime")).to_contain_text("The memory does not suffice")
    expect(lane(page, "transformers, compiled")).to_contain_text("waits for its turn")
    expect(page.locator(".race-head")).to_be_hidden()
    assert serious(errors) == []


def test_whoever_wants_no_motion_sees_the_end(chromium, address):  # noqa: F811 - the fixtures imported above
    """At once, and without buttons."""
    page = chromium.new_context(reduced_motion="reduce").new_page()
    page.goto(address)
    page.wait_for_selector(".race-place[data-place='1']", timeout=20_000)

    assert written(page) == [32] * 6
    expect(page.locator(".race-head")).to_be_hidden()


def test_nothing_goes_on_when_the_race_is_gone(chromium, address):  # noqa: F811 - the fixtures imported above
    """Taken off the page in the middle, it asks for no further frame."""
    page, errors = visit(chromium, f"{address}?slower=8")
    running(page)
    page.evaluate(COUNTED)
    page.wait_for_function("window.frames_of_race > 2", timeout=10_000)
    page.get_by_text("Away").click()
    expect(page.locator(".race")).to_have_count(0, timeout=10_000)
    page.evaluate("window.frames_of_race = 0")
    page.wait_for_timeout(300)

    assert page.evaluate("window.frames_of_race") == 0
    assert serious(errors) == []


@pytest.mark.parametrize("query", ["?slower=0.2", "?live=yes"])
def test_nothing_overlaps(chromium, address, query):  # noqa: F811 - the fixtures imported above
    """On a desk and on a phone: no part of a lane lies on another, and nothing is wider than the window."""
    page, _ = visit(chromium, address + query, scheme="dark")
    page.wait_for_selector(".race-place[data-place='1']", timeout=20_000)
    running(page, False)
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 1000})
        page.wait_for_timeout(300)

        assert page.evaluate(OVERLAPS) == []
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= width
        assert page.evaluate("[...document.querySelectorAll('.race *')].every((part) => part.getBoundingClientRect().right <= innerWidth)")
        # text whose beginning is cut has its end in view
        assert page.evaluate(
            "[...document.querySelectorAll('.race-words')].every((text) => text.offsetLeft >= text.parentElement.offsetLeft)"
        )
