"""python -m profiler.worker: read one job from standard input, do it, say what happens, end."""

import sys
import time
from importlib.metadata import version

from profiler.worker.channel import READY, Channel, leash, take_output

CHANNEL = take_output()  # before the heavy imports below, which may print

import numpy  # noqa: E402, F401 - before torch, whose OpenMP binds this thread to one core: its threads would inherit that

from profiler.record.events import Failed, Job, Started  # noqa: E402 - standard output must be taken first
from profiler.worker import tasks  # noqa: E402 - imports torch

LIBRARIES = ("torch", "transformers", "tokenizers", "safetensors", "numpy")


def main(channel: Channel) -> int:
    """One job. Exit code 0 when it finished."""
    tasks.preload()
    channel.line(READY)
    line = sys.stdin.readline()
    if not line:
        return 3
    leash()
    job = Job.model_validate_json(line)
    versions = {"python": sys.version.split()[0]} | {name: version(name) for name in LIBRARIES}
    channel.emit(Started(at=time.time(), hardware=job.hardware, versions=versions, warm=job.warm))
    try:
        channel.emit(tasks.TASKS[job.spec.work.task](job, channel))
        return 0
    except Exception as error:  # the worker's one border: whatever happens is told as an event
        channel.emit(Failed(at=time.time(), reason=tasks.reason(error)))
        return 1


if __name__ == "__main__":
    sys.exit(main(CHANNEL))
