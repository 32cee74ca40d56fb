"""Where one step's time went: from what physics needs to what it took.

    ideal on the binding roof  →  + slower kernels  →  + everything around them  =  measured median

The kernels' part is measured: the model's linear layers run alone at the same shape. What is left holds attention, norms,
the growing cache and the framework. The parts sum to the measured median exactly.
"""

from dataclasses import dataclass

from profiler.analysis.moment import MEDIAN, ideal
from profiler.record.run import Run
from profiler.spec.measurement import Measurement

NOISE = 1.1  # lone kernels may seem this much slower than the whole step before they are disbelieved
COVERED = 0.9  # share of the matrix weights that must be in the lone kernels' run for it to speak for them


@dataclass(frozen=True)
class Part:
    """One step down the waterfall, in seconds."""

    name: str
    seconds: float
    help: str


@dataclass(frozen=True)
class Waterfall:
    """The parts of one phase, in order; they sum to `measured`."""

    phase: str
    parts: tuple[Part, ...]
    measured: float
    binding: str  # compute or bandwidth

    @property
    def ideal(self) -> float:
        """What physics needs."""
        return self.parts[0].seconds

    def part(self, name: str) -> float | None:
        """Seconds of one part; None where it was not told apart."""
        return next((part.seconds for part in self.parts if part.name == name), None)


def measured_step(run: Run, phase: str) -> Measurement | None:
    """All timed steps of a phase; None before the first."""
    seconds = run.seconds(phase)
    return seconds if len(seconds) else None


def lone_kernels(run: Run, phase: str) -> float | None:
    """Seconds of the linear layers alone; None where they do not stand for the model.

    Fused experts are not among them; and when they took longer alone than the whole step did, the machine was slower then.
    """
    alone, steps = run.measured(f"linear_{phase}"), measured_step(run, phase)
    facts = getattr(run.ended, "facts", {})
    if alone is None or steps is None or facts.get("linear_covered", 0) < COVERED or alone.median > steps.median * NOISE:
        return None
    return alone.median


def waterfall(run: Run, phase: str, quartile: int = MEDIAN) -> Waterfall | None:
    """The waterfall of `phase`; None before its numbers are there."""
    steps, need = measured_step(run, phase), ideal(run, phase, quartile)
    if steps is None or need is None:
        return None
    roof = "arithmetic at the measured peak rate" if need.binding == "compute" else "moving the bytes at the measured bandwidth"
    parts = [Part("physics needs", need.time, f"The least this machine allows: {roof}.")]
    kernels = lone_kernels(run, phase)
    if kernels is not None and need.time <= steps.median:
        kernels = min(max(kernels, need.time), steps.median)  # within noise, no part is less than nothing
        parts.append(
            Part(
                "slower kernels",
                kernels - need.time,
                "What the linear layers take beyond that, run alone: the library's kernels are not at the roof.",
            )
        )
        rest = "Attention, norms, the growing KV cache, and the framework between operators."
        parts.append(Part("around them", steps.median - kernels, rest))
    else:
        parts.append(Part("kernels and framework", steps.median - need.time, "Everything beyond that; not told apart for this model."))
    return Waterfall(phase, tuple(parts), steps.median, need.binding)
