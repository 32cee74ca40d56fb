"""Predicted against measured: what the laws of this machine's kernels said of a run, beside what it took."""

from dataclasses import dataclass

from profiler.analysis.waterfall import measured_step
from profiler.record.run import Run
from profiler.spec.units import words
from profiler.theory.local import Expected, expected

WHAT = {"prefill": "until the first token", "decode": "per token"}


@dataclass(frozen=True)
class Foretold:
    """One phase of a finished run: its prediction on the run's own ceilings, and the measured median in seconds."""

    phase: str
    expected: Expected
    measured: float

    @property
    def ratio(self) -> float:
        """Measured over predicted."""
        return self.measured / self.expected.time

    @property
    def inside(self) -> bool:
        """Whether the measured time lies in the predicted interval."""
        return self.expected.low <= self.measured <= self.expected.high

    @property
    def sentence(self) -> str:
        """Both, and how far they are apart."""
        said = (
            f"Predicted {words(self.expected.time, 's')} {WHAT[self.phase]} ({span(self.expected)}), measured {words(self.measured, 's')}"
        )
        return f"{said}: {self._apart()}{'' if self.inside else ', outside the predicted interval'}."

    def _apart(self) -> str:
        error = round(abs(self.ratio - 1) * 100)
        if not error:
            return "as predicted"
        return f"{error} % {'slower' if self.ratio > 1 else 'faster'} than predicted"


def span(found: Expected) -> str:
    """The interval in words, its unit once if both ends have the same."""
    low, high = words(found.low, "s"), words(found.high, "s")
    number, _, unit = low.partition(" ")
    return f"{number if high.endswith(f' {unit}') else low} to {high}"


def foretold(run: Run, phase: str) -> Foretold | None:
    """None where nothing could be predicted or nothing was measured."""
    measured = measured_step(run, phase)
    if run.ceilings is None or measured is None:
        return None
    found = expected(run.spec, run.ceilings).get(phase)
    return Foretold(phase, found, measured.median) if found else None
