"""Experiments as figures: the predicted line first, the measured points on the same axes as they land."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from profiler.analysis.compression import aims, variants
from profiler.analysis.experiment import Experiment, Landed, decode_cost, steady
from profiler.analysis.fits import line
from profiler.analysis.labs import Lab, Lines, predicted
from profiler.analysis.labs import aims as lab_aims
from profiler.analysis.libraries import racers
from profiler.analysis.promises import crossing_of
from profiler.analysis.sensitivity import cells, kept
from profiler.figures.batching import batching_figures
from profiler.figures.compression import bars_figure, forecast_figure, pareto_figure
from profiler.figures.curves import CYCLE, GREY, matmul_figure, staircase_figure
from profiler.figures.libraries import falls_figure
from profiler.figures.sensitivity import kept_figure, sensitivity_figure
from profiler.figures.style import GREEN, ORANGE, PINK, figure
from profiler.spec.machine import Ceilings
from profiler.spec.run import RunSpec
from profiler.spec.units import words

TALL = 400  # pixels
Drawn = tuple[str, go.Figure, str]  # name, figure, alternative text
LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}


@dataclass(frozen=True)
class View:
    """What there is to draw of an experiment: before, while, and after it is measured."""

    lab: Lab
    specs: list[RunSpec]
    roofs: dict[str, Ceilings]  # by number format; empty where nothing is known
    experiment: Experiment | None = None
    cache: int | None = None  # bytes of the last-level cache
    processor: str = ""  # this machine's name

    @property
    def lines(self) -> Lines:
        """The prediction."""
        return predicted(self.lab, self.specs, self.roofs)

    @property
    def landed(self) -> list[Landed]:
        """The measured points."""
        return self.experiment.landed(self.lab.place) if self.experiment and self.lab.place else []

    def points(self, curve: str) -> dict:
        """Points of a curve of the machine."""
        return self.experiment.points(curve) if self.experiment else {}


def figures(view: View) -> list[Drawn]:
    """The figures of an experiment, the main one first."""
    return FIGURES[view.lab.name](view)


def batch_figures(view: View) -> list[Drawn]:
    """Time of a step against batch, and the same points walking under the roofline."""
    told = f"{len(view.landed)} points measured"
    return [
        ("time", batch_figure(view), f"Time of one decode step against batch: predicted bound, {told}"),
        ("walk", walk_figure(view), f"Roofline: decode moves right as the batch grows, {told}"),
    ]


def batch_figure(view: View) -> go.Figure:
    """Milliseconds of a decode step against batch, both logarithmic; the two roofs dotted, their maximum and the crossing."""
    plot = figure(TALL, "batch: sequences generated side by side", "time per step (ms)", legend=LEGEND)
    for bounds in view.lines.values():
        x = [at for at, _ in bounds]
        roofs = (("reading memory", GREEN, [b.bandwidth for _, b in bounds]), ("arithmetic", ORANGE, [b.compute for _, b in bounds]))
        for name, colour, seconds in roofs:
            _curve(plot, x, seconds, f"physics: {name}", colour, "dot")
        _curve(plot, x, [b.time for _, b in bounds], "physics: the longer of both", GREY, "solid")
        if (at := crossing_of(view.specs, view.roofs)) and at <= x[-1]:
            ends = [min(b.compute for _, b in bounds), max([b.time for _, b in bounds] + [point.seconds for point in view.landed])]
            _curve(plot, [at, at], ends, f"predicted crossing, batch {at:.0f}", PINK, "dash")
    _measured(plot, view.landed)
    ticks = sorted({int(spec.generate.batch) for spec in view.specs})
    plot.update_xaxes(type="log", tickvals=ticks, ticktext=[str(tick) for tick in ticks])
    plot.update_yaxes(type="log", dtick="D2", tickformat="~g")
    return plot


def walk_figure(view: View) -> go.Figure:
    """FLOP/s against FLOP per byte: one point a batch, on the roof where physics would have it, and where it was measured."""
    plot = figure(TALL, "arithmetic intensity (FLOP per byte)", "rate (FLOP/s)", legend=LEGEND)
    costs = [(spec.generate.batch, decode_cost(spec)) for spec in view.specs]
    for ceilings in view.roofs.values():
        x = np.geomspace(min(cost.intensity for _, cost in costs) / 2, max(cost.intensity for _, cost in costs) * 2, 60)
        roof = np.minimum(x * ceilings.dram, ceilings.peak)
        name = f"roof: {words(ceilings.dram, 'B/s')}, {words(ceilings.peak, 'FLOP/s')}"
        plot.add_scatter(x=x, y=roof, mode="lines", name=name, line={"color": GREY, "width": 2}, hoverinfo="skip")
        plot.add_scatter(
            x=[cost.intensity for _, cost in costs],
            y=[min(cost.intensity * ceilings.dram, ceilings.peak) for _, cost in costs],
            mode="markers+text",
            name="predicted",
            text=[f"batch {batch}" if index == 0 else str(batch) for index, (batch, _) in enumerate(costs)],
            textposition="top center",
            marker={"size": 11, "color": GREY, "symbol": "circle-open", "line": {"width": 2}},
            hovertemplate="batch %{text}: at most %{y:.3s}FLOP/s<extra></extra>",
        )
    plot.add_scatter(
        x=[point.intensity for point in view.landed],
        y=[point.flops for point in view.landed],
        mode="lines+markers+text",
        name="measured",
        text=[f"{point.x:g}" for point in view.landed],
        textposition="bottom center",
        marker={"size": 12, "color": CYCLE[0]},
        line={"color": CYCLE[0], "width": 2},
        hovertemplate="batch %{text}: %{y:.3s}FLOP/s<extra></extra>",
    )
    plot.update_xaxes(type="log", dtick="D2", tickformat="~g")
    plot.update_yaxes(type="log", dtick=1, tickformat="~s")
    return plot


def straight_figures(view: View) -> list[Drawn]:
    """Time of a step along a linear axis: prediction dashed, points with intervals, the fitted line once there are three points."""
    scale = 1e9 if view.lab.unit == "B" else 1.0
    plot = figure(TALL, f"{view.lab.axis}{' (GB)' if scale > 1 else ''}", "time per step (ms)", legend=LEGEND, showlegend=True)
    colours = dict(zip(dict.fromkeys([*view.lines, *_series(view.landed)]), CYCLE * 8))
    for series, bounds in view.lines.items():
        x = [0.0, *(at / scale for at, _ in bounds)] if scale > 1 else [at for at, _ in bounds]
        seconds = [0.0, *(b.time for _, b in bounds)] if scale > 1 else [b.time for _, b in bounds]
        _curve(plot, x, seconds, f"physics, {series}", colours[series], "dot")
    _planned(plot, view, colours, scale)
    for series in _series(view.landed):
        chosen = [point for point in view.landed if point.series == series]
        names = [_model_at(view, point.x) for point in chosen] if "model" not in view.lab.asks else None
        _points(plot, chosen, series, colours[series], scale, names)
        through = steady(chosen)
        fit = line([point.x for point in through], [point.seconds for point in through])
        if fit and fit.count > 2:
            ends = [0.0, max(point.x for point in chosen)]
            _curve(plot, [end / scale for end in ends], [fit.at(end) for end in ends], f"line through {series}", colours[series], "solid")
    plot.update_xaxes(rangemode="tozero")
    plot.update_yaxes(rangemode="tozero")
    return [("time", plot, f"Time of one decode step by {view.lab.axis}: predicted lines, {len(view.landed)} points measured")]


def _planned(plot: go.Figure, view: View, colours: dict[str, str], scale: float) -> None:
    """Where the points would land by physics: hollow, with the model's name where it is what varies."""
    for series, row in lab_aims(view.lab, view.specs, view.roofs).items():
        named = "model" not in view.lab.asks and not view.landed  # once points have landed, they carry the names
        names = [_model_at(view, x) if named else "" for x, _ in row]
        plot.add_scatter(
            x=[x / scale for x, _ in row],
            y=[1e3 * bound.time for _, bound in row],
            text=names,
            mode="markers+text",
            textposition=["bottom right"] * (len(row) - 1) + ["top left"],
            showlegend=False,
            cliponaxis=False,
            marker={"size": 9, "color": colours[series], "symbol": "circle-open", "line": {"width": 2}},
            hovertemplate="%{text} at least %{y:.3g} ms<extra></extra>",
        )


