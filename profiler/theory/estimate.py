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
from profiler.theory.inference_memory import inference_memory
from profiler.theory.plan import decode_step, prefill_step
from profiler.theory.rates import calibration, rates
from profiler.theory.timing import Spent, spent

WAITING = 0.6  # of its power limit that a device draws while it moves bytes or waits; assumed


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
    rate: Any  # new tokens/s of all devices while decoding; 0 of an encoder, which writes none
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
    need = inference_memory(model, deployment, batch, prompt, new)
    return Estimate(
        timed(prefill, deployment, "prefill"),
        timed(decode, deployment, "decode"),
        batch / decode.total * deployment.replicas if model.head else 0.0,
        batch * new / whole * deployment.replicas if model.head else 0.0,
        need.weights,
        need.kv,
        need.total,
        need.total <= deployment.device.memory,
        energy(deployment, prefill, decode, new, batch) if model.head else None,
        origin(deployment),
        problems(model, deployment, float(np.max(need.total)), float(np.max(longest(model, prompt, new)))),
    )


def longest(model: ModelSpec, prompt: Any, new: Any) -> Any:
    """Tokens of the longest sequence; an encoder and a decoder each have one of their own."""
    return np.maximum(prompt, new) if model.encoder else prompt + new


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
    """Joule per new token: the power limit while calculating, `WAITING` of it otherwise; a rough figure."""
    limit = deployment.device.power
    if limit is None:
        return None
    calculating = prefill.compute + new * decode.compute
    other = prefill.total + new * decode.total - calculating
    return deployment.group * limit * (calculating + WAITING * other) / (batch * new)


def problems(model: ModelSpec, deployment: Deployment, memory: float, length: float) -> tuple[str, ...]:
    """What is impossible about a set-up, each in one sentence with its numbers."""
    device, found = deployment.device, []
    if memory > device.memory:
        found.append(f"It needs {words(memory, 'B')} on each device; {device.title} has {words(device.memory, 'B')}.")
    engine = ENGINES[deployment.engine]
    if engine.vendors and device.vendor not in engine.vendors:
        found.append(f"{engine.title} does not run on {device.title}; it is made for devices of {' and '.join(engine.vendors)}.")
    if model.heads % deployment.tensor:
        found.append(f"Tensor parallelism of {deployment.tensor} does not divide the {model.heads} attention heads of {model.name}.")
    if deployment.pipeline > model.layers:
        found.append(f"{deployment.pipeline} pipeline stages are more than the {model.layers} layers of {model.name}.")
    if deployment.expert > 1 and not model.moe:
        found.append(f"{model.name} has no experts that could be spread over {deployment.expert} devices.")
    if model.moe and deployment.expert > model.experts:
        found.append(f"The {model.experts} experts of {model.name} cannot be spread over {deployment.expert} devices.")
    if length > model.context:
        found.append(f"{length:,.0f} tokens are more than the {model.context:,} that {model.name} was made for.")
    return tuple(found)
