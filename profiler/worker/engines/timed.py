"""The clock of engines that run on the processor and return when they are done."""

import time
from collections.abc import Callable


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
