"""What the library's kernels take on a processor, in seconds, from rates measured there.

Each law has the form of its cause, and its rates come from the ceilings:

    one row × matrix      bytes ÷ rate, and a fixed time for each output: a dot product has a start and an end
    few rows              the same; between two measured numbers of rows in proportion
    the rows of a prompt  as few rows; beyond the last measured number each row costs what the last ones did
    a row cut of a prompt where the library walks down the columns (see `Kernels.cut`): slower the more lines, by a power law
    attention             FLOPs ÷ rate by tokens, or bytes of keys and values ÷ rate of one query
    element-wise          bytes read and written, and a little for calculating ÷ a share of the rate of reading a cache
    fresh memory          a fault for each page, in dispatches of a tiny operator
"""

from dataclasses import dataclass
from math import exp, log

from profiler.spec.machine import Ceilings, Kernels
from profiler.spec.run import BYTES

NARROW = 768  # columns of the matrices behind `Kernels.narrow`, `many` and `cut`
ALIGNED = 2048  # columns of the one behind `Kernels.cut_aligned`
FEW_ROWS = 32  # up to so many rows a product reads its weights more than it calculates
SLOW = 0.5  # a cut row that reaches less than this share of a whole one's rate has no kernel of its own
CALCULATING = 1.0  # bytes that could be moved while calculating with one number (fitted)
HELD = 8 << 20  # bytes of a working set between two operators: a cache holds it
EAGER = 0.11  # share of a cache's rate that a short operator reaches: it starts threads, and they meet at its end (fitted)
COLD = 1.2  # times what attention takes on its own: between two layers its operands left the nearest caches (fitted)
PAGE = 4096  # bytes
FAULT = 0.4  # dispatches of a tiny operator that the first touch of a page takes (fitted)


@dataclass(frozen=True)
class Library:
    """The kernels of one device, dtype and thread count."""

    ceilings: Ceilings
    kernels: Kernels

    @property
    def width(self) -> int:
        """Bytes of one number."""
        return BYTES[self.ceilings.dtype]

    def product(self, rows: float, elements: float, outputs: float, calls: float, *, across: bool = False) -> float:
        """Seconds of products of so many rows with matrices of `elements` numbers that have `outputs` columns of results, in all."""
        size, k = elements * self.width, self.kernels
        if across and rows <= 1:
            return calls * k.call[1] + size / k.across
        slower = k.many[128] / k.across_many if across and rows > FEW_ROWS else 1.0
        ends = outputs * self._end(rows) if rows <= FEW_ROWS else 0.0
        return calls * k.call[1 if rows <= 1 else max(k.call)] + ends + size * slower * self._each(rows)

    def packed(self, size: float, calls: float, name: str) -> float:
        """Seconds of products of one row with `size` bytes of matrices in a quantized format."""
        return calls * self.ceilings.packed_call.get(name, 0.0) + size / self.ceilings.packed[name]

    def _end(self, rows: float) -> float:
        """Seconds that each output adds: what a narrow matrix takes more than a wide one of as many numbers."""
        few = 1 if rows <= 1 else max(self.kernels.narrow)
        return max(1 / self.kernels.narrow[few] - self._each(few), 0.0) * NARROW * self.width

    def _each(self, rows: float) -> float:
        """Seconds for one byte of weights, by rows."""
        known = {1: self.ceilings.matvec[self.ceilings.dtype]} | self.ceilings.few_rows | self.kernels.many
        counts = sorted(known)
        after = next((index for index, count in enumerate(counts) if count >= rows), len(counts) - 1)
        low, high = counts[after - 1], counts[after]
        below, above = 1 / known[low], 1 / known[high]
        return below + (above - below) * (rows - low) / (high - low)

    def cut(self, batch: float, lines: float, columns: float) -> float:
        """Seconds of the product of the last row of each prompt with a matrix of so many lines."""
        whole = self.product(batch, lines * columns, lines, 1)
        (few, fast), (many, slow) = sorted(self.kernels.cut.items())
        falling = log(fast / slow) / log(many / few)
        sets = _power_of_two(columns) / ALIGNED if columns > NARROW else 0.0
        each = exp(falling * log(lines / many)) / slow + max(1 / self.kernels.cut_aligned - 1 / fast, 0.0) * sets
        cut = batch * lines * columns * self.width * each
        return cut if slow < SLOW * self.kernels.narrow[1] else whole

    def prompt(self, flops: float, tokens: float) -> float:
        """Seconds of attention over prompts of so many tokens."""
        (few, low), (many, high) = sorted(self.kernels.prompt.items())
        share = min(max(log(tokens / few) / log(many / few), -1.0), 1.0)
        return COLD * flops / (low * (high / low) ** share)

    def recall(self, flops: float) -> float:
        """Seconds of one query's attention to what is kept: 4 FLOPs for a number of a key and one of a value."""
        return flops / 2 * self.width / self.kernels.recall

    def vector(self, numbers: float) -> float:
        """Seconds of reading or writing so many numbers in element-wise operators."""
        return self.copy(numbers * (self.width + CALCULATING))

    def copy(self, size: float) -> float:
        """Seconds of moving so many bytes within the caches, in short operators."""
        return size / (EAGER * self.ceilings.read_rate(HELD))

    def fresh(self, size: float) -> float:
        """Seconds of touching so many bytes that the system has just given."""
        return size / PAGE * FAULT * self.ceilings.dispatch


def _power_of_two(number: float) -> int:
    """The largest power of two that divides it."""
    return int(number) & -int(number)
