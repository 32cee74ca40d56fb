"""Experiments in a real browser: started, its points seen landing, its sentence read."""

import pytest
from playwright.sync_api import expect

from tests.test_browser import app, chromium, serious, store, visit  # noqa: F401 - fixtures are used by their names

pytestmark = pytest.mark.browser
COUNT = "document.querySelector('.live-figure')?._fullData?.find((trace) => trace.name?.startsWith('measured'))?.x?.length ?? 0"


@pytest.mark.slow
def test_a_batch_sweep_is_started_watched_and_read(chromium, app, tiny_folder):  # noqa: F811 - the fixtures imported above
    """One click; points land one by one in one and the same chart; then the finding, its data, and the same by its link."""
    page, errors = visit(chromium, f"{app[0]}/compute?model={tiny_folder}&threads=1")
    page.get_by_role("button", name="Run this experiment").click(timeout=30_000)
    page.wait_for_function(f"({COUNT}) === 0 && document.querySelector('.live-figure')", timeout=30_000)
    page.wait_for_function(f"({COUNT}) >= 1", timeout=120_000)
    page.evaluate("document.querySelector('.live-figure').seen = true")
    page.wait_for_function(f"({COUNT}) >= 2", timeout=120_000)

    assert page.evaluate("document.querySelector('.live-figure').seen")  # the same element
    expect(page.get_by_text("a step took")).to_be_visible(timeout=180_000)
    expect(page.get_by_role("figure").first).to_be_visible()
    sentence = page.get_by_text("a step took").inner_text()
    other, _ = visit(chromium, page.url)
    expect(other.get_by_text("a step took")).to_have_text(sentence, timeout=30_000)
    (whole,) = store(app[1]).wholes("lab-batch-")
    assert {run.status for run in store(app[1]).parts(whole)} == {"finished"}
    assert serious(errors) == []


def test_an_experiment_is_cancelled_as_a_whole(chromium, app, tiny_folder):  # noqa: F811 - the fixtures imported above
    """Cancel ends the run under way and all that wait; the page says which points were lost."""
    page, _ = visit(chromium, f"{app[0]}/memory?memory_view=Growth+with+context&model={tiny_folder}&threads=1")
    page.get_by_role("button", name="Run this experiment").click(timeout=30_000)
    page.get_by_role("button", name="Cancel").click(timeout=30_000)

    expect(page.get_by_text("cancelled").first).to_be_visible(timeout=30_000)
    (whole,) = store(app[1]).wholes("lab-context-")
    assert {run.status for run in store(app[1]).parts(whole)} <= {"cancelled", "finished"}


@pytest.mark.parametrize("path", ["compute", "compute?compute_view=Arithmetic+by+operator", "memory", "memory?memory_view=What+fits"])
def test_a_narrow_window_has_no_sideways_scrolling(chromium, app, path):  # noqa: F811 - the fixtures imported above
    """390 pixels, a phone: everything fits its width."""
    page, errors = visit(chromium, f"{app[0]}/{path}", width=390, scheme="dark")
    expect(page.locator(".js-plotly-plot").first).to_be_visible(timeout=30_000)

    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
    assert serious(errors) == []
