"""The waterfall: from what physics needs to what it took."""

import numpy as np
import plotly.graph_objects as go

from profiler.analysis.waterfall import Waterfall
from profiler.figures.style import COLOURS, figure
from profiler.spec.units import words

TITLES = {"kernels": "+ slower {}", "framework": "+ {}", "waiting": "+ {}", "untold": "+ {}"}
ROW = 36  # pixels of a bar with its room


def waterfall_figure(fall: Waterfall) -> go.Figure:
    """Bars that begin where the one above ended, in milliseconds; the last one is the measured median. Names fit a phone."""
    parts = [part for part in fall.parts if part.kind != "waiting" or part.seconds > 0.005 * fall.measured]
    names = [TITLES.get(part.kind, "{}").format(part.name) for part in parts] + ["measured"]
    sizes = [part.seconds for part in parts] + [fall.measured]
    helps = [part.help for part in parts] + ["The median of all timed steps."]
    bases = [*np.cumsum([0.0, *sizes[:-2]]).tolist(), 0.0]
    unit = f"time per {'token' if fall.phase == 'decode' else 'prompt'} (ms)"
    plot = figure(80 + ROW * len(names), unit, "", showlegend=False, bargap=0.3, margin={"l": 8, "r": 16, "t": 8, "b": 48})
    plot.add_bar(
        y=names,
        x=[1e3 * size for size in sizes],
        base=[1e3 * base for base in bases],
        orientation="h",
        marker_color=[COLOURS[part.kind] for part in parts] + [COLOURS["measured"]],
        text=[f"{words(size, 's')}, {size / fall.measured:.0%}" for size in sizes[:-1]] + [words(fall.measured, "s")],
        textposition="outside",
        cliponaxis=False,
        customdata=helps,
        hovertemplate="%{y}: %{text}<br>%{customdata}<extra></extra>",
    )
    plot.update_xaxes(range=[0, 1.25e3 * max(base + size for base, size in zip(bases, sizes))])
    plot.update_yaxes(autorange="reversed", automargin=True)
    return plot
