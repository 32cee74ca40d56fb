"""The result view: finding, waterfall, what to try next; the rest folded below."""

import json

import streamlit as st

from pages._backend import ago
from pages._form import apply
from profiler.analysis.levers import levers
from profiler.analysis.memory import split
from profiler.analysis.moment import PHASES
from profiler.analysis.report import achieved, metrics, phases, report
from profiler.analysis.trust import doubts, foreign_load, overhead, own_load
from profiler.analysis.verdict import Verdict, verdict
from profiler.analysis.waterfall import waterfall
from profiler.figures.memory import split_figure
from profiler.figures.roofline import roofline_figure
from profiler.figures.timeline import cores_figure, latency_figure, memory_figure, utilisation_figure
from profiler.figures.waterfall import waterfall_figure
from profiler.record.run import Run
from profiler.spec.metrics import METRICS
from profiler.spec.units import words

FINDINGS = {
    "compute-bound": "{phase} is limited by arithmetic", "bandwidth-bound": "{phase} is waiting for memory",
    "kernel-bound": "{phase} is limited by the library's matrix kernels", "overhead-bound": "{phase} loses most time around the matrix kernels",
    "capacity-bound": "The model does not fit in memory", "inconclusive": "{phase}: no clear answer this time", "impossible": "{phase}: faster than the ceiling, so the ceiling is wrong",
}
PHASE_NAMES = {"decode": "Writing tokens (decode)", "prefill": "Reading the prompt (prefill)"}
BADGES = {None: ("steady", "green", ":material/verified:"), "note": ("note", "gray", ":material/info:"), "doubt": ("with care", "orange", ":material/warning:"), "alarm": ("doubtful", "red", ":material/error:")}


def result_view(run: Run) -> None:
    """Everything there is to see of a finished run."""
    _headline(run)
    phase = st.segmented_control("Phase", list(PHASE_NAMES), format_func=PHASE_NAMES.get, default="decode", required=True, key="phase", bind="query-params", label_visibility="collapsed")
    found, fall = verdict(run, phase), waterfall(run, phase)
    if found is None or fall is None:
        st.info("This run has no ceilings to compare with, so there is no waterfall.")
    else:
        st.subheader(FINDINGS[found.kind].format(phase=PHASE_NAMES[phase]), help=found.meaning)
        alt = f"Waterfall of {phase}: " + ", ".join(f"{part.name} {words(part.seconds, 's')}" for part in fall.parts) + f", measured {words(fall.measured, 's')}"
        st.plotly_chart(waterfall_figure(fall), key=f"waterfall_{run.id}", alt=alt)
        st.markdown(f"{found.sentence} {found.meaning}")
        _next(run, found)
    _details(run)


def _headline(run: Run) -> None:
    """The four numbers that people ask for, with how far to trust them."""
    found, doubted = metrics(run), doubts(run)
    shown = ("decode_rate", "time_per_token", "time_to_first_token", "load_time")
    for column, name in zip(st.columns(4), shown):
        if name not in found:
            continue
        measured, metric = found[name], METRICS[name]
        low, high = measured.interval
        told = f"{words(low, metric.unit)} to {words(high, metric.unit)}" if len(measured) > 1 else "once"
        column.metric(metric.title, words(measured.median, metric.unit), told, delta_color="off", delta_arrow="off", border=True,
                      help=f"{metric.help} Median of {len(measured)}; below it the 95 % interval, by the {measured.effective_count:.0f} independent samples among them.")
    name, colour, icon = BADGES[doubted[0].level if doubted else None]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(f"Trust: {name}", color=colour, icon=icon)
        st.caption(doubted[0].sentence if doubted else "Steady, undisturbed, enough samples.")


def _next(run: Run, found: Verdict) -> None:
    """Levers, each a button that fills the form."""
    offers = levers(run, found)
    if not offers:
        return
    st.markdown("###### What to try next")
    for column, lever in zip(st.columns(3), offers):
        column.button(lever.title, key=f"lever_{lever.title}", on_click=_try, args=(lever.spec,), help=lever.why, icon=":material/tune:", width="stretch")
        column.caption(lever.why)


def _try(spec) -> None:
    apply(spec)
    st.session_state["submit"] = True


