"""What a device reaches in training under a trainer and a number format: data-sheet rates times fitted efficiencies.

A rate is `constant × exp(sum of effects)`; effects belong to a generation of devices, a style of trainers, or a trainer, and one
that nobody measured changes nothing. `PRIORS` are the physical starting points; `python -m profiler.validation.fit_training`
fits the constants and keeps them in calibration/training.json.
"""

import json
from dataclasses import dataclass
from functools import cache
from math import exp
from pathlib import Path
from typing import Any, NamedTuple

from profiler.spec.device import Device
from profiler.spec.training import TrainSetup
from profiler.theory.collectives import Fabric, fabric

FILE = Path(__file__).with_name("calibration") / "training.json"
Constants = dict[str, float]
# name → (value, how far it may be off, as the standard deviation of its logarithm)
PRIORS: dict[str, tuple[float, float]] = {
    "matrix": (0.92, 0.05),  # of the largest rate that any product reaches on the device
    "attention": (0.35, 0.15),  # of the data sheet's peak, causal pairs counted once
    "scan": (0.2, 0.3),
    "balance": (0.4, 0.5),  # exponent: how much harder it is to keep units busy that calculate more per byte of bandwidth
    "half_rows": (100.0, 0.4),  # rows at which a product reaches half of its rate
    "half_width": (150.0, 0.5),  # the same, of the mean side of the matrix
    "bandwidth": (0.8, 0.1),
    "traffic": (1.5, 0.3),  # bytes that really move, of those that element-wise work must move
    "loss": (16.0, 0.4),  # bytes per logit, of the loss and its gradient
    "scores": (13.0, 0.3),  # bytes per score where attention writes them out, forward
    "narrow": (0.8, 0.1),  # of the peak of an 8- or 4-bit format
    "imbalance": (1.15, 0.1),  # tokens of the fullest device of a mixture, of the mean
    "routing": (6.0, 0.4),  # passes over a token's copies to sort them by expert and back
    "cast": (3.0, 0.4),  # passes over a product's activations to narrow them
    "unpack": (0.3, 0.3),  # of the bandwidth, where packed weights are widened
    "optimizer": (0.7, 0.2),  # of the bandwidth
    "link": (0.7, 0.2),  # of the link's bandwidth
    "network": (0.7, 0.3),
    "overlap": (0.8, 0.15),  # of the computation, that the traffic of sharded states can hide behind
    "leak": (0.1, 0.5),  # of that traffic, that slows the computation all the same
    "exposed": (0.8, 0.15),  # of a tensor-parallel group's traffic; less where it is asynchronous
    "stragglers": (0.004, 0.5),  # of the step, for every doubling of the devices
    "operation": (15e-6, 0.3),  # seconds in which the host issues one operation
    "step": (10e-3, 0.5),  # seconds once a step
}
# The largest rate that any product reaches, of the peak: stas00/ml-engineering "MAMF" (microbench.csv), averaged by generation.
# The systolic arrays of a TPU are kept full by the compiler ("How to scale your model", chapter 1).
REACHED = {
    "ampere": 0.84,
    "hopper": 0.82,
    "blackwell": 0.75,
    "blackwell-ultra": 0.79,
    "cdna3": 0.56,
    "cdna4": 0.62,
    "gaudi2": 0.97,
    "gaudi3": 0.74,
    "tpu": 0.95,
}
UNMEASURED = {"amd": 0.58, "other": 0.75}  # of generations that are not in that table
BALANCED = {"tpu": 230.0}  # FLOP per byte of devices that the efficiencies above are taken from; of others:
USUALLY = 153.0
EFFECTS = {  # how far classes differ, as the standard deviation of a logarithm
    "matrix:generation": 0.05,
    "matrix:trainer": 0.05,
    "attention:generation": 0.2,
    "traffic:style": 0.3,
    "attention:trainer": 0.05,
    "attention:kernel": 0.15,
}
# Where effects start that are known from kernels: FlashAttention-2 against 1 (arXiv 2307.08691), and kernels made for Hopper against
# that (arXiv 2407.08608); newer devices need such kernels more than Ampere did. Others start at 0.
STARTS = {
    "attention:kernel:flash-2": 0.45,
    "attention:kernel:tuned": 0.9,
    "attention:generation:hopper": -0.25,
    "attention:generation:blackwell": -0.25,
    "attention:generation:blackwell-ultra": -0.25,
    "attention:generation:cdna2": -0.4,
    "attention:generation:cdna3": -0.4,
    "attention:generation:cdna4": -0.4,
}
RENEWED = ("hopper", "blackwell", "blackwell-ultra")  # generations that have kernels of their own


@dataclass(frozen=True, slots=True)
class Rates:
    """Reached rates; numbers, or arrays over set-ups."""

    matrix: Any  # FLOP/s of large products with weights
    head: Any  # FLOP/s of the product with the lm_head, which stays in 16 bits
    attention: Any
    scan: Any
    half_rows: Any
    half_width: Any
    bandwidth: Any
    traffic: Any
    loss: Any
    scores: Any  # bytes per score, forward
    cast: Any
    imbalance: Any
    routing: Any
    optimizer: Any  # bytes/s
    unpack: Any  # bytes/s
    overlap: Any
    leak: Any
    exposed: Any
    stragglers: Any
    operation: Any  # seconds; 0 where work is compiled
    step: Any
    fabric: Fabric


