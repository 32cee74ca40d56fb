"""The metric registry: one row per metric, with the SI unit, and what it means in one sentence.

To add a metric is to add a row; names elsewhere are keys of this table.
"""

from typing import NamedTuple


class Metric(NamedTuple):
    """How one metric is called, counted and explained."""

    title: str
    unit: str
    help: str
    more_is_better: bool = False


METRICS = {
    "time_to_first_token": Metric(
        "Time to first token", "s", "From handing over the prompt to having the first new token: one prefill and one sampling step."
    ),
    "time_per_token": Metric(
        "Time per token", "s", "Time of one decode step: from one new token to the next, for every sequence of the batch at once."
    ),
    "decode_rate": Metric("Decode speed", "tok/s", "New tokens per second over the whole batch: batch ÷ time per token.", True),
    "prefill_rate": Metric("Prefill speed", "tok/s", "Prompt tokens processed per second over the whole batch.", True),
    "cold_prefill": Metric(
        "First prefill, cold",
        "s",
        "The very first prefill of the process: caches, allocator and libraries not warmed up yet. Not part of any other number.",
    ),
    "cold_decode": Metric("First decode step, cold", "s", "The very first decode step of the process. Not part of any other number."),
    "jitter": Metric("Jitter between tokens", "s", "Median difference between neighbouring tokens' times."),
    "growth": Metric(
        "Growth with context",
        "s",
        "How much longer one decode step takes per 1,000 tokens of context, by a straight line through the "
        "steps of each round; shown only where its interval excludes zero.",
    ),
    "load_time": Metric(
        "Load time", "s", "From asking for the model to weights in memory (a first download or conversion is reported apart)."
    ),
    "setup_time": Metric("Download and conversion", "s", "Done once per model; later runs find it in the cache."),
    "compress_time": Metric("Compressing", "s", "Quantizing or pruning the loaded model, once for a process."),
    "compile_time": Metric("Compiling", "s", "Turning the layers into fewer, larger operators, once for a process."),
    "waiting_prefill": Metric(
        "Without a processor, prefill", "%", "Share of the prefill's time in which the measuring thread had no core to run on."
    ),
    "waiting_decode": Metric(
        "Without a processor, decode", "%", "Share of the decode steps' time in which the measuring thread had no core to run on."
    ),
    "canary_read": Metric(
        "Read bandwidth, canary",
        "B/s",
        "A short read of memory before, between and after the rounds: what the machine could do at that moment.",
        True,
    ),
    "canary_matmul": Metric("Matrix rate, canary", "FLOP/s", "A short matrix product before, between and after the rounds.", True),
    "cpu": Metric("Processor", "%", "Share of all cores that is busy, by anybody."),
    "foreign": Metric("Other programs", "1", "Cores' worth of work by other programs on this machine."),
    "own": Metric("This tool's own work", "1", "Cores' worth of work by the watching process (server or terminal), worker excluded."),
    "rss": Metric("Memory of the worker", "B", "Resident memory of the measuring process."),
    "gpu_utilisation": Metric("GPU busy", "%", "Share of time in which at least one kernel ran: not how much of the chip was used."),
    "gpu_memory": Metric("GPU memory", "B", "Memory in use on the device, by anybody."),
    "gpu_power": Metric("GPU power", "W", "Power drawn by the whole board."),
    "gpu_clock": Metric("GPU clock", "Hz", "Clock of the multiprocessors."),
    "gpu_temperature": Metric("GPU temperature", "°C", "Temperature of the die."),
    "gpu_throttled": Metric("GPU slowed down", "1", "1 while power, heat or the supply hold the clock down."),
    "energy_per_token": Metric(
        "Energy per token", "J", "Energy of the whole board during decode ÷ new tokens, by the driver's own counter."
    ),
    "gpu_energy": Metric("GPU energy", "J", "Energy of the whole board during decode, by the driver's own counter."),
}
