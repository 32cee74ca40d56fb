"""Matrix products by size, dtype and library, and the matrix-vector product that decode consists of.

A roof is what any library reaches: square products by two forms of torch's, whose kernels differ, and on a processor by
numpy's in float32, which is often the faster one. Some formats have no real kernel in a library (float16 on most
processors), so a form is dropped as soon as its next size would take too long.
"""

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch.nn.functional import linear

from profiler.spec.run import Setup
from profiler.worker.timing import best, once

SIZES = (256, 384, 512, 768, 1024, 1536, 2048)
LARGEST = 4096
ACCELERATOR_SIZES = (512, 1024, 2048, 4096, 8192)
QUICK_SIZES = (512, 1024)
ROWS = (512, 1024, 2048, 4096, 8192)  # of the square matrices that one vector is multiplied with
FEW = (2, 4, 8, 16, 32)  # rows of a product between a matrix-vector product and a matrix product
PATIENCE = 0.6  # seconds that one product may take; a larger one is left out
NUMPY = "float32 by numpy"


def formats(device: str) -> list[str]:
    """The number formats that torch multiplies on a device, quickly or not; numpy's product beside its own."""
    if device == "mps":
        return ["float32", "float16"]
    return ["float32", *([NUMPY] if device == "cpu" else []), "bfloat16", "float16", "int8"]


class Products:
    """Square products, and what was learned about them on the way."""

    def __init__(self, device: str):
        self.device = device
        self.largest: dict[tuple[str, str, int], int] = {}  # format, form and threads → the size after which it is too slow
        self.best: dict[str, tuple[float, int]] = {}  # format → its highest rate, and the size that reached it

    def rate(self, kind: str, size: int, seconds: float, threads: int = 0) -> float | None:
        """FLOP/s (OP/s of int8) of the fastest form within about `seconds`; None where all would take too long."""
        rates = []
        for name, call in self._forms(kind, size).items():
            if size > self.largest.get((kind, name, threads), size):
                continue
            first = once(call, self.device)
            fastest = min(first, best(call, self.device, seconds, 2)) if first < PATIENCE / 2 else first
            rates.append(2 * size**3 / fastest)
            if fastest * 8 > PATIENCE:  # a matrix of twice the size
                self.largest[kind, name, threads] = size
        if not rates:
            return None
        self.best[kind] = max(self.best.get(kind, (0.0, 0)), (max(rates), size))
        return max(rates)

    def _forms(self, kind: str, size: int) -> dict[str, Callable[[], object]]:
        """The ways to multiply two square matrices of this format."""
        if kind == "int8":
            whole = torch.randint(-127, 128, (size, size), dtype=torch.int8, device=self.device)
            return {"_int_mm": lambda: torch._int_mm(whole, whole)}
        if kind == NUMPY:
            plain = np.random.default_rng(0).standard_normal((size, size), np.float32)
            target = np.empty_like(plain)
            return {"matmul": lambda: np.matmul(plain, plain, out=target)}
        a = torch.randn(size, size, device=self.device).to(getattr(torch, kind))
        return {"mm": lambda: torch.mm(a, a), "linear": lambda: linear(a, a)}


def matvec_rate(dtype: str, size: int, rows: int, setup: Setup, seconds: float) -> float:
    """Bytes/s of weights at which a few rows are multiplied with a size × size matrix, laid out as the set-up says: decode's own shape."""
    weight = torch.full((size, size), 0.5, dtype=getattr(torch, dtype), device=setup.device)
    inputs = torch.full((rows, size), 0.5, dtype=weight.dtype, device=setup.device)
    laid = weight.t() if setup.layout == "columns" else weight
    return weight.nbytes / best(lambda: linear(inputs, laid), setup.device, seconds)


LINES, COLUMNS = 4096, 768  # of one quantized matrix: narrow, as those of small models, where a kernel's fixed times show
SMALL = 64  # lines and columns of a matrix with hardly any work in it


def packed_formats(setup: Setup) -> list[str]:
    """Quantizations of weights whose product with one row torch has a fused kernel for, with activations as the set-up has them."""
    if setup.device != "cpu":
        return []
    return [*(("int8-rows", "int4-rows-g32") if setup.dtype != "float32" else ()), "int8-fbgemm"]


def packed_rate(name: str, size: float, setup: Setup, seconds: float) -> float:
    """Bytes/s of packed weights at which one row is multiplied with quantized matrices of `size` bytes in all, one after the other."""
    one = LINES * COLUMNS * WEIGHT[name]
    calls = PACKED[name](LINES, COLUMNS, getattr(torch, setup.dtype), max(round(size / one), 1))
    return len(calls) * one / best(lambda: [call() for call in calls], setup.device, seconds)


def packed_call(name: str, setup: Setup, seconds: float) -> float:
    """Seconds of one such product with hardly any work in it."""
    calls = PACKED[name](SMALL, SMALL, getattr(torch, setup.dtype), 20)
    return best(lambda: [call() for call in calls], setup.device, seconds) / len(calls)


def _int8_rows(lines: int, columns: int, dtype: torch.dtype, count: int) -> list[Callable[[], torch.Tensor]]:
    row, scales = torch.full((1, columns), 0.5, dtype=dtype), torch.full((lines,), 0.01, dtype=dtype)
    weights = [torch.ones(lines, columns, dtype=torch.int8) for _ in range(count)]
    return [partial(torch._weight_int8pack_mm, row, weight, scales) for weight in weights]


def _int4_rows(lines: int, columns: int, dtype: torch.dtype, count: int) -> list[Callable[[], torch.Tensor]]:
    row, scales = torch.full((1, columns), 0.5, dtype=dtype), torch.full((columns // 32, lines, 2), 0.01, dtype=dtype)
    packed = torch._convert_weight_to_int4pack_for_cpu(torch.ones(lines, columns, dtype=torch.int32), 1)
    return [partial(torch._weight_int4pack_mm_for_cpu, row, packed.clone(), 32, scales) for _ in range(count)]


def _int8_fbgemm(lines: int, columns: int, dtype: torch.dtype, count: int) -> list[Callable[[], torch.Tensor]]:
    row = torch.full((1, columns), 0.5)
    with warnings.catch_warnings():  # torch means to replace its own quantized tensors, but its fused product still wants one
        warnings.simplefilter("ignore")
        weight = torch.quantize_per_tensor(torch.ones(lines, columns), 0.01, 0, torch.qint8)
    return [partial(torch.ops.quantized.linear_dynamic, row, torch.ops.quantized.linear_prepack(weight, None)) for _ in range(count)]


PACKED = {"int8-rows": _int8_rows, "int4-rows-g32": _int4_rows, "int8-fbgemm": _int8_fbgemm}
WEIGHT = {"int8-rows": 1.0, "int4-rows-g32": 0.625, "int8-fbgemm": 1.0}  # bytes of one weight, scales included
