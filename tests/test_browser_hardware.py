"""The page Hardware in a real browser: figures drawn, a slider moved, a price typed, on a wide and on a narrow screen."""

import re

import pytest
from playwright.sync_api import expect

from tests.test_browser import app, chromium, serious, visit  # noqa: F401 - fixtures are used by their names

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_figure_is_drawn_and_nothing_is_wider_than_the_screen(chromium, app, width, scheme):  # noqa: F811 - the fixtures imported above
    """Six figures, each with its words; no error in the console, no sideways scrolling."""
    page, errors = visit(chromium, f"{app[0]}/hardware", width=width, scheme=scheme)
    expect(page.locator(".js-plotly-plot:has(.main-svg)")).to_have_count(6, timeout=60_000)

    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= width
    assert serious(errors) == []


def test_a_slider_redraws_the_finding_and_the_address(chromium, app):  # noqa: F811 - the fixtures imported above
    """Moved by the keyboard: another finding, and a link that opens it again."""
    page, _ = visit(chromium, f"{app[0]}/hardware")
    finding = page.get_by_role("heading", level=3).first
    expect(finding).to_contain_text("the fastest is", timeout=60_000)
    before = finding.text_content() or ""
    page.get_by_role("slider").nth(2).press("ArrowRight")
    page.get_by_role("slider").nth(2).press("ArrowRight")

    expect(finding).not_to_have_text(before, timeout=20_000)
    expect(page).to_have_url(re.compile("batch="))


def test_a_typed_price_gives_a_cost_and_stays_in_the_address(chromium, app):  # noqa: F811 - the fixtures imported above
    """In the small table under More; the link opens with it."""
    page, _ = visit(chromium, f"{app[0]}/hardware?prices=rtx-4090:0.4")
    cheapest = page.get_by_test_id("stMetric").nth(3)
    expect(cheapest).to_contain_text("per million", timeout=60_000)
    before = next(line for line in cheapest.inner_text().splitlines() if "per million" in line)
    page.get_by_text("More: software").click()
    page.get_by_role("tab", name="Prices").click()
    editor = page.get_by_test_id("stDataFrame").first
    expect(editor).to_be_visible()
    box = editor.bounding_box()
    page.wait_for_timeout(1000)  # the table is a canvas: nothing in it tells when it takes keys
    page.mouse.click(box["x"] + 0.8 * box["width"], box["y"] + 52)
    page.wait_for_timeout(1000)
    page.keyboard.type("8")
    page.wait_for_timeout(1000)
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile("prices=rtx-4090(%3A|:)8"), timeout=20_000)
    expect(cheapest).not_to_contain_text(before, timeout=20_000)
