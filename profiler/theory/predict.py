"""The time that the ceilings allow: nothing runs faster than max(FLOPs ÷ peak, bytes ÷ bandwidth).

Roofline: Williams, Waterman, Patterson, CACM 52(4), 2009.
"""

from dataclasses import dataclass

from profiler.spec.machine import Ceilings
from profiler.spec.run import RunSpec
from profiler.theory.cost import Cost, Op, total
from profiler.theory.step import step_ops


@dataclass(frozen=True)
class Bound:
    """The least time of a step on given roofs, in seconds, and which roof binds."""

    compute: float
    bandwidth: float

    @property
    def time(self) -> float:
        """The larger of the two: they can overlap."""
        return max(self.compute, self.bandwidth)

    @property
    def binding(self) -> str:
        """The roof that the step hits first."""
        return "compute" if self.compute >= self.bandwidth else "bandwidth"


def bound(cost: Cost, ceilings: Ceilings, arithmetic: str = "") -> Bound:
    """The bound of a step on these ceilings; `arithmetic` is the number format of the products where it is not the ceilings' dtype."""
    return Bound(cost.flops / ceilings.peak_in(arithmetic or ceilings.dtype), cost.bytes / ceilings.read_rate(cost.bytes))


def ops(spec: RunSpec) -> dict[str, list[Op]]:
    """Operations that the prefill and the median decode step of a generate run cannot do without.

    What a set-up adds to them (a cache that is not kept, a prompt in chunks, guesses that are checked) is none of these.
    """
    work = spec.generate
    return step_ops(spec.shape, work.batch, work.prompt_tokens, work.new_tokens, spec.setup.precision, spec.setup.prefix)


def costs(spec: RunSpec) -> dict[str, Cost]:
    """FLOPs and bytes of these."""
    return {phase: total(found) for phase, found in ops(spec).items()}


def predict(spec: RunSpec, ceilings: Ceilings) -> dict[str, Bound]:
    """Bounds of prefill and decode of a generate run."""
    return {phase: bound(cost, ceilings, spec.setup.arithmetic) for phase, cost in costs(spec).items()}
