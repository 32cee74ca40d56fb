"""How fast are the pages? Server start to first text, torch in the server or not, event to pixels on a live run.

python -m benchmarks.browser
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

from profiler.record.process import ROOT

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
# note the moment of each repaint: (time of the newest event in the picture, time after drawing it)
WATCH = """() => { window.seen = []; let last = 0; setInterval(() => {
  const root = document.querySelector('.live-figures');
  if (!root || root.dataset.stamp === last) return;
  last = root.dataset.stamp; window.seen.push([Number(root.dataset.stamp), Number(root.dataset.drawn)]);
}, 20) }"""


def main() -> None:
    """Start a fresh server, open it, measure SmolLM2 with random weights in it, print what was seen."""
    home = tempfile.mkdtemp()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        page = browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()
        began = time.perf_counter()
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port), "--server.address", "127.0.0.1"]
        server = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "NEED_FOR_SPEED_HOME": home}, stdout=subprocess.DEVNULL)
        try:
            report(page, f"http://127.0.0.1:{port}", began, server.pid)
        finally:
            server.kill()
            browser.close()


def answers(address: str) -> bool:
    """Whether the server is up."""
    try:
        return urllib.request.urlopen(address, timeout=1).status == 200
    except OSError:
        return False


def report(page, address: str, began: float, pid: int) -> None:
    """Print the figures."""
    while not answers(f"{address}/_stcore/health"):
        time.sleep(0.05)
    page.goto(f"{address}/?model=random:smollm2-135m&seconds=30")
    page.get_by_text("Why is this model").wait_for()
    print(f"server start to first page text: {time.perf_counter() - began:.2f} s (target 3.5 s)")
    page.locator(".js-plotly-plot").first.wait_for()
    print(f"server start to first figure: {time.perf_counter() - began:.2f} s")
    maps = Path(f"/proc/{pid}/maps").read_text()
    print(f"torch in the server: {'yes' if 'libtorch' in maps else 'no'}")
    page.wait_for_timeout(12_000)  # the spare worker gets ready
    page.evaluate(WATCH)
    pressed = time.perf_counter()
    page.locator("[data-testid=stBaseButton-primary]").first.click()
    page.get_by_text("Trust:").wait_for(state="detached", timeout=20_000)
    page.get_by_text("Trust:").wait_for(timeout=120_000)
    print(f"press to result, warm worker: {time.perf_counter() - pressed:.1f} s")
    seen = np.array([pair for pair in page.evaluate("window.seen") if pair[0] > 0])
    delays = seen[:, 1] - seen[:, 0]
    p95 = np.quantile(delays, 0.95)
    print("delays", delays.round(2).tolist())
    print(f"event to pixels: median {np.median(delays):.3f} s, p95 {p95:.3f} s over {len(delays)} repaints (target 0.5 s)")


if __name__ == "__main__":
    main()
