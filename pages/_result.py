"""The result: the numbers people ask for, the finding, its waterfall, and what to try next."""

import streamlit as st

from pages._details import ICONS, details
from pages._form import apply
from profiler.analysis.levers import levers
from profiler.analysis.report import metrics
from profiler.analysis.table import interval
from profiler.analysis.trust import doubts, level
from profiler.analysis.verdict import Verdict, verdict
from profiler.analysis.waterfall import waterfall
from profiler.figures.waterfall import waterfall_figure
from profiler.record.run import Run
from profiler.spec.metrics import METRICS
from profiler.spec.units import words

FINDINGS = {
    "compute-bound": "{phase} is limited by arithmetic",
    "bandwidth-bound": "{phase} is waiting for memory",
    "kernel-bound": "{phase} is limited by the library's matrix kernels",
    "overhead-bound": "{phase} loses most time around the matrix kernels",
    "capacity-bound": "The model does not fit in memory",
    "inconclusive": "{phase}: no clear answer this time",
    "impossible": "{phase}: faster than the ceiling, so the ceiling is wrong",
}
PHASE_NAMES = {"decode": "Writing tokens (decode)", "prefill": "Reading the prompt (prefill)"}
BADGES = {
    None: ("steady", "green", ":material/verified:"),
    "note": ("note", "gray", ":material/info:"),
    "doubt": ("with care", "orange", ":material/warning:"),
    "alarm": ("doubtful", "red", ":material/error:"),
}


def result_view(run: Run) -> None:
    """Everything there is to see of a finished run."""
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
        _next(run, found)
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
            help=f"{metric.help} Median of {len(measured)}; below it the 95 % interval, by the "
            f"{measured.effective_count:.0f} independent samples among them.",
        )
    name, colour, icon = BADGES[doubted[0].level if doubted else None]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f":{colour}-badge[{icon} Trust: {name}]")
        st.caption(doubted[0].sentence if doubted else "Steady, undisturbed, enough samples.")


def _next(run: Run, found: Verdict) -> None:
    """Levers, each a button that fills the form."""
    offers = levers(run, found)
    if not offers:
        return
    st.markdown("###### What to try next")
    for column, lever in zip(st.columns(3), offers):
        column.button(
            lever.title,
            key=f"lever_{lever.title}",
            on_click=_try,
            args=(lever.spec,),
            help=lever.why,
            icon=":material/tune:",
            width="stretch",
        )
        column.caption(lever.why)


def _try(spec) -> None:
    apply(spec)
    st.session_state["submit"] = True
