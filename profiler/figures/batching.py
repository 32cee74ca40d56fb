"""Requests in the rows of their batches, as bars over time: before they are measured in calls of the model, then in seconds."""

import heapq
from dataclasses import dataclass

import plotly.graph_objects as go

from profiler.analysis.batching import Way, begins, lengths, name_of, ways, work_of
from profiler.analysis.experiment import Experiment
from profiler.figures.curves import CYCLE, GREY
from profiler.figures.style import BLUE, ORANGE, SKY, figure
from profiler.spec.run import RunSpec
from profiler.spec.units import words
from profiler.spec.work import Requests

Drawn = tuple[str, go.Figure, str]  # name, figure, alternative text
ROW, HEAD = 15, 1.5  # pixels of a row, and rows above those of a way, for its name
DARK = "rgba(0, 0, 0, 0.45)"  # over a request's colour, while its prompt is read
EMPTY = "rgba(136, 136, 136, 0.18)"
Times = list[tuple[float | None, float, float]]  # of each request: its prompt begins, first token, last token


@dataclass(frozen=True)
class Bar:
    """One request in its row; times in calls of the model or in seconds, and from `free` on its row can take another request."""

    request: int
    slot: int
    begin: float
    first: float
    end: float
    free: float


def schedule(work: Requests) -> list[Bar]:
    """Who writes where and when, in calls of the model: known beforehand."""
    return placed(work, [(begin, begin + 1, begin + length) for begin, length in zip(begins(work), lengths(work))])


def measured(way: Way) -> list[Bar]:
    """The same picture in measured seconds; a request's bar begins when its row was free."""
    return placed(way.work, [(None, request.first or 0.0, request.end or 0.0) for request in way.requests])


def placed(work: Requests, times: Times) -> list[Bar]:
    """Requests in their rows; a begin that is not told is the end of who was in the row before.

    Static: as many as there are rows, then the next ones when all of these are over. Continuous: the row that is free first is next.
    """
    found: list[Bar] = []
    if work.batching == "continuous":
        rows = [(0.0, slot) for slot in range(work.slots)]
        for request, (begin, first, end) in enumerate(times):
            free, slot = heapq.heappop(rows)
            found.append(Bar(request, slot, free if begin is None else begin, first, end, end))
            heapq.heappush(rows, (end, slot))
        return found
    for at in range(0, len(times), work.slots):
        batch, before = times[at : at + work.slots], found[-1].free if found else 0.0
        free = max(end for _, _, end in batch)
        for slot, (begin, first, end) in enumerate(batch):
            found.append(Bar(at + slot, slot, before if begin is None else begin, first, end, free))
    return found


def batching_figures(specs: list[RunSpec], experiment: Experiment | None) -> list[Drawn]:
    """Requests in their rows; once something is measured, also rates and times of answers."""
    found = ways(experiment) if experiment else []
    told = f"{len(found)} points measured"
    if not found:
        rows = [(name_of(spec).split(", ", 1)[1], work_of(spec), schedule(work_of(spec))) for spec in _one_engine(specs)]
        title = "calls of the model (one token of each row, or its prompt)"
        return [("rows", rows_figure(rows, title, "calls"), f"Which request is in which row of the batch, by calls of the model, {told}")]
    rows = [(name_of(way.run.spec), way.work, measured(way)) for way in found]
    plot = rows_figure(rows, "time since the requests came (s)", "s")
    return [
        ("rows", plot, f"Which request is in which row of the batch, by seconds, {told}"),
        ("answers", answers_figure(found), f"Tokens per second and time until requests are answered, by way of batching, {told}"),
    ]


def _one_engine(specs: list[RunSpec]) -> list[RunSpec]:
    """Those of the first engine: the schedule is the same for all."""
    specs = [spec for spec in specs if isinstance(spec.work, Requests)]
    return [spec for spec in specs if spec.setup.engine == specs[0].setup.engine]


