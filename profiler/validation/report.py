"""How well a table is foretold: errors by source and phase, their mean over sources, coverage, and why rows are not covered.

An error is of time or of bytes, predicted ÷ measured − 1; for a rate, that of the time behind it. The median of a source counts as
much as that of any other, however many rows it has.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from profiler.validation.tables import Judged

GROUPS = {"prefill": "prefill", "decode": "decode"}  # phase → phase group of an inference table
SERVED = "end-to-end and serving"
EVERY = ""  # phase of a figure that is of all phases of a source
CALIBRATION = Path(__file__).parents[1] / "theory" / "calibration"

LeftOut = dict[str, dict[str, list[float]]]  # source → phase → [median error, rows]


@dataclass(frozen=True)
class Figures:
    """Errors of some rows."""

    rows: int
    covered: int
    error: float | None  # median of the absolute errors; None where nothing is covered
    bias: float | None  # median of the errors; above 0: foretold as slower, or larger, than it was


@dataclass(frozen=True)
class Line:
    """One source's rows of one phase."""

    source: str
    phase: str
    all: Figures
    unflagged: Figures
    left_out: float | None = None  # median error under constants that were fitted without the source


@dataclass(frozen=True)
class Group:
    """Phases that are judged together."""

    name: str
    sources: int
    all: Figures  # errors are means over sources of their medians
    unflagged: Figures
    left_out: float | None = None


@dataclass(frozen=True)
class Summary:
    """A judged table."""

    kind: str
    all: Figures  # of all rows alike
    unflagged: Figures
    lines: list[Line]
    groups: list[Group]
    reasons: dict[str, int]  # why rows are not covered → how many

    @property
    def coverage(self) -> float:
        """Share of rows that could be predicted."""
        return self.all.covered / self.all.rows


def summary(kind: str, rows: list[Judged], unseen: LeftOut | None = None) -> Summary:
    """All figures of a table; `unseen` are those that a fit kept of sources it had not seen."""
    known = unseen or {}
    lines = []
    for source, phase in sorted({(row.source, row.phase) for row in rows}):
        here = [row for row in rows if (row.source, row.phase) == (source, phase)]
        seen = known.get(source, {})
        lines.append(Line(source, phase, figures(here), figures(unflagged(here)), seen.get(phase, seen.get(EVERY, [None]))[0]))
    return Summary(kind, figures(rows), figures(unflagged(rows)), lines, _groups(kind, rows, known), _reasons(rows))


def left_out(kind: str) -> LeftOut:
    """What the fit of a kind of table kept of each source that it had not seen."""
    return json.loads(CALIBRATION.joinpath(f"{kind}.json").read_text("utf-8"))["left_out"]


def figures(rows: list[Judged]) -> Figures:
    """Errors of rows that all count alike."""
    errors = [row.error for row in rows if row.error is not None]
    if not errors:
        return Figures(len(rows), 0, None, None)
    return Figures(len(rows), len(errors), float(np.median(np.abs(errors))), float(np.median(errors)))


def unflagged(rows: Iterable[Judged]) -> list[Judged]:
    """Rows that nobody doubts."""
    return [row for row in rows if not row.flag]


def group_of(kind: str, phase: str) -> str:
    """What a phase is judged together with."""
    return GROUPS.get(phase, SERVED) if kind == "inference" else kind


def told(found: Summary, rows: list[Judged] | None = None) -> dict[str, Any]:
    """A summary, and its rows if asked for, as JSON has them."""
    return {**asdict(found), "coverage": found.coverage} | ({"rows": [asdict(row) for row in rows]} if rows is not None else {})


def _groups(kind: str, rows: list[Judged], left_out: LeftOut) -> list[Group]:
    groups: dict[str, list[Judged]] = {}
    for row in rows:
        groups.setdefault(group_of(kind, row.phase), []).append(row)
    return [
        Group(name, len({row.source for row in here}), _over_sources(here), _over_sources(unflagged(here)), _unseen(kind, name, left_out))
        for name, here in sorted(groups.items())
    ]


def _over_sources(rows: list[Judged]) -> Figures:
    """Means over the sources of their medians."""
    by_source: dict[str, list[Judged]] = {}
    for row in rows:
        by_source.setdefault(row.source, []).append(row)
    found = [figures(here) for here in by_source.values()]
    errors = [each.error for each in found if each.error is not None]
    biases = [each.bias for each in found if each.bias is not None]
    return Figures(
        len(rows),
        sum(each.covered for each in found),
        float(np.mean(errors)) if errors else None,
        float(np.mean(biases)) if biases else None,
    )


def _unseen(kind: str, group: str, left_out: LeftOut) -> float | None:
    """Mean over sources; phases of one source and group weigh by their rows."""
    means = []
    for phases in left_out.values():
        here = [kept for phase, kept in phases.items() if group_of(kind, phase) == group]
        if here:
            means.append(np.average([error for error, _ in here], weights=[rows for _, rows in here]))
    return float(np.mean(means)) if means else None


def _reasons(rows: list[Judged]) -> dict[str, int]:
    return dict(Counter(row.reason for row in rows if row.reason).most_common())
