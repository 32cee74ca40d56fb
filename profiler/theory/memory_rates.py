"""Constants of the memory model: what allocators, libraries and kernels hold beyond what formulas count.

`PRIORS` are physical starting points; `python -m profiler.validation.fit_memory` fits the constants and keeps them in
calibration/memory.json. They belong to a style of software, never to one source, model or row.
"""

import json
from functools import cache
from math import exp
from pathlib import Path

FILE = Path(__file__).with_name("calibration") / "memory.json"
Constants = dict[str, float]
# name → (value, how far it may be off, as the standard deviation of its logarithm)
PRIORS: dict[str, tuple[float, float]] = {
    "context": (0.5e9, 0.3),  # bytes: the driver's context and libraries' code
    "peers": (1.0e9, 0.5),  # buffers for collectives, where there are several devices
    "workspace": (0.15e9, 0.5),  # of the library of products
    "slack": (0.06, 0.5),  # of what is in use: holes that the caching allocator keeps
    "kept:host": (1.0, 0.15),  # of what operations need again in the backward pass
    "kept:fused": (0.8, 0.15),
    "kept:graph": (0.8, 0.15),
    "norms": (3.0, 0.3),  # hidden vectors that a norm keeps where it is written out in float32
    "kept:lora": (0.85, 0.15),  # of that, where weights are frozen: inputs of products without an adapter are not needed
    "kept:adapter": (0.75, 0.15),
    "kept:adapter-v2": (1.25, 0.2),
    "kept:quantized": (8.0, 0.5),  # hidden vectors of a layer that products with packed weights keep
    "logits:host": (10.0, 0.3),  # bytes per logit: 16 bits, float32, and a gradient
    "logits:fused": (8.0, 0.3),
    "logits:graph": (8.0, 0.3),
    "unpacked": (1.0, 0.3),  # matrices, widened at a time, that products with packed weights need
    "converted": (0.25, 0.4),  # of the packed weights: left over where weights are packed on the device itself
    "inference:runtime": (0.2e9, 0.5),
    "inference:graph": (0.3e9, 0.5),
    "inference:host": (0.1e9, 0.5),
}


@cache
def calibrated() -> Constants:
    """The fitted constants."""
    return json.loads(FILE.read_text("utf-8"))["constants"] if FILE.exists() else defaults()


def interval(seen: bool = False) -> tuple[float, float]:
    """Between which factors of a predicted peak four of five measurements lie; narrower for software that was in the fit."""
    spread = json.loads(FILE.read_text("utf-8"))["spread"]["calibrated" if seen else "transferred"]
    return exp(-1.28 * spread), exp(1.28 * spread)


def defaults() -> Constants:
    """The starting points."""
    return {name: value for name, (value, _) in PRIORS.items()}
