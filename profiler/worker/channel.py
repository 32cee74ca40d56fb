"""The worker's one way to speak, and the leash that ends it.

Events leave as JSON lines on a copy of standard output; standard output itself is led to standard error, so that a
library's print cannot break the lines.
"""

import os
import sys
import threading
import time
from typing import TextIO

from pydantic import BaseModel

from profiler.record.events import Entered, Measured, Phase

READY = "ready"


class Channel:
    """Where events go; a test may pass any text stream."""

    def __init__(self, stream: TextIO):
        self.stream = stream

    def emit(self, event: BaseModel) -> None:
        """Send one event now."""
        self.line(event.model_dump_json())

    def line(self, text: str) -> None:
        """Send one line now."""
        self.stream.write(text + "\n")
        self.stream.flush()

    def enter(self, name: Phase, *, timed: bool = False, left: float | None = None, note: str = "") -> None:
        """Say that a phase begins."""
        self.emit(Entered(at=time.time(), name=name, timed=timed, left=left, note=note))

    def measured(self, name: str, *samples: float) -> None:
        """Send raw samples of one metric."""
        self.emit(Measured(at=time.time(), name=name, samples=samples))


def take_output() -> Channel:
    """Take standard output for events."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return Channel(stream)


def leash() -> None:
    """End this process when its parent is gone: standard input closes then, however the parent ended."""

    def wait() -> None:
        sys.stdin.buffer.read()
        os._exit(3)

    threading.Thread(target=wait, name="leash", daemon=True).start()
