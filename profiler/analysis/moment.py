"""The ceilings at the moment of the run: kept ones, scaled by what the canaries saw around it.

A shared machine's bandwidth can halve within a minute while nothing seems to run on it, so a share is of the roof as it
was then. The spread of the canaries is how sure the share is.
"""

from dataclasses import dataclass

import numpy as np

from profiler.record.run import Run
from profiler.spec.machine import Ceilings
from profiler.spec.measurement import Measurement
from profiler.theory.cost import Cost, Op, total
from profiler.theory.predict import Bound, bound, ops

PHASES = ("prefill", "decode")
LOWER, MEDIAN, UPPER = range(3)  # quartiles of the canaries


@dataclass(frozen=True)
class Moment:
    """How the roofs stood: factors on the kept ceilings, each as (lower quartile, median, upper quartile) of the canaries."""

    read: tuple[float, float, float]
    matmul: tuple[float, float, float]

    @property
    def drift(self) -> float:
        """Interquartile range of the worse canary over its median."""
        return max((high - low) / middle for low, middle, high in (self.read, self.matmul))


def moment(run: Run) -> Moment | None:
    """The canaries' verdict on the ceilings; None before both are known."""
    reads, products, kept = run.measured("canary_read"), run.measured("canary_matmul"), run.ceilings
    if kept is None or reads is None or products is None:
        return None
    return Moment(_range(reads, kept.dram), _range(products, kept.canary_matmul))


def _range(canary: Measurement, then: float) -> tuple[float, float, float]:
    samples = canary.samples / then
    low, middle, high = np.quantile(samples, [0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)


def ops_of(run: Run, phase: str) -> list[Op]:
    """The operations of one prefill, or of the median decode step."""
    return ops(run.spec)[phase]


def cost_of(run: Run, phase: str) -> Cost:
    """FLOPs and bytes of one prefill, or of the median decode step."""
    return total(ops_of(run, phase))


def ceilings_now(run: Run, quartile: int = MEDIAN) -> Ceilings | None:
    """The ceilings as they stood during the run, by one quartile of the canaries."""
    now, kept = moment(run), run.ceilings
    if now is None or kept is None:
        return None
    reads, products = now.read[quartile], now.matmul[quartile]
    scaled = {
        "read": {size: rate * reads for size, rate in kept.read.items()},
        "matmul": {dtype: rate * products for dtype, rate in kept.matmul.items()},
        "few_rows": {rows: rate * reads for rows, rate in kept.few_rows.items()},
        "packed": {name: rate * reads for name, rate in kept.packed.items()},
        "matvec": {dtype: rate * reads for dtype, rate in kept.matvec.items()},
    }
    return kept.model_copy(update=scaled)


def ideal(run: Run, phase: str, quartile: int = MEDIAN, roofs: Ceilings | None = None) -> Bound | None:
    """What physics needs on this machine at that moment, by one quartile of the canaries; or on other roofs, where these are given."""
    roofs = roofs or ceilings_now(run, quartile)
    if roofs is None:
        return None
    need = bound(cost_of(run, phase), roofs, run.spec.setup.arithmetic)
    return _shared(need, run) if phase == "decode" and run.spec.setup.speculation else need


def _shared(need: Bound, run: Run) -> Bound:
    """Of one token, where one pass checks several: it reads the weights once for all, and calculates once for each guess too."""
    facts = getattr(run.ended, "facts", {})
    passes, guesses, made = (facts.get(name, 0.0) for name in ("passes", "guesses", "made"))
    if not passes or not made:
        return need
    return Bound(need.compute * (passes + guesses) / made, need.bandwidth * passes / made)
