"""The clock of engines that run on the processor and return when they are done, and the cores that their threads may use."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def seconds_of(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def seconds_of_each(call: Callable[[], object], count: int) -> list[float]:
    """Seconds of each of `count` calls, one right after the other."""
    marks = [time.perf_counter()]
    for _ in range(count):
        call()
        marks.append(time.perf_counter())
    return [after - before for before, after in zip(marks, marks[1:])]


@contextmanager
def all_cores() -> Iterator[None]:
    """Threads are born where their maker may run: OpenMP has bound this one to a core, and a pool made now would share it."""
    if not hasattr(os, "sched_setaffinity"):  # macOS and Windows bind nobody
        yield
        return
    bound = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))  # those that this process may not use are left out by the system
    try:
        yield
    finally:
        os.sched_setaffinity(0, bound)
