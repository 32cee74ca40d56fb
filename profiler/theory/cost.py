"""Cost: the work of an operation, as an algebra.

FLOPs count a multiply and an add as two. Bytes are those that must cross the memory bus at least once, by kind.
Fields may be numbers or numpy arrays alike, so that a sweep is the same code as one configuration.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["linear", "attention", "experts", "scan", "vector"]


@dataclass(frozen=True, slots=True)
class Cost:
    """FLOPs, bytes of weights, KV cache (or another state) and activations, and bytes that leave a device over its links."""

    flops: float = 0.0
    weights: float = 0.0
    kv: float = 0.0
    activations: float = 0.0
    communication: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.flops + other.flops,
            self.weights + other.weights,
            self.kv + other.kv,
            self.activations + other.activations,
            self.communication + other.communication,
        )

    def __mul__(self, times: float) -> "Cost":
        return Cost(self.flops * times, self.weights * times, self.kv * times, self.activations * times, self.communication * times)

    @property
    def bytes(self) -> float:
        """All bytes that the device's own memory moves."""
        return self.weights + self.kv + self.activations

    @property
    def intensity(self) -> float:
        """Arithmetic intensity, FLOP per byte."""
        return self.flops / self.bytes


@dataclass(frozen=True, slots=True)
class Op:
    """One named operation of a step, with the cost of all its repetitions."""

    name: str
    cost: Cost
    kind: Kind
    count: float = 1.0  # how often it runs in the step: once in each layer that has it
    rows: float = 1.0  # of the product in one repetition: tokens of all sequences; for experts, tokens that one expert sees
    parameters: float = 0.0  # of all repetitions

    def __mul__(self, times: float) -> "Op":
        return Op(self.name, self.cost * times, self.kind, self.count * times, self.rows, self.parameters * times)


def total(ops: list[Op]) -> Cost:
    """The cost of a whole step."""
    return sum((op.cost for op in ops), Cost())
