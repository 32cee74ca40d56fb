"""Methods of compression as figures: speed against quality, the forecast beside what was measured, and layers that bear it badly."""

from math import asinh, log10, sinh

import plotly.graph_objects as go

from profiler.analysis.compression import Aim, Variant, undominated
from profiler.analysis.compression_words import loss_words, times
from profiler.figures.curves import GREY
from profiler.figures.style import BLUE, GREEN, ORANGE, PINK, RED, SKY, figure
from profiler.spec.methods import BASELINE
from profiler.spec.units import number, words

TALL = 420  # pixels
KINDS = {"baseline": GREY, "weights": BLUE, "KV cache": SKY, "zeros": ORANGE, "structure": PINK, "engine": GREEN}
DIM = 0.35  # opacity of what another variant beats in both
LINEAR = 1.0  # percent: below it the axis of losses is nearly linear, beyond it logarithmic
TICKS = (-10, -3, -1, 0, 1, 3, 10, 30, 100, 300, 1000, 10_000, 100_000)  # percent
LIFT = 0.45  # on that axis, by which neighbouring predictions stand above each other
ALIKE = 1.03  # times the speed: predictions closer than this are one mark
LETTER = 6.2  # pixels of one in an axis' names
LARGEST = 40.0  # pixels of the largest bubble
LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
SIDES = {"baseline": ("top center",), "structure": ("middle right",), "KV cache": ("top right",)}


def squeezed(percent: float) -> float:
    """A loss in percent as a place on the axis: asinh, which takes 0 and +10,000 % alike."""
    return asinh(percent / LINEAR)


def stretched(place: float) -> float:
    """The loss in percent at a place on that axis."""
    return LINEAR * sinh(place)


def pareto_figure(found: list[Variant], aims: list[Aim]) -> go.Figure:
    """Decode speed (tokens/s) to the right, loss of perplexity (%) downwards, so that the best is at the top right; a bubble is
    as large as the weights. What has not landed yet is hollow, at the lower edge, where it is predicted to be on the axis of speed.
    """
    plot = figure(
        TALL, "decode speed (tokens/s)", "rise of perplexity over float32 (%)", legend=LEGEND | {"itemsizing": "constant"}, showlegend=True
    )
    judged = [one for one in found if one.quality]
    front = undominated(judged)
    losses = [end for one in judged if one.quality for end in (*one.quality.loss_interval, one.quality.loss)]
    low, high = _ends([100 * loss for loss in losses])
    _front(plot, front)
    for kind in dict.fromkeys(one.kind for one in judged):
        _bubbles(plot, [one for one in judged if one.kind == kind], kind, front, max(one.weights for one in judged))
    landed = {one.name for one in found}
    _foretold(plot, [aim for aim in aims if aim.name not in landed], high - 0.04 * (high - low))
    seen = [one.rate for one in judged] + [aim.rate or aim.most for aim in aims if aim.name not in landed]
    ticks = [tick for tick in TICKS if low <= squeezed(tick) <= high] if judged else [0, 1, 10, 100]
    plot.update_yaxes(
        tickvals=[squeezed(tick) for tick in ticks],
        ticktext=[f"{tick:+,}" if tick else "0" for tick in ticks],
        range=[high, low],
        zeroline=True,
    )
    plot.update_xaxes(range=[0, 1.22 * max(seen, default=1.0)])
    return plot


def _ends(losses: list[float]) -> tuple[float, float]:
    """Both ends of the axis of losses, with room for bubbles at the top and for predictions at the bottom."""
    places = [squeezed(loss) for loss in losses] or [0.0, squeezed(100)]
    low, high = min([*places, 0.0]), max([*places, squeezed(3)])
    room = high - low
    return low - 0.25 * room, high + 0.2 * room


def _front(plot: go.Figure, front: list[Variant]) -> None:
    """The line through what nobody beats: a step from each to the next faster one."""
    points = [(one.rate, squeezed(100 * one.quality.loss)) for one in front if one.quality]
    plot.add_scatter(
        x=[rate for rate, _ in points],
        y=[place for _, place in points],
        mode="lines",
        name="the front",
        line={"color": GREEN, "width": 2, "dash": "dot", "shape": "vh"},
        hoverinfo="skip",
        showlegend=len(points) > 1,
    )


