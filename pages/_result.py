"""The result: the numbers people ask for, the finding, its waterfall, and what to try next."""

import streamlit as st

from pages._backend import store
from pages._details import ICONS, details
from pages._form import apply
from pages._operators import operators_view
from pages._proof import proof_view
from profiler.analysis.compare import compare
from profiler.analysis.foretold import foretold
from profiler.analysis.levers import levers
from profiler.analysis.proof import Proof, gain_of
from profiler.analysis.quality import quality
from profiler.analysis.report import metrics
from profiler.analysis.table import interval, point_rows
from profiler.analysis.trust import doubts, level
from profiler.analysis.verdict import Verdict, verdict
from profiler.analysis.waterfall import waterfall
from profiler.figures.timeline import latency_figure
from profiler.figures.waterfall import waterfall_figure
from profiler.record.run import Run
from profiler.spec.measurement import Measurement
from profiler.spec.metrics import METRICS
from profiler.spec.run import RunSpec
from profiler.spec.units import words

FINDINGS = {
    "compute-bound": "{phase} is limited by arithmetic",
    "bandwidth-bound": "{phase} is waiting for memory",
    "kernel-bound": "{phase} is limited by the library's kernels",
    "overhead-bound": "{phase} loses most time between kernels, in Python and the framework",
    "capacity-bound": "The model does not fit in memory",
    "inconclusive": "{phase}: no clear answer this time",
    "impossible": "{phase}: faster than the ceiling, so the ceiling is wrong",
}
LEGEND = (
    "Green: the least this hardware allows. Orange: what the library's code for each part of the model (its kernels) takes beyond that. "
    "Red: Python and the framework, between operators and in calling them. Pink: waiting for a processor, because others ran."
)
FORETOLD = (
    "Predicted from this machine's own ceilings and the speed of its library's kernels, which the run measured before the model "
    "ran; nothing of the model's own times is in it. Four of five runs fall into the interval."
)
PHASE_NAMES = {"decode": "Writing tokens (decode)", "prefill": "Reading the prompt (prefill)"}
BADGES = {
    None: ("steady", "green", ":material/verified:"),
    "note": ("note", "gray", ":material/info:"),
    "doubt": ("with care", "orange", ":material/warning:"),
    "alarm": ("doubtful", "red", ":material/error:"),
}


def result_view(run: Run) -> None:
    """Everything there is to see of a finished run."""
    if base := baseline(run):
        st.info(f"Compared with {base.spec.title}: {compare(run, base)}.", icon=":material/compare_arrows:")
    _headline(run)
    phase = st.segmented_control(
        "Phase",
        list(PHASE_NAMES),
        default="decode",
        required=True,
        key="phase",
        bind="query-params",
        label_visibility="collapsed",
        help="decode: writing new tokens, one after another. prefill: reading the whole prompt at once.",
    )
    found, fall = verdict(run, phase), waterfall(run, phase)
    if found is None or fall is None:
        st.info("This run has no ceilings to compare with, so there is no waterfall.")
    else:
        st.subheader(FINDINGS[found.kind].format(phase=PHASE_NAMES[phase]), help=found.meaning)
        alt = (
            f"Waterfall of {phase}: "
            + ", ".join(f"{part.name} {words(part.seconds, 's')}" for part in fall.parts)
            + f", measured {words(fall.measured, 's')}"
        )
        st.plotly_chart(waterfall_figure(fall), key=f"waterfall_{run.id}", alt=alt)
        st.markdown(f"{found.sentence} {found.meaning}")
        if said := foretold(run, phase):
            st.markdown(said.sentence, help=FORETOLD)
        st.caption(LEGEND)
        if judged := quality(run):
            st.markdown(judged.sentence)
        _next(run, found, proof_view(run, phase))
        operators_view(run, phase)
    details(run)


def _headline(run: Run) -> None:
    """The four numbers that people ask for, with how far to trust them."""
    found, doubted = metrics(run), doubts(run)
    shown = ("decode_rate", "time_per_token", "time_to_first_token", "load_time")
    for column, name in zip(st.columns(4), shown):
        if name not in found:
            continue
        measured, metric = found[name], METRICS[name]
        column.metric(
            f"{metric.title} {ICONS.get(level(run, name) or '', '')}",
            words(measured.median, metric.unit),
            interval(metric, measured),
            delta_color="off",
            delta_arrow="off",
            border=True,
            help=f"{metric.help} {_samples(measured)}",
        )
    name, colour, icon = BADGES[doubted[0].level if doubted else None]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f":{colour}-badge[{icon} Trust: {name}]")
        st.caption(doubted[0].sentence if doubted else "Steady, undisturbed, enough samples.")


def _samples(measured: Measurement) -> str:
    if len(measured) == 1:
        return "Measured once."
    independent = f"{measured.effective_count:.0f} independent samples"
    return f"Median of {len(measured)}; below it the 95 % interval, by the {independent} among them."


def _next(run: Run, found: Verdict, held: Proof | None) -> None:
    """Levers, the most promising first, each a button that measures it against this run; beside it what a proof found already."""
    offers = levers(run, found)
    if not offers:
        return
    st.markdown("###### What would help, and by how much")
    for column, lever in zip(st.columns(3), offers):
        column.button(
            lever.title,
            key=f"lever_{found.phase}_{lever.title}",
            on_click=_try,
            args=(run, lever.spec),
            help=f"{lever.why} Press to measure it, with this run as the baseline.",
            icon=":material/tune:",
            width="stretch",
        )
        measured = gain_of(held, lever.spec)
        column.caption(f"Measured in the proof: × {words(measured, '1')}. {lever.expectation}" if measured else lever.expectation)


def _try(run: Run, spec: RunSpec) -> None:
    """Fill the form with a lever, ask the page to measure it, and remember what to compare it with."""
    apply(spec)
    st.session_state["submit"] = True
    st.query_params["baseline"] = run.id


def baseline(run: Run) -> Run | None:
    """The finished run that the address asks to compare with."""
    id = st.query_params.get("baseline")
    base = next((head for head in store().heads() if head.id == id and head.status == "finished" and head.id != run.id), None)
    return store().run(base.id) if base else None


def other_view(run: Run) -> None:
    """A run that is over without being a measured model: why, and what there is."""
    if run.status == "finished":
        st.success(f"{run.spec.title}: done.", icon=":material/check:")
        if run.spec.work.task == "load-test":
            asked = {"serve_run": run.id, "libraries_view": "A server under load"}
            st.page_link("pages/libraries.py", label="See the server under load", icon=":material/code:", query_params=asked)
        elif run.ceilings:
            st.page_link("pages/machine.py", label="See this machine's roofs", icon=":material/roofing:", query_params={"run": run.id})
        elif run.spec.work.task == "write":
            st.markdown(getattr(run.ended, "text", None) or "It wrote nothing.")
        elif run.spec.work.task in ("ceilings", "sensitivity"):
            st.dataframe(point_rows(run), hide_index=True, width="stretch", alt="All measured points")
        return
    say = st.info if run.status == "cancelled" else st.error
    say(run.reason, icon=":material/info:" if run.status == "cancelled" else ":material/error:")
    if steps := len(run.seconds("decode")):
        st.markdown(f"###### What was measured until then: {steps} decode steps")
        st.plotly_chart(latency_figure(run, 320), key=f"kept_{run.id}", alt=f"Time of each of {steps} decode steps")