def rows_figure(rows: list[tuple[str, Requests, list[Bar]]], x: str, unit: str) -> go.Figure:
    """Ways under each other, a line for each row of their batches; `rows` are (name, work, bars), `x` titles the axis, in `unit`.

    Prompts are dark, answers in a colour for each request, rows that write what nobody reads hatched, empty ones grey.
    """
    tops, height = [], 0.0
    for _, work, _ in rows:
        tops.append(height + HEAD)
        height += HEAD + work.slots
    plot = figure(round(ROW * height) + 110, x, "row of the batch (number)", barmode="overlay", bargap=0.15)
    ends = [max(bar.free for bar in bars) for _, _, bars in rows]
    _ends(plot, rows, tops, ends)
    held = [(top + bar.slot, bar) for (_, _, bars), top in zip(rows, tops) for bar in bars]
    _answers(plot, held, unit)
    _bars(plot, "prompt", [(y, bar.begin, bar.first) for y, bar in held], color=DARK)
    wasted = [(y, bar.end, bar.free) for y, bar in held if bar.free > bar.end]
    _bars(plot, "answer is over, its row goes on", wasted, color="rgba(136, 136, 136, 0.45)", pattern={"shape": "/", "size": 5})
    _bars(plot, "row without a request", [row for at, top in zip(zip(rows, ends), tops) for row in _empty(*at, top)], color=EMPTY)
    for (name, _, _), top, end in zip(rows, tops, ends):
        told = words(end, "s") if unit == "s" else f"{end:.0f} calls"
        plot.add_annotation(
            x=0, y=top - HEAD / 2 - 0.4, text=f"<b>{name}</b>: {told}", xanchor="left", showarrow=False, yanchor="middle"
        )  # fmt: skip
    ticks = [(top + slot, str(slot + 1)) for (_, work, _), top in zip(rows, tops) for slot in range(work.slots)]
    plot.update_yaxes(range=[height - 0.3, -0.3], tickvals=[y for y, _ in ticks], ticktext=[text for _, text in ticks], showgrid=False)
    plot.update_xaxes(range=[0, 1.02 * max(ends, default=1.0)], zeroline=False)
    return plot


def _ends(plot: go.Figure, rows: list, tops: list[float], ends: list[float]) -> None:
    """A line where the last answer of a way is there."""
    x, y = [], []
    for (_, work, _), top, end in zip(rows, tops, ends):
        x += [end, end, None]
        y += [top - 0.6, top + work.slots - 0.4, None]
    plot.add_scatter(x=x, y=y, mode="lines", name="all answered", line={"color": GREY, "width": 2, "dash": "dot"}, hoverinfo="skip")


def _answers(plot: go.Figure, held: list[tuple[float, Bar]], unit: str) -> None:
    """From the prompt's beginning to the last token, in the request's colour."""
    plot.add_bar(
        x=[bar.end - bar.begin for _, bar in held],
        y=[y for y, _ in held],
        base=[bar.begin for _, bar in held],
        orientation="h",
        showlegend=False,
        marker={"color": [CYCLE[bar.request % len(CYCLE)] for _, bar in held], "line": {"width": 0}},
        customdata=[[bar.request + 1, bar.begin, bar.first, bar.end] for _, bar in held],
        hovertemplate="request %{customdata[0]}: its row is its own from %{customdata[1]:.3~f}, first token at %{customdata[2]:.3~f}, "
        f"answered at %{{customdata[3]:.3~f}} {unit}<extra></extra>",
    )


def _bars(plot: go.Figure, name: str, bars: list[tuple[float, float, float]], **marker) -> None:
    """(row, from, to) in one look."""
    plot.add_bar(
        x=[end - begin for _, begin, end in bars],
        y=[y for y, _, _ in bars],
        base=[begin for _, begin, _ in bars],
        orientation="h",
        name=name,
        marker={"line": {"width": 0}, **marker},
        hoverinfo="skip",
    )


def _empty(way: tuple[str, Requests, list[Bar]], end: float, top: float) -> list[tuple[float, float, float]]:
    """(row, from, to) where a row has no request any more though others have."""
    _, work, bars = way
    last = {slot: max([bar.free for bar in bars if bar.slot == slot], default=0.0) for slot in range(work.slots)}
    return [(top + slot, free, end) for slot, free in last.items() if free < end]


def answers_figure(found: list[Way]) -> go.Figure:
    """Above, tokens/s of answers by way; below, the seconds until a request was answered: on average, and nine of ten of them."""
    names = [name_of(way.run.spec).replace(", ", "<br>") for way in found]
    plot = figure(430, "", "output (tokens/s)", barmode="group", bargap=0.3)
    plot.update_layout(
        xaxis={"anchor": "y", "showticklabels": False},
        yaxis={"domain": [0.58, 1.0], "rangemode": "tozero"},
        xaxis2={"anchor": "y2", "title": {"text": "way of batching"}, "matches": "x"},
        yaxis2={"domain": [0.0, 0.44], "rangemode": "tozero", "title": {"text": "answered after (s)"}},
    )
    plot.add_bar(
        x=names,
        y=[way.rate for way in found],
        name="tokens/s",
        marker={"color": BLUE},
        text=[words(way.rate, "tok/s") for way in found],
        hovertemplate="%{y:.3g} tokens/s<extra></extra>",
        showlegend=False,
    )
    kinds = {"on average": (SKY, [way.mean for way in found]), "nine of ten": (ORANGE, [way.most for way in found])}
    for name, (colour, seconds) in kinds.items():
        plot.add_bar(
            x=names,
            y=seconds,
            name=name,
            xaxis="x2",
            yaxis="y2",
            marker={"color": colour},
            hovertemplate=f"{name} %{{y:.3g}} s<extra></extra>",
        )
    return plot
