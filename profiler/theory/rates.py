"""What a device reaches under an engine and a number format: data-sheet rates times fitted efficiencies.

Every rate is `scale × exp(sum of effects)`: a common constant, and what the device's family, the engine's style, the engine
itself and the format change about it. An effect that nobody measured is absent and changes nothing, so a device or engine
that is new to us is taken to be like its relatives. The constants are fitted by `python -m profiler.validation.fit`
and kept in calibration/inference.json; they belong to classes, never to one device, source or row.
"""

import json
from dataclasses import dataclass
from functools import cache
from math import exp, inf, log
from pathlib import Path
from typing import Any

from profiler.spec.deployment import Deployment
from profiler.spec.device import Device
from profiler.spec.engines import ENGINES
from profiler.spec.formats import FORMATS

Constants = dict[str, float]
FILE = Path(__file__).with_name("calibration") / "inference.json"
# Physical starting points; the fitted effects are factors on them.
SCALES = {
    "matrix": 0.7,  # of the peak of the arithmetic's format
    "tile": 64.0,  # rows that a product of a few rows is padded to
    "attention": 0.5,  # the same, of the products inside attention
    "packed": 2.5,  # FLOP/s of products with packed weights, per FLOP/s of the vector units
    "bandwidth": 0.85,  # of the theoretical bandwidth
    "traffic": 2.0,  # times that activations cross the bus, per time that a fused kernel would move them
    "cache": 0.7,
    "unpack": 2.5,  # integer operations to widen one weight
    "operator": 3e-6,
    "host": 90e-6,  # an eager layer: 375 µs of Python and dispatch as traced on a processor, and 30 launches of 6 µs; 6 operations of ours
    "step": 100e-6,
    "scores": 12.0,
    "hop": 8e-6,  # seconds of one small all-reduce
    "serving": 0.85,  # of the throughput of a batch that is always full
}
CHAIN = {
    "float4": ("float4", "bfloat16", "float16", "float32"),  # without such units weights are widened to 16 bits
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
    traffic: Any  # times that activations cross the bus
    tile: Any  # rows that a product of a few is padded to
    serving: Any  # of a full batch's throughput that continuous batching reaches


def arithmetic(deployment: Deployment) -> str:
    """The format that products are calculated in: the narrowest that the weights' format asks for and the device has."""
    peak = deployment.device.peak
    return next((name for name in CHAIN[deployment.precision.arithmetic] if name in peak), "float32")


# What changes each quantity, beside its common constant.
INFLUENCES = {
    "matrix": ("family", "style", "kin", "engine", "format", "generation", "balance"),
    "tile": ("style", "kin"),
    "attention": ("style", "kin", "balance"),
    "packed": ("family", "engine", "generation"),
    "bandwidth": ("family", "style", "kin", "engine", "format", "generation", "pair"),
    "cache": ("kin",),
    "unpack": ("family", "kin", "format", "generation"),
    "operator": ("family", "style", "kin", "engine"),
    "traffic": ("style", "kin"),
    "host": ("format",),
    "step": ("kin",),
    "scores": (),
    "hop": ("style", "kin"),
    "serving": ("kin",),
}
# Kernels that an eager engine starts for a product with packed weights, per plain one: it quantizes or widens, multiplies, scales.
STARTED = {"weights-4": 1.6, "weights-8": 1.6, "products-int8": 2.5}


def effects(deployment: Deployment, quantity: str) -> dict[str, float]:
    """Names of the constants that one quantity of a deployment follows from, and how much of each it has.

    `balance`: the more FLOPs a device has for each byte of bandwidth, the smaller the part of them that kernels can feed.
    """
    device, engine = deployment.device, ENGINES[deployment.engine]
    is_ = {
        "family": device.family,
        "generation": f"{device.vendor} {device.generation.removesuffix('-ultra')}",  # a refresh of the same units
        "style": engine.style,
        "kin": engine.kin or deployment.engine,
        "engine": deployment.engine if engine.kin else "",
        "format": bits_class(deployment),
        "pair": f"{deployment.engine} on {device.family}",
    }
    found = {f"{quantity}:{is_[influence]}": 1.0 for influence in INFLUENCES[quantity] if is_.get(influence)}
    if "balance" in INFLUENCES[quantity]:
        found[f"{quantity}:balance"] = log(plain_peak(device) / device.bandwidth / USUAL_BALANCE)
    return {quantity: 1.0} | found


def integer_share(device: Device) -> float:
    """Integer operations/s for each float32 FLOP/s: a multiply-add is two FLOPs, and half the lanes of some generations have no integers.

    Sources: NVIDIA's white papers on GA100, GA102, AD102 and GH100 (64 integer lanes a multiprocessor), AMD's on RDNA 3.
    """
    halved = {"ampere", "ada", "hopper", "rdna3", "rdna3.5", "rdna4"}
    return 0.25 if device.generation in halved and (device.generation != "ampere" or device.family != "nvidia-hbm") else 0.5


SLOW_CLOCKED = (
    "apple",
    "nvidia-unified",
    "amd-unified",
    "intel-unified",
    "mobile-npu",
)  # kernels begin and end at half the clock of a card
# No effect lifts a rate above what hardware can give, as a factor on its scale.
MOST = {"matrix": 1.35, "attention": 1.9, "bandwidth": 1.12, "cache": 1.3}
USUAL_BALANCE = 150.0  # FLOPs in 16 bits for each byte of bandwidth, at which `balance` changes nothing


def plain_peak(device: Device) -> float:
    """FLOP/s of the matrix units in 16 bits, or of what there is."""
    return max((device.peak.get(name, 0.0) for name in CHAIN["bfloat16"]), default=0.0) or max(device.peak.values(), default=1e12)


def bits_class(deployment: Deployment) -> str:
    """What the weights' format means for a kernel."""
    row = FORMATS[deployment.precision.weights]
    if row.arithmetic:
        return f"products-{row.arithmetic}"
    return "plain" if row.bits >= 16 else ("weights-8" if row.bits > 6.6 else "weights-4")


def scales(deployment: Deployment) -> dict[str, float]:
    """What each quantity is before any effect: the data sheet's part of it.

    Products in a narrow format come with an operator that quantizes what they multiply, which more than half of all operators have.
    """
    device, engine = deployment.device, ENGINES[deployment.engine]
    row = FORMATS[deployment.precision.weights]
    vector = device.peak.get("float32", plain_peak(device) / 8)
    peak = device.peak.get(arithmetic(deployment), vector)
    slowed = 2 if device.family in SLOW_CLOCKED else 1
    plain = device.peak.get(next((name for name in CHAIN[deployment.precision.compute] if name in device.peak), "float32"), vector)
    if engine.quantized_products:
        plain = device.peak.get("float16_accumulate16", plain)
        peak = plain if row.bits >= 16 else device.peak.get("int8", plain)
    return {
        "matrix": peak * SCALES["matrix"],
        "tile": SCALES["tile"] * {"cpu": 0.06, "tpu": 2.0}.get(device.kind, 0.25 if device.family == "apple" else 1.0),
        "attention": plain * SCALES["attention"],
        "packed": vector * SCALES["packed"],
        "bandwidth": device.bandwidth * _readable(device),
        "cache": device.bandwidth * SCALES["cache"],
        "unpack": vector * integer_share(device) / SCALES["unpack"],
        "operator": SCALES["operator"] * (1 if engine.captured else 2) * (1.6 if row.arithmetic else 1) * slowed,
        "traffic": SCALES["traffic"],
        "host": SCALES["host"] * STARTED.get(bits_class(deployment), 1.0),
        "step": SCALES["step"],
        "scores": SCALES["scores"],
        "hop": SCALES["hop"],
        "serving": SCALES["serving"],
    }


def _readable(device: Device) -> float:
    """The part of the bandwidth that products read at. HBM wants more bytes in flight than small products have; the cores of Apple's
    processors reach half of what the chip's GPU does (AnandTech, "Apple's M1 Pro, M1 Max SoCs Investigated", 2021: 243 of 400 GB/s).
    """
    if device.kind == "cpu" and device.vendor == "Apple":
        return 0.5
    return 0.7 if device.family.endswith("-hbm") else SCALES["bandwidth"]


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
    factors = {name: exp(sum(known.get(key, 0.0) * much for key, much in effects(deployment, name).items())) for name in base}
    return assemble(traits(deployment), {name: base[name] * limited(name, factor) for name, factor in factors.items()})


def limited(name: str, factor: Any) -> Any:
    """A factor that approaches its quantity's limit, and does not pass it."""
    return (factor**-4 + MOST[name] ** -4) ** -0.25 if name in MOST else factor


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
        traffic=reached["traffic"],
        tile=reached["tile"],
        serving=reached["serving"],
    )


@cache
def calibration() -> dict[str, Any]:
    """The fitted constants, with the residuals that intervals are made of."""
    return json.loads(FILE.read_text("utf-8"))
