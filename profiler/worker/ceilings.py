"""Ceilings: what this machine reaches in microbenchmarks, and the canary that tells if it still does.

A ceiling is the best of many short slices: under a scheduler, long slices lie about the hardware. Read bandwidth is a
sum over a buffer (within a few percent of a compiled read loop), the matrix rate is the best of two forms and several
sizes, because no library is best at one shape.
"""

import time
from collections.abc import Callable
from functools import partial

import psutil
import torch
from torch.nn.functional import linear

from profiler.record.events import Finished, Job, Probed
from profiler.spec.machine import Ceilings
from profiler.spec.run import Setup
from profiler.worker.channel import Channel
from profiler.worker.device import Marks

FLOOR = 128 << 20  # bytes: the least buffer that is called main memory
DTYPES = ("float32", "bfloat16", "float16")
CANARY = 512  # rows and columns of the canary's product, in float32 whatever the run's dtype: it watches the clock
LONG = 0.5  # seconds of one slice after which warming up is lost in it
SIZES = (256, 512, 1024, 2048, 4096)


def best(work: Callable[[], object], device: str, budget: float, least: int = 3) -> float:
    """Seconds of the fastest of many runs of `work` within `budget` seconds."""
    return min(slices(work, device, budget, least))


def slices(work: Callable[[], object], device: str, budget: float, least: int = 3) -> list[float]:
    """Seconds of each run of `work`, for about `budget` seconds; the first run warms up, and counts only if it was long."""
    seconds: list[float] = []
    first = _once(work, device)
    if first > LONG:
        seconds, least = [first], min(least, 2)
    end = time.perf_counter() + budget
    while len(seconds) < least or time.perf_counter() < end:
        seconds.append(_once(work, device))
    return seconds


def _once(work: Callable[[], object], device: str) -> float:
    marks = Marks(device)
    marks.mark()
    work()
    marks.mark()
    return marks.seconds()[0]


class Canary:
    """A short read of memory and a small matrix product, always the same: before, between and after the work."""

    def __init__(self, setup: Setup, cache: int | None):
        self.device = setup.device
        self.buffer = torch.ones(main_memory_size(setup.device, cache) // 4, device=setup.device)
        self.matrix = torch.randn(CANARY, CANARY, device=setup.device)

    def read(self) -> float:
        """Bytes/s."""
        return self.buffer.nbytes / min(self.reads())

    def reads(self) -> list[float]:
        """Seconds of each of a dozen reads of the whole buffer."""
        return slices(self.buffer.sum, self.device, 0, 12)

    def matmul(self) -> float:
        """FLOP/s."""
        return 2 * CANARY**3 / best(lambda: linear(self.matrix, self.matrix), self.device, 0, 12)

    def sing(self, channel: Channel) -> None:
        """Measure and tell."""
        channel.measured("canary_read", self.read())
        channel.measured("canary_matmul", self.matmul())


def main_memory_size(device: str, cache: int | None) -> int:
    """Bytes of a buffer that no cache holds: four times the last-level cache, at most an eighth of what is free."""
    if device.startswith("cuda"):
        held = 4 * torch.cuda.get_device_properties(device).L2_cache_size
        return int(min(max(held, 1 << 30), torch.cuda.mem_get_info(device)[0] // 8))
    return int(min(max(4 * (cache or 0), FLOOR), psutil.virtual_memory().available // 8))


def cache_size(device: str, cache: int | None) -> int:
    """Bytes of a buffer that the last-level cache holds easily."""
    held = torch.cuda.get_device_properties(device).L2_cache_size if device.startswith("cuda") else cache or (4 << 20)
    return max(held // 4, 1 << 20)


def read_rate(size: int, device: str, budget: float) -> float:
    """Bytes/s of reading `size` bytes again and again."""
    buffer = torch.ones(size // 4, device=device)
    return buffer.nbytes / best(buffer.sum, device, budget, 8)


def copy_rate(size: int, device: str, budget: float) -> float:
    """Bytes/s of a copy, read and written bytes counted once each."""
    source, target = torch.ones(size // 4, device=device), torch.ones(size // 4, device=device)
    return 2 * source.nbytes / best(lambda: target.copy_(source), device, budget, 6)


def matmul_rate(dtype: str, device: str, budget: float) -> float:
    """FLOP/s of the best square matrix product; sizes grow while one product stays short, since some kernels are naive."""
    rate = 0.0
    for size in SIZES:
        a = torch.randn(size, size).to(device, getattr(torch, dtype))
        for form in (torch.mm, linear):
            product = partial(form, a, a)
            once = best(product, device, 0, 1)
            seconds = min(once, best(product, device, budget)) if once < budget / 4 else once
            rate = max(rate, 2 * size**3 / seconds)
        if 2 * (2 * size) ** 3 / rate > budget:  # the next size would take too long
            break
    return rate


def dispatch(device: str) -> float:
    """Seconds of one tiny operator in eager mode."""
    tiny = torch.zeros(1, device=device)

    def many() -> None:
        for _ in range(500):
            torch.add(tiny, 1, out=tiny)

    return best(many, device, 0.05) / 500


def measure(job: Job, channel: Channel, canary: Canary, quick: bool = True) -> Ceilings:
    """The ceilings of the job's device, threads and dtype."""
    setup, cache = job.spec.setup, job.hardware.cache
    device, budget = setup.device, 0.25 if quick else 0.6
    sizes = {cache_size(device, cache), main_memory_size(device, cache)}
    if not quick:
        sizes |= {size for power in range(15, 40) if (size := 1 << power) < max(sizes)}
    dtypes = sorted({setup.dtype, "float32"}) if quick else [dtype for dtype in DTYPES if device != "mps" or dtype != "bfloat16"]
    rates = {}
    for size in sorted(sizes):
        rates[size] = read_rate(size, device, budget)
    copied = copy_rate(max(sizes), device, budget)
    peaks = {dtype: matmul_rate(dtype, device, budget) for dtype in dtypes}
    canary_matmul = max(canary.matmul() for _ in range(4))
    peaks["float32"] = max(peaks["float32"], canary_matmul)
    reads = canary.reads()
    return Ceilings(
        device=device,
        threads=setup.threads,
        dtype=setup.dtype,
        at=time.time(),
        read=_rising(rates),
        copy_rate=copied,
        matmul=peaks,
        dispatch=dispatch(device),
        canary_matmul=canary_matmul,
        versions={"torch": torch.__version__},
        disturbed=sorted(reads)[len(reads) // 2] > 1.5 * min(reads),
    )


def _rising(rates: dict[int, float]) -> dict[int, float]:
    """A smaller working set is never slower to read than a larger one: what was seen of the larger holds for it, too."""
    floor, held = 0.0, {}
    for size in sorted(rates, reverse=True):
        floor = held[size] = max(rates[size], floor)
    return held


def run(job: Job, channel: Channel) -> Finished:
    """The task `ceilings`."""
    quick = job.spec.work.task == "ceilings" and job.spec.work.quick
    channel.enter("ceilings", left=3 if quick else 60)
    canary = Canary(job.spec.setup, job.hardware.cache)
    channel.emit(Probed(at=time.time(), ceilings=measure(job, channel, canary, quick), kept=False))
    return Finished(at=time.time())