def _bubbles(plot: go.Figure, ones: list[Variant], kind: str, front: list[Variant], largest: float) -> None:
    """Measured variants of one kind, with their intervals in both directions."""
    loss = [one.quality for one in ones if one.quality]
    order, sides = (
        sorted(ones, key=lambda one: one.quality.loss if one.quality else 0.0),
        SIDES.get(kind, ("top center", "bottom center")),
    )  # of the labels
    places = [squeezed(100 * each.loss) for each in loss]
    ends = [[squeezed(100 * end) for end in each.loss_interval] for each in loss]
    plot.add_scatter(
        x=[one.rate for one in ones],
        y=places,
        mode="markers+text",
        name=kind,
        text=[one.label for one in ones],
        textposition=[sides[order.index(one) % len(sides)] for one in ones],
        cliponaxis=False,
        marker={
            "color": KINDS.get(kind, BLUE),
            "size": [max(LARGEST * (one.weights / largest) ** 0.5, 10) for one in ones],
            "opacity": [0.85 if one in front or one.name == BASELINE else DIM for one in ones],
            "symbol": ["circle-open" if one.disturbed else "circle" for one in ones],
            "line": {"width": 2 if any(one.disturbed for one in ones) else 0},
        },
        error_x=_error([one.rate for one in ones], [one.rate_interval for one in ones]),
        error_y=_error(places, ends),
        customdata=[
            [one.title, words(one.weights, "B"), times(one), loss_words(each.loss), each.garbage or f"{number(each.perplexity)} perplexity"]
            for one, each in zip(ones, loss)
        ],
        hovertemplate="%{customdata[0]}<br>%{x:.3g} tokens/s, %{customdata[2]}<br>%{customdata[3]}, %{customdata[4]}<br>"
        "weights: %{customdata[1]}<extra></extra>",
    )


