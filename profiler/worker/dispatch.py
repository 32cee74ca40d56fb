"""What it costs to ask: one tiny operator in eager mode, and on CUDA the way to the device and back."""

import torch

from profiler.worker.timing import best

REPEATS = 500
PINNED = 256 << 20  # bytes copied each way


def dispatch(device: str) -> float:
    """Seconds of one tiny operator in eager mode."""
    tiny = torch.zeros(1, device=device)

    def many() -> None:
        for _ in range(REPEATS):
            torch.add(tiny, 1, out=tiny)

    return best(many, device, 0.05) / REPEATS


def launch(device: str) -> float | None:
    """Seconds from asking an idle CUDA device for a kernel that does nothing much to its end, by events around it."""
    if not device.startswith("cuda"):
        return None
    tiny = torch.zeros(1, device=device)
    return best(tiny.zero_, device, 0.05, 200)


def copies(device: str, seconds: float) -> tuple[float | None, float | None]:
    """(upload, download) in bytes/s between pinned main memory and a CUDA device."""
    if not device.startswith("cuda"):
        return None, None
    here = torch.empty(PINNED, dtype=torch.uint8, pin_memory=True)
    there = torch.empty(PINNED, dtype=torch.uint8, device=device)
    up = best(lambda: there.copy_(here, non_blocking=True), device, seconds)
    down = best(lambda: here.copy_(there, non_blocking=True), device, seconds)
    return PINNED / up, PINNED / down
