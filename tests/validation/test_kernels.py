"""Timings of single kernels as steps of one operator, by hand."""

import csv

import numpy as np
import pytest

from profiler.theory.rates import rates
from profiler.theory.timing import step_seconds
from profiler.validation.fit import PUBLISHED
from profiler.validation.kernels import TYPICAL, kernel


def row(**cells):
    return {"hardware": "NVIDIA H20", "dtype": "bf16", "value": "100", "unit": "us"} | cells


def test_the_best_product_by_hand():
    """2 · 1,000 · 2,000 · 3,000 FLOPs at 100 TFLOP/s take 0.12 ms; layers reach 85 % of that, and the launch is not part of it."""
    place, step, seconds = kernel(row(kind="max achievable matmul", shape="1000x2000x3000", unit="TFLOPS"))
    (op,) = step.ops

    assert seconds == pytest.approx(0.12e-3)
    assert op.cost.flops == pytest.approx(12e9 / TYPICAL)
    assert (op.kind, op.count, op.rows, op.cost.bytes, step.once) == ("linear", 0, 1000, 0, 0)
    assert (place.engine, place.precision.weights) == ("compiled", "bfloat16")


def test_a_float8_product_by_hand():
    """16 rows, 6,144 columns, 2,048 deep: a byte of each weight and input, two of each output."""
    place, step, seconds = kernel(row(kind="GEMM (DeepGEMM)", dtype="fp8", shape="16x6144x2048 (MxNxK)", value="10.63"))
    (op,) = step.ops

    assert seconds == pytest.approx(10.63e-6)
    assert op.cost.flops == 2 * 16 * 6144 * 2048
    assert op.cost.weights == 6144 * 2048
    assert op.cost.activations == 16 * 2048 + 2 * 16 * 6144
    assert (op.kind, op.rows) == ("linear", 16)
    assert place.precision.arithmetic == "float8"


@pytest.mark.parametrize(("dtype", "width"), [("bf16/kv bf16", 2), ("bf16/kv fp8", 1)])
def test_attention_on_a_cache_by_hand(dtype, width):
    """Eight sequences of 1,024 tokens, 32 query heads on 4 of keys and values, 128 wide."""
    _, step, seconds = kernel(row(kind="MHA/GQA decode (FlashInfer) heads 32-4-128", dtype=dtype, shape="batch 8 kv 1024"))
    (op,) = step.ops

    assert seconds == pytest.approx(100e-6)
    assert op.cost.flops == 4 * 8 * 32 * 128 * 1024
    assert op.cost.kv == 2 * 8 * 4 * 128 * 1024 * width
    assert (op.kind, step.head_dim, op.cost.weights) == ("attention", 128, 0)


def test_attention_on_a_prompt_by_hand():
    """Each of 1,024 queries sees half of the keys on average; keys and values of two heads cross the bus once."""
    _, step, _ = kernel(row(kind="MHA/GQA prefill (FA3) heads 32-2-128", shape="seq 1024"))
    (op,) = step.ops

    assert op.cost.flops == 4 * 32 * 128 * 1024**2 / 2
    assert op.cost.kv == 2 * 2 * 128 * 1024 * 2
    assert op.kind == "attention"


def test_every_published_kernel_is_one_of_these():
    """All 1,219 rows have seconds, measured and predicted; of each kind the median ratio lies within a quarter."""
    rows = list(csv.DictReader((PUBLISHED / "microbench.csv").read_text("utf-8").splitlines()))
    ratios: dict[str, list[float]] = {}
    for given in rows:
        place, step, seconds = kernel(given)
        ratios.setdefault(given["kind"].split(" heads")[0], []).append(step_seconds(step, rates(place)) / seconds)

    assert len(rows) == 1219
    assert min(map(min, ratios.values())) > 0
    assert {kind: float(np.median(each)) for kind, each in ratios.items()} == pytest.approx(dict.fromkeys(ratios, 1.0), abs=0.25)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"hardware": "Abacus", "kind": "GEMM", "shape": "1x1x1"}, "unknown device 'Abacus'"),
        ({"kind": "softmax", "shape": "1x1"}, "a kernel of another kind: softmax"),
    ],
)
def test_what_is_none_of_them_is_named(cells, said):
    """As a ValueError."""
    with pytest.raises(ValueError, match=said):
        kernel(row(**cells))
