"""A worker process: started by name, on a leash, spoken to in JSON lines.

The worker ends when its standard input closes, so it cannot outlive this process, however that ends. `multiprocessing`
is no choice: under Streamlit it would run app.py again in the child.
"""

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from ctypes.util import find_library
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import psutil

from profiler.record.events import Job
from profiler.spec.run import ALLOCATORS, RunSpec

ROOT = Path(__file__).resolve().parents[2]
MODULE = "profiler.worker"
KILLED = 9  # SIGKILL, which Windows does not name
READY = "ready"


class Environment(NamedTuple):
    """What must be decided before the worker's libraries load; a spare worker serves only its own environment."""

    threads: int
    huge_pages: bool
    online: bool = False
    pinned: bool = True
    allocator: str = "system"

    @classmethod
    def of(cls, spec: RunSpec) -> "Environment":
        """The environment that a run needs."""
        setup, online = spec.setup, bool(spec.model and spec.model.origin == "hub")
        return cls(setup.threads, setup.huge_pages, online, setup.pinned, setup.allocator)

    def variables(self) -> dict[str, str]:
        """Bound threads (unbound ones get stacked on one core under load), huge pages, no network but when asked."""
        library = find_library(ALLOCATORS[self.allocator]) if self.allocator in ALLOCATORS else None
        before = [name for name in (os.environ.get("LD_PRELOAD"), library) if name]
        return ({"LD_PRELOAD": ":".join(before)} if library else {}) | {
            "OMP_NUM_THREADS": str(self.threads),
            "MKL_NUM_THREADS": str(self.threads),
            "OMP_PROC_BIND": "true" if self.pinned else "false",
            "OMP_PLACES": "cores",
            "THP_MEM_ALLOC_ENABLE": "1" if self.huge_pages else "0",
            "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_OFFLINE": "0" if self.online else "1",
            "PYTHONUNBUFFERED": "1",
        }


class Worker:
    """One fresh process for one measurement."""

    def __init__(self, environment: Environment):
        self.environment = environment
        self.process = subprocess.Popen(
            [sys.executable, "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **environment.variables()},
            start_new_session=True,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        self.lines: SimpleQueue[str | None] = SimpleQueue()
        self.complaints: deque[str] = deque(maxlen=40)
        self.ready = threading.Event()
        threading.Thread(target=self._read, name="worker-events", daemon=True).start()
        threading.Thread(target=self._drain, name="worker-complaints", daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            if line.strip() == READY:
                self.ready.set()
            else:
                self.lines.put(line)
        self.lines.put(None)

    def _drain(self) -> None:
        """A full pipe would block the worker."""
        for line in self.process.stderr or ():
            self.complaints.append(line.rstrip())

    @property
    def usable(self) -> bool:
        """Still there."""
        return self.process.poll() is None

    def send(self, job: Job) -> None:
        """Hand over the job. Standard input stays open: it is the leash."""
        assert self.process.stdin
        self.process.stdin.write(job.model_dump_json() + "\n")
        self.process.stdin.flush()

    def next_line(self, timeout: float) -> str | None:
        """The next line of events; None at the end. Raises queue.Empty when nothing came in time."""
        return self.lines.get(timeout=timeout)

    def end(self) -> int:
        """End the process and all its children now; its exit code."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        except AttributeError:  # Windows has no process groups to kill
            for child in psutil.Process(self.process.pid).children(recursive=True):
                child.kill()
            self.process.kill()
        return self.process.wait(10)

    def fate(self, held: float, memory: float) -> str:
        """Why a worker ended without a result, in one sentence; `held` and `memory` are its and the machine's bytes."""
        code = self.process.wait(10)
        if code == -KILLED:
            return (
                f"The measuring process was killed from outside while it held {held / 1e9:.1f} of {memory / 1e9:.1f} GB of memory: "
                "usually the system does that when memory runs out. Choose a smaller model, batch or prompt."
            )
        last = next((line for line in reversed(self.complaints) if line.strip()), "it said nothing")
        what = f"crashed with signal {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return f"The measuring process {what}; its last words: {last}"
