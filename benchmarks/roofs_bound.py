"""The measuring half of benchmarks/roofs.py, started by it with its threads bound."""

import os
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from profiler.catalog.machine import this_machine
from profiler.worker import bandwidth
from profiler.worker.neighbours import Neighbours, foreign_cores
from profiler.worker.products import NUMPY, Products

PAIRS = 24
TRIAD_PAIRS = 60  # they are shorter, and memory is what neighbours disturb most
PASSES = 3  # of a triad in each half of a pair
PAUSE = 0.03  # seconds in which the other side's threads stop waiting for work and sleep
SIZES = (384, 512, 1024)
SLICE = 0.03  # seconds of one product


def alternate(title: str, sides: tuple[Callable[[], float], Callable[[], float]], target: float, unit: str, pairs: int = PAIRS) -> None:
    """Print the ratio of two rates, ours and theirs, measured in pairs whose order alternates."""
    ours, theirs = sides
    found: dict[Callable[[], float], list[float]] = {ours: [], theirs: []}
    with Neighbours().watched() as seen:
        for pair in range(pairs):
            for side in (ours, theirs) if pair % 2 else (theirs, ours):
                time.sleep(PAUSE)
                found[side].append(side())
    mine, other = np.array(found[ours]), np.array(found[theirs])
    ratios = mine / other
    print(f"{title}: ours {mine.max() / 1e9:.1f}, theirs {other.max() / 1e9:.1f} {unit} (best of {pairs} pairs)")
    print(f"  ratio of the bests {mine.max() / other.max():.3f}, median of the pairs' ratios {np.median(ratios):.3f}")
    print(f"  (quartiles {np.quantile(ratios, 0.25):.3f} to {np.quantile(ratios, 0.75):.3f}; target: at least {1 - target:.2f})")
    print(f"  work that is not this process's, the compiled triad's included: {foreign_cores([seen]):.2f} cores")


def triads(program: str, size: int) -> None:
    """Our triad against the compiled one."""
    with _server(program, size) as server:
        assert server.stdin
        assert server.stdout
        ask, answer = server.stdin, server.stdout

        def compiled() -> float:
            seconds = []
            for _ in range(PASSES):
                ask.write("\n")
                ask.flush()
                seconds.append(float(answer.readline()))
            return 3 * size / min(seconds)

        work = bandwidth.far("triad", size, "cpu")
        alternate(
            f"triad, three arrays of {size >> 20} MiB of float32",
            (lambda: work.moved / min(_timed(work.call) for _ in range(PASSES)), compiled),
            0.05,
            "GB/s",
            TRIAD_PAIRS,
        )
        server.stdin.close()


def _server(program: str, size: int) -> subprocess.Popen:
    """The compiled triad, free to bind its threads to all cores: a child inherits the one core that torch bound us to."""
    bound = os.sched_getaffinity(0)
    os.sched_setaffinity(0, os.sched_getaffinity(os.getppid()))
    try:
        return subprocess.Popen([program, str(size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    finally:
        os.sched_setaffinity(0, bound)


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _fastest(call: Callable[[], object]) -> float:
    end = time.perf_counter() + SLICE
    seconds = [_timed(call)]
    while time.perf_counter() < end:
        seconds.append(_timed(call))
    return min(seconds)


def direct(dtype: str) -> Callable[[], float]:
    """The libraries' own products, called directly; the best library at its best size."""
    calls: list[tuple[int, Callable[[], object]]] = []
    for size in SIZES:
        a = torch.randn(size, size, dtype=getattr(torch, dtype))
        calls.append((size, lambda a=a: torch.mm(a, a)))
        if dtype == "float32":
            plain, target = a.numpy(), np.empty((size, size), np.float32)
            calls.append((size, lambda plain=plain, target=target: np.matmul(plain, plain, out=target)))
    return lambda: max(2 * size**3 / _fastest(call) for size, call in calls)


def ours(dtype: str) -> Callable[[], float]:
    """The product's roof as the ceilings measure it, at the same sizes."""
    products = Products("cpu")
    kinds = [dtype, NUMPY] if dtype == "float32" else [dtype]
    return lambda: max(products.rate(kind, size, SLICE) or 0.0 for size in SIZES for kind in kinds)


@torch.inference_mode()
def main(program: str) -> None:
    """All comparisons, in one run."""
    machine = this_machine()
    print(f"{machine.name}, {torch.get_num_threads()} threads, torch {torch.__version__}, numpy {np.__version__}")
    triads(program, bandwidth.main_memory_size("cpu", machine.cache))
    for dtype in ("float32", "bfloat16"):
        alternate(f"matrix product, {dtype}", (ours(dtype), direct(dtype)), 0.03, "GFLOP/s")


if __name__ == "__main__":
    main(sys.argv[1])