CHAIN = {
    "float4": ("float4", "float8", "bfloat16", "float16"),
    "float8": ("float8", "bfloat16", "float16"),
    "int8": ("int8", "bfloat16", "float16"),
    "bfloat16": ("bfloat16", "float16"),
    "float16": ("float16", "bfloat16"),
    "tf32": ("tf32",),
    "float32": ("float32",),
}


class Interval(NamedTuple):
    """Between which factors of the predicted time four of five measurements lie, and where the constants come from."""

    low: float
    high: float
    origin: str  # calibrated: this trainer on this generation was in the fit; transferred: from relatives; data sheet: priors alone


@cache
def calibrated() -> Constants:
    """The fitted constants."""
    return calibration()["constants"]


@cache
def calibration() -> dict[str, Any]:
    """The whole file: constants, spread of what is left, and what was in the fit."""
    return json.loads(FILE.read_text("utf-8")) if FILE.exists() else {"constants": {}, "spread": {}, "seen": []}


def interval(device: Device, setup: TrainSetup) -> Interval:
    """The interval of a prediction of this kind."""
    kept = calibration()
    kind = generation(device)
    if f"{setup.trainer} on {kind}" in kept["seen"]:
        origin = "calibrated"
    else:
        near = any(name.endswith(f" on {kind}") or name.startswith(f"{setup.trainer} ") for name in kept["seen"])
        origin = "transferred" if near else "data sheet"
    spread = kept["spread"].get(origin, 0.3)
    return Interval(exp(-1.28 * spread), exp(1.28 * spread), origin)


def arithmetic(device: Device, compute: str) -> str:
    """The format that products are calculated in: the one asked for, or the next that the device has a unit for."""
    return next((name for name in CHAIN[compute] if name in device.peak), "float32")


def generation(device: Device) -> str:
    """The class of devices that a generation's effects are kept under."""
    return "tpu" if device.kind == "tpu" else device.generation.lower()


def names(device: Device, setup: TrainSetup) -> dict[str, list[str]]:
    """Quantity → the effects that apply to it."""
    kind = generation(device)
    kernel = "flash-2" if setup.attention == "tuned" and kind not in RENEWED else setup.attention
    return {
        "matrix": [f"matrix:generation:{kind}", f"matrix:trainer:{setup.trainer}"],
        "attention": [
            f"attention:generation:{kind}",
            f"attention:trainer:{setup.trainer}",
            *([f"attention:kernel:{kernel}"] if kernel in ("flash-2", "tuned") and device.kind != "tpu" else []),
        ],
        "traffic": [f"traffic:style:{setup.style}"],
    }


def rates(device: Device, setup: TrainSetup, constants: Constants | None = None) -> Rates:
    """All rates of one device under one set-up."""
    c = calibrated() if constants is None else constants
    v = {name: c.get(name, prior) for name, (prior, _) in PRIORS.items()}
    for quantity, effects in names(device, setup).items():
        v[quantity] *= exp(sum(c.get(name, STARTS.get(name, 0.0)) for name in effects))
    kind = generation(device)
    balanced = device.bandwidth * BALANCED.get(kind, USUALLY)
    busy = max(device.peak.get("bfloat16", device.peak.get("float16", 0.0)) / balanced, 1.0) ** -v["balance"]
    steep = device.peak.get(arithmetic(device, setup.compute), balanced) / balanced  # faster units need larger products to be filled
    reached = REACHED.get(kind, UNMEASURED.get(device.family.split("-")[0], UNMEASURED["other"])) * busy
    vector = device.peak.get("float32", max(device.peak.values()) / 16)
    name = arithmetic(device, setup.compute)
    plain = device.peak.get(arithmetic(device, setup.compute if setup.compute in ("float32", "tf32") else "bfloat16"), vector)
    narrow = name in ("float8", "float4", "int8")
    near = fabric(device)
    return Rates(
        matrix=device.peak.get(name, vector) * reached * v["matrix"] * (v["narrow"] if narrow else 1.0),
        head=plain * reached * v["matrix"],
        attention=plain * v["attention"] * busy,
        scan=plain * v["scan"],
        half_rows=v["half_rows"] * steep,
        half_width=v["half_width"] * steep,
        bandwidth=device.bandwidth * v["bandwidth"],
        traffic=v["traffic"],
        loss=v["loss"],
        scores=v["scores"],
        cast=v["cast"] if narrow else 0.0,
        imbalance=v["imbalance"],
        routing=v["routing"],
        unpack=device.bandwidth * v["unpack"],
        optimizer=device.bandwidth * v["optimizer"],
        overlap=v["overlap"],
        leak=v["leak"],
        exposed=v["exposed"] * (0.4 if setup.asynchronous else 1.0),
        stragglers=v["stragglers"],
        operation=v["operation"] if setup.style == "host" else 0.0,
        step=v["step"],
        fabric=Fabric(near.size, near.bandwidth * v["link"], near.latency, near.network * v["network"], near.network_latency, near.torus),
    )
