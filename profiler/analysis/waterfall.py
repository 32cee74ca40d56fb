"""Where one step's time went: from what physics needs to what it took.

    physics on the binding roof  →  + slower kernels, by part of the model  →  + framework  →  + waiting  =  measured median

The operator trace tells kernels from framework. Framework is what passes between operators, and of each operator what a
tiny one takes in the same trace: its dispatch. The trace's times are scaled to the untraced median, so that tracing itself
is in no part. Waiting is measured in the timed rounds. Without a trace everything beyond physics is one part. The parts
sum to the measured median exactly.
"""

from dataclasses import dataclass
from typing import Literal

from profiler.analysis.moment import MEDIAN, ceilings_now, ideal, ops_of
from profiler.record.events import OpRow, Traced
from profiler.record.run import Run
from profiler.spec.machine import Ceilings
from profiler.spec.measurement import Measurement
from profiler.theory.cost import Cost
from profiler.theory.parts import by_part

SMALL = 0.02  # share of the measured time below which a part is drawn together with the other small ones
Kind = Literal["physics", "kernels", "framework", "waiting", "untold"]


@dataclass(frozen=True)
class Part:
    """One step down the waterfall, in seconds."""

    name: str
    seconds: float
    help: str
    kind: Kind


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
        return self.of("physics")

    def of(self, kind: Kind) -> float:
        """Seconds of all parts of one kind."""
        return sum(part.seconds for part in self.parts if part.kind == kind)

    def part(self, name: str) -> float | None:
        """Seconds of one part; None where there is no such part."""
        return next((part.seconds for part in self.parts if part.name == name), None)

    @property
    def told(self) -> bool:
        """Whether kernels and framework are told apart."""
        return not any(part.kind == "untold" for part in self.parts)


def measured_step(run: Run, phase: str) -> Measurement | None:
    """All timed steps of a phase; None before the first."""
    seconds = run.seconds(phase)
    return seconds if len(seconds) else None


def waterfall(run: Run, phase: str, quartile: int = MEDIAN, roofs: Ceilings | None = None) -> Waterfall | None:
    """The waterfall of `phase`; None before its numbers are there. `roofs`: other ones than those of the run's own moment."""
    roofs = roofs or ceilings_now(run, quartile)
    steps, need = measured_step(run, phase), ideal(run, phase, quartile, roofs)
    if steps is None or need is None:
        return None
    roof = "arithmetic at the measured peak rate" if need.binding == "compute" else "moving the bytes at the measured bandwidth"
    physics = Part("physics needs", need.time, f"The least this machine allows: {roof}.", "physics")
    traced, measured = run.traced(phase), steps.median
    if traced is None or need.time > measured:
        rest = Part("kernels and framework", measured - need.time, "Everything beyond that; not told apart without a trace.", "untold")
        return Waterfall(phase, (physics, rest), measured, need.binding)
    return Waterfall(phase, (physics, *_told(run, phase, traced, measured, roofs, need.time)), measured, need.binding)


def _told(run: Run, phase: str, traced: Traced, measured: float, roofs: Ceilings | None, need: float) -> list[Part]:
    """Kernels by part of the model, framework, waiting. Within noise no part is less than nothing."""
    waiting = min(waiting_share(run, phase) * measured, measured - need)
    scale = (measured - waiting) / traced.wall
    inside = {group: scale * seconds for group, seconds in kernel_seconds(traced).items()}
    kernels = min(max(sum(inside.values()), need), measured - waiting)
    assert roofs
    least = needed_by_part(run, phase, roofs)
    beyond = {group: max(seconds - least.get(group, 0.0), 0.0) for group, seconds in inside.items()}
    share = (kernels - need) / sum(beyond.values()) if sum(beyond.values()) else 0.0
    between = words_between(traced, scale)
    return [
        *_merged({group: share * seconds for group, seconds in beyond.items()}, inside, measured),
        Part("framework", measured - waiting - kernels, between, "framework"),
        Part("waiting", waiting, "The measuring thread had no processor: others ran, or the system was busy.", "waiting"),
    ]


def words_between(traced: Traced, scale: float) -> str:
    """What the framework's part is made of."""
    calls = sum(row.count for row in traced.rows)
    dispatch = scale * (sum(row.seconds for row in traced.rows) - sum(kernel_seconds(traced).values()))
    return (
        f"Python and the library between operators ({1e3 * scale * traced.between:.3g} ms), and the dispatch of {calls:.0f} operators "
        f"({1e3 * dispatch:.3g} ms: each takes at least {1e6 * traced.floor:.2g} µs, whatever it does)."
    )


def kernel_seconds(traced: Traced) -> dict[str, float]:
    """Part of the model → seconds inside its operators beyond their dispatch, in the trace's own time; largest first."""
    found: dict[str, float] = {}
    for row in traced.rows:
        found[row.group] = found.get(row.group, 0.0) + kernel_time(row, traced.floor)
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def kernel_time(row: OpRow, floor: float) -> float:
    """Seconds of an operator's calls without their dispatch."""
    return max(row.seconds - floor * row.count, 0.0)


def waiting_share(run: Run, phase: str) -> float:
    """Share of the timed work in which the measuring thread had no processor; 0 where that is not told."""
    told = run.measured(f"waiting_{phase}")
    return min(told.median, 1.0) if told else 0.0


def needed_by_part(run: Run, phase: str, roofs: Ceilings) -> dict[str, float]:
    """Part of the model → its seconds of the bound: its share of the FLOPs or bytes of the binding roof."""
    costs = by_part(ops_of(run, phase))
    whole = sum(costs.values(), Cost())
    compute = whole.flops / roofs.peak >= whole.bytes / roofs.read_rate(whole.bytes)
    rate = roofs.peak if compute else roofs.read_rate(whole.bytes)
    return {part: (cost.flops if compute else cost.bytes) / rate for part, cost in costs.items()}


def _merged(extra: dict[str, float], inside: dict[str, float], measured: float) -> list[Part]:
    """One bar for each part that matters, one for all the others together."""
    large = {group: seconds for group, seconds in extra.items() if seconds >= SMALL * measured}
    small = {group: seconds for group, seconds in extra.items() if group not in large}
    ordered = sorted(large.items(), key=lambda pair: -pair[1])
    parts = [
        Part(group, seconds, f"{group}: {1e3 * inside[group]:.3g} ms inside its operators, the rest of it is physics.", "kernels")
        for group, seconds in ordered
    ]
    if small:
        parts.append(Part("other parts", sum(small.values()), f"Together: {', '.join(small)}.", "kernels"))
    return parts
