"""A load test as figures: throughput against latency, waiting by offered rate, and what became of the requests."""

from collections.abc import Callable
from math import log10

import plotly.graph_objects as go

from profiler.analysis.serving import NEEDS, Point, Serving, percentile
from profiler.analysis.serving_words import NAMES, rate
from profiler.figures.style import BLUE, GREEN, ORANGE, PINK, RED, figure
from profiler.spec.units import number, words

TALL, LOW = 400, 300  # pixels
EMPTY = [-2, 1]  # logarithms of the seconds of an axis without points
LABELS = 6  # on an axis of a small figure
GREY = "#888888"
DASHES = {50: "solid", 90: "dash", 99: "dot"}
COLOURS = {"answered": BLUE, "refused": ORANGE, "stalled": PINK, "error": RED}
Drawn = tuple[str, go.Figure, str]  # name, figure, alternative text


def figures(serving: Serving) -> list[Drawn]:
    """The figures of a load test, finished or on its way; the main one first. That of outcomes only where requests failed."""
    told = f"{len(serving.points)} rates measured"
    failed = sum(point.failed for point in serving.points)
    drawn = [
        ("curve", curve_figure(serving), f"Time of a whole answer against tokens per second, {told}"),
        ("first", waiting_figure(serving, lambda point: point.first, "time to first token (s)"), f"Time to first token by rate, {told}"),
        (
            "between",
            waiting_figure(serving, lambda point: point.between, "time between tokens (s)"),
            f"Time between tokens by rate, {told}",
        ),
    ]
    if failed:
        drawn.append(("outcomes", outcomes_figure(serving), f"What became of the requests by rate, {failed} failed, {told}"))
    return drawn


def curve_figure(serving: Serving) -> go.Figure:
    """Seconds of a whole answer (median, whisker to one in ten) against tokens/s, a point for each offered rate."""
    plot = figure(TALL, "written, all answers together (tok/s)", "time of a whole answer (s)", showlegend=True)
    points = [point for point in serving.points if point.latency]
    if serving.alone:
        plot.add_scatter(
            x=[serving.alone.tokens * serving.alone.rate],
            y=[serving.alone.latency],
            mode="markers",
            name="one request after another",
            marker={"size": 11, "color": GREY, "symbol": "circle-open", "line": {"width": 2}},
            hovertemplate="idle server: %{y:.3g} s<extra></extra>",
        )
    middle = [percentile(point.latency, 50) or 0.0 for point in points]
    slow = [(percentile(point.latency, 90) or half) - half for point, half in zip(points, middle)]
    plot.add_scatter(
        x=[point.tokens for point in points],
        y=middle,
        error_y={"type": "data", "symmetric": False, "array": slow, "arrayminus": [0.0] * len(slow), "thickness": 1.5},
        mode="lines+markers+text",
        name="median, whisker to the slowest tenth",
        text=[f"{number(point.rate, 2)}/s" for point in points],
        textposition=["bottom center", "top left"] * (len(points) // 2) + ["bottom center"] * (len(points) % 2),  # neighbours apart
        cliponaxis=False,
        marker={"size": 11, "color": BLUE, "symbol": ["circle" if point.keeps_up else "x" for point in points]},
        line={"color": BLUE, "width": 2},
        customdata=[[_counted(point)] for point in points],
        hovertemplate="%{text} offered: %{x:.3g} tok/s, %{y:.3g} s<br>%{customdata[0]}<extra></extra>",
    )
    _mark(plot, serving)
    plot.update_xaxes(rangemode="tozero")
    plot.update_yaxes(type="log", dtick="D2", tickformat="~g", range=None if points or serving.alone else EMPTY)
    return plot


def _counted(point: Point) -> str:
    """How the requests ended, in a line."""
    failed = [f"{point.outcomes[kind]} {name}" for kind, name in NAMES.items() if point.outcomes.get(kind)]
    return ", ".join([f"{len(point.answers)} of {point.sent} answered", *failed])


def _mark(plot: go.Figure, serving: Serving) -> None:
    """The highest rate that it keeps up with, as a ring around its point."""
    kept = serving.saturation
    if kept and kept.latency and serving.beyond:
        plot.add_scatter(
            x=[kept.tokens],
            y=[percentile(kept.latency, 50)],
            mode="markers",
            name=f"keeps up: {rate(kept.rate)}, {words(kept.tokens, 'tok/s')}",
            marker={"size": 20, "color": GREEN, "symbol": "circle-open", "line": {"width": 3}},
            hoverinfo="skip",
        )


def waiting_figure(serving: Serving, samples: Callable[[Point], list[float]], title: str) -> go.Figure:
    """Percentiles of some seconds against the offered rate, both logarithmic; each only where its samples carry it."""
    plot = figure(LOW, "offered (requests/s)", title, showlegend=True)
    for rank in NEEDS:
        found = [(point.rate, value) for point in serving.points if (value := percentile(samples(point), rank)) is not None]
        if found:
            plot.add_scatter(
                x=[at for at, _ in found],
                y=[value for _, value in found],
                mode="lines+markers",
                name="median" if rank == 50 else f"p{rank}",
                line={"color": BLUE, "dash": DASHES[rank], "width": 2},
                marker={"size": 8},
                hovertemplate="%{x:.3g} requests/s: %{y:.3g} s<extra></extra>",
            )
    if serving.saturation and serving.beyond:
        plot.add_vline(x=serving.saturation.rate, line_dash="dash", line_color=GREEN)
        plot.add_annotation(
            x=log10(serving.saturation.rate), y=0.02, yref="paper", yanchor="bottom", xanchor="right", showarrow=False, text="keeps up "
        )
    ticks = _apart([point.rate for point in serving.points])
    plot.update_xaxes(type="log", tickvals=ticks, ticktext=[number(tick, 2) for tick in ticks])
    plot.update_yaxes(type="log", dtick="D2", tickformat="~g", range=None if ticks else EMPTY)
    return plot


def _apart(rates: list[float]) -> list[float]:
    """Those that leave room for each other's labels on a logarithmic axis."""
    kept: list[float] = []
    least = (rates[-1] / rates[0]) ** (1 / LABELS) if rates else 1.0
    for value in rates:
        kept += [value] if not kept or value >= kept[-1] * least else []
    return kept


def outcomes_figure(serving: Serving) -> go.Figure:
    """Shares of the requests by how they ended, a bar for each offered rate."""
    plot = figure(LOW, "offered (requests/s)", "requests (%)", barmode="stack", showlegend=True)
    for kind, name in {"answered": "answered", **NAMES}.items():
        counts = [point.outcomes.get(kind, 0) for point in serving.points]
        if any(counts):
            plot.add_bar(
                x=[number(point.rate, 2) for point in serving.points],
                y=[100 * count / point.sent for count, point in zip(counts, serving.points)],
                name=name,
                marker={"color": COLOURS[kind]},
                customdata=counts,
                hovertemplate=f"%{{customdata}} {name}<extra></extra>",
            )
    plot.update_xaxes(type="category")
    return plot
