"""What an engine reads is built in a process of its own: the builder's memory would stay in the one that is measured, and a
builder that crashes takes only itself along.

    python -m MODULE SCRATCH SOURCE

reads the job from standard input, ends when that closes, and says one sentence if it cannot build.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import psutil

from profiler.record.events import Job
from profiler.worker.channel import leash, take_output


def apart(module: str, title: str, job: Job, source: str | Path | None, scratch: Path) -> None:
    """Let `module` build for a job into `scratch`; `title` is who builds, for people. Raises ValueError with its sentence."""
    command = [sys.executable, "-m", module, str(scratch), str(source or "")]
    free = os.environ | {"OMP_PROC_BIND": "false"}  # nobody measures its threads: they may run where they like
    pipe = subprocess.PIPE
    with (scratch / "builder.log").open("w") as log:
        builder = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, env=free, text=True, encoding="utf-8")
        assert builder.stdin
        assert builder.stdout
        builder.stdin.write(job.model_dump_json() + "\n")
        builder.stdin.flush()  # and stays open: it is the leash
        said, code = builder.stdout.read().strip(), builder.wait()
        builder.stdin.close()
        builder.stdout.close()
    if said:
        raise ValueError(said)
    if code:
        raise ValueError(f"{title} ended early (exit code {code}): {_why(code, scratch / 'builder.log')}.")


def _why(code: int, log: Path) -> str:
    """The likeliest reason: below 0 is the signal that ended it."""
    if code == -signal.SIGKILL:
        return "most likely for want of memory; choose a smaller model"
    last = log.read_text("utf-8", errors="replace").strip().splitlines()[-1:]
    return "it crashed; take another engine for this model" if code < 0 else "".join(last).rstrip(".")


def answer(build: Callable[[Job, str | None, Path], object]) -> NoReturn:
    """Be that process: build for the job on standard input, then end. Exit code 0 when all is there."""
    channel = take_output()
    job = Job.model_validate_json(sys.stdin.readline())
    leash()
    if hasattr(process := psutil.Process(), "cpu_affinity"):  # macOS has none
        process.cpu_affinity([])  # who started this may be bound to one core
    scratch, source = Path(sys.argv[1]), sys.argv[2]
    code = 0
    try:
        build(job, source or None, scratch)
    except ValueError as error:
        channel.line(str(error))
        code = 1
    sys.stderr.flush()
    os._exit(code)  # at once: the leash holds standard input, which an orderly end would wait for
