"""How fast are predictions? One million configurations in a sweep, on one core, without writing them: below 3 s. One full prediction
(all operators, prefill and decode, memory, energy, intervals), warm: below 1 ms.

    python -m benchmarks.predict
"""

import os
import time

from profiler.catalog import devices, models
from profiler.spec.deployment import Deployment
from profiler.spec.formats import Precision
from profiler.theory.estimate import estimate
from profiler.theory.sweep import Workload, sweep

MODELS = (
    "llama-3-8b",
    "qwen2.5-7b",
    "mixtral-8x7b",
    "deepseek-v3",
    "gpt-oss-20b",
    "gemma-2-9b",
    "llama-3.1-70b",
    "mamba2-2.7b",
    "gpt2",
    "phi-4",
)
FORMATS = ("float32", "bfloat16", "float8", "int4")
DEVICES = 100
BATCHES = tuple(2**i for i in range(10))
PROMPTS = tuple(range(128, 128 + 25 * 320, 320))


def main() -> None:
    """Both figures."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    chosen = [row.spec() for row in map(models.find, MODELS) if row]
    known = [device for device in devices.rows().values() if device.peak]
    places = known[:: len(known) // DEVICES][:DEVICES]
    print(f"one full prediction, median over {len(chosen)} models: {one(chosen, places) * 1e3:.3f} ms")
    groups = [[Deployment(device=device, precision=Precision.of(name)) for device in places] for name in FORMATS]
    for share in ((16, 1), (1, 1)):
        batches = BATCHES[:: share[0]]
        begun, used = time.perf_counter(), time.process_time()
        cells = sum(block.columns["fits"].size for block in sweep(chosen, groups, Workload(batches, PROMPTS, 128)))
        took, used = time.perf_counter() - begun, time.process_time() - used
        print(f"{cells:,} configurations: {took:.2f} s ({used:.2f} s of processor time), {took / cells * 1e9:.0f} ns each")


def one(chosen: list, places: list) -> float:
    """Seconds of one warm prediction."""
    times = []
    for model in chosen:
        for device in places[:20]:
            deployment = Deployment(device=device)
            estimate(model, deployment, 1, 512, 128)
            begun = time.perf_counter()
            estimate(model, deployment, 1, 512, 128)
            times.append(time.perf_counter() - begun)
    return sorted(times)[len(times) // 2]


if __name__ == "__main__":
    main()
