"""The waterfall: from what physics needs to what it took."""

import numpy as np
import plotly.graph_objects as go

from profiler.analysis.waterfall import Waterfall
from profiler.figures.style import COLOURS, figure
from profiler.spec.units import words

TITLES = {"kernels": "+ slower {}", "framework": "+ {}", "waiting": "+ {}", "untold": "+ {}"}


def waterfall_figure(fall: Waterfall) -> go.Figure:
    """Bars that stand on each other, in milliseconds; the last one is the measured median."""
    parts = [part for part in fall.parts if part.kind != "waiting" or part.seconds > 0.005 * fall.measured]
    names = [TITLES.get(part.kind, "{}").format(part.name).replace(" ", "<br>").replace("+<br>", "+ ") for part in parts] + ["measured"]
    sizes = [part.seconds for part in parts] + [fall.measured]
    helps = [part.help for part in parts] + ["The median of all timed steps."]
    bases = [*np.cumsum([0.0, *sizes[:-2]]).tolist(), 0.0]
    plot = figure(
        340,
        "",
        f"time per {'token' if fall.phase == 'decode' else 'prompt'} (ms)",
        showlegend=False,
        bargap=0.35,
        margin={"l": 64, "r": 16, "t": 40, "b": 72},
    )
    plot.update_xaxes(tickangle=0)
    plot.add_bar(
        x=names,
        y=[1e3 * size for size in sizes],
        base=[1e3 * base for base in bases],
        marker_color=[COLOURS[part.kind] for part in parts] + [COLOURS["measured"]],
        text=[
            f"{words(size, 's')}<br>{size / fall.measured:.0%}" if name != "measured" else words(size, "s")
            for name, size in zip(names, sizes)
        ],
        textposition="outside",
        cliponaxis=False,
        customdata=helps,
        hovertemplate="%{x}: %{text}<br>%{customdata}<extra></extra>",
    )
    plot.update_yaxes(range=[0, 1.2e3 * max(base + size for base, size in zip(bases, sizes))])
    return plot
