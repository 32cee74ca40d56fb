"""How fast the library's kernels go in the shapes of a language model, which are not those of a ceiling.

A matrix of a model is narrow, its rows are many or one, and the one may be cut out of a prompt; each is another kernel, and
often a slower one. What is found here serves the prediction of a run; it is no roof.
"""

from collections.abc import Callable
from itertools import cycle

import numpy as np
import torch
from torch.nn.functional import linear, scaled_dot_product_attention

from profiler.spec.machine import Kernels
from profiler.spec.run import Setup
from profiler.worker.timing import best, slices

NARROW = 768  # columns of a matrix, as a small model has them
WIDE = 2048
LINES = 3072  # rows of one
FEW_LINES, MANY_LINES = 4096, 65536  # rows of a matrix that one row cut out of a prompt meets
FEW = 4  # rows of a small batch
PROMPT = 128  # tokens
PROMPTS = (128, 512)
SMALL = 128  # rows and columns of a matrix so small that the call is most of its product's time
HEADS, HEAD = 12, 64
CONTEXT = 256  # keys that one query looks at
MEMORY = 64 << 20  # bytes that no cache holds: matrices of layers, or keys and values, one after another
QUARTILE = 0.25
SECONDS = 0.04  # of each kernel


def kernels(setup: Setup) -> Kernels:
    """All of them, in the set-up's dtype and layout."""
    bench = Kernel(setup)
    return Kernels(
        narrow={rows: bench.narrow(rows) for rows in (1, FEW)},
        many={rows: bench.narrow(rows) for rows in PROMPTS},
        across=bench.across(1),
        across_many=bench.across(PROMPT),
        cut={lines: bench.cut(lines, NARROW) for lines in (FEW_LINES, MANY_LINES)},
        cut_aligned=bench.cut(FEW_LINES, WIDE),
        call={rows: bench.call(rows) for rows in (1, FEW)},
        prompt={tokens: bench.prompt(tokens) for tokens in PROMPTS},
        recall=bench.recall(),
    )


class Kernel:
    """Probes of one device, dtype and layout."""

    def __init__(self, setup: Setup):
        self.device, self.dtype, self.columns = setup.device, getattr(torch, setup.dtype), setup.layout == "columns"

    def narrow(self, rows: int) -> float:
        """Bytes/s of the weights of narrow matrices from main memory, one after another."""
        layers = cycle([self._matrix(LINES, NARROW, self.columns) for _ in range(self._layers)])
        inputs = self._full(rows, NARROW)
        return self._size / self._usual(lambda: linear(inputs, next(layers)))

    def across(self, rows: int) -> float:
        """The same for weights that are stored input by output, with a bias: transformers' Conv1D, an MLP's two in turn."""
        up, down = (cycle([self._full(*shape) for _ in range(self._layers // 2)]) for shape in ((NARROW, LINES), (LINES, NARROW)))
        inputs, biases = [self._full(rows, size) for size in (NARROW, LINES)], [self._full(size) for size in (LINES, NARROW)]

        def both() -> None:
            torch.addmm(biases[0], inputs[0], next(up))
            torch.addmm(biases[1], inputs[1], next(down))

        return 2 * self._size / self._usual(both)

    @property
    def _size(self) -> int:
        """Bytes of a narrow matrix."""
        return LINES * NARROW * self.dtype.itemsize

    @property
    def _layers(self) -> int:
        """Narrow matrices that no cache holds together, an even number."""
        return 2 * -(-MEMORY // (2 * self._size))

    def cut(self, lines: int, columns: int) -> float:
        """Bytes/s of weights where the one row is cut out of a prompt: the lm_head of a prefill.

        torch hands a cut input to its batched product, which in bfloat16 walks down the columns of the weights, a cache line
        for each number: the slower, the more lines there are, and the more of them share a set of the cache.
        """
        weight, inputs = self._matrix(lines, columns, self.columns), self._full(1, PROMPT, columns)
        return weight.nbytes / best(lambda: linear(inputs[:, -1:], weight), self.device, 0.0, 3)

    def call(self, rows: int) -> float:
        """Seconds of a product with hardly any work in it."""
        inputs, weight = self._full(rows, SMALL), self._matrix(SMALL, SMALL, self.columns)
        return self._usual(lambda: linear(inputs, weight))

    def prompt(self, tokens: int) -> float:
        """FLOP/s of causal attention over a prompt; masked pairs are not counted."""
        query = self._full(1, tokens, HEADS, HEAD).transpose(1, 2)
        seconds = self._usual(lambda: scaled_dot_product_attention(query, query, query, is_causal=True))
        return 2 * HEADS * HEAD * tokens * (tokens + 1) / seconds

    def recall(self) -> float:
        """Bytes/s of keys and values, from main memory, that one query looks at."""
        count = max(MEMORY // (2 * CONTEXT * HEADS * HEAD * self.dtype.itemsize), 1)
        query = self._full(1, HEADS, 1, HEAD)
        kept = [self._full(1, HEADS, CONTEXT, HEAD) for _ in range(2 * count)]

        def all_layers() -> None:
            for keys, values in zip(kept[::2], kept[1::2]):
                scaled_dot_product_attention(query, keys, values)

        return sum(part.nbytes for part in kept) / self._usual(all_layers)

    def _full(self, *shape: int) -> torch.Tensor:
        return torch.full(shape, 0.5, dtype=self.dtype, device=self.device)

    def _matrix(self, out: int, columns: int, by_columns: bool) -> torch.Tensor:
        return self._full(columns, out).t() if by_columns else self._full(out, columns)

    def _usual(self, call: Callable[[], object]) -> float:
        """Seconds of the lower quartile: what is usual on a quiet machine, and not the luckiest moment."""
        return float(np.quantile(slices(call, self.device, SECONDS), QUARTILE))
