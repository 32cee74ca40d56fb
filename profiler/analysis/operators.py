"""The operator table: what each operator did, how far from its own roof it was, and which were not counted.

An operator's roof is the larger of its FLOPs at the peak rate and its bytes at the rate of the memory that the step's
whole traffic comes from. Times are the trace's own: the traced and the untraced total stand beside each other.
"""

from dataclasses import dataclass

from profiler.analysis.moment import ceilings_now
from profiler.analysis.waterfall import measured_step
from profiler.record.events import OpRow, Traced
from profiler.record.run import Run
from profiler.spec.machine import Ceilings


@dataclass(frozen=True)
class Operator:
    """One row of the table; seconds, FLOPs and bytes are per pass, over all layers."""

    group: str
    module: str
    op: str
    count: float
    seconds: float
    flops: float
    weights: float
    kv: float
    activations: float
    counted: bool
    roof: float  # seconds that its own roof allows

    @property
    def bytes(self) -> float:
        """All bytes."""
        return self.weights + self.kv + self.activations

    @property
    def intensity(self) -> float | None:
        """FLOP per byte; None where nothing is moved."""
        return self.flops / self.bytes if self.bytes else None

    @property
    def share(self) -> float:
        """What it reached of its own roof."""
        return self.roof / self.seconds if self.seconds else 0.0


def operators(run: Run, phase: str) -> list[Operator]:
    """All operators of a traced phase, the longest first; empty without a trace or ceilings."""
    traced, roofs = run.traced(phase), ceilings_now(run)
    if traced is None or roofs is None:
        return []
    whole = sum(row.weights + row.kv + row.activations for row in traced.rows)
    return [_operator(row, roofs, whole) for row in traced.rows]


def _operator(row: OpRow, roofs: Ceilings, whole: float) -> Operator:
    """Weights and cache come from wherever the whole step's traffic fits; activations were just written, so from nearer."""
    held = row.weights + row.kv
    passing = row.activations / roofs.read_rate(row.activations / max(row.count, 1)) if row.activations else 0.0
    roof = max(row.flops / roofs.peak, held / roofs.read_rate(whole) + passing)
    return Operator(**row.model_dump(), roof=roof)


def slowest(run: Run, phase: str, group: str) -> Operator | None:
    """The operator of a part of the model that loses most time against its own roof."""
    mine = [row for row in operators(run, phase) if row.group == group]
    return max(mine, key=lambda row: row.seconds - row.roof, default=None)


def uncounted(run: Run, phase: str) -> list[Operator]:
    """Operators that took time and have no FLOP formula: a wrong count could not be seen, a missing one can."""
    return [row for row in operators(run, phase) if not row.counted and row.bytes]


def totals(run: Run, phase: str) -> dict[str, float] | None:
    """Seconds of one pass: traced, of it outside operators, and untraced; None without a trace."""
    traced, steps = run.traced(phase), measured_step(run, phase)
    if traced is None or steps is None:
        return None
    return {"traced": traced.wall, "between operators": traced.between, "untraced": steps.median}


def notes(run: Run) -> list[str]:
    """Why there is no trace, where there is none."""
    return sorted({traced.note for traced in run.of(Traced) if traced.note})
