"""What a machine's ceilings say: the levels of its memory, how threads scale, and how all that compares with a data sheet."""

from typing import NamedTuple

from profiler.analysis.table import no_kernel, operations
from profiler.spec.machine import Ceilings
from profiler.spec.run import BYTES
from profiler.spec.units import number, words

Points = dict[str, tuple[list[float], list[float]]]  # series → (x, value), in SI units
SAME_LEVEL = 0.9  # a working set whose rate falls below this share of the step's first one is on the next step


class Level(NamedTuple):
    """A step of the staircase: sets of up to `size` bytes are read at `rate` bytes/s by all threads together."""

    name: str
    size: int
    rate: float


def levels(found: Ceilings) -> list[Level]:
    """The steps of the read staircase, fastest first, main memory last. A lone point on the slope between two steps is none."""
    steps: list[list[int]] = []
    for size in sorted(found.read):
        if steps and found.read[size] >= SAME_LEVEL * found.read[steps[-1][0]]:
            steps[-1].append(size)
        else:
            steps.append([size])
    caches = [step for step in steps[:-1] if len(step) > 1 or not found.full]
    named = [Level(f"sets of {words(step[-1], 'B')}", step[-1], found.read[step[len(step) // 2]]) for step in caches]
    return [*named, Level("main memory", max(found.read), found.dram)]


def highest(points: Points) -> Points:
    """The best of what was measured more than once at the same place."""
    return {series: _highest(*values) for series, values in points.items()}


def _highest(x: list[float], values: list[float]) -> tuple[list[float], list[float]]:
    found: dict[float, float] = {}
    for at, value in zip(x, values):
        found[at] = max(value, found.get(at, 0.0))
    return list(found), list(found.values())


def speedups(found: Ceilings) -> Points:
    """Times one thread's rate, by threads: reading, multiplying, and the matrix-vector product."""
    one = found.scaling.get(1)
    if one is None:
        return {}
    counts = sorted(found.scaling)
    pairs = [("reading memory", "read"), ("matrix product", "matmul"), ("matrix-vector product", "matvec")]
    return {
        title: ([float(count) for count in counts], [getattr(found.scaling[count], name) / getattr(one, name) for count in counts])
        for title, name in pairs
    }


def summary(found: Ceilings) -> str:
    """The two roofs that matter most, and where they meet."""
    ridge = found.peak / found.dram
    return (
        f"Memory delivers {words(found.dram, 'B/s')}, arithmetic {words(found.peak, 'FLOP/s')} in {found.dtype}: "
        f"below {number(ridge, 2)} operations per byte, memory is the limit"
    )


def staircase_finding(found: Ceilings) -> str:
    """How much faster the fastest cache is than main memory."""
    first = levels(found)[0]
    if first.size == max(found.read):
        return f"Main memory is read at {words(found.dram, 'B/s')}"
    return f"Read again and again, {words(first.size, 'B')} come {number(first.rate / found.dram, 2)} times as fast as from main memory"


def matmul_finding(found: Ceilings) -> str:
    """The fastest floating-point format against float32, and the formats without a real kernel."""
    single = found.matmul["float32"]
    fast = max((dtype for dtype in found.matmul if dtype in BYTES), key=lambda dtype: found.matmul[dtype])
    said = (
        f"float32 multiplies fastest, {words(single, 'FLOP/s')}"
        if fast == "float32"
        else f"{fast} multiplies {number(found.matmul[fast] / single, 2)} times as fast as float32"
    )
    lacking = [dtype for dtype in found.matmul if no_kernel(found, dtype)]
    return said + (f"; {' and '.join(lacking)} {'has' if len(lacking) == 1 else 'have'} no real kernel here" if lacking else "")


def scaling_finding(found: Ceilings) -> str:
    """What all threads gain over one."""
    gained, most = speedups(found), max(found.scaling)
    read, product = gained["reading memory"][1][-1], gained["matrix product"][1][-1]
    return f"{most} threads multiply {number(product, 2)} times and read {number(read, 2)} times as fast as one"


def sheet_rows(found: Ceilings, bandwidth: float, peak: dict[str, float]) -> list[dict[str, str]]:
    """Measured rates beside a data sheet's: bandwidth in bytes/s, peak rates by format."""
    rows = [("read from main memory", found.dram, bandwidth, "B/s"), ("triad in main memory", found.triad_rate, bandwidth, "B/s")]
    rows += [
        (f"matrix product, {dtype}", found.matmul[dtype], rate, operations(dtype)) for dtype, rate in peak.items() if dtype in found.matmul
    ]
    return [
        {"ceiling": name, "measured": words(measured, unit), "data sheet": words(paper, unit), "share": words(measured / paper, "%")}
        for name, measured, paper, unit in rows
    ]
