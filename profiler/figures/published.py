"""What others measured of compressed models, and what is predicted on other hardware, as figures. Plain values in, figures out."""

from math import log10

import plotly.graph_objects as go

from profiler.analysis.elsewhere import Elsewhere
from profiler.figures.curves import CYCLE, GREY
from profiler.figures.style import BLUE, GREEN, RED, SKY, figure
from profiler.spec.units import number, words

TALL = 380  # pixels
LEAST = 1e-4  # of a rise on a logarithmic axis: a tenth of a thousandth
LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
NAMED = ("q8_0", "q6_k", "q4_k_m", "q2_k", "iq1_s")  # methods whose names stand in a figure
Point = tuple[float, float, str]  # bits of a weight, value, method
PRUNERS = {"magnitude": RED, "SparseGPT": SKY, "Wanda": BLUE}


def bits_figure(lines: dict[str, list[Point]], axis: str, scale: float = 1.0) -> go.Figure:
    """A loss (its unit in `axis`, its values times `scale`) against bits of a weight, by model, losses logarithmic; methods as marks."""
    plot = figure(TALL, "bits of a weight", axis, legend=LEGEND)
    several = len(lines) > 1
    for at, (model, points) in enumerate(lines.items()):
        known = sorted((bits, max(scale * value, scale * LEAST), method) for bits, value, method in points if bits)
        plot.add_scatter(
            x=[bits for bits, _, _ in known],
            y=[value for _, value, _ in known],
            mode="markers+text",
            name=model,
            text=[method if method.lower() in NAMED and (at == 0 or not several) else "" for _, _, method in known],
            textposition="top right",
            marker={"size": 9, "color": CYCLE[at], "symbol": ["circle", "square", "diamond"][at % 3]},
            customdata=[[method, number(value, 2)] for _, value, method in known],
            hovertemplate=f"{model}, %{{customdata[0]}}<br>%{{x:.3g}} bits: %{{customdata[1]}}<extra></extra>",
            showlegend=several,
        )
    plot.update_yaxes(type="log", dtick=1, tickformat="~g")
    plot.update_xaxes(range=[1, 10])
    return plot


def speed_figure(points: list[Point], model: str) -> go.Figure:
    """Tokens/s relative to 16 bits against bits of a weight: what a pure reader of memory would do is the line."""
    plot = figure(TALL, "bits of a weight", "decode speed over 16 bits (×)", legend=LEGEND)
    bits = [1.5 + 0.1 * step for step in range(86)]
    plot.add_scatter(
        x=bits,
        y=[16 / value for value in bits],
        mode="lines",
        name="if only reading took time",
        line={"color": GREEN, "dash": "dot", "width": 2},
        hoverinfo="skip",
    )
    order = sorted(points)
    plot.add_scatter(
        x=[at for at, _, _ in order],
        y=[value for _, value, _ in order],
        mode="markers+text",
        name=f"measured, {model}",
        text=[method if method.lower() in NAMED else "" for _, _, method in order],
        textposition="bottom center",
        marker={"size": 9, "color": BLUE},
        customdata=[method for _, _, method in order],
        hovertemplate="%{customdata}, %{x:.3g} bits: %{y:.2f} ×<extra></extra>",
    )
    plot.update_xaxes(range=[1, 10])
    plot.update_yaxes(range=[0, 8.5])
    return plot


def pruning_figure(rises: dict[str, dict[str, dict[str, float]]], pattern: str) -> go.Figure:
    """Rise of perplexity (%), logarithmic, by model, for each way of choosing the zeros: model → pattern → criterion → share."""
    plot = figure(TALL, "model", f"rise of perplexity at {pattern} zeros (%)", legend=LEGEND, barmode="group", bargap=0.3)
    for criterion, colour in PRUNERS.items():
        values = [100 * found[pattern][criterion] for found in rises.values()]
        plot.add_bar(
            x=list(rises),
            y=values,
            name=criterion,
            marker_color=colour,
            text=[f"+{number(value, 2)} %" for value in values],
            textposition="outside",
            cliponaxis=False,
            hovertemplate=f"%{{x}}, {criterion}: +%{{y:.3g}} %<extra></extra>",
        )
    largest = max(100 * rise for found in rises.values() for rise in found[pattern].values())
    plot.update_yaxes(type="log", tickvals=[10, 30, 100, 300, 1000], tickformat="~g", range=[1, log10(largest) + 0.25])
    return plot


def elsewhere_figure(found: list[Elsewhere]) -> go.Figure:
    """Predicted tokens/s by format, with intervals; formats that do not fit into the memory are hollow."""
    plot = figure(
        90 + 42 * len(found), "decode speed (tokens/s)", "", legend=LEGEND, bargap=0.35, margin={"l": 8, "r": 16, "t": 40, "b": 48}
    )
    for fits, name, colour in ((True, "fits", BLUE), (False, "would not fit: as if there were room", GREY)):
        some = [one for one in found if one.choice.fits == fits]
        if not some:
            continue
        plot.add_bar(
            y=[one.title for one in some],
            x=[one.rate for one in some],
            orientation="h",
            name=name,
            marker={"color": colour if fits else "rgba(0,0,0,0)", "line": {"color": colour, "width": 1.5}},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [one.interval[1] - one.rate for one in some],
                "arrayminus": [one.rate - one.interval[0] for one in some],
                "thickness": 1.2,
                "color": GREY,
            },
            customdata=[[f"{one.gain:.2f} ×", words(float(one.choice.estimate.memory), "B")] for one in some],
            hovertemplate="%{y}: %{x:.3g} tokens/s, %{customdata[0]}<br>needs %{customdata[1]}<extra></extra>",
        )
    plot.add_scatter(
        y=[one.title for one in found],
        x=[one.interval[1] for one in found],
        mode="text",
        text=[f"  {one.gain:.2f} ×, {words(float(one.choice.estimate.memory), 'B')}" for one in found],
        textposition="middle right",
        cliponaxis=False,
        showlegend=False,
        hoverinfo="skip",
    )
    titles = [one.title for one in found]
    plot.update_yaxes(type="category", categoryorder="array", categoryarray=titles, autorange="reversed", automargin=True)
    plot.update_xaxes(range=[0, 1.35 * max(one.interval[1] for one in found)])
    return plot
