"""The app in a real browser: chromium, driven by playwright."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import psutil
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from profiler.record.process import ROOT
from profiler.record.store import Store

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
LONG = {"batch": 1024, "prompt_tokens": 256, "new_tokens": 240}  # minutes, if nobody ends it
HARMLESS = ("/_stcore/health", "/_stcore/host-config", "404")  # Streamlit's probing of its base path

pytestmark = pytest.mark.browser
if CHROMIUM is None and os.environ.get("CI") != "true":
    pytest.skip("no chromium here; `apt-get install chromium` brings one", allow_module_level=True)


@contextmanager
def server(home):
    """A fresh server of the app with a home of its own; its address and process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port), "--server.address", "127.0.0.1"]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "NEED_FOR_SPEED_HOME": str(home)}, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(150):
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=1)
                break
            except OSError:
                time.sleep(0.1)
        yield address, process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    home = tmp_path_factory.mktemp("browser-home")
    with server(home) as (address, _):
        yield address, home


def store(home) -> Store:
    return Store(next((home / "data").glob("*.sqlite")))


def visit(chromium, address, *, width=1280, scheme="light") -> tuple[Page, list[str]]:
    """A page in a new browser session, and the errors of its console."""
    page = chromium.new_context(viewport={"width": width, "height": 1000}, color_scheme=scheme).new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    return page, errors


def serious(errors: list[str]) -> list[str]:
    return [error for error in errors if not any(word in error for word in HARMLESS)]


def press_measure(page: Page) -> None:
    page.get_by_role("button", name="Measure").first.wait_for()
    page.locator("[data-testid=stBaseButton-primary]").first.click()


def small(tiny_folder, **params) -> str:
    """The query of a run of the tiny model."""
    values = {"model": str(tiny_folder), "prompt_tokens": 32, "new_tokens": 64, "threads": 1, "seconds": 8} | params
    return "&".join(f"{key}={value}" for key, value in values.items())


def test_the_first_visit_is_whole(chromium, app):
    """Title, form, prediction, sample and its figures, without an error in the console."""
    page, errors = visit(chromium, app[0])
    expect(page.get_by_text("Predicted, before measuring")).to_be_visible(timeout=20_000)
    expect(page.get_by_role("figure").first).to_be_visible(timeout=20_000)

    assert page.locator(".js-plotly-plot").count() >= 4
    assert serious(errors) == []


@pytest.mark.parametrize("path", ["", "runs"])
def test_a_narrow_window_has_no_sideways_scrolling(chromium, app, path):
    """390 pixels, a phone: everything fits its width."""
    page, _ = visit(chromium, f"{app[0]}/{path}", width=390, scheme="dark")
    page.get_by_role("heading").first.wait_for()
    page.wait_for_timeout(2000)

    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390


def test_a_deep_link_on_a_fresh_server_has_its_frame(chromium, tmp_path):
    """The first request of a server is for a page below: app.py's navigation is there, and the address is kept."""
    with server(tmp_path) as (address, _):
        page, _ = visit(chromium, f"{address}/runs?kept=1")
        expect(page.get_by_text("What was measured so far?")).to_be_visible(timeout=20_000)

        expect(page.get_by_role("link", name="Measure").first).to_be_visible()
        assert "kept=1" in page.url


def test_a_live_run_is_watched_zoomed_and_cancelled(chromium, app, tiny_folder):
    """Press Measure; points arrive in one and the same chart; zoom is kept while they do; Cancel ends it and says so."""
    page, errors = visit(chromium, f"{app[0]}/?{small(tiny_folder, **LONG)}")
    press_measure(page)
    chart = page.locator(".live-figure").first
    chart.wait_for(timeout=60_000)
    page.wait_for_function("document.querySelector('.live-figure')?._fullData?.[1]?.x?.length > 0", timeout=90_000)
    before = page.evaluate("document.querySelector('.live-figure').seen = document.querySelector('.live-figure')._fullData[1].x.length")
    page.evaluate("Plotly.relayout(document.querySelector('.live-figure'), {'xaxis.range': [3, 9]})")
    page.wait_for_function(f"document.querySelector('.live-figure')?._fullData?.[1]?.x?.length > {before}", timeout=60_000)

    assert page.evaluate("document.querySelector('.live-figure').seen") == before  # the same element
    assert page.evaluate("document.querySelector('.live-figure')._fullLayout.xaxis.range.map(Math.round)") == [3, 9]
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled;")).to_be_visible(timeout=15_000)
    assert serious(errors) == []


