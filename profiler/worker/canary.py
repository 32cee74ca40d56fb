"""The canary: a short read of memory and a small matrix product, always the same, before, between and after the work.
What it sees tells whether the machine still does what its ceilings say.
"""

import torch
from torch.nn.functional import linear

from profiler.spec.run import Setup
from profiler.worker.bandwidth import main_memory_size
from profiler.worker.channel import Channel
from profiler.worker.timing import best, slices

ROWS = 512  # of the square product, in float32 whatever the run's dtype: it watches the clock


class Canary:
    """Its buffers are made once, so that singing allocates nothing."""

    def __init__(self, setup: Setup, cache: int | None):
        self.device = setup.device
        self.buffer = torch.ones(main_memory_size(setup.device, cache) // 4, device=setup.device)
        self.matrix = torch.randn(ROWS, ROWS, device=setup.device)

    def read(self) -> float:
        """Bytes/s."""
        return self.buffer.nbytes / min(self.reads())

    def reads(self) -> list[float]:
        """Seconds of each of a dozen reads of the whole buffer."""
        return slices(self.buffer.sum, self.device, 0, 12)

    def matmul(self) -> float:
        """FLOP/s."""
        return 2 * ROWS**3 / best(lambda: linear(self.matrix, self.matrix), self.device, 0, 12)

    def sing(self, channel: Channel) -> None:
        """Measure and tell."""
        channel.measured("canary_read", self.read())
        channel.measured("canary_matmul", self.matmul())
