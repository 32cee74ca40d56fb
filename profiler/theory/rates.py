"""What a device reaches under an engine and a number format: data-sheet rates times fitted efficiencies.

Every rate is `scale × exp(sum of effects)`: a common constant, and what the device's family, the engine's style, the engine
itself and the format change about it. An effect that nobody measured is absent and changes nothing, so a device or engine
that is new to us is taken to be like its relatives. The constants are fitted by `python -m profiler.validation.fit`
and kept in calibration/inference.json; they belong to classes, never to one device, source or row.
"""

import json
from dataclasses import dataclass
from functools import cache
from math import exp, inf
from pathlib import Path
from typing import Any

from profiler.spec.deployment import Deployment
from profiler.spec.device import Device
from profiler.spec.engines import ENGINES
from profiler.spec.formats import FORMATS

Constants = dict[str, float]
# Physical starting points; the fitted effects are factors on them.
SCALES = {
    "matrix": 0.7,  # of the peak of the arithmetic's format
    "attention": 0.5,  # the same, of the products inside attention
    "packed": 2.5,  # FLOP/s of products with packed weights, per FLOP/s of the vector units
    "bandwidth": 0.85,  # of the theoretical bandwidth
    "cache": 0.7,
    "unpack": 2.0,  # operations of the vector units to widen one weight
    "operator": 3e-6,
    "host": 12e-6,
    "step": 100e-6,
    "scores": 12.0,
    "hop": 8e-6,  # seconds of one small all-reduce
    "serving": 0.8,  # of the throughput of a batch that is always full
}
CHAIN = {
    "float4": ("float4", "float8", "int8", "float16"),
    "float8": ("float8", "float16", "bfloat16", "float32"),
    "int8": ("int8", "float16", "bfloat16", "float32"),
    "bfloat16": ("bfloat16", "float16", "float32"),
    "float16": ("float16", "bfloat16", "float32"),
    "float32": ("float32",),
}


@dataclass(frozen=True, slots=True)
class Rates:
    """Reached rates of one device; numbers, or arrays that broadcast with an Op's."""

    matrix: Any  # FLOP/s of large products with weights
    attention: Any  # FLOP/s of the products inside attention
    bandwidth: Any  # bytes/s of weights and activations
    cache: Any  # bytes/s of the KV cache
    unpack: Any  # weights/s that can be widened to the arithmetic's format
    operator: Any  # seconds from one operator to the next
    host: Any  # seconds in which the host starts one operator, beside the device; 0 where they start together
    step: Any  # seconds once a step
    scores: Any  # bytes moved for each score where attention writes them out, else 0
    hop: Any  # seconds of one small collective


def arithmetic(deployment: Deployment) -> str:
    """The format that products are calculated in: the narrowest that the weights' format asks for and the device has."""
    peak = deployment.device.peak
    return next((name for name in CHAIN[deployment.precision.arithmetic] if name in peak), "float32")


# What changes each quantity, beside its common constant.
INFLUENCES = {
    "matrix": ("family", "style", "engine", "format"),
    "attention": ("family", "engine"),
    "packed": ("family",),
    "bandwidth": ("family", "style", "engine", "format"),
    "cache": ("engine",),
    "unpack": ("family", "engine", "format"),
    "operator": ("family", "style", "engine"),
    "host": ("format",),
    "step": ("engine",),
    "scores": (),
    "hop": ("style", "engine"),
}


def effects(deployment: Deployment, quantity: str) -> list[str]:
    """Names of the constants that one quantity of a deployment follows from."""
    is_ = {
        "family": deployment.device.family,
        "style": ENGINES[deployment.engine].style,
        "engine": deployment.engine,
        "format": bits_class(deployment),
    }
    return [quantity, *(f"{quantity}:{is_[influence]}" for influence in INFLUENCES[quantity])]


def bits_class(deployment: Deployment) -> str:
    """What the weights' format means for a kernel."""
    row = FORMATS[deployment.precision.weights]
    if row.arithmetic:
        return f"products-{row.arithmetic}"
    return "plain" if row.bits >= 16 else ("weights-8" if row.bits > 6.6 else "weights-4")


def scales(deployment: Deployment) -> dict[str, float]:
    """What each quantity is before any effect: the data sheet's part of it."""
    device, engine = deployment.device, ENGINES[deployment.engine]
    row = FORMATS[deployment.precision.weights]
    vector = device.peak.get("float32", max(device.peak.values()) / 8)
    peak = device.peak.get(arithmetic(deployment), vector)
    plain = device.peak.get(next((name for name in CHAIN[deployment.precision.compute] if name in device.peak), "float32"), vector)
    if deployment.engine == "llama.cpp":
        plain = device.peak.get("float16_accumulate16", plain)
        peak = plain if not row.arithmetic else peak
    return {
        "matrix": peak * SCALES["matrix"],
        "attention": plain * SCALES["attention"],
        "packed": vector * SCALES["packed"],
        "bandwidth": device.bandwidth * SCALES["bandwidth"],
        "cache": device.bandwidth * SCALES["cache"],
        "unpack": vector / SCALES["unpack"],
        "operator": SCALES["operator"],
        "host": SCALES["host"],
        "step": SCALES["step"],
        "scores": SCALES["scores"],
        "hop": SCALES["hop"],
    }


@dataclass(frozen=True, slots=True)
class Traits:
    """How an engine handles a format: switches of 0 or 1, and the bytes of one packed weight."""

    packed: Any  # multiplies packed weights as they are
    width: Any  # bytes of a weight that is widened before it is multiplied; infinite where none is
    hosted: Any  # the host starts every operator
    written: Any  # attention writes its scores to memory


def traits(deployment: Deployment) -> Traits:
    """The switches of a deployment."""
    engine, row = ENGINES[deployment.engine], FORMATS[deployment.precision.weights]
    weight_only = row.bits < 16 and not row.arithmetic
    return Traits(
        packed=float(row.bits < 16 and engine.quantized_products),
        width=deployment.precision.width("weights") if weight_only else inf,
        hosted=float(engine.style == "host"),
        written=float(not deployment.fused),
    )


def rates(deployment: Deployment, constants: Constants | None = None) -> Rates:
    """What one device of a deployment reaches."""
    known = calibration()["constants"] if constants is None else constants
    base = scales(deployment)
    reached = {name: base[name] * exp(sum(known.get(key, 0.0) for key in effects(deployment, name))) for name in base}
    return assemble(traits(deployment), reached)


def assemble(has: Traits, reached: dict[str, Any]) -> Rates:
    """Rates from the reached quantities; both may be arrays."""
    return Rates(
        matrix=1 / (1 / reached["matrix"] + has.packed / reached["packed"]),
        attention=reached["attention"],
        bandwidth=reached["bandwidth"],
        cache=reached["cache"],
        unpack=reached["unpack"] * has.width,
        operator=reached["operator"],
        host=reached["host"] * has.hosted,
        step=reached["step"],
        scores=reached["scores"] * has.written,
        hop=reached["hop"],
    )


@cache
def calibration() -> dict[str, Any]:
    """The fitted constants, with the residuals that intervals are made of."""
    return json.loads(Path(__file__).with_name("calibration").joinpath("inference.json").read_text("utf-8"))
