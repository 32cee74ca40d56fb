"""What differs between cpu, cuda and mps: the clock, waiting, and memory marks."""

import ctypes
import gc
import platform
import sys
import time
from pathlib import Path

import psutil
import torch

M_TRIM_THRESHOLD = -1  # glibc's name in malloc.h


def synchronize(device: str) -> None:
    """Wait until all work on the device is done."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device == "mps":
        torch.mps.synchronize()


class Marks:
    """Marks in the stream of work; the time between neighbours is read at the end.

    CUDA marks are events in the stream, read after one wait, so that the clock does not stop the pipeline.
    """

    def __init__(self, device: str):
        self.device = device
        self.marks: list = []

    def mark(self) -> None:
        """Now."""
        if self.device.startswith("cuda"):
            event = torch.cuda.Event(enable_timing=True)
            event.record(torch.cuda.current_stream(self.device))
            self.marks.append(event)
            return
        synchronize(self.device)
        self.marks.append(time.perf_counter())

    def seconds(self) -> list[float]:
        """Durations between neighbouring marks."""
        pairs = list(zip(self.marks, self.marks[1:]))
        if self.device.startswith("cuda"):
            synchronize(self.device)
            return [before.elapsed_time(after) / 1e3 for before, after in pairs]
        return [after - before for before, after in pairs]


def keep_memory() -> None:
    """Let the allocator keep what is freed, from now on: glibc would give the heap's end back and fault it in again."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(M_TRIM_THRESHOLD, 1 << 30)


def release_memory() -> None:
    """Give what loading needed back to the system, so that memory marks tell what the model holds (glibc keeps it otherwise)."""
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def reset_peaks(device: str) -> None:
    """Begin a new high-water mark. Linux keeps one per process (VmHWM) and resets it on request."""
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)


def memory_marks(device: str) -> dict[str, float]:
    """Bytes: resident now and at its highest since the reset; on CUDA also what torch's allocator took."""
    marks = _linux_marks() if sys.platform == "linux" else {"rss": float(psutil.Process().memory_info().rss)}
    if device.startswith("cuda"):
        marks |= {
            "device_peak": float(torch.cuda.max_memory_allocated(device)),
            "device": float(torch.cuda.memory_allocated(device)),
            "device_reserved": float(torch.cuda.max_memory_reserved(device)),
        }
    if device == "mps":
        marks["device"] = float(torch.mps.current_allocated_memory())
    return marks


def _linux_marks() -> dict[str, float]:
    names = {"VmHWM": "rss_peak", "VmRSS": "rss", "RssFile": "rss_file"}
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return {names[key]: float(words[0]) * 1024 for line in lines if line and (key := line[0].rstrip(":")) in names and (words := line[1:])}
