"""What can be seen of a measurement from outside, cheaply: memory and processor time of the worker, the rest of the
machine, and NVIDIA's own counters. Runs in the watching process, so that no thread competes for the worker's interpreter.
"""

import time

import psutil
import pynvml

from profiler.record.events import Sample


class Sampler:
    """Readings since the last call."""

    def __init__(self, pid: int, device: str, *, helped: bool = False):
        self.worker = psutil.Process(pid)
        self.helped = helped  # the worker has children that work for it: they are not other programs
        self.own = psutil.Process()
        self.gpu = _gpu(device)
        self.before = self._clocks()
        psutil.cpu_percent(percpu=True)

    def _clocks(self) -> tuple[float, float, float]:
        family = [self.worker, *(self.worker.children() if self.helped else [])]
        return time.monotonic(), sum(sum(one.cpu_times()[:2]) for one in family), sum(self.own.cpu_times()[:2])

    def sample(self) -> Sample | None:
        """One reading; None when the worker is gone."""
        try:
            now, resident = self._clocks(), float(self.worker.memory_info().rss)
        except psutil.Error:
            return None
        wall, worker, own = (after - before for after, before in zip(now, self.before))
        self.before = now
        cores = tuple(share / 100 for share in psutil.cpu_percent(percpu=True))
        values = {
            "rss": resident,
            "cpu": sum(cores) / len(cores),
            "own": own / wall,
            "foreign": max(sum(cores) - (worker + own) / wall, 0.0),
        }
        return Sample(at=time.time(), values=values | _read_gpu(self.gpu), cores=cores)


def _gpu(device: str):
    if not device.startswith("cuda"):
        return None
    try:
        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetHandleByIndex(int(device.split(":")[1]))
    except pynvml.NVMLError:
        return None


SLOWED = (
    pynvml.nvmlClocksThrottleReasonSwPowerCap
    | pynvml.nvmlClocksThrottleReasonHwSlowdown
    | pynvml.nvmlClocksThrottleReasonSwThermalSlowdown
    | pynvml.nvmlClocksThrottleReasonHwThermalSlowdown
    | pynvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown
)
READINGS = {
    "gpu_utilisation": lambda gpu: pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100,
    "gpu_memory": lambda gpu: pynvml.nvmlDeviceGetMemoryInfo(gpu).used,
    "gpu_power": lambda gpu: pynvml.nvmlDeviceGetPowerUsage(gpu) / 1e3,
    "gpu_clock": lambda gpu: pynvml.nvmlDeviceGetClockInfo(gpu, pynvml.NVML_CLOCK_SM) * 1e6,
    "gpu_temperature": lambda gpu: pynvml.nvmlDeviceGetTemperature(gpu, pynvml.NVML_TEMPERATURE_GPU),
    "gpu_throttled": lambda gpu: pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu) & SLOWED != 0,
}


def _read_gpu(gpu) -> dict[str, float]:
    """What this device tells; a reading that it lacks is absent."""
    values = {}
    for name, read in READINGS.items() if gpu else ():
        try:
            values[name] = float(read(gpu))
        except pynvml.NVMLError:
            continue
    return values
