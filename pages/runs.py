"""Runs: everything measured so far; open, delete, take along, bring in, repeat."""

import time

import streamlit as st

from pages._backend import store
from pages._form import link
from pages._guard import guard
from profiler.analysis.proof import name_of as proof_of
from profiler.analysis.report import metrics
from profiler.analysis.verdict import verdict
from profiler.record.run import Run
from profiler.spec.metrics import METRICS
from profiler.spec.units import words

guard()
st.header("What was measured so far?", anchor=False)
st.caption(
    "Every run is kept with its raw samples, so it can be read again, moved to another machine, or repeated with one command. The runs of "
    "a proof are shown with the run they prove, those of an experiment on the pages Compute, Memory, Compression and Code & libraries."
)


@st.cache_data(show_spinner=False, max_entries=500)
def _numbers(id: str) -> tuple[str, str, str]:
    """(decode speed, time to first token, what limits decode) of a finished run."""
    run = store().run(id)
    found, limit = metrics(run), verdict(run, "decode") if run.spec.model else None
    told = [words(found[name].median, METRICS[name].unit) if name in found else "" for name in ("decode_rate", "time_to_first_token")]
    return told[0], told[1], limit.kind if limit else ""


def _row(run: Run) -> dict:
    speed, first, limit = _numbers(run.id) if run.status == "finished" else ("", "", "")
    return {
        "when": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.created)),
        "what": run.spec.title,
        "status": run.status,
        "decode": speed,
        "first token": first,
        "decode is": limit,
        "proof": f"{parts} runs" if (parts := len(store().parts(proof_of(run)))) else "",
        "from": run.source,
        "id": run.id,
    }


def _take_in() -> None:
    st.session_state.pop("import_error", None)
    for file in st.session_state.imported or []:
        try:
            id = store().load(file.getvalue())
            st.toast(f"Imported {file.name} as {id}.", icon=":material/check:")
        except ValueError as error:
            st.session_state["import_error"] = f"{file.name}: {error}"


with st.expander("Import a run"):
    st.file_uploader(
        "A file made by Export", type="json", accept_multiple_files=True, key="imported", on_change=_take_in, max_upload_size=64
    )
if problem := st.session_state.pop("import_error", None):
    st.error(problem, icon=":material/block:")

store().mend()
runs = store().heads()
if not runs:
    st.info("No runs yet.", icon=":material/info:")
    st.page_link("pages/measure.py", label="Measure the first one", icon=":material/speed:")
    st.stop()
chosen = st.dataframe(
    [_row(run) for run in runs],
    hide_index=True,
    width="stretch",
    on_select="rerun",
    selection_mode="single-row",
    selection_default={"selection": {"rows": [0]}},
    key="runs_table",
    alt="All runs, newest first",
)
rows = chosen.selection.rows
if not rows or rows[0] >= len(runs):
    st.caption("Select a run to open, export, delete or repeat it.")
    st.stop()
run = runs[rows[0]]
with st.container(horizontal=True):
    if st.button("Open", type="primary", icon=":material/open_in_new:"):
        st.switch_page("pages/measure.py", query_params={"run": run.id, **link(run.spec)})
    st.download_button(
        "Export", lambda: store().export(run.id), f"{run.id}.json", "application/json", on_click="ignore", icon=":material/download:"
    )
    with st.popover("Delete", icon=":material/delete:", disabled=not run.done, help="" if run.done else "Cancel it first."):
        st.markdown("This run, its samples and its proof are forgotten for good.")
        if st.button("Delete for good", type="primary"):
            store().delete(run.id, proof_of(run))
            st.rerun()
st.code(run.spec.command, language="bash", wrap_lines=True)
