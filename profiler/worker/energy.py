"""Energy by NVIDIA's own counter. Processors are not read: without a counter there is only guessing."""

import pynvml


def joules(device: str) -> float | None:
    """What the board has used since its driver loaded; None where there is no such counter."""
    if not device.startswith("cuda"):
        return None
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(int(device.split(":")[1]))
        return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3
    except pynvml.NVMLError:
        return None
