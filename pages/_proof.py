"""Prove it: change one resource at a time, measure, and see whether the verdict foretold what happened."""

import streamlit as st

from pages._backend import jobs, store
from pages._lab_live import gathered, lab_panel
from profiler.analysis.duration import expected
from profiler.analysis.experiment import Experiment
from profiler.analysis.proof import Proof, name_of, plan, proof, provable, rows
from profiler.catalog.machine import available_memory, this_machine
from profiler.figures.proof import proof_figure
from profiler.record.run import Run
from profiler.spec.run import RunSpec
from profiler.theory.memory import fits

WHY = (
    "If the verdict is right, changing what it names changes the time as foretold, and changing anything else does not. "
    "Each change runs in a fresh process, with the unchanged run again in between."
)
BADGES = {
    "confirmed": ":green-badge[:material/verified: confirmed]",
    "refuted": ":red-badge[:material/close: refuted]",
    "mixed": ":orange-badge[:material/help: mixed]",
}
OPEN = ":orange-badge[:material/help: not decided]"


def proof_view(run: Run, phase: str) -> Proof | None:
    """The button, the live panel, or the proof, which is returned once it is there."""
    parts = gathered(name_of(run)) if store().parts(name_of(run)) else None
    if parts is None:
        if run.source != "sample" and provable(run):
            _offer(run)
        return None
    if not parts.done:
        st.markdown("###### Proving the verdict, one change at a time")
        lab_panel(parts, lambda now: _drawn(run, phase, now))
        return None
    found = proof(run, phase, list(parts.runs))
    if found:
        _outcome(run, phase, found)
    return found


def _offer(run: Run) -> None:
    specs = plan(run, _fits)
    seconds = sum(expected(spec, run.ceilings) for spec in specs)
    if st.button(f"Prove it (about {max(seconds / 60, 1):.0f} min)", icon=":material/science:", help=WHY):
        try:
            for spec in specs:
                jobs().submit(spec, part_of=name_of(run))
        except ValueError as error:
            st.error(str(error), icon=":material/block:")
            return
        st.query_params["run"] = run.id
        st.rerun()


def _fits(spec: RunSpec) -> bool:
    return fits(spec, this_machine(), available_memory())


def _drawn(run: Run, phase: str, parts: Experiment) -> list:
    found = proof(run, phase, list(parts.runs))
    return [("proof", proof_figure(found), "Changes: foretold and measured so far")] if found else []


def _outcome(run: Run, phase: str, found: Proof) -> None:
    st.markdown(f"###### {found.sentence} {BADGES.get(found.outcome, OPEN)}", help=WHY)
    st.plotly_chart(proof_figure(found), key=f"proof_{phase}_{run.id}", alt=f"Proof of the verdict: {found.sentence}")
    st.caption(
        "Left of 1 is faster. Blue: what the verdict foretells. Cross: what would happen if it were wrong. Dot: measured, with its noise. "
        "*Open*: the noise reaches over the border between both. *Says little*: the two forecasts are too close to tell them apart."
    )
    with st.expander("All experiments of this proof"):
        st.dataframe(rows(found), hide_index=True, width="stretch", alt="Each change with what was foretold and measured")
