"""Short slices of work, and the fastest of them: under a scheduler, long slices lie about the hardware."""

import time
from collections.abc import Callable

from profiler.worker.device import Marks

LONG = 0.5  # seconds of one slice after which warming up is lost in it


def best(work: Callable[[], object], device: str, budget: float, least: int = 3) -> float:
    """Seconds of the fastest of many runs of `work` within `budget` seconds."""
    return min(slices(work, device, budget, least))


def slices(work: Callable[[], object], device: str, budget: float, least: int = 3) -> list[float]:
    """Seconds of each run of `work`, for about `budget` seconds; the first run warms up, and counts only if it was long."""
    seconds: list[float] = []
    first = once(work, device)
    if first > LONG:
        seconds, least = [first], min(least, 2)
    end = time.perf_counter() + budget
    while len(seconds) < least or time.perf_counter() < end:
        seconds.append(once(work, device))
    return seconds


def once(work: Callable[[], object], device: str) -> float:
    """Seconds of one run of `work`."""
    marks = Marks(device)
    marks.mark()
    work()
    marks.mark()
    return marks.seconds()[0]
