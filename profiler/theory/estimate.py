"""What a deployment would do with a workload: time, memory, energy, each with its interval and where it comes from.

    estimate(model, deployment, batch=1, prompt=512, new=128) → Estimate

Batch, prompt and new tokens may be numpy arrays that broadcast; so are then all results. Nothing here refuses: what cannot be
(weights that do not fit, heads that do not divide) is named in `problems`, and the times are those of a device with room.
"""

from dataclasses import dataclass
from math import exp
from typing import Any

import numpy as np

from profiler.spec.deployment import Deployment
from profiler.spec.engines import ENGINES
from profiler.spec.model import ModelSpec
from profiler.spec.units import words
from profiler.theory.cache import kv_bytes
from profiler.theory.plan import decode_step, prefill_step
from profiler.theory.rates import calibration, rates
from profiler.theory.timing import Spent, spent
from profiler.theory.weights import weight_bytes

RESERVED = 0.6e9  # bytes that a driver and an engine keep for themselves on each device
IDLE = 0.3  # of its power limit that a device draws while it waits for memory; assumed


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds, with the interval that four of five measurements of this kind fell into."""

    time: Any
    low: Any
    high: Any
    spent: Spent


@dataclass(frozen=True, slots=True)
class Estimate:
    """The answer for one deployment."""

    prefill: Timed  # until the first token, of a batch
    decode: Timed  # of one decode step, half-way through the new tokens
    rate: Any  # new tokens/s of all devices while decoding
    throughput: Any  # new tokens/s of all devices, prompts included
    weights: Any  # bytes on each device
    cache: Any  # bytes on each device, at the full length
    memory: Any  # bytes on each device, everything
    fits: Any
    energy: Any  # J per new token, prompts included; None where the power limit is not known
    origin: str  # calibrated · transferred · data sheet
    problems: tuple[str, ...]


def estimate(model: ModelSpec, deployment: Deployment, batch: Any = 1, prompt: Any = 512, new: Any = 128) -> Estimate:
    """Time, memory and energy of generating `new` tokens for each of `batch` prompts on one replica."""
    reached = rates(deployment)
    batch, prompt, new = (value * 1.0 for value in (batch, prompt, new))
    prefill = spent(prefill_step(model, deployment, batch, prompt), reached)
    decode = spent(decode_step(model, deployment, batch, prompt + new / 2, prompt), reached)
    whole = prefill.total + new * decode.total
    weights, cache = held(model, deployment, batch, prompt + new)
    memory = weights + cache + RESERVED + working(model, deployment, batch, prompt)
    return Estimate(
        timed(prefill, deployment, "prefill"),
        timed(decode, deployment, "decode"),
        batch / decode.total * deployment.replicas,
        batch * new / whole * deployment.replicas,
        weights,
        cache,
        memory,
        memory <= deployment.device.memory,
        energy(deployment, prefill, decode, new, batch),
        origin(deployment),
        problems(model, deployment, float(np.max(memory)), float(np.max(prompt + new))),
    )


def held(model: ModelSpec, deployment: Deployment, batch: Any, length: Any) -> tuple[Any, Any]:
    """Bytes of weights and of KV cache on each device of a replica."""
    group, heads = deployment.group, min(deployment.tensor, model.kv_heads) * deployment.pipeline
    return weight_bytes(model, deployment.precision) / group, batch * kv_bytes(model, length, deployment.precision) / max(heads, 1)


def working(model: ModelSpec, deployment: Deployment, batch: Any, prompt: Any) -> Any:
    """Bytes of activations while a chunk of prompts passes: a few rows of one layer, the last logits in float32."""
    rows = np.minimum(batch * prompt, ENGINES[deployment.engine].chunk)
    width = deployment.precision.width("activations")
    return rows * width * (6 * model.hidden + 2 * model.ffn) / deployment.tensor + 4 * batch * model.vocab


def timed(parts: Spent, deployment: Deployment, phase: str) -> Timed:
    """Seconds with their interval."""
    low, high = calibration()["residuals"][phase][origin(deployment)]
    return Timed(parts.total, parts.total * exp(low), parts.total * exp(high), parts)


def origin(deployment: Deployment) -> str:
    """calibrated: measurements of this engine on this family were fitted; transferred: of one of the two; else the data sheet alone."""
    engine, family, seen = deployment.engine, deployment.device.family, calibration()["seen"]
    if f"{engine} on {family}" in seen:
        return "calibrated"
    return "transferred" if any(row.startswith(f"{engine} on ") or row.endswith(f" on {family}") for row in seen) else "data sheet"


def energy(deployment: Deployment, prefill: Spent, decode: Spent, new: Any, batch: Any) -> Any:
    """Joule per new token: the limit while calculating, `IDLE` of it otherwise; a rough figure."""
    limit = deployment.device.power
    if limit is None:
        return None
    calculating = prefill.compute + new * decode.compute
    other = prefill.total + new * decode.total - calculating
    return deployment.group * limit * (calculating + (IDLE + 0.3) * other) / (batch * new)


def problems(model: ModelSpec, deployment: Deployment, memory: float, length: float) -> tuple[str, ...]:
    """What is impossible about a set-up, each in one sentence with its numbers."""
    device, found = deployment.device, []
    if memory > device.memory:
        found.append(f"It needs {words(memory, 'B')} on each device; {device.title} has {words(device.memory, 'B')}.")
    if model.heads % deployment.tensor:
        found.append(f"Tensor parallelism of {deployment.tensor} does not divide the {model.heads} attention heads of {model.name}.")
    if deployment.pipeline > model.layers:
        found.append(f"{deployment.pipeline} pipeline stages are more than the {model.layers} layers of {model.name}.")
    if deployment.expert > 1 and not model.moe:
        found.append(f"{model.name} has no experts that could be spread over {deployment.expert} devices.")
    if length > model.context:
        found.append(f"{length:,.0f} tokens are more than the {model.context:,} that {model.name} was made for.")
    return tuple(found)
