"""The data behind a result: figures, and folded below them the tables, the trust, the spec, the command."""

import json

import streamlit as st

from pages._backend import ago
from profiler.analysis.memory import split
from profiler.analysis.moment import PHASES, ceilings_now
from profiler.analysis.report import achieved, phases, report
from profiler.analysis.table import rows
from profiler.analysis.trust import core_loads, doubts, foreign_load, missing, overhead, own_load
from profiler.analysis.waterfall import waterfall
from profiler.figures.memory import split_figure
from profiler.figures.roofline import roofline_figure
from profiler.figures.timeline import cores_figure, latency_figure, memory_figure, utilisation_figure
from profiler.record.run import Run
from profiler.spec.units import words

ROOFLINE = (
    "The grey line is the most this machine can do: little arithmetic per byte is limited by memory (the slope), much by the "
    "processor (the flat part). A point's distance to the line is what is lost. Both axes are logarithmic."
)
ICONS = {"note": ":gray[:material/info:]", "doubt": ":orange[:material/warning:]", "alarm": ":red[:material/error:]"}


def details(run: Run) -> None:
    """Latency, roofline, memory; below them, folded, everything else."""
    rates = {phase: rate for phase in PHASES if (rate := achieved(run, phase))}
    latency, roof = st.columns(2)
    with latency:
        steps = run.seconds("decode")
        st.markdown(f"###### Each token took {words(steps.median, 's')}, half of them within {words(steps.spread, '%')}")
        st.plotly_chart(latency_figure(run, 320), key=f"latency_{run.id}", alt=f"Time of each of {len(steps)} decode steps")
    with roof:
        if run.ceilings:
            shares = [f"{phase} {words(fall.ideal / fall.measured, '%')}" for phase in PHASES if (fall := waterfall(run, phase))]
            st.markdown(f"###### Of what this machine allows: {', '.join(shares)}", help=ROOFLINE)
            st.plotly_chart(
                roofline_figure(ceilings_now(run) or run.ceilings, rates),
                key=f"roof_{run.id}",
                alt="Roofline: achieved rate of prefill and decode under this machine's measured roofs",
            )
    _memory(run)
    with st.expander("Utilisation over time"):
        left, right = st.columns(2)
        left.plotly_chart(
            utilisation_figure(run), key=f"busy_{run.id}", alt="Share of the processor that was busy, and of it by other programs"
        )
        right.plotly_chart(cores_figure(run), key=f"cores_{run.id}", alt="Busy share of each core")
    with st.expander("All numbers"):
        st.dataframe(rows(run), hide_index=True, width="stretch", alt="All metrics with median, interval, percentiles and counts")
        st.caption("p90 and p99 are shown only where enough independent samples carry them (64 and 662).")
    _trust(run)
    if text := getattr(run.ended, "text", None):
        with st.expander("What the model wrote"):
            st.text(text)
    with st.expander("Repeat or share this run"):
        st.code(run.spec.command, language="bash", wrap_lines=True)
        st.download_button(
            "Report as JSON",
            lambda: json.dumps(report(run), indent=1),
            f"{run.id}-report.json",
            "application/json",
            on_click="ignore",
            icon=":material/download:",
        )
        st.json(run.spec.model_dump(mode="json"), expanded=False)


def _loading(run: Run) -> str:
    peak = run.peak("load").get("rss_peak")
    return f"; loading the model held {words(peak, 'B')} for a moment" if peak else ""


def _memory(run: Run) -> None:
    held = split(run)
    if held is None:
        return
    peak = words(held.peak, "B") if held.peak else "not told by this system"
    st.markdown(
        f"###### While generating, the run held at most {peak}, {words(held.weights, 'B')} of it weights",
        help=f"Peak: {held.source}{_loading(run)}. Weights and KV cache by their tensors, activations by accounting, libraries "
        f"by the mark before loading.",
    )
    bar, line = st.columns(2)
    parts = held.parts()
    bar.plotly_chart(
        split_figure(parts),
        key=f"split_{run.id}",
        alt="Memory at the peak: " + ", ".join(f"{name} {words(size, 'B')}" for name, size in parts.items()),
    )
    line.plotly_chart(memory_figure(run, 200), key=f"memory_{run.id}", alt="Memory over time")


def _trust(run: Run) -> None:
    with st.expander("How far to trust this"):
        for doubt in doubts(run):
            st.markdown(f"{ICONS[doubt.level]} {doubt.sentence}")
        started, spent = run.started, phases(run)
        foreign, own, extra = foreign_load(run), own_load(run), overhead(run)
        facts = {
            "Other programs while the clock ran": f"{foreign:.2f} cores" if foreign is not None else "not sampled",
            "This tool's own watching": f"{own:.2f} cores" if own is not None else "not sampled",
            "Everything else ÷ measured work": f"{extra:.2f}" if extra is not None else "–",
            "Busy share of each core": ", ".join(words(share, "%") for share in core_loads(run)) or "not sampled",
            "Not told by this system": "; ".join(missing(run)) or "nothing",
            "Worker was warm": "yes" if started and started.warm else "no",
            "Seconds by phase": ", ".join(f"{name} {seconds:.1f}" for name, seconds in spent.items()),
            "Involuntary context switches": f"{getattr(run.ended, 'facts', {}).get('interrupted', 0):.0f}",
            "Machine": f"{started.hardware.name}, {started.hardware.cores} cores, {started.hardware.system}" if started else "–",
            "Libraries": ", ".join(f"{name} {version}" for name, version in started.versions.items()) if started else "–",
            "Ceilings": f"measured {ago(run.ceilings.at)} with {run.ceilings.threads} threads" if run.ceilings else "–",
        }
        st.dataframe(
            [{"what": key, "value": value} for key, value in facts.items()],
            hide_index=True,
            width="stretch",
            alt="Facts about how the run was measured",
        )
