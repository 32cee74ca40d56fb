"""The machine's own figures: all its roofs in one roofline, its staircases, and how its threads scale."""

from math import log10

import numpy as np
import plotly.graph_objects as go

from profiler.analysis.roofs import Points, highest, levels
from profiler.analysis.table import no_kernel, operations
from profiler.figures.curves import matmul_figure, staircase_figure
from profiler.figures.style import BLUE, GREEN, ORANGE, PINK, RED, SKY, figure
from profiler.record.run import Run
from profiler.spec.machine import Ceilings
from profiler.spec.run import BYTES
from profiler.spec.units import words

TALL = 520  # pixels: on a narrow screen the legend takes a third of it
FORMATS = {"float32": BLUE, "bfloat16": ORANGE, "float16": PINK, "int8": GREEN}
LEAST = 2**-4  # operations per byte at the left edge
SLOPES = ("dot", "dashdot", "dash")
DONE = {"read": "read", "copy": "copied", "triad": "triad"}
LINES = {"reading memory": (BLUE, "circle"), "matrix product": (ORANGE, "diamond"), "matrix-vector product": (GREEN, "square")}


def roofs_figure(found: Ceilings, height: int = TALL) -> go.Figure:
    """All slopes (a cache or main memory, bytes/s) and flats (a number format, FLOP/s); the matrix-vector product under them."""
    steps, top = levels(found), max(found.matmul.values())
    slowest, far = steps[-1].rate, 8 * top / steps[-1].rate
    plot = figure(height, "arithmetic intensity (operations per byte)", "rate (operations/s)")
    for number, level in enumerate(steps):
        main = level is steps[-1]
        style = {"color": SKY, "dash": "solid" if main else SLOPES[number % len(SLOPES)], "width": 3 if main else 2}
        _line(plot, (LEAST, top / level.rate), (LEAST * level.rate, top), f"{level.name}: {words(level.rate, 'B/s')}", style)
    for dtype, rate in found.matmul.items():
        note = " (no real kernel)" if no_kernel(found, dtype) else ""
        name = f"{dtype} {words(rate, operations(dtype))}{note}"
        _line(plot, (rate / steps[0].rate, far), (rate, rate), name, {"color": FORMATS[dtype], "width": 2}, label=True)
    for dtype, rate in found.matvec.items():
        intensity = 2 / BYTES[dtype]  # a multiply and an add for each weight read
        plot.add_scatter(
            x=[intensity],
            y=[intensity * rate],
            mode="markers",
            name=f"matrix-vector, {dtype}: {rate / slowest:.0%} of reading",
            marker={"size": 12, "color": FORMATS[dtype], "symbol": "diamond"},
            hovertemplate=f"matrix-vector product, {dtype}<br>weights read at {words(rate, 'B/s')}<extra></extra>",
        )
    lowest = min(LEAST * slowest, *(2 / BYTES[dtype] * rate for dtype, rate in found.matvec.items()))
    plot.update_xaxes(type="log", dtick=1, range=[log10(LEAST), log10(far)])
    plot.update_yaxes(type="log", dtick=1, tickformat="~s", range=[log10(lowest / 2), log10(top * 2.5)])
    return plot


def _line(plot: go.Figure, ends: tuple[float, float], rates: tuple[float, float], name: str, style: dict, label: bool = False) -> None:
    """A roof; with a label it says its own name at its right end, and stays out of the legend."""
    plot.add_scatter(
        x=np.geomspace(ends[0], ends[1], 30),  # more points than its ends, so that it can be pointed at anywhere
        y=np.geomspace(rates[0], rates[1], 30),
        mode="lines+text" if label else "lines",
        text=[""] * 29 + [name] if label else None,
        textposition="top left",
        showlegend=not label,
        name=name,
        line=style,
        hovertemplate=f"{name}<extra></extra>",
    )


def kernel_figure(run: Run, kernel: str, height: int = 380) -> go.Figure:
    """Read, copy or triad by working set and threads."""
    cache = run.started.hardware.cache if run.started else None
    plot = staircase_figure(highest(run.points(kernel)), cache, height)
    return plot.update_yaxes(title_text=f"{DONE[kernel]}, again and again (GB/s)")


def products_figure(run: Run, height: int = 380) -> go.Figure:
    """Matrix products by size, format and threads."""
    return matmul_figure(highest(run.points("matmul")), height)


def scaling_figure(gained: Points, height: int = 380) -> go.Figure:
    """Times one thread's rate by threads, with the line of a perfect gain."""
    plot = figure(height, "threads", "times as fast as one thread")
    most = max((x[-1] for x, _ in gained.values()), default=1.0)
    plot.add_scatter(
        x=[1, most], y=[1, most], mode="lines", name="perfect", line={"color": RED, "dash": "dot", "width": 2}, hoverinfo="skip"
    )
    for title, (x, values) in gained.items():
        colour, symbol = LINES[title]
        plot.add_scatter(
            x=x,
            y=values,
            mode="lines+markers",
            name=title,
            line={"color": colour, "width": 2},
            marker={"size": 9, "symbol": symbol},
            hovertemplate=f"{title}<br>%{{x}} threads: %{{y:.2f}} times<extra></extra>",
        )
    counts = sorted({int(at) for x, _ in gained.values() for at in x}) or [1]
    plot.update_xaxes(tickvals=counts)
    plot.update_yaxes(rangemode="tozero")
    return plot


def growing_figures(run: Run, height: int = 320) -> list[tuple[str, go.Figure, str]]:
    """(name, figure, what it shows in words) of a ceilings run that is not over, as far as it has got."""
    curves = [curve for curve in ("read", "copy", "triad") if run.points(curve)]
    kernel = curves[-1] if curves else "read"
    return [
        ("staircase", kernel_figure(run, kernel, height), f"Bandwidth of {kernel} by working set, points so far: {_count(run, kernel)}"),
        ("products", products_figure(run, height), f"Matrix products by size, points so far: {_count(run, 'matmul')}"),
    ]


def _count(run: Run, curve: str) -> int:
    return sum(len(x) for x, _ in run.points(curve).values())
