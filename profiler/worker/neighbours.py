"""What other programs do on this machine while something is measured, by the system's own accounts."""

import time
from contextlib import contextmanager

import psutil

IDLE = ("idle", "iowait", "steal", "guest", "guest_nice")  # guests are counted as user, too


class Neighbours:
    """Busy time of all processors, less this process's own, while it was watched."""

    def __init__(self) -> None:
        self.process = psutil.Process()
        self.wall = self.foreign = 0.0

    @contextmanager
    def watched(self):
        """Watch while this lasts; pauses between are not counted."""
        wall, busy, own = self._clocks()
        try:
            yield
        finally:
            now, later, mine = self._clocks()
            self.wall += now - wall
            self.foreign += (later - busy) - (mine - own)

    @property
    def cores(self) -> float:
        """Cores' worth of foreign work, on average."""
        return max(self.foreign / self.wall, 0.0) if self.wall else 0.0

    def _clocks(self) -> tuple[float, float, float]:
        system = psutil.cpu_times()._asdict()
        return time.perf_counter(), sum(value for name, value in system.items() if name not in IDLE), sum(self.process.cpu_times()[:2])
