"""What was measured of a machine: the numbers, its roofs, its curves, and what a data sheet says."""

import time

import streamlit as st

from pages._backend import ago
from profiler.analysis.roofs import matmul_finding, scaling_finding, sheet_rows, speedups, staircase_finding, summary
from profiler.analysis.table import ceilings_rows, point_rows
from profiler.catalog.devices import name_of, sheet
from profiler.figures.machine import DONE, kernel_figure, products_figure, roofs_figure, scaling_figure
from profiler.record.run import Run
from profiler.spec.machine import Ceilings
from profiler.spec.units import words

HELP = {
    "read": "Reading one long array: the roof of writing tokens, which reads all weights once per token.",
    "triad": "a = b + s·c on long arrays, two read and one written: McCalpin's STREAM, the usual measure of memory bandwidth.",
    "peak": "Best large matrix product of any size and library: the roof of reading a prompt.",
    "matvec": "One row times a matrix that no cache holds: the very shape of writing one token. What it lacks of reading is the "
    "library's kernel, not the memory.",
    "dispatch": "The least that one operator costs in eager mode, however little it does.",
    "roofline": "A program does some number of operations for each byte it moves. Few: the slopes limit it, that is memory or a "
    "cache. Many: the flat roofs do, that is arithmetic in its number format. Both axes are logarithmic.",
    "staircase": "Each step down is a cache that the working set no longer fits. All threads together; each has a set of its own.",
    "matmul": "Square matrices. Small ones do not fill the machine, large ones do not fit its caches.",
    "scaling": "More threads multiply more, but share one main memory.",
}


def machine_view(run: Run) -> None:
    """Everything there is to see of one measurement."""
    found = run.ceilings
    assert found
    _origin(run, found)
    if found.disturbed:
        st.warning(
            "The machine was busy with other programs while this was measured, so these numbers may be too low, and they are not kept "
            "as its ceilings. Close the other programs and measure again.",
            icon=":material/warning:",
        )
    _numbers(found)
    st.subheader(summary(found), anchor=False, help=HELP["roofline"])
    alt = f"Roofline with all roofs of this machine: {summary(found)}"
    st.plotly_chart(roofs_figure(found), key=f"roofs_{run.id}", alt=alt)
    left, right = st.columns(2)
    with left:
        _staircase(run, found)
    with right:
        _products(run, found)
    left, right = st.columns(2)
    with left:
        _scaling(run, found)
    with right:
        _paper(run, found)
    with st.expander("All numbers"):
        st.dataframe(ceilings_rows(found), hide_index=True, width="stretch", alt="All ceilings")
    with st.expander("Every measured point"):
        st.dataframe(point_rows(run), hide_index=True, width="stretch", alt="All measured points of all curves")
    with st.expander("Repeat or share this measurement"):
        st.code(run.spec.command, language="bash", wrap_lines=True)


def _origin(run: Run, found: Ceilings) -> None:
    machine = run.started.hardware if run.started else None
    name = name_of(machine, found.device) if machine else "unknown machine"
    threads = f" · {found.threads} thread{'s' if found.threads > 1 else ''}" if found.device == "cpu" else ""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.at))
    st.caption(f"{name}{threads} · {found.dtype} · measured {ago(found.at)} ({when}) with torch {found.versions['torch']}")


def _numbers(found: Ceilings) -> None:
    share = f"{words(found.matvec[found.dtype] / found.dram, '%')} of reading"
    shown = [
        ("Main memory, read", words(found.dram, "B/s"), "best of many passes", HELP["read"]),
        ("Main memory, triad", words(found.triad_rate, "B/s"), f"copy {words(found.copy_rate, 'B/s')}", HELP["triad"]),
        (f"Matrix product, {found.dtype}", words(found.matmul[found.dtype], "FLOP/s"), _other(found), HELP["peak"]),
        (f"Matrix-vector, {found.dtype}", words(found.matvec[found.dtype], "B/s"), share, HELP["matvec"]),
        ("One tiny operator", words(found.dispatch, "s"), _device(found), HELP["dispatch"]),
    ]
    for column, (title, value, beside, meaning) in zip(st.columns(5), shown):
        column.metric(title, value, beside, delta_color="off", delta_arrow="off", border=True, help=meaning)


def _other(found: Ceilings) -> str:
    other = "bfloat16" if found.dtype == "float32" else "float32"
    return f"{other} {words(found.matmul.get(other), 'FLOP/s')}"


def _device(found: Ceilings) -> str:
    return f"kernel launch {words(found.launch, 's')}" if found.launch else "in eager mode"


def _staircase(run: Run, found: Ceilings) -> None:
    if not run.points("read"):
        return
    st.markdown(f"###### {staircase_finding(found)}", help=HELP["staircase"])
    kernel = st.segmented_control(
        "Kernel",
        [kernel for kernel in DONE if run.points(kernel)],
        default="read",
        required=True,
        key="kernel",
        bind="query-params",
        label_visibility="collapsed",
        help="read: a sum. copy: b = a. triad: a = b + s·c.",
    )
    st.plotly_chart(kernel_figure(run, kernel), key=f"{kernel}_{run.id}", alt=f"Staircase of {kernel}: {staircase_finding(found)}")


def _products(run: Run, found: Ceilings) -> None:
    st.markdown(f"###### {matmul_finding(found)}", help=HELP["matmul"])
    st.plotly_chart(products_figure(run, 440), key=f"matmul_{run.id}", alt=f"Matrix products by size: {matmul_finding(found)}")


def _scaling(run: Run, found: Ceilings) -> None:
    if len(found.scaling) < 2:
        return
    st.markdown(f"###### {scaling_finding(found)}", help=HELP["scaling"])
    st.plotly_chart(scaling_figure(speedups(found)), key=f"scaling_{run.id}", alt=f"Scaling over threads: {scaling_finding(found)}")


def _paper(run: Run, found: Ceilings) -> None:
    machine = run.started.hardware if run.started else None
    name = name_of(machine, found.device) if machine else ""
    paper = sheet(name)
    if paper is None:
        st.markdown("###### No data sheet to set beside it")
        st.caption(f'The system calls this device "{name}", which names no model in the list of data sheets. None is guessed.')
        return
    rows = sheet_rows(found, paper.bandwidth, paper.peak)
    st.markdown(f"###### Reading reaches {rows[0]['share']} of what the data sheet promises")
    st.dataframe(rows, hide_index=True, width="stretch", alt=f"Measured rates beside the data sheet of {paper.title}")
    st.caption(f"{paper.title}{', ' + paper.note if paper.note else ''}. Source: {paper.source}.")
