"""The time of a step on reached rates.

An operator takes the larger of calculating, moving bytes and widening packed weights, softened where two of them are close
(a 4-norm: the three overlap, but not perfectly), and a fixed time from one operator to the next. The roofline is that of
Williams, Waterman, Patterson, CACM 52(4), 2009; the fixed time is what small operators are made of. A collective takes a
latency and its bytes over the link (alpha-beta; Hockney, Parallel Computing 20(3), 1994).
"""

from dataclasses import dataclass
from typing import Any

from profiler.theory.cost import Op
from profiler.theory.rates import Rates

KERNELS = {"linear": 1.0, "attention": 2.0, "experts": 2.0, "scan": 4.0, "vector": 1.0}  # started for one operator


@dataclass(frozen=True, slots=True)
class Step:
    """What one device does in a step, and what passes between devices."""

    ops: list[Op]
    head_dim: float = 1.0  # of attention, by which its scores are counted
    hops: Any = 0.0  # collectives and hand-overs, one after another
    exchanged: Any = 0.0  # seconds that their bytes are on the links at full rate
    overlapped: Any = 0.0  # the same, of exchanges that go on beside the device's work
    once: float = 1.0  # whether what comes once a step belongs to it: not to a kernel alone


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of a step by what they are spent on; the parts add up to `total`."""

    compute: Any  # calculating, where that is the longer part of an operator
    memory: Any  # moving bytes or widening weights, where that is the longer part
    overhead: Any  # between operators, in the host, once a step
    communication: Any
    total: Any


def device_seconds(op: Op, rates: Rates, head_dim: Any) -> tuple[Any, Any]:
    """Seconds of (calculating, moving and widening) of an operator with all its repetitions."""
    cost = op.cost
    passing = cost.activations * rates.traffic / rates.bandwidth
    if op.kind == "attention":
        scores = rates.scores * cost.flops / (4 * head_dim)
        return cost.flops / rates.attention, cost.kv / rates.cache + scores / rates.bandwidth + passing
    move = cost.weights / rates.bandwidth + cost.kv / rates.cache + passing
    if op.kind == "vector":
        return cost.flops / rates.matrix, move
    padded = 1 + rates.tile * (1 - 1 / op.rows) / op.rows  # a single row has kernels of its own
    return cost.flops * padded / rates.matrix, soft(move, cost.weights / rates.unpack)


def kernels(op: Op) -> Any:
    """How many kernels an operator starts."""
    return op.count * KERNELS[op.kind]


def soft(one: Any, two: Any) -> Any:
    """The 4-norm of two times that overlap: a maximum with its corner rounded (19 % more where both are equal)."""
    one, two = one * one, two * two
    return ((one * one + two * two) ** 0.5) ** 0.5


def step_seconds(step: Step, rates: Rates) -> Any:
    """Seconds of a step: the device's operators, or the host that starts them where it is slower, and what comes once a step."""
    device = sum(soft(*device_seconds(op, rates, step.head_dim)) for op in step.ops)
    started = sum(kernels(op) for op in step.ops)
    working = soft(device + started * rates.operator, started * rates.host)
    return soft(working, step.overlapped) + step.once * rates.step + step.hops * rates.hop + step.exchanged


def spent(step: Step, rates: Rates) -> Spent:
    """What a step's seconds are spent on: each operator's by its longer part."""
    compute: Any = 0.0
    memory: Any = 0.0
    started: Any = 0.0
    for op in step.ops:
        calculate, move = device_seconds(op, rates, step.head_dim)
        busy = soft(calculate, move)
        share = calculate >= move
        compute = compute + busy * share
        memory = memory + busy * (1 - share)
        started = started + kernels(op)
    communication = step.hops * rates.hop + step.exchanged
    working = soft(compute + memory + started * rates.operator, started * rates.host)
    exposed = soft(working, step.overlapped) - working
    communication = communication + exposed
    total = working + step.once * rates.step + communication
    return Spent(compute, memory, total - compute - memory - communication, communication, total)
