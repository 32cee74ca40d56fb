"""Cost: the work of an operation, as an algebra.

FLOPs count a multiply and an add as two. Bytes are those that must cross the memory bus at least once, by kind.
Fields may be numbers or numpy arrays alike, so that a sweep is the same code as one configuration.
"""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Cost:
    """FLOPs, and bytes of weights, KV cache and activations."""

    flops: float = 0.0
    weights: float = 0.0
    kv: float = 0.0
    activations: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Cost)))

    def __mul__(self, times: float) -> "Cost":
        return Cost(*(getattr(self, f.name) * times for f in fields(Cost)))

    @property
    def bytes(self) -> float:
        """All bytes."""
        return self.weights + self.kv + self.activations

    @property
    def intensity(self) -> float:
        """Arithmetic intensity, FLOP per byte."""
        return self.flops / self.bytes


@dataclass(frozen=True, slots=True)
class Op:
    """One named operation of a step, summed over the layers; `linear` ones are matrix products with weights."""

    name: str
    cost: Cost
    parameters: float = 0.0
    linear: bool = False


def total(ops: list[Op]) -> Cost:
    """The cost of a whole step."""
    return sum((op.cost for op in ops), Cost())
