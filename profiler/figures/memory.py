"""Where the memory went: one bar, split by purpose."""

import plotly.graph_objects as go

from profiler.figures.style import COLOURS, figure
from profiler.spec.units import words


def split_figure(parts: dict[str, float], capacity: float | None = None) -> go.Figure:
    """A horizontal bar of bytes by purpose; the capacity, where given, as a dashed line."""
    plot = figure(
        210,
        "memory (GB)",
        "",
        barmode="stack",
        legend={"orientation": "h", "y": -0.75, "x": 0, "traceorder": "normal"},
        margin={"l": 16, "r": 16, "t": 16, "b": 110},
    )
    for name, size in parts.items():
        plot.add_bar(
            y=["peak"],
            x=[size / 1e9],
            name=f"{name} {words(size, 'B')}",
            orientation="h",
            marker_color=COLOURS[name],
            hovertemplate=f"{name}: {words(size, 'B')}<extra></extra>",
        )
    if capacity and sum(parts.values()) > capacity / 4:  # a far-away limit would squeeze the bar
        plot.add_vline(x=capacity / 1e9, line_dash="dash", annotation_text=f"free: {words(capacity, 'B')}")
    plot.update_yaxes(showticklabels=False)
    return plot
