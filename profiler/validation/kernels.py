"""Timings of single kernels that others published, as steps of one operator.

Best matrix products by accelerator (the fastest shape of a search: real layers reach `TYPICAL` of it), float8 products,
and attention on a cache. They tell what devices reach that nobody published whole models of.
"""

import re

from profiler.catalog import devices
from profiler.spec.deployment import Deployment
from profiler.spec.formats import Precision, format_named
from profiler.theory.cost import Cost, Op
from profiler.theory.timing import Step
from profiler.validation.conditions import Row

TYPICAL = 0.85  # of the best shape's rate that layers reach; assumed


def kernel(row: Row) -> tuple[Deployment, Step, float]:
    """(where it ran, the operator, seconds). Raises ValueError for a row that is none of the three kinds."""
    device = devices.find(row["hardware"])
    if device is None:
        raise ValueError(f"unknown device {row['hardware']!r}")
    place = Deployment(device=device, engine="sglang", precision=Precision.of(format_named(row["dtype"].split("/")[0].split(" ")[0])))
    numbers = [int(number) for number in re.findall(r"\d+", row["shape"])]
    if row["kind"].startswith("max achievable"):
        m, n, k = numbers
        flops = 2.0 * m * n * k
        best = flops / (float(row["value"]) * 1e12)
        return place.model_copy(update={"engine": "compiled"}), Step([Op("product", Cost(flops / TYPICAL), "linear", 0, m)], once=0.0), best
    if row["kind"].startswith("GEMM"):
        m, n, k = numbers
        cost = Cost(2.0 * m * n * k, n * k * 1.0, 0.0, m * (k + 2 * n) * 1.0)
        return place, Step([Op("product", cost, "linear", 1, m)], once=0.0), float(row["value"]) * 1e-6
    if "decode" in row["kind"]:
        heads, groups, size = (int(part) for part in row["kind"].split()[-1].split("-"))
        batch, length = numbers
        width = 1.0 if "kv fp8" in row["dtype"] else 2.0
        cost = Cost(4.0 * batch * heads * size * length, 0.0, 2 * batch * groups * size * length * width, 4.0 * batch * heads * size)
        return place, Step([Op("attention", cost, "attention", 0.5, batch)], size, once=0.0), float(row["value"]) * 1e-6
    if "prefill" in row["kind"]:
        heads, groups, size = (int(part) for part in row["kind"].split()[-1].split("-"))
        length = numbers[0]
        cost = Cost(2.0 * heads * size * length**2, 0.0, 4.0 * groups * size * length, 4.0 * heads * size * length)
        return place, Step([Op("attention", cost, "attention", 0.5, length)], size, once=0.0), float(row["value"]) * 1e-6
    raise ValueError(f"a kernel of another kind: {row['kind']}")
