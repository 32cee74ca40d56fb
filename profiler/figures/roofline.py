"""The roofline: what each phase reached, under the roofs that this machine has (Williams et al. 2009)."""

import numpy as np
import plotly.graph_objects as go

from profiler.figures.style import COLOURS, figure
from profiler.spec.machine import Ceilings
from profiler.spec.units import words


def roofline_figure(ceilings: Ceilings, points: dict[str, dict[str, float]]) -> go.Figure:
    """Roofs as lines; one marker a phase: intensity (FLOP/B) against achieved rate (FLOP/s)."""
    intensities = [point["intensity"] for point in points.values()]
    ridge = ceilings.peak / ceilings.dram
    low, high = min([ridge, *intensities]) / 8, max([ridge, *intensities]) * 8
    x = np.geomspace(low, high, 60)
    plot = figure(
        380,
        "arithmetic intensity (FLOP per byte)",
        "rate (FLOP/s)",
        legend={"orientation": "v", "y": 1.02, "yanchor": "bottom", "x": 0},
        margin={"l": 64, "r": 16, "t": 84, "b": 48},
    )
    plot.add_scatter(
        x=x,
        y=np.minimum(x * ceilings.dram, ceilings.peak),
        mode="lines",
        line={"color": "#888888", "width": 2},
        name=f"roof: {words(ceilings.dram, 'B/s')} · {words(ceilings.peak, 'FLOP/s')} ({ceilings.dtype})",
        hoverinfo="skip",
    )
    for phase, point in points.items():
        roof = min(point["intensity"] * ceilings.dram, ceilings.peak)
        plot.add_scatter(
            x=[point["intensity"]],
            y=[point["flops"]],
            mode="markers",
            name=f"{phase}: {words(point['flops'], 'FLOP/s')}, {point['flops'] / roof:.0%} of its roof",
            marker={"size": 16, "color": COLOURS[phase], "symbol": "circle" if phase == "decode" else "diamond"},
            hovertemplate=f"{phase}<br>%{{x:.3g}} FLOP/B<br>%{{y:.3s}}FLOP/s<extra></extra>",
        )
        plot.add_scatter(
            x=[point["intensity"]] * 2,
            y=[point["flops"], roof],
            mode="lines",
            showlegend=False,
            hoverinfo="skip",
            line={"color": COLOURS[phase], "dash": "dot", "width": 2},
        )
    plot.update_xaxes(type="log", dtick=1)
    plot.update_yaxes(type="log", dtick=1, tickformat=".0s")
    return plot
