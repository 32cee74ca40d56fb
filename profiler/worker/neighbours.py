"""What other programs do on this machine while something is measured, by the system's own accounts."""

import time
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

IDLE = ("idle", "iowait", "steal", "guest", "guest_nice")  # guests are counted as user, too


@dataclass
class Stretch:
    """A stretch of time that was watched: its length, and the processor seconds of others in it."""

    wall: float = 0.0
    foreign: float = 0.0


def foreign_cores(stretches: Iterable[Stretch]) -> float:
    """Cores' worth of foreign work, on average over all stretches."""
    held = list(stretches)
    wall = sum(stretch.wall for stretch in held)
    return max(sum(stretch.foreign for stretch in held) / wall, 0.0) if wall else 0.0


class Neighbours:
    """Busy time of all processors, less this process's own."""

    def __init__(self) -> None:
        self.process = psutil.Process()

    @contextmanager
    def watched(self):
        """Watch while this lasts; the stretch that it yields is filled in at its end."""
        stretch, (wall, busy, own) = Stretch(), self._clocks()
        try:
            yield stretch
        finally:
            now, later, mine = self._clocks()
            stretch.wall, stretch.foreign = now - wall, (later - busy) - (mine - own)

    def _clocks(self) -> tuple[float, float, float]:
        system = psutil.cpu_times()._asdict()
        return time.perf_counter(), sum(value for name, value in system.items() if name not in IDLE), sum(self.process.cpu_times()[:2])
