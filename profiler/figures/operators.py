"""The operator trace: the longest operators beside their own roofs, and the parts of the model layer by layer."""

import plotly.graph_objects as go

from profiler.analysis.operators import Operator
from profiler.figures.style import COLOURS, figure
from profiler.record.events import Traced
from profiler.spec.units import words

LONG = 32  # letters of a name
SHOWN = 12  # operators; the table holds them all
LAYERED = 5  # parts of the model


def operators_figure(rows: list[Operator]) -> go.Figure:
    """Horizontal bars, the longest operator on top: what its roof allows, and what it took beyond."""
    shown = rows[:SHOWN][::-1]
    names = [_name(row) for row in shown]
    plot = figure(60 + 30 * len(shown), "time in one pass (ms)", "", barmode="stack", margin={"l": 8, "r": 64, "t": 32, "b": 48})
    hover = [_hover(row) for row in shown]
    for name, seconds, colour in (
        ("its own roof", [min(row.roof, row.seconds) for row in shown], COLOURS["physics"]),
        ("beyond it", [max(row.seconds - row.roof, 0.0) for row in shown], COLOURS["kernels"]),
    ):
        plot.add_bar(
            y=names, x=[1e3 * value for value in seconds], name=name, orientation="h", marker_color=colour,
            customdata=hover, hovertemplate="%{customdata}<extra></extra>",
        )  # fmt: skip
    plot.add_scatter(
        y=names, x=[1e3 * row.seconds for row in shown], mode="text", text=[f" {words(row.seconds, 's')}" for row in shown],
        textposition="middle right", showlegend=False, hoverinfo="skip", cliponaxis=False,
    )  # fmt: skip
    plot.update_yaxes(automargin=True)
    return plot


def _name(row: Operator) -> str:
    """Its name and place, short enough for a phone; attention also holds the copying of the cache, which is told apart."""
    op = row.op.removeprefix("aten::").removeprefix("scaled_dot_product_")
    return f"{op} · {'cache' if row.group == 'cache' else place(row)}"[:LONG]


def place(row: Operator) -> str:
    """Where in the model an operator is, short: the last two words of the module's name, else its part of the model."""
    named = [word for word in row.module.split(".") if word not in ("", "*")]
    return ".".join(named[-2:]) if named else row.group


def _hover(row: Operator) -> str:
    kinds = (("weights", row.weights), ("KV", row.kv), ("activations", row.activations))
    moved = ", ".join(f"{kind} {words(size, 'B')}" for kind, size in kinds if size) or "moves nothing"
    counted = words(row.flops, "FLOP") if row.counted else "no FLOP formula"
    took = f"{words(row.seconds, 's')}, {row.share:.0%} of its roof"
    return f"{row.op} × {row.count:.0f} in {row.group}<br>{took}<br>{counted}; {moved}"


def layers_figure(traced: Traced) -> go.Figure:
    """Stacked bars: each layer's time, by part of the model."""
    ordered = sorted(traced.layers.items(), key=lambda pair: -sum(pair[1]))
    plot = figure(260, "layer", "time in one pass (ms)", barmode="stack", bargap=0.1)
    for name, seconds in ordered[:LAYERED]:
        _layer_bars(plot, name, seconds)
    if rest := [seconds for _, seconds in ordered[LAYERED:]]:
        long = max(map(len, rest))
        _layer_bars(
            plot, "other parts", [sum(column) for column in zip(*((*row, *[0.0] * (long - len(row))) for row in rest))], COLOURS["rest"]
        )
    return plot


def _layer_bars(plot: go.Figure, name: str, seconds, colour: str | None = None) -> None:
    plot.add_bar(
        x=list(range(len(seconds))),
        y=[1e3 * value for value in seconds],
        name=name,
        marker_color=colour,
        hovertemplate=f"layer %{{x}}, {name}: %{{y:.3g}} ms<extra></extra>",
    )
