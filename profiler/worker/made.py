"""What an engine reads is made of a model once, and kept in the cache; half-made things never stand there."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from profiler.worker.channel import Channel
from profiler.worker.convert import move
from profiler.worker.device import release_memory, reset_peaks


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """A folder for half-made files, removed in the end; also one that a killed worker left."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("making-*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="making-") as work:
        yield Path(work)


def made_once(kept: Path | None, what: str, make: Callable[[], Path], channel: Channel) -> Path:
    """The file or folder `kept`, made now if it is not there; with no place to keep it, where `make` left it. Tells the time."""
    if kept and kept.exists():
        return kept
    channel.enter("compress", note=f"Making {what}{', once' if kept else ''}")
    began = time.perf_counter()
    made = make()
    if kept:
        move(made, kept)
    release_memory()
    reset_peaks("cpu")  # what comes now is the engine's
    channel.measured("compress_time", time.perf_counter() - began)
    return kept or made
