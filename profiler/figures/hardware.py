"""Many devices side by side: how long each takes, what on, under which roof, and what its speed costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10

import numpy as np
import plotly.graph_objects as go

from profiler.analysis.fleet import Choice, Standing, front, peak
from profiler.figures.curves import CYCLE, GREY
from profiler.figures.style import BLUE, GREEN, ORANGE, PINK, RED, SKY, figure
from profiler.spec.units import words

# what a step's seconds are spent on: (its name on the page, colour)
SPENT = {
    "memory": ("moving bytes", GREEN),
    "compute": ("calculating", ORANGE),
    "overhead": ("overhead", RED),
    "communication": ("between devices", PINK),
}
PHASES = {"decode": "time per token (ms)", "prefill": "time to first token (ms)", "texts": "time of a batch of texts (ms)"}
GAP = "\u00a0" * 3  # between a dot and its number
LIFT = '<br><span style="font-size:5px"> </span>'  # a name above the points beside its own
ROW = 30  # pixels of one device
LOW = {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "xanchor": "left", "traceorder": "normal"}
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
# axis of the front: (title, factor to the axis's unit)
AGAINST = {
    "cost": ("cost per million tokens", 1.0),
    "energy": ("energy per token (J)", 1.0),
    "bandwidth": ("memory bandwidth (GB/s)", 1e-9),
    "memory": ("memory (GB)", 1e-9),
}


def named(one: Choice) -> str:
    """What a device is called on an axis."""
    return f"★ {one.device.title}" if one.own else one.device.title


@dataclass(frozen=True)
class Seen:
    """This machine's own row: (time, low, high) in seconds, as measured and as predicted for that very run."""

    name: str
    measured: tuple[float, float, float]
    predicted: tuple[float, float, float] | None = None


def times_figure(choices: Sequence[Choice], phase: str, here: Seen | None = None) -> go.Figure:
    """Milliseconds as dots with their intervals, logarithmic, the first device on top; hollow where the memory is too small."""
    what = phase if all(one.writes for one in choices) else "texts"
    plot = _rows([named(one) for one in choices] + ([here.name] if here else []), PHASES[what])
    groups = (
        ("predicted", [one for one in choices if one.fits and not one.own], BLUE, "circle"),
        ("your device", [one for one in choices if one.fits and one.own], ORANGE, "star"),
        ("memory too small: if it had room", [one for one in choices if not one.fits], GREY, "circle-open"),
    )
    for name, chosen, colour, symbol in groups:
        if chosen:
            seconds = [(one.timed(phase).time, one.timed(phase).low, one.timed(phase).high) for one in chosen]
            notes = [f"{one.estimate.origin} · {one.deployment.engine}" for one in chosen]
            _dots(plot, [named(one) for one in chosen], seconds, notes, (name, colour, symbol))
            _written(plot, [named(one) for one in chosen], [high for *_, high in seconds], [words(middle, "s") for middle, *_ in seconds])
    if here:
        _own_row(plot, here)
    ends = _ends(choices, phase, here)
    plot.update_xaxes(type="log", dtick="D2" if ends[1] - ends[0] < 2 else 1, tickformat="~g", range=ends)
    return plot


def _own_row(plot: go.Figure, here: Seen) -> None:
    """What was measured on this machine over what was predicted for it."""
    number, end = words(here.measured[0], "s"), here.measured[2]
    if here.predicted:
        _dots(plot, [here.name], [here.predicted], ["predicted for this run"], ("predicted, on its own ceilings", SKY, "circle-open"))
        number, end = f"{number}, predicted {words(here.predicted[0], 's')}", max(end, here.predicted[2])
    _dots(plot, [here.name], [here.measured], ["95 % interval of the median"], ("measured here", GREEN, "diamond"))
    _written(plot, [here.name], [end], [number])


def _written(plot: go.Figure, names: list[str], ends: list[float], numbers: list[str]) -> None:
    """Numbers behind the whiskers, which end at `ends` seconds."""
    plot.add_scatter(
        x=[1e3 * end for end in ends],
        y=names,
        text=[f"{GAP}{number}" for number in numbers],
        mode="text",
        textposition="middle right",
        showlegend=False,
        hoverinfo="skip",
        cliponaxis=False,
    )


def _ends(choices: Sequence[Choice], phase: str, here: Seen | None) -> tuple[float, float]:
    """Exponents of the axis's ends, in ms; on the right there is room for a number."""
    spans = [(one.timed(phase).low, one.timed(phase).high) for one in choices]
    spans += [interval[1:] for interval in (here.measured, here.predicted) if interval] if here else []
    low, high = log10(1e3 * min(low for low, _ in spans)), log10(1e3 * max(high for _, high in spans))
    return low - 0.04 * (high - low) - 0.02, high + (0.5 if here and here.predicted else 0.24) * (high - low) + 0.1


