"""What is seen over time, live and afterwards: latency per token, memory, utilisation."""

import plotly.graph_objects as go

from profiler.figures.style import BLUE, COLOURS, GREEN, ORANGE, decimate, figure
from profiler.record.events import Sample
from profiler.record.run import Run
from profiler.spec.units import words

LIVE = 260  # pixels


def latency_figure(run: Run, height: int = LIVE) -> go.Figure:
    """Each decode step in the order taken; warm-up hollow, the median of the timed ones as a line."""
    plot = figure(height, "decode step, in the order measured", "time per token (ms)")
    warm, timed = run.seconds("warm-up").samples, run.seconds("decode").samples
    for name, values, first, symbol in (("warm-up", warm, 0, "circle-open"), ("decode", timed, len(warm), "circle")):
        x, y = decimate(range(first, first + len(values)), 1e3 * values)
        plot.add_scatter(
            x=x,
            y=y,
            mode="markers",
            name="warm-up" if name == "warm-up" else "timed",
            marker={"size": 5, "color": COLOURS[name], "symbol": symbol},
            hovertemplate="step %{x}: %{y:.3g} ms<extra></extra>",
        )
    if len(timed):
        median = 1e3 * run.seconds("decode").median
        plot.add_scatter(
            x=[len(warm), len(warm) + len(timed) - 1],
            y=[median, median],
            mode="lines",
            name=f"median {words(median / 1e3, 's')}",
            line={"dash": "dash", "color": ORANGE},
            hoverinfo="skip",
        )
        plot.update_yaxes(range=[0, 1.15e3 * float(timed.max())])  # slower warm-up steps may lie above the edge
    else:
        plot.update_yaxes(rangemode="tozero")
        plot.add_annotation(text="tokens appear here", xref="paper", yref="paper", x=0.5, y=0.5, showarrow=False)
    return plot


def _start(run: Run) -> float:
    """When something was first seen of the run; waiting in the queue is not part of its seconds."""
    return run.events[0].at if run.events else run.created


def memory_figure(run: Run, height: int = LIVE) -> go.Figure:
    """Resident memory of the worker (and of the device) over the run's seconds."""
    plot = figure(height, "seconds since the start", "memory (GB)")
    for name, title, colour in (("rss", "process", BLUE), ("gpu_memory", "GPU, everybody", GREEN)):
        at, values = run.sampled(name)
        if values:
            x, y = decimate([moment - _start(run) for moment in at], [value / 1e9 for value in values])
            plot.add_scatter(
                x=x,
                y=y,
                mode="lines",
                name=title,
                line={"color": colour, "shape": "hv"},
                hovertemplate="%{x:.1f} s: %{y:.2f} GB<extra></extra>",
            )
    plot.update_yaxes(rangemode="tozero")
    return plot


def utilisation_figure(run: Run, height: int = LIVE) -> go.Figure:
    """How busy the cores are, and by whom; the GPU where there is one."""
    plot = figure(height, "seconds since the start", "busy (%)")
    at, busy = run.sampled("cpu")
    _, foreign = run.sampled("foreign")
    cores = run.started.hardware.cores if run.started else 1
    rows = [("all cores", at, busy, BLUE), ("other programs", at, [value / cores for value in foreign], ORANGE)]
    rows += [("GPU", *run.sampled("gpu_utilisation"), GREEN)]
    for title, times, values, colour in rows:
        if values:
            x, y = decimate([moment - _start(run) for moment in times], [100 * min(value, 1) for value in values])
            plot.add_scatter(
                x=x, y=y, mode="lines", name=title, line={"color": colour}, hovertemplate="%{x:.1f} s: %{y:.0f} %<extra></extra>"
            )
    plot.update_yaxes(range=[0, 105])
    return plot


def cores_figure(run: Run, height: int = LIVE) -> go.Figure:
    """Each core's share of busy time."""
    samples = run.of(Sample)
    plot = figure(height, "seconds since the start", "busy (%)")
    for core in range(len(samples[0].cores) if samples else 0):
        x, y = decimate([sample.at - _start(run) for sample in samples], [100 * sample.cores[core] for sample in samples])
        plot.add_scatter(x=x, y=y, mode="lines", name=f"core {core}", hovertemplate="%{x:.1f} s: %{y:.0f} %<extra></extra>")
    plot.update_yaxes(range=[0, 105])
    return plot