def test_a_run_survives_reload_and_a_second_browser_and_cancels(chromium, app, tiny_folder):
    """A long run: reloaded, opened elsewhere, left for another page and found again; cancelled in one browser, ended in both."""
    page, _ = visit(chromium, f"{app[0]}/?{small(tiny_folder, **LONG)}")
    press_measure(page)
    page.get_by_role("button", name="Cancel").wait_for(timeout=30_000)
    page.reload()
    page.get_by_role("button", name="Cancel").wait_for(timeout=30_000)
    other, _ = visit(chromium, page.url)
    other.get_by_role("button", name="Cancel").wait_for(timeout=30_000)
    page.get_by_role("link", name="Runs").first.click()
    page.get_by_text("What was measured so far?").wait_for()
    page.go_back()
    page.get_by_role("button", name="Cancel").click(timeout=30_000)

    expect(page.get_by_text("Cancelled")).to_be_visible(timeout=15_000)
    expect(other.get_by_text("Cancelled")).to_be_visible(timeout=15_000)
    assert store(app[1]).heads()[0].status == "cancelled"


@pytest.mark.slow
def test_a_run_of_the_terminal_is_watched_in_the_browser(chromium, app, tiny_folder):
    """Started by the command line, live in the page, and in its list."""
    command = [
        sys.executable,
        "-m",
        "profiler",
        "run",
        str(tiny_folder),
        "--prompt-tokens",
        "32",
        "--new-tokens",
        "64",
        "--threads",
        "1",
        "--seconds",
        "6",
    ]
    first, _ = visit(chromium, app[0])  # a server's first page takes seconds and makes the store; a short run would be over by then
    first.get_by_role("button", name="Measure", exact=False).first.wait_for(timeout=60_000)
    known = {run.id for run in store(app[1]).heads()}
    terminal = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "NEED_FOR_SPEED_HOME": str(app[1])}, stdout=subprocess.DEVNULL)
    while not (new := [run.id for run in store(app[1]).heads() if run.id not in known]):
        time.sleep(0.1)
    page, _ = visit(chromium, f"{app[0]}/?run={new[0]}")
    page.get_by_role("button", name="Cancel").wait_for(timeout=30_000)

    expect(page.get_by_text("Trust:")).to_be_visible(timeout=90_000)
    assert terminal.wait(60) == 0


@pytest.mark.slow
def test_after_the_app_dies_the_run_is_interrupted_and_kept(chromium, tiny_folder, tmp_path):
    """The server is killed mid-run: no worker survives, and the next server shows what was measured until then."""
    with server(tmp_path) as (address, process):
        page, _ = visit(chromium, f"{address}/?{small(tiny_folder, **LONG)}")
        press_measure(page)
        page.wait_for_function("document.querySelector('.live-figure')?._fullData?.[1]?.x?.length > 0", timeout=90_000)
        workers = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        psutil.wait_procs(workers, timeout=5)
    with server(tmp_path) as (address, _):
        page, _ = visit(chromium, f"{address}/?run={store(tmp_path).heads()[0].id}")
        expect(page.get_by_text("ended before it was done")).to_be_visible(timeout=30_000)

    assert not [worker for worker in workers if worker.is_running() and worker.status() != "zombie"]
    assert len(store(tmp_path).run(store(tmp_path).heads()[0].id).seconds("decode"))
