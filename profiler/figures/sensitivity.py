"""What each part of a model costs if it alone is quantized, as figures."""

from math import log10

import plotly.graph_objects as go

from profiler.analysis.sensitivity import Cell
from profiler.figures.style import BLUE, figure
from profiler.spec.units import number

LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}


def sensitivity_figure(cells: list[Cell], layers: int) -> go.Figure:
    """Layers to the right, parts of a layer downwards; the colour is the logarithm of the divergence (nats) if it alone is quantized."""
    plot = figure(300, "layer", "part (quantized alone)", margin={"l": 8, "r": 8, "t": 24, "b": 48})
    parts = list(dict.fromkeys(["attention", "MLP", *(cell.part for cell in sorted(cells))]))
    held = {(cell.part, cell.layer): cell.loss for cell in cells}
    columns = list(range(max([layers, *(cell.layer + 1 for cell in cells)])))  # the lm_head stands after the last layer
    grid = [[held.get((part, layer)) for layer in columns] for part in parts]
    plot.add_heatmap(
        x=columns,
        y=parts,
        z=[[None if value is None else log10(max(value, 1e-6)) for value in row] for row in grid],
        customdata=[["" if value is None else f"{number(value, 2)} nats" for value in row] for row in grid],
        colorscale="Cividis",
        xgap=1,
        ygap=2,
        hoverongaps=False,
        colorbar={"title": {"text": "nats", "side": "right"}, "thickness": 12, **_decades([cell.loss for cell in cells])},
        showscale=bool(cells),
        hovertemplate="layer %{x}, %{y}: %{customdata}<extra></extra>",
    )
    plot.update_yaxes(autorange="reversed", automargin=True, type="category", showgrid=False)
    head = len(columns) > layers
    plot.update_xaxes(
        range=[-0.5, len(columns) - 0.5],
        showgrid=False,
        zeroline=False,
        tickvals=[*range(0, layers - 2 * head, 5), *([layers] if head else [])],
        ticktext=[*map(str, range(0, layers - 2 * head, 5)), *(["head"] if head else [])],
    )
    return plot


def _decades(losses: list[float]) -> dict:
    """Ticks of the colour bar: powers of ten, in nats."""
    known = [log10(max(loss, 1e-6)) for loss in losses] or [-3.0, 0.0]
    ticks = [tick for tick in range(-6, 3) if min(known) - 0.5 <= tick <= max(known) + 0.5]
    return {"tickvals": ticks, "ticktext": [f"{10.0**tick:g}" for tick in ticks]}


def kept_figure(line: list[tuple[float, float]]) -> go.Figure:
    """What is left of the divergence (nats, summed) if the worst parts are kept in 16 bits, against the bytes (MB) that this takes."""
    plot = figure(300, "more memory (MB)", "divergence left (nats)", legend=LEGEND)
    plot.add_scatter(
        x=[size / 1e6 for size, _ in line],
        y=[left for _, left in line],
        mode="lines+markers",
        name="best parts first",
        line={"color": BLUE, "width": 2},
        marker={"size": 6},
        customdata=list(range(len(line))),
        hovertemplate="%{customdata} parts in 16 bits: %{x:.3g} MB more, %{y:.3g} nats left<extra></extra>",
    )
    plot.update_yaxes(rangemode="tozero")
    return plot