def _error(middles: list[float], ends) -> dict:
    """Whiskers of 95 % intervals."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(high - middle, 0.0) for middle, (_, high) in zip(middles, ends)],
        "arrayminus": [max(middle - low, 0.0) for middle, (low, _) in zip(middles, ends)],
        "thickness": 1.2,
        "width": 3,
        "color": GREY,
    }


def _foretold(plot: go.Figure, aims: list[Aim], place: float) -> None:
    """Speeds that are predicted, along the lower axis, and where the kernels are not known, what physics allows at most."""
    for name, symbol, some in (
        ("predicted speed; quality is not foretold", "diamond-open", [aim for aim in aims if aim.rate]),
        ("physics allows at most", "line-ns-open", [aim for aim in aims if not aim.rate]),
    ):
        if some:
            told = _together(some)
            plot.add_scatter(
                x=[rate for rate, _ in told],
                y=[place - LIFT * (at % 3) for at, _ in enumerate(told)],
                mode="markers+text",
                name=name,
                text=[label for _, label in told],
                textposition="top center",
                cliponaxis=False,
                marker={"symbol": symbol, "size": 13, "color": GREY, "line": {"width": 2}},
                hovertemplate="%{text}: %{x:.3g} tokens/s<extra></extra>",
            )


def _together(aims: list[Aim]) -> list[tuple[float, str]]:
    """(tokens/s, names) from the slowest on; what is foretold the same speed is one mark."""
    found: list[tuple[float, list[str]]] = []
    for aim in sorted(aims, key=lambda aim: aim.rate or aim.most):
        rate = aim.rate or aim.most
        if found and rate < ALIKE * found[-1][0]:
            found[-1][1].append(aim.label)
        else:
            found.append((rate, [aim.label]))
    return [(rate, names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more") for rate, names in found]


def bars_figure(found: list[Variant], aims: list[Aim], what: str) -> go.Figure:
    """Of random weights, which have no quality: decode speed ("speed") or bytes of the weights ("weights") of each method."""
    unit = "decode speed (tokens/s)" if what == "speed" else "weights as held in memory (GB)"
    plot = figure(TALL - 60, "", unit, legend=LEGEND, bargap=0.35)
    plot.update_xaxes(title_text="method")
    landed = {one.name: one for one in found}
    order = list(dict.fromkeys([aim.label for aim in aims] + [one.label for one in found]))
    values = [one.rate if what == "speed" else one.weights / 1e9 for one in found]
    first = values[0] if values else next((aim.rate or aim.most for aim in aims), None) if what == "speed" else None
    _level(plot, order, first, "uncompressed")
    if what == "speed":
        waiting = [aim for aim in aims if aim.name not in landed]
        plot.add_scatter(
            x=[aim.label for aim in waiting],
            y=[aim.rate or aim.most for aim in waiting],
            mode="markers",
            name="predicted, or the most that physics allows",
            marker={"symbol": "diamond-open", "size": 12, "color": GREY, "line": {"width": 2}},
            hovertemplate="%{x}: %{y:.3g} tokens/s<extra></extra>",
            showlegend=bool(waiting),
        )
    plot.add_bar(
        x=[one.label for one in found],
        y=values,
        marker_color=[KINDS.get(one.kind, BLUE) for one in found],
        text=[(times(one) if one.gain else "") if what == "speed" else words(one.weights, "B") for one in found],
        textposition="outside",
        cliponaxis=False,
        showlegend=False,
        error_y=_error(values, [one.rate_interval for one in found]) if what == "speed" else None,
        customdata=[one.title for one in found],
        hovertemplate="%{customdata}: %{y:.3g}<extra></extra>",
    )
    plot.update_xaxes(categoryorder="array", categoryarray=order)
    plot.update_yaxes(rangemode="tozero")
    return plot


def _level(plot: go.Figure, order: list[str], value: float | None, name: str) -> None:
    """A dashed line over all columns."""
    if value is not None:
        plot.add_scatter(
            x=order, y=[value] * len(order), mode="lines", name=name, line={"color": GREY, "dash": "dash", "width": 1.5}, hoverinfo="skip"
        )


def forecast_figure(found: list[Variant], aims: list[Aim]) -> go.Figure:
    """Times as fast as the uncompressed model, logarithmic: by its bytes and FLOPs alone, as expected with the interval, as measured.

    The first is a ratio of least times, and no limit: another engine may also drop what passes between the kernels.
    """
    plot = figure(TALL, "method", "times as fast as uncompressed (×)", legend=LEGEND)
    aims = [aim for aim in aims if aim.name != BASELINE]
    measured = [one for one in found if one.gain]
    order = list(dict.fromkeys([aim.label for aim in aims] + [one.label for one in measured]))
    _level(plot, order, 1.0, "as fast")
    known = [(aim.label, aim.forecast.expected, aim.forecast.low or 0.0, aim.forecast.high or 0.0) for aim in aims if aim.forecast.expected]
    plot.add_bar(
        x=[label for label, *_ in known],
        y=[high - low for *_, low, high in known],
        base=[low for *_, low, _ in known],
        width=0.5,
        marker={"color": BLUE, "opacity": 0.3},
        name="expected",
        customdata=[f"{middle:.2f} ({low:.2f} to {high:.2f})" for _, middle, low, high in known],
        hovertemplate="%{x}<br>expected: × %{customdata}<extra></extra>",
        showlegend=bool(known),
    )
    plot.add_scatter(
        x=[aim.label for aim in aims],
        y=[aim.forecast.physics for aim in aims],
        mode="markers",
        name="by fewer bytes alone",
        marker={"symbol": "line-ew-open", "size": 22, "color": GREEN, "line": {"width": 3}},
        hovertemplate="%{x}<br>if time followed bytes and FLOPs alone: × %{y:.2f}<extra></extra>",
    )
    gains = [one.gain for one in measured if one.gain]
    plot.add_scatter(
        x=[one.label for one in measured],
        y=[middle for middle, *_ in gains],
        mode="markers",
        name="measured",
        marker={"size": 11, "color": RED, "symbol": ["circle-open" if one.disturbed else "circle" for one in measured]},
        error_y=_error([middle for middle, *_ in gains], [(low, high) for _, low, high in gains]),
        hovertemplate="%{x}<br>measured × %{y:.2f}<extra></extra>",
    )
    ends = (
        [value for _, _, low, high in known for value in (low, high)]
        + [aim.forecast.physics for aim in aims]
        + [end for gain in gains for end in gain]
    )
    span = [log10(min([0.8, *(end for end in ends if end > 0)])) - 0.05, log10(max([1.5, *ends])) + 0.08]
    plot.update_yaxes(type="log", tickvals=[0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 12, 16], tickformat="~g", range=span)
    plot.update_xaxes(categoryorder="array", categoryarray=order)
    return plot


def same_scale(plots: list[go.Figure]) -> list[go.Figure]:
    """The same figures, their axes of time as long as the longest one's, with equal room for the names of the parts."""
    longest = max(plot.layout.xaxis.range[1] for plot in plots)
    names = max((len(name) for plot in plots for trace in plot.data for name in trace.y), default=0)
    for plot in plots:
        plot.update_xaxes(range=[0, longest])
        plot.update_yaxes(automargin=False)
        plot.update_layout(margin_l=16 + LETTER * names)
    return plots
