"""The machine that we are on, found without torch. What a system does not tell is None, never a guess."""

import os
import platform
from functools import cache
from pathlib import Path

import psutil
import pynvml

from profiler.spec.machine import Gpu, Hardware
from profiler.spec.run import Dtype

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "avx512_fp16", "neon", "asimd", "sve", "bf16")
CGROUP = Path("/sys/fs/cgroup")


@cache
def this_machine() -> Hardware:
    """The hardware that this process may use."""
    name, flags = _processor()
    return Hardware(
        name=name,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        cores=usable_cores(),
        memory=usable_memory(),
        cache=_last_level_cache(),
        flags=flags,
        huge_pages=_huge_pages(),
        gpus=_gpus(),
    )


def devices() -> list[str]:
    """The devices that can be asked for here, best first."""
    mps = ["mps"] if platform.system() == "Darwin" and platform.machine() == "arm64" else []
    return [gpu.device for gpu in this_machine().gpus] + mps + ["cpu"]


def native_dtype(device: str) -> Dtype:
    """The dtype that is fast on a device: bfloat16 where the hardware multiplies it, else float32 (float16 on MPS)."""
    if device == "mps":
        return "float16"
    fast = device.startswith("cuda") or {"avx512_bf16", "amx_bf16"} & set(this_machine().flags)
    return "bfloat16" if fast else "float32"


def available_memory() -> int:
    """Bytes that could be taken right now without swapping."""
    return min(psutil.virtual_memory().available, usable_memory())


def usable_cores() -> int:
    """Cores in the affinity mask, cut to the container's quota."""
    try:
        mask = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have no affinity mask to read
        mask = os.cpu_count() or 1
    cores = min(mask, psutil.cpu_count(logical=False) or mask)
    quota = _read(CGROUP / "cpu.max").split()
    if len(quota) == 2 and quota[0] != "max":
        cores = min(cores, max(1, int(quota[0]) // int(quota[1])))
    return cores


def usable_memory() -> int:
    """Bytes of main memory, cut to the container's limit."""
    total = psutil.virtual_memory().total
    limit = _read(CGROUP / "memory.max")
    return min(total, int(limit)) if limit.isdigit() else total


def _processor() -> tuple[str, tuple[str, ...]]:
    """Name and matrix-relevant flags."""
    lines = dict(line.split(":", 1) for line in _read(Path("/proc/cpuinfo")).splitlines() if ":" in line)
    held = {key.strip(): value.strip() for key, value in lines.items()}
    flags = set((held.get("flags") or held.get("Features") or "").split())
    name = held.get("model name") or platform.processor() or platform.machine()
    return name, tuple(flag for flag in FLAGS if flag in flags)


def _last_level_cache() -> int | None:
    """Bytes of the largest cache that one core can reach."""
    sizes = [_read(index / "size") for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")]
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return max((int(size[:-1]) * units[size[-1]] for size in sizes if size and size[-1] in units), default=None)


def _huge_pages() -> str | None:
    text = _read(Path("/sys/kernel/mm/transparent_hugepage/enabled"))
    return text.split("[")[1].split("]")[0] if "[" in text else None


def _gpus() -> tuple[Gpu, ...]:
    """NVIDIA devices by the driver's library; none where there is no driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    return tuple(
        Gpu(device=f"cuda:{index}", name=str(pynvml.nvmlDeviceGetName(handle)), memory=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total))
        for index, handle in enumerate(handles)
    )


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