def _details(run: Run) -> None:
    rates = {phase: rate for phase in PHASES if (rate := achieved(run, phase))}
    latency, roof = st.columns(2)
    with latency:
        steps = run.seconds("decode")
        st.markdown(f"###### Each token took {words(steps.median, 's')}, half of them within {words(steps.spread, '%')}")
        st.plotly_chart(latency_figure(run, 320), key=f"latency_{run.id}", alt=f"Time of each of {len(steps)} decode steps")
    with roof:
        if run.ceilings:
            st.markdown("###### " + ", ".join(f"{phase} reached {words(rate['flops'], 'FLOP/s')} and {words(rate['bandwidth'], 'B/s')}" for phase, rate in rates.items()))
            st.plotly_chart(roofline_figure(run.ceilings, rates), key=f"roof_{run.id}", alt="Roofline: achieved rate of prefill and decode under this machine's measured roofs")
    _memory(run)
    with st.expander("Utilisation over time"):
        left, right = st.columns(2)
        left.plotly_chart(utilisation_figure(run), key=f"busy_{run.id}", alt="Share of the processor that was busy, and of it by other programs")
        right.plotly_chart(cores_figure(run), key=f"cores_{run.id}", alt="Busy share of each core")
    with st.expander("All numbers"):
        st.dataframe(_table(run), hide_index=True, width="stretch", alt="All metrics with median, interval, percentiles and counts")
        st.caption("p90 and p99 are shown only where enough independent samples carry them (64 and 662).")
    _trust(run)
    if text := getattr(run.ended, "text", None):
        with st.expander("What the model wrote"):
            st.text(text)
    with st.expander("Repeat or share this run"):
        st.code(run.spec.command, language="bash", wrap_lines=True)
        st.download_button("Report as JSON", lambda: json.dumps(report(run), indent=1), f"{run.id}-report.json", "application/json", on_click="ignore", icon=":material/download:")
        st.json(run.spec.model_dump(mode="json"), expanded=False)


def _memory(run: Run) -> None:
    held = split(run)
    if held is None:
        return
    peak = words(held.peak, "B") if held.peak else "not told by this system"
    st.markdown(f"###### At its peak the run held {peak}, {words(held.weights, 'B')} of it weights", help=f"Peak: {held.source}. Weights and KV cache by their tensors, activations by accounting, libraries by the mark before loading.")
    bar, line = st.columns(2)
    parts = held.parts()
    bar.plotly_chart(split_figure(parts), key=f"split_{run.id}", alt="Memory at the peak: " + ", ".join(f"{name} {words(size, 'B')}" for name, size in parts.items()))
    line.plotly_chart(memory_figure(run, 200), key=f"memory_{run.id}", alt="Memory over time")


def _table(run: Run) -> list[dict]:
    rows = []
    for name, measured in metrics(run).items():
        metric = METRICS[name]
        low, high = measured.interval
        told = lambda value: words(value, metric.unit)  # noqa: E731 - used five times on the next lines
        rows.append({
            "metric": metric.title, "median": told(measured.median), "95 % interval": f"{told(low)} – {told(high)}" if len(measured) > 1 else "–",
            "p90": told(measured.percentile(90)), "p99": told(measured.percentile(99)), "samples": len(measured),
            "independent": round(measured.effective_count), "spread": words(measured.spread, "%"), "meaning": metric.help,
        })
    return rows


def _trust(run: Run) -> None:
    with st.expander("How far to trust this"):
        for doubt in doubts(run):
            _, colour, icon = BADGES[doubt.level]
            st.markdown(f":{colour}[{icon}] {doubt.sentence}")
        started, spent = run.started, phases(run)
        foreign, own, extra = foreign_load(run), own_load(run), overhead(run)
        facts = {
            "Other programs while the clock ran": f"{foreign:.2f} cores" if foreign is not None else "not sampled",
            "This tool's own watching": f"{own:.2f} cores" if own is not None else "not sampled",
            "Everything else ÷ measured work": f"{extra:.2f}" if extra is not None else "–",
            "Worker was warm": "yes" if started and started.warm else "no",
            "Seconds by phase": ", ".join(f"{name} {seconds:.1f}" for name, seconds in spent.items()),
            "Involuntary context switches": f"{getattr(run.ended, 'facts', {}).get('interrupted', 0):.0f}",
            "Machine": f"{started.hardware.name}, {started.hardware.cores} cores, {started.hardware.system}" if started else "–",
            "Libraries": ", ".join(f"{name} {version}" for name, version in started.versions.items()) if started else "–",
            "Ceilings": f"measured {ago(run.ceilings.at)} with {run.ceilings.threads} threads" if run.ceilings else "–",
        }
        st.dataframe([{"what": key, "value": value} for key, value in facts.items()], hide_index=True, width="stretch", alt="Facts about how the run was measured")