def _dots(plot: go.Figure, names: list[str], seconds: list[tuple], notes: list[str], style: tuple[str, str, str]) -> None:
    name, colour, symbol = style
    milliseconds = 1e3 * np.array(seconds, float).reshape(-1, 3)
    middle, low, high = milliseconds.T
    said = [[words(value / 1e3, "s") for value in row] for row in milliseconds]
    plot.add_scatter(
        x=middle,
        y=names,
        error_x={"type": "data", "symmetric": False, "array": high - middle, "arrayminus": middle - low, "thickness": 1.5, "width": 4},
        mode="markers",
        name=name,
        marker={"size": 11, "color": colour, "symbol": symbol, "line": {"width": 2, "color": colour}},
        customdata=[[*row, note] for row, note in zip(said, notes)],
        hovertemplate="%{y}: %{customdata[0]}<br>interval %{customdata[1]} to %{customdata[2]}<br>%{customdata[3]}<extra></extra>",
    )


def shares_figure(choices: Sequence[Choice], phase: str) -> go.Figure:
    """What each device's time is spent on, in percent, in the same order."""
    plot = _rows([named(one) for one in choices], "share of the time (%)")
    plot.update_layout(barmode="stack", bargap=0.35)
    for kind, (name, colour) in SPENT.items():
        parts = [getattr(one.timed(phase).spent, kind) for one in choices]
        shares = [100 * float(part / one.timed(phase).time) for part, one in zip(parts, choices)]
        if max(shares, default=0.0) < 0.05:
            continue
        plot.add_bar(
            x=shares,
            y=[named(one) for one in choices],
            orientation="h",
            name=name,
            marker_color=colour,
            customdata=[words(float(part), "s") for part in parts],
            hovertemplate=f"%{{y}}<br>{name}: %{{customdata}}, %{{x:.0f}} %<extra></extra>",
        )
    plot.update_xaxes(range=[0, 100])
    return plot


def _rows(names: list[str], x: str) -> go.Figure:
    """An empty figure with one row a device."""
    plot = figure(96 + ROW * max(len(names), 3), x, "", legend=LOW, margin={"l": 8, "r": 16, "t": 34, "b": 48})
    plot.update_yaxes(type="category", categoryorder="array", categoryarray=names, autorange="reversed", automargin=True, title_text=None)
    return plot


def devices_roofline(standings: Sequence[tuple[Choice, list[Standing]]]) -> go.Figure:
    """The paper roofs of a few devices, and where this workload stands under them."""
    intensities = [point.intensity for _, points in standings for point in points]
    ridges = [peak(one.deployment) / one.device.bandwidth for one, _ in standings]
    low, high = min([*intensities, *ridges]) / 3, max([*intensities, *ridges]) * 4
    x = np.geomspace(low, high, 40)
    plot = figure(460, "arithmetic intensity (FLOP per byte)", "rate of one device (FLOP/s)", legend=LOW, margin=_margin(len(standings)))
    for number, (one, points) in enumerate(standings):
        colour, top = CYCLE[number % len(CYCLE)], peak(one.deployment)
        plot.add_scatter(
            x=x,
            y=np.minimum(x * one.device.bandwidth, top),
            mode="lines",
            name=named(one),
            legendgroup=named(one),
            line={"color": colour, "width": 2, "dash": DASHES[number % len(DASHES)]},
            hovertemplate=f"{named(one)}: {words(one.device.bandwidth, 'B/s')}, {words(top, 'FLOP/s')} on paper<extra></extra>",
        )
        roofs = [min(point.intensity * one.device.bandwidth, top) for point in points]
        plot.add_scatter(
            x=[point.intensity for point in points],
            y=[point.rate for point in points],
            mode="markers",
            showlegend=False,
            legendgroup=named(one),
            marker={"size": 13, "color": colour, "symbol": [SYMBOLS[point.phase] for point in points]},
            customdata=[[point.phase, f"{point.rate / roof:.0%}"] for point, roof in zip(points, roofs)],
            hovertemplate=f"{named(one)}, %{{customdata[0]}}<br>%{{x:.3g}} FLOP/B, %{{y:.3s}}FLOP/s: %{{customdata[1]}} of the roof"
            "<extra></extra>",
        )
    for phase, symbol in SYMBOLS.items():
        if any(point.phase == phase for _, points in standings for point in points):
            marker = {"size": 11, "color": GREY, "symbol": symbol}
            plot.add_scatter(x=[None], y=[None], mode="markers", name=phase, marker=marker)
    plot.update_xaxes(type="log", dtick=1, tickformat="~g", range=[log10(low), log10(high)])
    plot.update_yaxes(type="log", dtick=1, tickformat="~s")
    return plot


