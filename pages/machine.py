"""Machine: the ceilings of this machine, measured: every other page judges by them."""

import streamlit as st

from pages._backend import default_setup, jobs, sample_machine, store, warm_up
from pages._form import checked, dtype_box, threads_box
from pages._guard import guard
from pages._live import live_panel
from pages._roofs import machine_view
from profiler.catalog.machine import devices
from profiler.record.run import Run
from profiler.spec.run import RunSpec, Setup
from profiler.spec.work import MeasureCeilings

guard()
st.header("What could this machine do?", anchor=False)
st.caption(
    "Whatever a model does ends under a roof: how fast bytes come from memory, and how fast numbers are multiplied. A data sheet "
    "promises them; this page measures them here."
)


def _spec() -> RunSpec | None:
    """The fields."""
    usual = default_setup()
    columns = st.columns([1.2, 1.4, 1, 4], vertical_alignment="bottom")
    device = columns[0].selectbox("Device", devices(), key="device", bind="query-params", help="What is measured.")
    dtype, threads = dtype_box(columns[1], usual), threads_box(columns[2], usual)
    return checked(lambda: RunSpec(work=MeasureCeilings(scope="full"), setup=Setup(device=device, dtype=dtype, threads=threads)))


def _shown(spec: RunSpec | None) -> Run | None:
    """The run that the address names, else the one under way, else the newest full result, of this set-up if there is one."""
    heads = [run for run in store().heads() if isinstance(run.spec.work, MeasureCeilings)]
    if asked := st.query_params.get("run"):
        if any(run.id == asked for run in heads):
            return store().run(asked)
        st.warning(f"There is no measurement {asked} of a machine's ceilings in this store; it may have been deleted.")
    full = [run for run in heads if run.spec.work == MeasureCeilings(scope="full")]
    wanted = [run for run in full if not run.done] + [run for run in full if run.status == "finished"]
    same = [run for run in wanted if spec and run.spec.setup == spec.setup]
    return store().run((same or wanted)[0].id) if wanted else None


def _start(spec: RunSpec) -> None:
    id = checked(lambda: jobs().submit(spec))
    if id:
        st.query_params["run"] = id
        st.rerun()


spec = _spec()
run = _shown(spec)
pressed = st.button(
    "Measure this machine (about a minute)",
    type="primary",
    icon=":material/play_arrow:",
    disabled=spec is None or (run is not None and not run.done),
    shortcut="Ctrl+Enter",
    help="Bandwidth by working set, matrix products by size and number format, threads from one to all; in a fresh process.",
)
if spec and pressed:
    _start(spec)
if run is None:
    run = sample_machine()
    st.info("Until you measure: a recorded real measurement, of another machine.", icon=":material/movie:")
if not run.done:
    live_panel(run.id)
elif run.status == "finished" and run.ceilings:
    machine_view(run)
else:
    st.error(run.reason or "This measurement was of a single curve; measure the whole machine.", icon=":material/info:")
warm_up()
