"""One device closely: its speed over batch and context, and what twice of something would bring."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from profiler.analysis.what_if import Doubled, Grid
from profiler.figures.curves import GREY
from profiler.figures.hardware import LOW, SPENT
from profiler.figures.style import RED, figure
from profiler.spec.units import words

NAMES = {
    "": "as it is",
    "bandwidth": "2 × bandwidth",
    "compute": "2 × compute",
    "memory": "2 × memory",
    "link": "2 × link bandwidth",
}


def grid_figure(view: Grid, quantity: str, here: tuple[int, int], memory: float, unit: str = "tok/s") -> go.Figure:
    """Cells of batch against context: `quantity` "rate" or "seconds"; blank and ruled off where `memory` bytes are too little."""
    values = view.rate if quantity == "rate" else 1e3 * view.seconds
    shown = np.where(view.fits, values, np.nan)
    plot = figure(440, "context: prompt and answer (tokens)", "sequences at once", margin={"l": 56, "r": 8, "t": 40, "b": 56}, legend=LOW)
    x, y = list(range(len(view.contexts))), list(range(len(view.batches)))
    across, up = [_short(length) for length in view.contexts], [f"{batch:,}" for batch in view.batches]
    said = [[words(value, "1") if fits else "" for value, fits in zip(*row)] for row in zip(values, view.fits)]
    named = unit if quantity == "rate" else "ms per step"
    plot.add_heatmap(
        x=x,
        y=y,
        z=np.log10(shown),
        text=[[_tiny(value) if fits else "" for value, fits in zip(*row)] for row in zip(values, view.fits)],
        customdata=[[[across[column], up[row], said[row][column], words(view.memory[row, column], "B")] for column in x] for row in y],
        texttemplate="%{text}",
        textfont={"size": 11},
        colorscale="Cividis" if quantity == "rate" else "Cividis_r",
        showscale=False,
        xgap=1,
        ygap=1,
        hoverongaps=False,
        hovertemplate="%{customdata[0]} tokens × %{customdata[1]} sequences<br>"
        f"%{{customdata[2]}} {named}, %{{customdata[3]}}<extra></extra>",
    )
    _beyond(plot, across, up, view, memory)
    plot.add_scatter(
        x=[view.contexts.index(here[1])],
        y=[view.batches.index(here[0])],
        mode="markers",
        name="your workload",
        marker={"size": 30, "symbol": "square-open", "color": RED, "line": {"width": 3}},
        hoverinfo="skip",
    )
    plot.update_xaxes(tickvals=x, ticktext=across, range=[-0.5, len(x) - 0.5], showgrid=False, zeroline=False)
    plot.update_yaxes(tickvals=y, ticktext=up, range=[-0.5, len(y) - 0.5], showgrid=False, zeroline=False)
    return plot


def _beyond(plot: go.Figure, across: list[str], up: list[str], view: Grid, memory: float) -> None:
    """The cells that the memory does not hold: an outline each, and why in the hover text."""
    rows, columns = np.nonzero(~view.fits)
    if not len(rows):
        return
    plot.add_scatter(
        x=columns,
        y=rows,
        mode="markers",
        name="does not fit",
        marker={"size": 9, "symbol": "x-thin-open", "color": GREY, "line": {"width": 1.5}},
        customdata=[[across[column], up[row], words(view.memory[row, column], "B")] for row, column in zip(rows, columns)],
        hovertemplate="%{customdata[0]} tokens × %{customdata[1]} sequences<br>does not fit: needs %{customdata[2]} of "
        f"{words(memory, 'B')}<extra></extra>",
    )
    corners = outline(view.fits)
    plot.add_scatter(
        x=[column for column, _ in corners],
        y=[row for _, row in corners],
        mode="lines",
        line={"color": RED, "width": 2, "dash": "dot"},
        showlegend=False,
        hoverinfo="skip",
    )


def outline(fits: np.ndarray) -> list[tuple[float, float]]:
    """Corners of the border above the cells that fit, in cells, from left to right: less fits where the context is longer."""
    heights = [int(np.count_nonzero(column)) for column in fits.T]
    return [corner for at, height in enumerate(heights) for corner in ((at - 0.5, height - 0.5), (at + 0.5, height - 0.5))]


def _short(length: int) -> str:
    """Tokens as an axis has room for them."""
    if length >= 1 << 20 and length % (1 << 20) == 0:
        return f"{length >> 20}M"
    return f"{length >> 10}k" if length >= 1024 and length % 1024 == 0 else f"{length:,}"


def _tiny(value: float) -> str:
    """Two digits, with a letter for thousands."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.2g}{letter}" if value < 99.5 * size else f"{value / size:.0f}{letter}"
    return f"{value:.2g}" if value < 99.5 else f"{value:.0f}"


def doubled_figure(variants: Sequence[Doubled]) -> go.Figure:
    """Seconds of one whole answer with twice of each thing, stacked by what they are spent on, the gain behind each bar."""
    scale, unit = (1e3, "ms") if max(one.seconds for one in variants) < 1 else (1.0, "s")
    plot = figure(110 + 46 * len(variants), f"time of one answer, prompt included ({unit})", "", barmode="stack", legend=LOW, bargap=0.35)
    names = [NAMES[one.name] for one in variants]
    for kind, (name, colour) in SPENT.items():
        seconds = [one.parts[kind] for one in variants]
        if max(seconds) < 1e-3 * max(one.seconds for one in variants):
            continue
        plot.add_bar(
            x=[scale * value for value in seconds],
            y=names,
            orientation="h",
            name=name,
            marker_color=colour,
            customdata=[words(value, "s") for value in seconds],
            hovertemplate=f"%{{y}}<br>{name}: %{{customdata}}<extra></extra>",
        )
    base = variants[0].seconds
    plot.add_scatter(
        x=[scale * one.seconds for one in variants],
        y=names,
        mode="text",
        text=[f" {words(one.seconds, 's')}" + (f", {base / one.seconds:.2f} ×" if one.name else "") for one in variants],
        textposition="middle right",
        showlegend=False,
        hoverinfo="skip",
        cliponaxis=False,
    )
    plot.update_xaxes(range=[0, 1.45 * scale * max(one.seconds for one in variants)])
    plot.update_yaxes(type="category", categoryorder="array", categoryarray=names, autorange="reversed", automargin=True, title_text=None)
    plot.update_layout(margin={"l": 8, "r": 16, "t": 34, "b": 48})
    return plot