SYMBOLS = {"prefill": "diamond", "decode": "circle"}


def _margin(entries: int) -> dict[str, int]:
    """Room for a legend that wraps on a narrow screen."""
    return {"l": 64, "r": 16, "t": 40 + 12 * entries, "b": 48}


def front_figure(choices: Sequence[Choice], against: str, chosen: Sequence[Choice] = ()) -> go.Figure:
    """Tokens/s against what they cost, both logarithmic; the line joins the devices that none beats in both."""
    title, _ = AGAINST[against]
    rated = "tokens/s, all sequences together" if not choices or choices[0].writes else "texts/s"
    plot = figure(460, title, rated, legend=LOW)
    costs = [(one, cost) for one in choices if (cost := spending(one, against)) is not None]
    best = [costs[at] for at in front([(cost, one.rate) for one, cost in costs])]
    names = {id(one) for one, _ in best}
    rest = [pair for pair in costs if id(pair[0]) not in names]
    _crowd(plot, rest, "other devices", {"size": 7, "color": GREY, "opacity": 0.55})
    marked = [pair for pair in costs if any(pair[0] is one for one in chosen)]
    _crowd(plot, marked, "compared above", {"size": 14, "color": BLUE, "symbol": "circle-open", "line": {"width": 2}})
    plot.add_scatter(
        x=[cost for _, cost in best],
        y=[one.rate for one, _ in best],
        mode="lines",
        line={"color": ORANGE, "width": 2, "shape": "hv"},
        showlegend=False,
        hoverinfo="skip",
    )
    _crowd(
        plot, best, "no device is both cheaper and faster" if against == "cost" else "none beats it in both", {"size": 11, "color": ORANGE}
    )
    rates = [log10(one.rate) for one, _ in costs] or [0.0]
    floor, top = min(rates), max(rates)
    labels = _apart(best, 0.06 * (top - floor))
    ends = _padded([cost for _, cost in costs])
    plot.add_scatter(
        x=[cost for _, cost in labels],
        y=[one.rate for one, _ in labels],
        text=[f"{shortened(named(one))}{LIFT}" for one, _ in labels],
        mode="text",
        textposition="top left",
        cliponaxis=False,
        showlegend=False,
        hoverinfo="skip",
    )
    span = [floor - 0.05 * (top - floor) - 0.05, top + 0.12 * (top - floor) + 0.05]
    plot.update_xaxes(type="log", dtick=_ticks(*ends), tickformat="~g", range=ends)
    plot.update_yaxes(type="log", dtick=_ticks(*span), tickformat="~g" if floor < 0 else "~s", range=span)
    return plot


def _ticks(low: float, high: float) -> str | int | None:
    """Where a logarithmic axis between two exponents has numbers: at powers of ten; at 2 and 5 too; where plotly finds best."""
    return 1 if high - low >= 2 else "D2" if high - low >= 1 else None


def spending(one: Choice, against: str) -> float | None:
    """What a device's speed is set against; None where it is not known."""
    values = {"cost": one.cost, "energy": one.energy, "bandwidth": one.device.bandwidth, "memory": one.device.memory}
    value = values[against]
    return None if value is None else float(value) * AGAINST[against][1]


def shortened(name: str, most: int = 22) -> str:
    """A name that fits beside a point."""
    return name if len(name) <= most else f"{name[: most - 1].rstrip()}…"


def _crowd(plot: go.Figure, pairs: list[tuple[Choice, float]], name: str, marker: dict) -> None:
    if pairs:
        plot.add_scatter(
            x=[cost for _, cost in pairs],
            y=[one.rate for one, _ in pairs],
            text=[named(one) for one, _ in pairs],
            mode="markers",
            name=name,
            marker=marker,
            hovertemplate="%{text}<br>%{x:.3g} against %{y:.3g} a second<extra></extra>",
        )


def _padded(costs: list[float]) -> tuple[float, float]:
    """Exponents of the axis's ends, with room for names on the left."""
    low, high = log10(min(costs, default=1.0)), log10(max(costs, default=1.0))
    return low - 0.35 * (high - low) - 0.15, high + 0.05 * (high - low) + 0.05


def _apart(best: list[tuple[Choice, float]], gap: float) -> list[tuple[Choice, float]]:
    """Those points of the front whose names would not print over each other, the fastest first; `gap` in decades."""
    kept: list[tuple[Choice, float]] = []
    for pair in reversed(best):
        if not kept or log10(kept[-1][0].rate / pair[0].rate) > gap:
            kept.append(pair)
    return kept
