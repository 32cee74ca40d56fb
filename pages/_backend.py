"""What all pages share: the store and the job manager, one of each per server."""

import time

import streamlit as st

from profiler.analysis.verdict import beaten
from profiler.catalog.machine import devices, native_dtype, this_machine
from profiler.record.jobs import Jobs
from profiler.record.process import ROOT, Environment
from profiler.record.run import Run, fold
from profiler.record.store import Store, parse_export
from profiler.spec.run import RunSpec, Setup
from profiler.spec.work import Generate

OPEN_FIRST = ("running", "queued", "finished")


@st.cache_resource(show_spinner=False)
def jobs() -> Jobs:
    """The job manager of this server."""
    return Jobs(Store(), this_machine(), judge=beaten)


def store() -> Store:
    """All runs."""
    return jobs().store


def default_setup() -> Setup:
    """What suits this machine: all cores, the dtype that its hardware multiplies."""
    device = devices()[0]
    return Setup(device=device, threads=this_machine().cores, dtype=native_dtype(device))


def warm_up() -> None:
    """Have a worker ready before somebody presses Measure; it starts once the browser has had time to draw the page."""
    jobs().warm(Environment.of(RunSpec.model_construct(model=None, setup=default_setup())), delay=3.0)


def shown_run(id: str | None) -> Run | None:
    """The run of that id, else the one under way, else the newest result; None when there is none.

    An id that leads nowhere is told on the page.
    """
    if not id:
        heads = [run for run in store().heads(50) if isinstance(run.spec.work, Generate)]
        newest = next((run for status in OPEN_FIRST for run in heads if run.status == status), None)
        return store().run(newest.id) if newest else None
    try:
        return store().run(id)
    except KeyError:
        st.warning(f"There is no run {id} in this machine's store; it may have been deleted. See Runs for what there is.")
        return None


@st.cache_data(show_spinner=False)
def _recorded(name: str) -> Run:
    read = parse_export((ROOT / "assets" / name).read_bytes())
    return fold(read.id, read.spec, read.status, read.created, read.events, source="sample")


def sample_run() -> Run:
    """The recorded real run that stands where nothing was measured yet."""
    return _recorded("sample-run.json")


def sample_machine() -> Run:
    """The recorded ceilings of a real machine, likewise."""
    return _recorded("sample-machine.json")


def ago(at: float) -> str:
    """How long ago, in words."""
    seconds = time.time() - at
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return "just now"
