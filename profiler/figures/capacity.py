"""What fits into memory: one stacked bar against the memory there is, and the frontier of batch and context."""

import plotly.graph_objects as go

from profiler.figures.curves import GREY
from profiler.figures.style import BLUE, COLOURS, GREEN, RED, figure
from profiler.spec.units import words

LOW = {"orientation": "h", "y": -0.55, "x": 0, "traceorder": "normal"}


def capacity_figure(parts: dict[str, float], room: float) -> go.Figure:
    """Bytes by purpose on one bar; the memory there is as a dashed line, red where the bar goes beyond."""
    over = sum(parts.values()) > room
    plot = figure(230, "memory (GB)", "", barmode="stack", legend=LOW, margin={"l": 16, "r": 16, "t": 32, "b": 110})
    for name, size in parts.items():
        plot.add_bar(
            y=["needed"],
            x=[size / 1e9],
            name=f"{name} {words(size, 'B')}",
            orientation="h",
            marker_color=COLOURS[name],
            hovertemplate=f"{name}: {words(size, 'B')}<extra></extra>",
        )
    plot.add_vline(
        x=room / 1e9,
        line={"dash": "dash", "color": RED if over else GREY, "width": 2},
        annotation_text=f"free: {words(room, 'B')}",
        annotation_position="top left",
    )
    plot.update_xaxes(range=[0, 1.05 * max(room, sum(parts.values())) / 1e9])
    plot.update_yaxes(showticklabels=False)
    return plot


def frontier_figure(contexts: list[int], batches: list[int], here: tuple[int, int]) -> go.Figure:
    """The largest batch at each context, both logarithmic; below the line all fits. `here` is (context, batch) as chosen."""
    plot = figure(340, "context of each sequence (tokens)", "sequences at once")
    fits = here[1] <= max((batch for context, batch in zip(contexts, batches) if context >= here[0]), default=0)
    fitting = [(context, batch) for context, batch in zip(contexts, batches) if batch]
    plot.add_scatter(
        x=[context for context, _ in fitting],
        y=[batch for _, batch in fitting],
        mode="lines",
        name="the most that fits",
        line={"color": GREEN, "width": 3},
        fill="tozeroy",
        fillcolor=f"rgba({', '.join(str(int(GREEN[at : at + 2], 16)) for at in (1, 3, 5))}, 0.15)",
        hovertemplate="%{x:,} tokens: up to %{y:,} sequences<extra></extra>",
    )
    plot.add_scatter(
        x=[here[0]],
        y=[here[1]],
        mode="markers",
        name="your choice",
        marker={"size": 14, "color": BLUE if fits else RED, "symbol": "diamond"},
        hovertemplate="your choice: %{x:,} tokens, %{y:,} sequences<extra></extra>",
    )
    ticks = [1 << power for power in range(4, 24, 2) if contexts[0] <= 1 << power <= contexts[-1]]
    plot.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{tick:,}" for tick in ticks])
    plot.update_yaxes(type="log", dtick=1, tickformat=",", rangemode="normal")
    return plot