def _model_at(view: View, x: float) -> str:
    assert view.lab.place
    return next((spec.model.name for spec in view.specs if spec.model and view.lab.place(spec)[0] == x), "")


def _series(landed: list[Landed]) -> list[str]:
    return list(dict.fromkeys(point.series for point in landed))


def _curve(plot: go.Figure, x: list[float], seconds: list[float], name: str, colour: str, dash: str) -> None:
    style = {"color": colour, "dash": dash, "width": 2}
    plot.add_scatter(x=x, y=[1e3 * value for value in seconds], mode="lines", name=name, line=style, hoverinfo="skip")


def _measured(plot: go.Figure, landed: list[Landed]) -> None:
    for colour, series in zip(CYCLE, _series(landed) or [""]):
        _points(plot, [point for point in landed if point.series == series], series, colour, 1.0, joined=True)


def _points(
    plot: go.Figure, points: list[Landed], series: str, colour: str, scale: float, names: list[str] | None = None, *, joined: bool = False
) -> None:
    """Medians with their 95 % intervals; hollow where other programs were busy."""
    ends = [point.steps.interval for point in points]
    plot.add_scatter(
        x=[point.x / scale for point in points],
        y=[1e3 * point.seconds for point in points],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [1e3 * (high - point.seconds) for point, (_, high) in zip(points, ends)],
            "arrayminus": [1e3 * (point.seconds - low) for point, (low, _) in zip(points, ends)],
            "thickness": 1.5,
        },
        mode="lines+markers" if joined else "markers+text",
        text=names,
        textposition=["bottom right"] * (len(points) - 1) + ["middle left"],
        name=f"measured, {series}" if series else "measured",
        marker={"size": 11, "color": colour, "symbol": ["circle-open" if point.disturbed else "circle" for point in points]},
        line={"color": colour, "width": 2},
        customdata=[[words(point.tokens, "tok/s"), point.run.spec.title] for point in points],
        hovertemplate="%{customdata[1]}<br>%{y:.3g} ms a step, %{customdata[0]}<extra></extra>",
    )


