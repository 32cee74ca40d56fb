"""Curves of the machine: reading memory by working set, and matrix products by size; measured lines over expected ones."""

from math import log10

import plotly.graph_objects as go

from profiler.figures.style import BLUE, GREEN, ORANGE, PINK, RED, SKY, figure
from profiler.spec.units import words

Points = dict[str, tuple[list[float], list[float]]]  # series → (x, value), in SI units
CYCLE = (BLUE, ORANGE, GREEN, RED, PINK, SKY)
GREY = "#888888"
TALL = 380  # pixels


def staircase_figure(points: Points, cache: int | None, height: int = TALL, expected: dict[str, float] | None = None) -> go.Figure:
    """Bytes/s by working set of one core (bytes); the last-level cache marked; `expected` rates (name → bytes/s) as dashed lines."""
    plot = figure(height, "working set of each core (bytes)", "read again and again (GB/s)")
    _lines(plot, points, 1e9, "%{x:.3s}B: %{y:.3g} GB/s")
    _levels(plot, expected or {}, 1e9, "B/s")
    plot.update_xaxes(type="log", dtick=1, tickformat="~s", ticksuffix="B", range=_span(points, (1 << 13, 1 << 28)))
    plot.update_yaxes(rangemode="tozero")
    if cache:
        plot.add_vline(x=cache, line_dash="dot", line_color=GREY)
        plot.add_annotation(
            x=log10(cache), xref="x", y=0.02, yref="paper", yanchor="bottom", xanchor="right", showarrow=False,
            text=f"last cache, {words(cache, 'B')} ",
        )  # fmt: skip
    return plot


def matmul_figure(points: Points, height: int = TALL, expected: dict[str, float] | None = None) -> go.Figure:
    """FLOP/s by rows of a square product, both logarithmic; `expected` rates (name → FLOP/s) as dashed lines."""
    plot = figure(height, "rows and columns of the matrices", "rate (FLOP/s)")
    _lines(plot, points, 1.0, "%{x}: %{y:.3s}FLOP/s")
    _levels(plot, expected or {}, 1.0, "FLOP/s")
    sizes = sorted({int(size) for x, _ in points.values() for size in x}) or [1 << power for power in range(8, 13)]
    shown = [size for size in sizes if size & (size - 1) == 0] or sizes
    plot.update_xaxes(type="log", tickvals=shown, ticktext=[f"{size:,}" for size in shown], range=_span(points, (256, 4096)))
    plot.update_yaxes(type="log", dtick=1, tickformat="~s")
    if expected and not points:
        plot.update_yaxes(range=[log10(min(expected.values())) - 1.5, log10(max(expected.values())) + 0.2])
    return plot


def _lines(plot: go.Figure, points: Points, unit: float, hover: str) -> None:
    """One colour for what is measured, one dash for how: "float32 · 1 thread" and "float32 · 2 threads" share a colour."""
    families = list(dict.fromkeys(map(_family, points)))
    for series, (x, values) in points.items():
        pairs = sorted(zip(x, values))
        others = [name for name in points if _family(name) == _family(series)]
        plot.add_scatter(
            x=[at for at, _ in pairs],
            y=[value / unit for _, value in pairs],
            mode="lines+markers",
            name=series,
            line={
                "color": CYCLE[families.index(_family(series)) % len(CYCLE)],
                "width": 2,
                "dash": ("solid", "dot", "dash", "dashdot")[min(len(others) - 1 - others.index(series), 3)],
            },
            marker={"size": 7},
            hovertemplate=f"{series}<br>{hover}<extra></extra>",
        )


def _family(series: str) -> str:
    """A series without its last part, if it has several."""
    return series.rpartition(" · ")[0] or series


def _levels(plot: go.Figure, expected: dict[str, float], unit: float, word: str) -> None:
    """Dashed lines over the whole width, with their name and value in the legend."""
    for dash, (name, rate) in zip(("dash", "dot", "dashdot", "longdash") * 4, expected.items()):
        plot.add_scatter(
            x=[1e-3, 1e15],
            y=[rate / unit] * 2,
            mode="lines",
            name=f"{name}: {words(rate, word)}",
            line={"color": GREY, "dash": dash, "width": 2},
            hoverinfo="skip",
        )


def _span(points: Points, usual: tuple[float, float]) -> list[float]:
    """The logarithmic range of the x axis: the measured points, or the usual span before there are any."""
    found = [value for x, _ in points.values() for value in x]
    low, high = min([*found, usual[0]]), max([*found, usual[1]])
    margin = 0.03 * (log10(high) - log10(low))
    return [log10(low) - margin, log10(high) + margin]
