"""Run = fold(events): one frozen value that pages, terminal and tests read alike, live or finished."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from profiler.record.events import Entered, Event, Failed, Finished, Measured, Peak, Point, Probed, Sample, Started, Step, Traced
from profiler.spec.machine import Ceilings
from profiler.spec.measurement import Measurement
from profiler.spec.run import RunSpec

DONE = ("finished", "failed", "cancelled", "interrupted")


@dataclass(frozen=True)
class Run:
    """A run's spec and its events so far, read by kind."""

    id: str
    spec: RunSpec
    status: str  # queued, running, or one of DONE
    created: float
    events: tuple[Event, ...] = field(repr=False, default=())
    source: str = "app"  # app, terminal, import, sample

    def of(self, kind: type) -> list:
        """The events of one kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def done(self) -> bool:
        """Nothing more will come."""
        return self.status in DONE

    @cached_property
    def started(self) -> Started | None:
        """The first event of the worker."""
        return next(iter(self.of(Started)), None)

    @cached_property
    def phases(self) -> list[Entered]:
        """The phases entered so far."""
        return self.of(Entered)

    @cached_property
    def ended(self) -> Finished | Failed | None:
        """The last event of a run that is over."""
        return next((event for event in reversed(self.events) if isinstance(event, Finished | Failed)), None)

    @property
    def reason(self) -> str:
        """Why there is no result; empty where there is one."""
        return self.ended.reason if isinstance(self.ended, Failed) else ""

    @cached_property
    def ceilings(self) -> Ceilings | None:
        """The roofs that this run is judged by."""
        found = self.of(Probed)
        return found[-1].ceilings if found else None

    def steps(self, name: str) -> list[Step]:
        """Timed steps of one phase."""
        return [event for event in self.of(Step) if event.name == name and event.seconds]

    def seconds(self, name: str) -> Measurement:
        """All step durations of one phase, in order."""
        return Measurement([second for step in self.steps(name) for second in step.seconds])

    def measured(self, name: str) -> Measurement | None:
        """All samples of one metric, in order; None where it was not measured."""
        samples = [sample for event in self.of(Measured) if event.name == name for sample in event.samples]
        return Measurement(samples) if samples else None

    def points(self, curve: str) -> dict[str, tuple[list[float], list[float]]]:
        """Series → (x, values) of a curve, in the order they were measured."""
        found: dict[str, tuple[list[float], list[float]]] = {}
        for point in self.of(Point):
            if point.curve == curve:
                x, values = found.setdefault(point.series, ([], []))
                x.append(point.x)
                values.append(point.value)
        return found

    def traced(self, phase: str) -> Traced | None:
        """The operator trace of a phase; None where there is none."""
        return next((event for event in self.of(Traced) if event.phase == phase and event.rows), None)

    def sampled(self, name: str) -> tuple[list[float], list[float]]:
        """Times and values of what the watcher saw of one metric."""
        rows = [(event.at, event.values[name]) for event in self.of(Sample) if name in event.values]
        return [at for at, _ in rows], [value for _, value in rows]

    def peak(self, name: str) -> dict[str, float]:
        """Memory marks of one phase."""
        return next((event.marks for event in reversed(self.of(Peak)) if event.name == name), {})

    @cached_property
    def spans(self) -> list[tuple[str, float, float]]:
        """(phase, begin, end) in order, the last one open to the newest event."""
        ends = [phase.at for phase in self.phases[1:]] + [self.events[-1].at if self.events else 0.0]
        return [(phase.name, phase.at, end) for phase, end in zip(self.phases, ends)]

    def left(self, now: float) -> float | None:
        """Seconds still to go, by the worker's last estimate; None while it has none."""
        told = ((e.at, e.left) for e in reversed(self.events) if isinstance(e, Entered | Step) and e.left is not None)
        at, left = next(told, (now, None))
        return None if left is None else max(left - (now - at), 0.0)


def fold(id: str, spec: RunSpec, status: str, created: float, events: Iterable[Event], source: str = "app") -> Run:
    """The run that these events make."""
    return Run(id=id, spec=spec, status=status, created=created, events=tuple(events), source=source)
