"""One pass through a stack of blocks, and the two plain kinds of operation: a product with weights, and element-wise work.

A linear layer takes 2·M·N·K FLOPs (Kaplan et al. 2020, arXiv 2001.08361, appendix B), reads its weights once, and reads its
input and writes its output once.
"""

from dataclasses import dataclass

import numpy as np

from profiler.theory.cost import Cost, Op


@dataclass(slots=True)
class Pass:
    """What goes through the blocks: `tokens` new ones of each of `batch` sequences, on top of `context` cached ones."""

    hidden: int
    batch: float
    tokens: float
    context: float
    width: dict[str, float]  # bytes of one element, by what it is of
    matrix: float  # bytes of one element of weight matrices beside experts
    source: float = 0  # tokens of the encoder's output that a cross attention sees
    encode: bool = False  # keys and values of the cross attention are made in this pass

    @property
    def rows(self):
        """Tokens of all sequences."""
        return self.batch * self.tokens


def linear(p: Pass, name: str, fan_in: int, fan_out: int, count: float, *, bias: int = 0, rows=None, width=None) -> Op:
    """A product with a weight matrix in `count` layers; `width` is bytes of one weight, where it is not that of all others."""
    rows = p.rows if rows is None else rows
    size = fan_in * fan_out
    read = size * (p.matrix if width is None else width) + bias * p.width["vectors"]
    moved = rows * (fan_in + fan_out) * p.width["activations"]
    return Op(name, Cost(2 * count * rows * size, count * read, 0.0, count * moved), "linear", count, rows, count * (size + bias))


def vector(p: Pass, name: str, size: float, columns: int, count: float) -> Op:
    """Element-wise work on `columns` values of each token, with `size` parameters: bytes matter, FLOPs do not."""
    moved = 2 * p.rows * columns * p.width["activations"]
    return Op(name, Cost(0.0, count * size * p.width["vectors"], 0.0, count * moved), "vector", count, p.rows, count * size)


def smaller(one, other):
    """The smaller of two numbers, or of two arrays element by element."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.minimum(one, other)
    return one if one < other else other


def chosen(condition, one, other):
    """`one` where the condition holds, else `other`; of numbers or arrays."""
    return np.where(condition, one, other) if isinstance(condition, np.ndarray) else (one if condition else other)
