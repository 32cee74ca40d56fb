"""An experiment while it is measured: its points land in the live element. Like the live panel of one run, a tick waits on
the server until there is news; while the clock of a run ticks, the picture does not change.
"""

import time
from collections.abc import Callable
from dataclasses import replace

import streamlit as st
from plotly.graph_objects import Figure

from pages._backend import jobs, store
from pages._live_chart import live_figures, payload
from profiler.analysis.duration import left
from profiler.analysis.experiment import Experiment
from profiler.record.events import Point
from profiler.record.run import Run

Race = Callable[[Experiment, bool], None]
Draw = Callable[[Experiment], list[tuple[str, Figure, str]]]  # (name, figure, alternative text)
EVERY, LOOK, PATIENCE = 0.2, 0.1, 2.0  # seconds: between questions, between looks at the store, until the time left is told anew


@st.cache_resource(max_entries=300, show_spinner=False)
def _kept(id: str) -> Run:
    """A run that is over: it will not change."""
    return store().run(id)


def gathered(whole: str) -> Experiment:
    """The experiment as the store has it now."""
    heads = store().parts(whole)
    return Experiment(whole, tuple(_kept(head.id) if head.done else store().run(head.id) for head in heads))


def lab_panel(experiment: Experiment, draw: Draw, race: Race | None = None) -> None:
    """Progress, cancel and live figures of an experiment that is not over; `draw` makes the figures of what has landed, `race` shows
    the tokens that were written so far.
    """
    columns = st.columns([5, 1], vertical_alignment="center")
    if columns[1].button(
        "Cancel", key=f"cancel_{experiment.whole}", icon=":material/stop_circle:", width="stretch", help="What was measured stays."
    ):
        cancel_all(experiment.whole)
        st.rerun()
    _panel(experiment, draw, race, columns[0].empty())


def cancel_all(whole: str) -> None:
    """End every run of an experiment that is not over."""
    for run in store().parts(whole):
        if not run.done:
            jobs().cancel(run.id)


@st.fragment(run_every=EVERY)
def _panel(experiment: Experiment, draw: Draw, race: Race | None, bar) -> None:
    """One answer: progress always, a new picture only when a point has landed."""
    seen = st.session_state.setdefault("live_lab", {})
    if seen.get("whole") == experiment.whole:
        experiment = _news(seen["experiment"])
    seen.update(whole=experiment.whole, experiment=experiment)
    if experiment.done:
        seen.clear()
        st.rerun()
    bar.progress(*_progress(experiment, time.time()))
    quiet = not any(run.phases and run.phases[-1].timed for run in experiment.runs if run.status == "running")
    if ("drawn" not in seen or quiet) and seen.get("drawn") != (landed := (experiment.whole, _landed(experiment))):
        drawn = [(f"{experiment.whole}-{name}", figure, alt) for name, figure, alt in draw(experiment)]
        seen.update(drawn=landed, data=payload(drawn, float(landed[1])))
    live_figures(seen["data"], key="live_lab_figures")
    if race:
        if quiet or "raced" not in seen:
            seen["raced"] = experiment
        race(seen["raced"], True)
    time.sleep(LOOK)  # the browser gathers what is sent for some milliseconds, and forgets it if the next answer begins before that


def _landed(experiment: Experiment) -> int:
    """How many runs are over and how many points of curves have come."""
    return sum(run.done for run in experiment.runs) + sum(len(run.of(Point)) for run in experiment.runs)


def _news(experiment: Experiment) -> Experiment:
    """Wait until a point has landed or a run has begun or ended, or patience ends."""
    end = time.monotonic() + PATIENCE
    while True:
        runs = tuple(run if run.done else store().refresh(run) for run in experiment.runs)
        newer = replace(experiment, runs=runs)
        moved = [run.status for run in runs] != [run.status for run in experiment.runs]
        if moved or _landed(newer) != _landed(experiment) or time.monotonic() > end:
            return newer
        _ = "live_lab" in st.session_state  # a place where Streamlit lets a click interrupt the waiting
        time.sleep(LOOK)


def _progress(experiment: Experiment, now: float) -> tuple[float, str]:
    """Share done and a sentence."""
    over, count = sum(run.done for run in experiment.runs), len(experiment.runs)
    running = next((run for run in experiment.runs if run.status == "running"), None)
    seconds = left(experiment, now)
    if running is None and not over:
        return 0.0, "Waiting for this machine to be free"
    begun = min((run.started.at for run in experiment.runs if run.started), default=now)
    share = (now - begun) / max(now - begun + seconds, 1.0)
    points = sum(len(run.of(Point)) for run in experiment.runs)
    measured = f"{points} points measured" if points else f"{over} of {count} measured"
    what = f" · now {running.spec.title}" if running else ""
    return min(max(share, 0.02), 1.0), f"{measured}, about {seconds:.0f} s left{what}"
