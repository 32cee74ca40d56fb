"""Matrix products by size, dtype and library, and the matrix-vector product that decode consists of.

A roof is what any library reaches: square products by two forms of torch's, whose kernels differ, and on a processor by
numpy's in float32, which is often the faster one. Some formats have no real kernel in a library (float16 on most
processors), so a form is dropped as soon as its next size would take too long.
"""

import warnings
from collections.abc import Callable

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


SIDE = 2048  # rows and columns of one quantized matrix; as many equal ones as fill main memory's share are multiplied in turn


def packed_formats(setup: Setup) -> list[str]:
    """Quantizations of weights whose product with one row torch has a fused kernel for, with activations as the set-up has them."""
    if setup.device != "cpu":
        return []
    return [*(("int8-rows", "int4-rows-g32") if setup.dtype != "float32" else ()), "int8-fbgemm"]


def packed_rate(name: str, size: float, setup: Setup, seconds: float) -> float:
    """Bytes/s of packed weights at which one row is multiplied with quantized matrices of `size` bytes in all."""
    one = PACKED[name](getattr(torch, setup.dtype))
    calls = [one() for _ in range(max(round(size / (SIDE * SIDE * WEIGHT[name])), 1))]
    return len(calls) * SIDE * SIDE * WEIGHT[name] / best(lambda: [call() for call in calls], setup.device, seconds)


def _int8_rows(dtype: torch.dtype) -> Callable[[], Callable[[], torch.Tensor]]:
    row, scales = torch.full((1, SIDE), 0.5, dtype=dtype), torch.full((SIDE,), 0.01, dtype=dtype)

    def made() -> Callable[[], torch.Tensor]:
        weight = torch.ones(SIDE, SIDE, dtype=torch.int8)
        return lambda: torch._weight_int8pack_mm(row, weight, scales)

    return made


def _int4_rows(dtype: torch.dtype) -> Callable[[], Callable[[], torch.Tensor]]:
    row, scales = torch.full((1, SIDE), 0.5, dtype=dtype), torch.full((SIDE // 32, SIDE, 2), 0.01, dtype=dtype)
    packed = torch._convert_weight_to_int4pack_for_cpu(torch.ones(SIDE, SIDE, dtype=torch.int32), 1)

    def made() -> Callable[[], torch.Tensor]:
        weight = packed.clone()
        return lambda: torch._weight_int4pack_mm_for_cpu(row, weight, 32, scales)

    return made


def _quantized_ones() -> torch.Tensor:
    with warnings.catch_warnings():  # torch means to replace its own quantized tensors, but its fused product still wants one
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(torch.ones(SIDE, SIDE), 0.01, 0, torch.qint8)


def _int8_fbgemm(dtype: torch.dtype) -> Callable[[], Callable[[], torch.Tensor]]:
    row = torch.full((1, SIDE), 0.5)
    weight = _quantized_ones()

    def made() -> Callable[[], torch.Tensor]:
        packed = torch.ops.quantized.linear_prepack(weight, None)
        return lambda: torch.ops.quantized.linear_dynamic(row, packed)

    return made


PACKED = {"int8-rows": _int8_rows, "int4-rows-g32": _int4_rows, "int8-fbgemm": _int8_fbgemm}
WEIGHT = {"int8-rows": 1.0, "int4-rows-g32": 0.625, "int8-fbgemm": 1.0}  # bytes of one weight, scales included
