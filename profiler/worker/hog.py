"""A neighbour on purpose: one thread on the last core that takes memory bandwidth, or arithmetic, until it is ended.

    python -m profiler.worker.hog memory|compute

It ends when its standard input closes. The measured threads are bound to the cores before it.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import psutil

from profiler.worker.channel import leash

ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
MEMORY = 1 << 28  # bytes of each of the two buffers: far beyond any cache
MATRIX = 192  # rows: three such matrices lie in a core's own cache
STARTED = 1.5  # seconds until it is under way


@contextmanager
def beside(kind: str) -> Iterator[None]:
    """A hog while the block lasts; none for the kind `none`."""
    if kind == "none":
        yield
        return
    command = [sys.executable, "-m", "profiler.worker.hog", kind]
    hog = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | ENVIRONMENT)
    assert hog.stdout
    hog.stdout.read(1)  # it is bound to its core
    time.sleep(STARTED)
    try:
        yield
    finally:
        hog.kill()
        hog.wait()
        hog.stdout.close()


def main(kind: str) -> None:
    """Work without end."""
    leash()
    take_last_core(psutil.Process())
    sys.stdout.write(".")
    sys.stdout.flush()
    work = _memory() if kind == "memory" else _compute()
    for _ in work:
        pass


def take_last_core(process: psutil.Process) -> None:
    """Bind to the core that a run with one thread fewer than cores leaves free.

    The measuring thread is bound to its own core when it starts this process, which inherits that: first all cores again.
    """
    if hasattr(process, "cpu_affinity"):  # macOS has none
        process.cpu_affinity([])
        process.cpu_affinity(process.cpu_affinity()[-1:])


def _memory() -> Iterator[None]:
    source, target = np.ones(MEMORY // 8), np.ones(MEMORY // 8)
    while True:
        np.copyto(target, source)
        yield


def _compute() -> Iterator[None]:
    a, out = np.ones((MATRIX, MATRIX), np.float32), np.empty((MATRIX, MATRIX), np.float32)
    while True:
        np.matmul(a, a, out=out)
        yield


if __name__ == "__main__":
    main(sys.argv[1])
