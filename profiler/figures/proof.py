"""A proof: for each change what the verdict foretells, what its rival foretells, and what was measured."""

from math import log10

import plotly.graph_objects as go

from profiler.analysis.changes import Range
from profiler.analysis.proof import Proof, Trial
from profiler.figures.style import BLUE, COLOURS, GREEN, ORANGE, RED, SKY, figure

MARKS = {"confirms": GREEN, "refutes": RED, "larger": SKY, "open": ORANGE, "says little": COLOURS["rest"]}
NARROW = 1.03  # a forecast is drawn at least this wide, as a ratio


def proof_figure(found: Proof) -> go.Figure:
    """One line a change, on a logarithmic axis of time relative to the baseline; 1 is no change."""
    trials = found.trials[::-1]
    plot = figure(
        90 + 34 * len(trials), "time, as a multiple of the baseline's", "",
        margin={"l": 8, "r": 16, "t": 56, "b": 48},
    )  # fmt: skip
    plot.add_vline(x=1, line={"color": COLOURS["rest"], "dash": "dot", "width": 1})
    _forecasts(plot, trials)
    _rivals(plot, trials)
    for answer, colour in MARKS.items():
        _measured(plot, [trial for trial in trials if trial.answer == answer], answer, colour)
    plot.update_xaxes(type="log", tickvals=[0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 4, 8, 16], tickformat="~g", range=_span(trials))
    plot.update_yaxes(automargin=True, categoryorder="array", categoryarray=[trial.change.title for trial in trials])
    return plot


def _wide(held: Range) -> Range:
    low, high = max(held[0], 0.1), max(held[1], 0.1)
    return (low, high) if high / low > NARROW**2 else (low / NARROW, high * NARROW)


def _forecasts(plot: go.Figure, trials: tuple[Trial, ...]) -> None:
    known = [(trial.change.title, _wide(trial.predicted)) for trial in trials if trial.predicted]
    plot.add_bar(
        y=[name for name, _ in known], x=[high - low for _, (low, high) in known], base=[low for _, (low, _) in known], orientation="h",
        width=0.55, marker={"color": BLUE, "opacity": 0.3}, name="foretold by the verdict",
        customdata=[f"{low:.2f} to {high:.2f}" for _, (low, high) in known],
        hovertemplate="%{y}<br>foretold: × %{customdata}<extra></extra>",
    )  # fmt: skip


def _rivals(plot: go.Figure, trials: tuple[Trial, ...]) -> None:
    known = [trial for trial in trials if trial.rival]
    plot.add_scatter(
        y=[trial.change.title for trial in known], x=[trial.rival for trial in known], mode="markers", name="if the verdict were wrong",
        marker={"symbol": "x-thin-open", "size": 11, "color": COLOURS["rest"], "line": {"width": 2}},
        hovertemplate="%{y}<br>if it were wrong: × %{x:.2f}<extra></extra>",
    )  # fmt: skip


def _measured(plot: go.Figure, trials: list[Trial], answer: str, colour: str) -> None:
    held = [(trial.change.title, trial.measured, trial.noise) for trial in trials if trial.measured and trial.noise]
    if not held:
        return
    plot.add_scatter(
        y=[name for name, _, _ in held], x=[middle for _, middle, _ in held], mode="markers", name=f"measured: {answer}",
        marker={"size": 12, "color": colour, "symbol": "circle"},
        error_x={
            "type": "data", "symmetric": False, "color": colour,
            "array": [noise[1] - middle for _, middle, noise in held], "arrayminus": [middle - noise[0] for _, middle, noise in held],
        },
        hovertemplate=f"%{{y}}<br>measured: × %{{x:.2f}}, {answer}<extra></extra>",
    )  # fmt: skip


def _span(trials: tuple[Trial, ...]) -> list[float]:
    """The axis' range, as powers of ten, with room beside the outermost mark."""
    seen = [
        value for trial in trials for pair in (trial.predicted, trial.noise, (trial.rival, trial.rival)) if pair for value in pair if value
    ]
    return [log10(max(min([0.5, *seen]), 0.1)) - 0.05, log10(max([2.0, *seen])) + 0.05]
