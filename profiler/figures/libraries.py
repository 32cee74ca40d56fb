"""Engines as figures: where a token's time goes in each, on one roof, and how the throughput grows with the batch."""

import plotly.graph_objects as go

from profiler.analysis.compression import Aim
from profiler.analysis.libraries import Racer
from profiler.analysis.waterfall import Kind
from profiler.figures.curves import CYCLE, GREY
from profiler.figures.style import COLOURS, figure
from profiler.spec.methods import Table
from profiler.spec.units import words

ROW, AROUND = 34, 110  # pixels of a bar with its room, and of all else
NAMES: dict[Kind, str] = {
    "physics": "physics needs",
    "kernels": "slower kernels",
    "framework": "framework",
    "waiting": "waiting",
    "untold": "kernels and framework, not told apart",
}
WIDE = 1.3  # times the longest bar, so that the words behind it have room
LEGEND = {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "traceorder": "normal"}


def falls_figure(table: Table, found: list[Racer], aims: list[Aim]) -> go.Figure:
    """One bar an engine, milliseconds of a token from physics to what was measured; hollow marks are predictions that have not landed.

    Physics differs between bars where the bytes do; the shorter the rest, the closer an engine is to it.
    """
    landed = {racer.one.name for racer in found}
    waiting = [aim for aim in aims if aim.name not in landed]
    order = [racer.one.title for racer in found] + [table.rows[aim.name].title for aim in waiting]
    plot = figure(AROUND + ROW * max(len(order), 2), "time per token (ms)", "", legend=LEGEND, barmode="stack", bargap=0.3, showlegend=True)
    for kind, name in NAMES.items():
        _parts(plot, [racer for racer in found if racer.fall], kind, name)
    _ends(plot, found)
    _foretold(plot, table, waiting)
    longest = [racer.one.seconds for racer in found] + [1 / (aim.rate or aim.most) for aim in waiting]
    plot.update_xaxes(range=[0, 1e3 * WIDE * max(longest, default=0.01)])
    plot.update_yaxes(autorange="reversed", automargin=True, categoryorder="array", categoryarray=order)
    return plot


def _parts(plot: go.Figure, found: list[Racer], kind: Kind, name: str) -> None:
    """One kind of part in every bar that has it."""
    told = [(racer, racer.fall.of(kind)) for racer in found if racer.fall]
    told = [(racer, max(seconds, 0.0)) for racer, seconds in told if seconds > 0]
    if not told:
        return
    plot.add_bar(
        y=[racer.one.title for racer, _ in told],
        x=[1e3 * seconds for _, seconds in told],
        orientation="h",
        name=name,
        marker={"color": COLOURS[kind], "pattern": {"shape": "/" if kind == "untold" else "", "solidity": 0.25}},
        customdata=[words(seconds, "s") for _, seconds in told],
        hovertemplate=f"%{{y}}<br>{name}: %{{customdata}}<extra></extra>",
    )


def _ends(plot: go.Figure, found: list[Racer]) -> None:
    """Behind each bar: how fast, how many times, and whether it is wrong."""
    plot.add_scatter(
        y=[racer.one.title for racer in found],
        x=[1e3 * racer.one.seconds for racer in found],
        mode="text",
        text=[f" {_told(racer)}" for racer in found],
        textposition="middle right",
        cliponaxis=False,
        showlegend=False,
        hoverinfo="skip",
    )


def _told(racer: Racer) -> str:
    if racer.wrong:
        return "<b>wrong answers</b>"
    busy = ", disturbed" if racer.one.disturbed else ""
    rate = words(racer.one.rate, "tok/s")
    return f"{rate} · {racer.one.gain[0]:.2f} ×{busy}" if racer.one.gain else f"{rate}{busy}"


def _foretold(plot: go.Figure, table: Table, aims: list[Aim]) -> None:
    """Where the bars of the others should end: as expected, or at the least by physics."""
    for name, symbol, some in (
        ("predicted", "diamond-open", [aim for aim in aims if aim.rate]),
        ("at least, by physics", "line-ns-open", [aim for aim in aims if not aim.rate]),
    ):
        if some:
            plot.add_scatter(
                y=[table.rows[aim.name].title for aim in some],
                x=[1e3 / (aim.rate or aim.most) for aim in some],
                mode="markers",
                name=name,
                marker={"symbol": symbol, "size": 13, "color": GREY, "line": {"width": 2}},
                hovertemplate="%{y}<br>" + name + ": %{x:.3g} ms<extra></extra>",
            )


def batches_figure(found: list[Racer]) -> go.Figure | None:
    """Tokens/s over all sequences against how many are written at once, a line an engine; None where nothing but batch 1 was measured."""
    told = [racer for racer in found if len(racer.throughput) > 1 and not racer.wrong]
    if not told:
        return None
    plot = figure(400, "sequences written at once (batch)", "tokens/s over all of them", legend={"orientation": "v", "x": 1.02, "y": 1})
    sizes = sorted({size for racer in told for size in racer.throughput})
    for at, racer in enumerate(sorted(told, key=lambda racer: -max(racer.throughput.values()))):
        row = sorted(racer.throughput.items())
        plot.add_scatter(
            x=[size for size, _ in row],
            y=[rate for _, rate in row],
            mode="lines+markers",
            name=racer.one.title,
            line={"color": CYCLE[at % len(CYCLE)], "dash": "solid" if at < len(CYCLE) else "dot"},
            hovertemplate="%{fullData.name}<br>%{x} at once: %{y:.3g} tokens/s<extra></extra>",
        )
    plot.update_xaxes(type="log", tickvals=sizes, ticktext=[str(size) for size in sizes])
    plot.update_yaxes(rangemode="tozero")
    return plot
