"""What is measured for the ceilings, point by point: each probe is one number, and says which curve it belongs to.

A small working set, a small product and few threads come first, so that a curve grows from the left.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import isqrt
from typing import NamedTuple

from profiler.record.events import Curve
from profiler.spec.run import BYTES, Setup
from profiler.worker import products
from profiler.worker.bandwidth import ARRAYS, Kernel, cache_size, is_processor, main_memory_size, step_rate, steps
from profiler.worker.products import NUMPY, Products, matvec_rate, packed_call, packed_formats, packed_rate

ALIGNED = 64  # rows of a matrix come in such steps


class Probe(NamedTuple):
    """One number to be measured."""

    curve: Curve
    series: str
    x: float
    threads: int
    seconds: float  # that measuring it takes, about
    measure: Callable[[], float | None]


def thread_counts(most: int) -> list[int]:
    """1, 2, 4, … and all."""
    return [*(1 << power for power in range(most.bit_length()) if 1 << power < most), most]


@dataclass
class Plan:
    """The probes of one device, thread count and dtype."""

    setup: Setup
    cache: int | None

    def __post_init__(self) -> None:
        self.device = self.setup.device
        self.threads = self.setup.threads if is_processor(self.device) else 1  # an accelerator has its own, and is told none
        self.array = main_memory_size(self.device, self.cache)  # once: what is free changes
        self.products = Products(self.device)
        self.counts = thread_counts(self.threads)

    def series(self, threads: int) -> str:
        """How a line of this many threads is called."""
        return f"{threads} thread{'s' if threads > 1 else ''}" if is_processor(self.device) else self.device

    def quick(self) -> list[Probe]:
        """What one run is judged by, in a few seconds."""
        held = cache_size(self.device, self.cache) // self.threads
        kinds = {self.setup.dtype, "float32", NUMPY, "bfloat16", "int8"} & set(products.formats(self.device))
        sizes = products.QUICK_SIZES if is_processor(self.device) else products.ACCELERATOR_SIZES
        return [
            self._step("read", held, self.threads, 0.15),
            *(self._step(kernel, self.last(kernel), self.threads, 0.2) for kernel in ARRAYS),
            *(self._product(kind, size, self.threads, 0.1) for kind in sorted(kinds) for size in sizes),
            *(self._matvec(dtype, self.last_rows(dtype), 0.15) for dtype in sorted(kinds & BYTES.keys())),
            *self._packed(0.12),
            *self._few_rows(0.12),
            *self.scaling(0.1),
        ]

    def full(self) -> list[Probe]:
        """Everything; main memory, whose speed changes within minutes on a shared machine, once more at the end."""
        again = [self._step(kernel, self.last(kernel), self.threads, 0.5) for kernel in ARRAYS]
        return [*self.memory(), *self.matmul(), *self._packed(0.2), *self._few_rows(0.2), *self.scaling(0.15), *again, *self.scaling(0.15)]

    def memory(self) -> list[Probe]:
        """The staircases: read, copy and triad by working set and threads."""
        return [
            self._step(kernel, size, threads, 0.4 if size == sizes[-1] else 0.1)
            for threads in self.counts
            for kernel in ARRAYS
            for sizes in [steps(kernel, threads, self.device, self.array)]
            for size in sizes
        ]

    def matmul(self) -> list[Probe]:
        """Square products by size, format and threads, then the matrix-vector product by size and format."""
        kinds = products.formats(self.device)
        sizes = (*products.SIZES, products.LARGEST) if is_processor(self.device) else products.ACCELERATOR_SIZES
        few = [1] if self.threads > 1 and is_processor(self.device) else []
        return [
            *(
                self._product(kind, size, threads, 0.12)
                for kind in kinds
                for threads in [*few, self.threads]
                if not (kind == NUMPY and threads < self.threads)  # numpy's library takes its thread count when it starts
                for size in sizes
            ),
            *(self._matvec(dtype, rows, 0.2) for dtype in kinds if dtype in BYTES for rows in self._rows(dtype)),
        ]

    def scaling(self, seconds: float) -> list[Probe]:
        """Reading, multiplying and a matrix-vector product by thread count, in the set-up's dtype.

        The thread counts follow each other at once, since their ratio is what is asked, and the machine's speed changes.
        """
        if not is_processor(self.device):
            return []
        dtype = self.setup.dtype
        rows = self.last_rows(dtype)
        ways: dict[Curve, Callable[[int], Callable[[], float | None]]] = {
            "scaling_read": lambda threads: partial(self._rate, "read", self.array // threads, threads, seconds),
            "scaling_matmul": lambda threads: partial(self._best_product, dtype, threads, seconds),
            "scaling_matvec": lambda threads: partial(self._matvec_rate, dtype, rows, seconds),
        }
        return [
            Probe(curve, dtype, float(threads), threads, 1.3 * seconds, measure(threads))
            for curve, measure in ways.items()
            for threads in self.counts
        ]

    def last(self, kernel: Kernel) -> int:
        """Bytes per thread of the working set that only main memory holds."""
        return ARRAYS[kernel] * self.array // self.threads

    def last_rows(self, dtype: str) -> int:
        """Rows of the square matrix that only main memory holds."""
        rows = isqrt(self.array // BYTES[dtype])
        return -(-rows // ALIGNED) * ALIGNED

    def _rows(self, dtype: str) -> list[int]:
        last = self.last_rows(dtype)
        return [*(rows for rows in products.ROWS if rows < last), last]

    def _step(self, kernel: Kernel, size: int, threads: int, seconds: float) -> Probe:
        measure = partial(self._rate, kernel, size, threads, seconds)
        return Probe(kernel, self.series(threads), float(size), threads, 1.1 * seconds, measure)

    def _rate(self, kernel: Kernel, size: int, threads: int, seconds: float) -> float:
        return step_rate(kernel, size, threads, self.device, self.array, seconds)

    def _product(self, kind: str, size: int, threads: int, seconds: float) -> Probe:
        measure = partial(self.products.rate, kind, size, seconds, threads)
        forms = 1 if kind in (NUMPY, "int8") else 2
        return Probe("matmul", f"{kind} · {self.series(threads)}", float(size), threads, forms * (seconds + 0.07), measure)

    def _matvec(self, dtype: str, rows: int, seconds: float) -> Probe:
        return Probe("matvec", dtype, float(rows), self.threads, 1.2 * seconds, partial(self._matvec_rate, dtype, rows, seconds))

    def _packed(self, seconds: float) -> list[Probe]:
        """The product of one row with quantized weights, where the library has a kernel for it: its rate, and what a call takes."""
        names = packed_formats(self.setup)
        rates = [
            Probe("packed", name, 1.0, self.threads, 1.5 * seconds, partial(packed_rate, name, self.array, self.setup, seconds))
            for name in names
        ]
        calls = [Probe("packed_call", name, 1.0, self.threads, 0.05, partial(packed_call, name, self.setup, 0.04)) for name in names]
        return rates + calls

    def _few_rows(self, seconds: float) -> list[Probe]:
        """Products with a few rows, which decide what a wider batch costs: libraries have other kernels for them than for one."""
        dtype = self.setup.dtype
        size = self.last_rows(dtype)
        return [
            Probe("few_rows", dtype, float(rows), self.threads, 1.3 * seconds, partial(self._matvec_rate, dtype, size, seconds, rows))
            for rows in products.FEW
        ]

    def _matvec_rate(self, dtype: str, size: int, seconds: float, rows: int = 1) -> float:
        return matvec_rate(dtype, size, rows, self.setup, seconds)

    def _best_product(self, dtype: str, threads: int, seconds: float) -> float | None:
        return self.products.rate(dtype, self.products.best[dtype][1], seconds, threads)
