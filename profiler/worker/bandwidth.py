"""Bandwidth by working set: how fast bytes come from each cache and from main memory, by torch's own operators.

Three kernels, as in McCalpin's STREAM: read (a sum), copy (b = a), triad (a = b + s·c). Bytes are those that the kernel
names: one, two and three arrays; a processor that reads a line before overwriting it moves more.

A small working set is worked through many times within one operator call, so that the microsecond of dispatching it does
not count: the sources are repeated by a stride of 0, and the target, which torch refuses to repeat so, slides by one cache
line a row. Each thread has arrays of its own, so that no two cores share a line or a fetch.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import psutil
import torch

from profiler.worker.timing import best

Kernel = Literal["read", "copy", "triad"]
ARRAYS: dict[Kernel, int] = {"read": 1, "copy": 2, "triad": 3}
FLOOR = 128 << 20  # bytes: the least buffer that is called main memory
VOLUME = 32 << 20  # bytes that one call moves per thread, at least: with fewer, meeting at the end of a call takes a tenth of it
ACCELERATOR_VOLUME = 1 << 30
LINE = 16  # float32 numbers of a cache line of 64 bytes
SMALLEST = 8 << 10  # bytes of the first step: a quarter of the smallest first-level cache
ACCELERATOR_SMALLEST = 4 << 20
SCALAR = 3.0


class Work(NamedTuple):
    """An operator call, and the bytes that it moves."""

    call: Callable[[], object]
    moved: int


def is_processor(device: str) -> bool:
    """Whether the work runs on the processor, in threads."""
    return device == "cpu"


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


def far(kernel: Kernel, size: int, device: str) -> Work:
    """One pass over arrays of `size` bytes each, far beyond the caches."""
    a, b, c = (torch.ones(size // 4, device=device) if index < ARRAYS[kernel] else torch.empty(0) for index in range(3))
    calls: dict[Kernel, Callable[[], object]] = {
        "read": a.sum,
        "copy": lambda: b.copy_(a),
        "triad": lambda: torch.add(b, c, alpha=SCALAR, out=a),
    }
    return Work(calls[kernel], ARRAYS[kernel] * a.nbytes)


def near(kernel: Kernel, size: int, threads: int, device: str) -> Work:
    """Many passes over a working set of `size` bytes per thread, in one call."""
    volume = VOLUME if is_processor(device) else ACCELERATOR_VOLUME
    count = size // 4 // ARRAYS[kernel] // LINE * LINE  # numbers of one array
    rows = max(volume // (4 * count * ARRAYS[kernel]), 2)
    a, b = (torch.ones(threads, 1, count, device=device).expand(threads, rows, count) for _ in range(2))
    moved = 4 * count * ARRAYS[kernel] * rows * threads
    if kernel == "read":
        sums = torch.empty(threads, rows, device=device)
        return Work(lambda: torch.sum(a, 2, out=sums), moved)
    region = count + LINE * rows
    target = torch.empty(threads * region, device=device).as_strided((threads, rows, count), (region, LINE, 1))
    if kernel == "copy":
        return Work(lambda: target.copy_(a), moved)
    return Work(lambda: torch.add(a, b, alpha=SCALAR, out=target), moved)


def rate(work: Work, device: str, seconds: float) -> float:
    """Bytes/s of the fastest call within `seconds`."""
    return work.moved / best(work.call, device, seconds, 6)


def steps(kernel: Kernel, threads: int, device: str, array: int) -> list[int]:
    """Working sets of one thread in bytes, doubling from the first-level cache up to arrays of `array` bytes in main memory."""
    size = SMALLEST if is_processor(device) else ACCELERATOR_SMALLEST
    last = ARRAYS[kernel] * array // threads
    sizes = []
    while size < last:
        sizes.append(size)
        size *= 2
    return [*sizes, last]


def step_rate(kernel: Kernel, size: int, threads: int, device: str, array: int, seconds: float) -> float:
    """Bytes/s of all threads together at one of these steps; the last one by plain passes over main memory."""
    beyond = size >= ARRAYS[kernel] * array // threads
    return rate(far(kernel, array, device) if beyond else near(kernel, size, threads, device), device, seconds)