def staircase_figures(view: View) -> list[Drawn]:
    """Reading memory by working set, over the rates that are known from earlier."""
    known = next(iter(view.roofs.values()), None)
    expected = {f"known from {words(size, 'B')} in all": rate for size, rate in sorted(known.read.items())} if known else {}
    ends = dict([*list(expected.items())[:1], *list(expected.items())[-1:]])
    points = view.points("read")
    told = sum(len(x) for x, _ in points.values())
    return [("read", staircase_figure(points, view.cache, TALL, ends), f"Read bandwidth by working set, {told} points measured")]


def matmul_figures(view: View) -> list[Drawn]:
    """Matrix products by size, over the rates that are known from earlier."""
    known = next(iter(view.roofs.values()), None)
    points = view.points("matmul")
    told = sum(len(x) for x, _ in points.values())
    expected = {f"known, {dtype}": rate for dtype, rate in known.matmul.items()} if known else {}
    return [("matmul", matmul_figure(points, TALL, expected), f"Rate of matrix products by size, {told} points measured")]


def compression_figures(view: View) -> list[Drawn]:
    """Speed against quality, and how well the speed was foretold; of random weights, speed and size alone."""
    found = variants(view.experiment) if view.experiment else []
    expected = aims(view.specs, view.roofs, view.processor)
    told = f"{len(found)} points measured"
    beside = ("forecast", forecast_figure(found, expected), f"Times as fast as uncompressed: physics, expected and measured, {told}")
    more = [beside] if expected or len(found) > 1 else []
    if any(spec.work.task == "generate" and spec.generate.quality for spec in view.specs):
        return [("pareto", pareto_figure(found, expected), f"Decode speed against rise of perplexity, {told}"), *more]
    size = ("size", bars_figure(found, expected, "weights"), f"Bytes of the weights by method, {told}")
    return [("speed", bars_figure(found, expected, "speed"), f"Decode speed by method, {told}"), *more, *([size] if found else [])]


def libraries_figures(view: View) -> list[Drawn]:
    """Where a token's time goes with each engine or choice."""
    assert view.lab.ways
    found = racers(view.experiment, view.lab.ways) if view.experiment else []
    expected = aims(view.specs, view.roofs, view.processor, view.lab.ways)
    told = f"{len(found)} points measured"
    return [("falls", falls_figure(view.lab.ways, found, expected), f"Time per token by {view.lab.ways.noun}, in parts, {told}")]


def sensitivity_figures(view: View) -> list[Drawn]:
    """Layers by parts, and what keeping the worst in 16 bits would bring."""
    found = cells(view.experiment) if view.experiment else []
    model, told = view.specs[0].model, f"{len(found)} points measured"
    layers = model.layers if model else 0
    drawn = [("sensitivity", sensitivity_figure(found, layers), f"Divergence by layer and part that is quantized alone, {told}")]
    if view.experiment and found:
        drawn.append(("kept", kept_figure(kept(view.experiment)), f"Divergence left by memory for parts in 16 bits, {told}"))
    return drawn


FIGURES: dict[str, Callable[[View], list[Drawn]]] = {
    "batch": batch_figures,
    "matmul": matmul_figures,
    "staircase": staircase_figures,
    "bytes": straight_figures,
    "context": straight_figures,
    "compression": compression_figures,
    "sensitivity": sensitivity_figures,
    "libraries": libraries_figures,
    "choices": libraries_figures,
    "batching": lambda view: batching_figures(view.specs, view.experiment),
}
