"""An experiment is nothing but its runs: whoever reads the same runs, sees the same experiment.

Its name in the store is `lab-NAME-ID`. Where a run stands on an axis follows from its spec alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from profiler.analysis.moment import ideal
from profiler.analysis.trust import foreign_load
from profiler.analysis.waterfall import measured_step
from profiler.record.run import Run
from profiler.spec.machine import Ceilings
from profiler.spec.measurement import Measurement
from profiler.spec.run import RunSpec
from profiler.theory.cost import Cost
from profiler.theory.predict import costs

BUSY = 0.5  # cores of other programs from which a point is told to be disturbed
Place = Callable[[RunSpec], tuple[float, str]]  # x and series


@dataclass(frozen=True)
class Landed:
    """One measured point: seconds of a decode step."""

    run: Run
    x: float
    series: str
    steps: Measurement

    @property
    def seconds(self) -> float:
        """The median."""
        return self.steps.median

    @property
    def tokens(self) -> float:
        """Tokens per second over the whole batch."""
        return self.run.spec.generate.batch / self.seconds

    @cached_property
    def least(self) -> float | None:
        """Seconds that physics needed at that moment; None where the run has no ceilings."""
        bound = ideal(self.run, "decode")
        return bound.time if bound else None

    @property
    def intensity(self) -> float:
        """FLOP per byte of the step."""
        return decode_cost(self.run.spec).intensity

    @property
    def flops(self) -> float:
        """FLOP/s reached."""
        return decode_cost(self.run.spec).flops / self.seconds

    @property
    def disturbed(self) -> bool:
        """Whether other programs took a good part of a core meanwhile."""
        return (foreign_load(self.run) or 0.0) > BUSY


@dataclass(frozen=True)
class Experiment:
    """The runs of one experiment, in the order they were asked for."""

    whole: str
    runs: tuple[Run, ...]

    @property
    def name(self) -> str:
        """The lab's name; empty for a whole that is no experiment."""
        return self.whole.partition("-")[2].partition("-")[0]

    @property
    def specs(self) -> list[RunSpec]:
        """What was asked for."""
        return [run.spec for run in self.runs]

    @property
    def finished(self) -> list[Run]:
        """Runs with a result."""
        return [run for run in self.runs if run.status == "finished"]

    @property
    def lost(self) -> list[Run]:
        """Runs that are over without one."""
        return [run for run in self.runs if run.done and run.status != "finished"]

    @property
    def done(self) -> bool:
        """Nothing more will come."""
        return all(run.done for run in self.runs)

    @cached_property
    def roofs(self) -> dict[str, Ceilings]:
        """Number format → the ceilings of the first run that has some."""
        found: dict[str, Ceilings] = {}
        for run in self.finished:
            if run.ceilings:
                found.setdefault(run.spec.setup.dtype, run.ceilings)
        return found

    def landed(self, place: Place) -> list[Landed]:
        """The measured points, by series and x."""
        found = [Landed(run, *place(run.spec), steps) for run in self.finished if (steps := measured_step(run, "decode"))]
        return sorted(found, key=lambda point: (point.series, point.x))

    def points(self, curve: str) -> dict[str, tuple[list[float], list[float]]]:
        """The points of a machine's curve, over all runs; the device in the name where there are several."""
        several = len({run.spec.setup.device for run in self.runs}) > 1
        return {
            f"{run.spec.setup.device} · {series}" if several else series: points
            for run in self.runs
            for series, points in run.points(curve).items()
        }


def steady(points: list[Landed]) -> list[Landed]:
    """What a line is drawn through: the points without busy neighbours, if there are at least three; else all."""
    calm = [point for point in points if not point.disturbed]
    return calm if len(calm) >= 3 else points


def name_of(lab: str, id: str) -> str:
    """What the runs of a new experiment are part of."""
    return f"lab-{lab}-{id}"


def decode_cost(spec: RunSpec) -> Cost:
    """FLOPs and bytes of the median decode step."""
    return costs(spec)["decode"]


def by_batch(spec: RunSpec) -> tuple[float, str]:
    """Sequences side by side."""
    return float(spec.generate.batch), spec.setup.dtype


def by_bytes(spec: RunSpec) -> tuple[float, str]:
    """Bytes that one decode step must read."""
    return float(decode_cost(spec).bytes), spec.setup.dtype


def by_context(spec: RunSpec) -> tuple[float, str]:
    """Tokens in the cache at the median step."""
    work = spec.generate
    return work.prompt_tokens + work.new_tokens / 2, f"batch {work.batch}"
