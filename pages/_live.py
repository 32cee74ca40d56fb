"""The live panel: reads the store, and nothing else.

Whoever draws on the measured cores changes the measurement. So a tick of the panel waits on the server until there is
news, repaints only between timed blocks, and leaves the browser alone while the clock runs.
"""

import time

import streamlit as st

from pages._backend import jobs, store
from pages._live_chart import live_figures, payload
from profiler.figures.machine import growing_figures
from profiler.figures.timeline import latency_figure, memory_figure, utilisation_figure
from profiler.record.events import Entered, Event, Measured, Point, Sample, Step
from profiler.record.run import Run
from profiler.spec.units import words

EVERY = 0.2  # seconds between the browser's questions; each waits for its answer on the server
LOOK = 0.07  # seconds between looks at the store while waiting
PATIENCE = 2.0  # seconds after which the time left is told anew, news or not
INSIDE = ("prefill", "decode")  # phases within a round: their news is told in the rest after it
NAMES = {
    "fetch": "Getting the model",
    "load": "Loading the model",
    "ceilings": "Measuring what this machine can do",
    "settle": "Waiting for a quiet machine",
    "compile": "Compiling the layers",
    "warm-up": "Warming up",
    "prefill": "Timing",
    "decode": "Timing",
    "rest": "Timing",
    "trace": "Telling the operators apart",
    "compress": "Compressing the model",
    "quality": "Judging its quality",
    "write": "Writing",
    "batches": "Timing several sequences at once",
    "check": "Comparing its answer with the reference",
    "serve": "Answering requests",
}


def live_panel(id: str) -> None:
    """Status, progress, cancel and charts of a run that is not over."""
    columns = st.columns([5, 1], vertical_alignment="center")
    with columns[1]:
        if st.button(
            "Cancel",
            key=f"cancel_{id}",
            icon=":material/stop_circle:",
            width="stretch",
            help="Ends the run at once; what was measured until then is kept.",
        ):
            jobs().cancel(id)
            st.query_params["run"] = id
            st.rerun()
    with columns[0]:
        bar = st.empty()
    _panel(id, bar)


@st.fragment(run_every=EVERY)
def _panel(id: str, bar) -> None:
    """One answer: progress always, charts only between timed blocks (while the clock runs, the same picture as before)."""
    seen = st.session_state.setdefault("live", {})
    run = seen["run"] = _news(seen["run"]) if seen.get("id") == id else store().run(id)
    if run.done:
        seen.clear()
        st.rerun()
    share, text = progress(run, time.time())
    bar.progress(share, text=text)
    quiet = bool(run.phases and run.phases[-1].timed)
    if seen.get("id") != id or not quiet:
        stamp = max((event.at for event in run.events if isinstance(event, Step | Point)), default=0.0)
        seen.update(id=id, data=payload(_figures(run), stamp))
    live_figures(seen["data"], key="live_figures")


def _news(run: Run) -> Run:
    """Wait until there is something to show, or patience ends."""
    end = time.monotonic() + PATIENCE
    while True:
        newer = store().refresh(run)
        if newer.status != run.status or any(map(_is_news, newer.events[len(run.events) :])) or time.monotonic() > end:
            return newer
        _ = "live" in st.session_state  # a place where Streamlit lets a click interrupt the waiting
        time.sleep(LOOK)


def _is_news(event: Event) -> bool:
    """Whether an event is worth a repaint."""
    if isinstance(event, Entered | Step):
        return event.name not in INSIDE
    return not isinstance(event, Sample | Measured | Point)


def _figures(run: Run) -> list:
    if run.spec.work.task == "ceilings":
        return [(f"{run.id}-{name}", plot, alt) for name, plot, alt in growing_figures(run)]
    steps, last = run.seconds("decode"), (run.sampled("rss")[1] or [0.0])[-1]
    return [
        (f"{run.id}-latency", latency_figure(run), f"Time per token so far, {len(steps)} timed steps"),
        (f"{run.id}-memory", memory_figure(run), f"Memory of the worker, now {words(last, 'B')}"),
        (f"{run.id}-busy", utilisation_figure(run), "Utilisation of the processor over time"),
    ]


def progress(run: Run, now: float) -> tuple[float, str]:
    """Share done and a sentence."""
    if run.status == "queued":
        ahead = store().open_runs().index(run.id) if run.id in store().open_runs() else 0
        return (
            0.0,
            f"Queued: {ahead} measurement{'s' if ahead != 1 else ''} ahead on this machine"
            if ahead
            else "Waiting for this machine to be free",
        )
    if not run.phases:
        return 0.02, "Starting a fresh process and loading its libraries (a few seconds)"
    phase, left = run.phases[-1], run.left(now)
    if phase.name == "fetch":
        done = next((step.done for step in reversed(run.of(Step)) if step.name == "fetch" and step.done is not None), 0.0)
        return min(
            0.1 + 0.1 * done, 1.0
        ), f"{phase.note} … {done:.0%} downloaded" if "Downloading" in phase.note else f"{phase.note} (about {left or 0:.0f} s)"
    counted, points = len(run.seconds("decode")), len(run.of(Point))
    told = f" · {counted} tokens timed" if counted else f" · {points} points" if points else ""
    name = NAMES["ceilings" if run.spec.work.task == "ceilings" else phase.name]
    if left is None:
        return 0.2, f"{name} …"
    begun = run.phases[0].at
    return min(
        (now - begun) / max(now - begun + left, 1e-9), 1.0
    ), f"{name}{told} · about {words(left, 's') if left < 1 else f'{left:.0f} s'} left"
