"""Levers: changes that would help, ranked by what they would bring, each with what is expected and what physics allows."""

from dataclasses import dataclass

from profiler.analysis.changes import Change, Range, bound_after, changes
from profiler.analysis.verdict import Verdict
from profiler.analysis.waterfall import waterfall
from profiler.record.run import Run
from profiler.spec.run import RunSpec
from profiler.spec.units import words

WORTH = 1.02  # a lever that at best brings less is none


@dataclass(frozen=True)
class Lever:
    """One change: the spec it leads to, why it could help, and by how much, as ratios of tokens a second."""

    title: str
    why: str
    spec: RunSpec
    gain: Range | None  # expected, by the waterfall; None: only measuring tells
    limit: float | None  # what physics allows with this change

    @property
    def sentence(self) -> str:
        """What it would bring, in words."""
        return f"{self.expectation} {self.why}"

    @property
    def expectation(self) -> str:
        """The gain in words."""
        physics = f"physics allows × {words(self.limit, '1')}" if self.limit else "no bound is known"
        if self.gain is None:
            return f"Only measuring tells; {physics}."
        low, high = (words(value, "1") for value in self.gain)
        return f"Expected: × {low}{f' to {high}' if low != high else ''} the tokens per second; {physics}."


def levers(run: Run, found: Verdict) -> list[Lever]:
    """What would help this phase, the most promising first."""
    fall = waterfall(run, found.phase)
    if fall is None or found.kind in ("impossible", "capacity-bound"):
        return []
    tried = [change for change in changes(run, found.phase) if change.lever]
    offers = [_lever(change, run, found.phase, change.effect(fall), fall.measured) for change in tried]
    offers = [lever for lever in offers if lever.gain is None or lever.gain[1] >= WORTH]
    return sorted(offers, key=_promise, reverse=True)


def _lever(change: Change, run: Run, phase: str, effect: Range | None, measured: float) -> Lever:
    times = change.spec.generate.batch / run.spec.generate.batch
    least = bound_after(change, run, phase)
    limit = times * measured / least if least else None
    gain = (times / effect[1], min(times / max(effect[0], 1e-3), limit or float("inf"))) if effect else None
    return Lever(change.title, change.why, change.spec, gain, limit)


def _promise(lever: Lever) -> float:
    """The middle of what is expected; what only measuring tells comes after what is foretold to help."""
    return (lever.gain[0] * lever.gain[1]) ** 0.5 if lever.gain else WORTH
