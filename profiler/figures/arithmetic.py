"""Where the arithmetic goes: shares of the operators, and how attention's share grows with the prompt."""

import numpy as np
import plotly.graph_objects as go

from profiler.analysis.arithmetic import attention_share, prompt_flops, token_flops
from profiler.figures.curves import CYCLE, GREY
from profiler.figures.style import BLUE, RED, figure
from profiler.spec.model import ModelSpec
from profiler.spec.units import words

ATTENTION = "attention itself"


def operators_figure(model: ModelSpec, tokens: int) -> go.Figure:
    """Two stacked bars of shares (%): a whole prompt of `tokens` tokens, and the one token that is written after it."""
    rows = {"prompt": prompt_flops(model, tokens), "next token": token_flops(model, tokens)}
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "traceorder": "normal"}
    plot = figure(260, "share of the arithmetic (%)", "", barmode="stack", margin={"l": 16, "r": 16, "t": 64, "b": 48}, legend=legend)
    others = [name for name in next(iter(rows.values())) if name != ATTENTION]
    for name, colour in [(ATTENTION, RED), *zip(others, (colour for colour in CYCLE * 2 if colour != RED))]:
        counted = [row.get(name, 0.0) for row in rows.values()]
        plot.add_bar(
            y=list(rows),
            x=[100 * count / sum(row.values()) for count, row in zip(counted, rows.values())],
            name=name,
            orientation="h",
            marker_color=colour,
            customdata=[words(count, "FLOP") for count in counted],
            hovertemplate=f"{name}: %{{x:.1f}} %, %{{customdata}}<extra></extra>",
        )
    plot.update_yaxes(autorange="reversed", automargin=True)
    plot.update_xaxes(range=[0, 100])
    return plot


def attention_figure(model: ModelSpec, tokens: int, overtakes: int | None) -> go.Figure:
    """Attention's share of a prompt's arithmetic (%) against its length; the chosen length, the model's limit, the overtaking."""
    lengths = np.unique(np.geomspace(16, max(4 * model.context, 2 * (overtakes or 0)), 60).round().astype(int)).tolist()
    plot = figure(300, "tokens of prompt", "attention's share (%)")
    plot.add_scatter(
        x=lengths,
        y=[100 * attention_share(prompt_flops(model, length)) for length in lengths],
        mode="lines",
        name=ATTENTION,
        line={"color": RED, "width": 3},
        hovertemplate="%{x:,} tokens: %{y:.1f} %<extra></extra>",
    )
    plot.add_scatter(
        x=[tokens],
        y=[100 * attention_share(prompt_flops(model, tokens))],
        mode="markers",
        name="your choice",
        marker={"size": 13, "color": BLUE, "symbol": "diamond"},
        hovertemplate="%{x:,} tokens: %{y:.1f} %<extra></extra>",
    )
    plot.add_scatter(
        x=[model.context] * 2,
        y=[0, 100],
        mode="lines",
        name=f"made for {model.context:,} tokens",
        line={"color": GREY, "dash": "dot"},
        hoverinfo="skip",
    )
    ticks = [1 << power for power in range(4, 26, 2) if 1 << power <= lengths[-1]]
    plot.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{tick:,}" for tick in ticks])
    plot.update_yaxes(range=[0, 100])
    return plot
