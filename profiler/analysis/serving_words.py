"""A load test in words: what it found in a title and a few sentences, its rows for a table, and the same as plain numbers."""

from typing import Any

from profiler.analysis.findings import Finding
from profiler.analysis.serving import LATE, NEEDS, WITHIN, Alone, Point, Serving, percentile
from profiler.spec.units import number, words

NAMES = {"refused": "refused", "stalled": "stalled", "error": "broken"}  # how a request without an answer is called
VERBS = {"refused": "were refused", "stalled": "stalled", "error": "broke off"}
FEW = 20  # requests at the border, below which it is rough
TABLE = {"first token": "first", "next token": "between", "whole answer": "latency"}


def finding(serving: Serving) -> Finding:
    """Which rate the server keeps up with, and what happens beyond it."""
    if not serving.points:
        return Finding("Inconclusive: no rate was measured to its end", "Run it again, with fewer seconds for each rate.", conclusive=False)
    kept, beyond = serving.saturation, serving.beyond
    if kept is None:
        title = f"It does not even keep up with {rate(serving.points[0].rate)}"
    elif beyond is None:
        title = f"It keeps up with every rate that was tried, up to {rate(kept.rate)} ({words(kept.tokens, 'tok/s')})"
    else:
        title = f"It keeps up with {rate(kept.rate)} ({words(kept.tokens, 'tok/s')})"
    told = [
        _beyond(beyond, serving.alone, "Beyond that requests wait or fail: at" if kept else "At")
        if beyond
        else "Higher rates would show where it ends.",
        _alone(serving),
        *_doubts(serving),
    ]
    numbers = {"saturation": kept.rate, "saturation_tokens": kept.tokens} if kept else {}
    return Finding(title, " ".join(filter(None, told)), conclusive=kept is not None and beyond is not None, numbers=numbers)


def rate(value: float) -> str:
    """Requests a second."""
    return f"{number(value, 2)} requests/s"


def _beyond(point: Point, alone: Alone | None, begin: str) -> str:
    """What the first rate that is too much does."""
    told = [failures(point)] if point.failed else []
    wait = percentile(point.first, 50)
    if wait is not None and (point.queue_grew or (alone and wait > 2 * alone.first)):
        idle = f" (on the idle server after {words(alone.first, 's')})" if alone else ""
        told.append(f"half of the first tokens came after {words(wait, 's')}{idle}")
    elif not told:
        late = point.sent - point.in_time
        told.append(f"{late} of {point.sent} answers were not over when they should have been")
    grew = f", and each second of arrivals made the wait {words(point.growth, 's')} longer" if point.queue_grew else ""
    return f"{begin} {rate(point.rate)}, {', and '.join(told)}{grew}."


def failures(point: Point) -> str:
    """How many requests had no answer, and the most frequent reason; empty where all had one."""
    counts = [f"{point.outcomes[kind]} {verb}" for kind, verb in VERBS.items() if point.outcomes.get(kind)]
    why = next(iter(point.notes), "")
    return f"of {point.sent} requests {' and '.join(counts)}{f' (“{why}”)' if why else ''}" if counts else ""


def _alone(serving: Serving) -> str:
    """What one stream makes, and what answering several at once adds."""
    alone, best = serving.alone, serving.best
    if alone is None or best is None:
        return ""
    single = alone.tokens * alone.rate
    said = f"One request after another would make {words(single, 'tok/s')}"
    if best.tokens > 1.1 * single:
        return f"{said}; answering several at once made up to {number(best.tokens / single, 2)} times as many."
    return f"{said}; answering several at once made no more."


def _doubts(serving: Serving) -> list[str]:
    """What makes the numbers less sure."""
    border = serving.saturation
    few = border is not None and serving.beyond is not None and border.sent < FEW
    late = serving.late > LATE
    return [
        *([f"Only {border.sent} requests came at that rate, so the border is rough: take more seconds."] if few and border else []),
        *([f"The test itself sent a request {words(serving.late, 's')} late: it and the server wanted the same cores."] if late else []),
    ]


def rows(serving: Serving) -> list[dict[str, str]]:
    """One row a rate, as a person reads it."""
    return [_row(point) for point in serving.points]


def _row(point: Point) -> dict[str, str]:
    shares = {
        f"{title} p{rank}": words(percentile(getattr(point, name), rank), "s")
        for title, name in TABLE.items()
        for rank in (NEEDS if name != "latency" else (50,))
    }
    return {
        "offered (req/s)": number(point.rate),
        "completed (req/s)": number(point.completed),
        "written (tok/s)": number(point.tokens),
        "sent": str(point.sent),
        "answered": str(len(point.answers)),
        **{name: str(point.outcomes.get(kind, 0)) for kind, name in NAMES.items()},
        "keeps up": "yes" if point.keeps_up else "no, the queue grew" if point.queue_grew else "no",
        **shares,
        f"first token within {WITHIN:g} s (req/s)": number(point.goodput()),
    }


def told(serving: Serving) -> dict[str, Any]:
    """The same as plain numbers in SI units, for JSON; None where the samples are too few."""
    found = finding(serving)
    return {
        "title": found.title,
        "sentence": found.sentence,
        "conclusive": found.conclusive,
        **found.numbers,
        "alone": vars(serving.alone) if serving.alone else None,
        "late": serving.late,
        "rates": [_numbers(point) for point in serving.points],
    }


def _numbers(point: Point) -> dict[str, Any]:
    return {
        "offered": point.rate,
        "completed": point.completed,
        "tokens_per_second": point.tokens,
        "sent": point.sent,
        "outcomes": point.outcomes,
        "notes": point.notes,
        "keeps_up": point.keeps_up,
        "queue_grew": point.queue_grew,
        "goodput_within_1_s": point.goodput(),
        **{name: {f"p{rank}": percentile(getattr(point, name), rank) for rank in NEEDS} for name in TABLE.values()},
    }
