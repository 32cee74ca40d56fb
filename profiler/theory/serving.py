"""Serving many requests: how many fit at a time, and what continuous batching makes of them.

Requests of different ages share each step (Yu et al. 2022, Orca). Over the life of one batch every device spends the passes over all
prompts and `new` decode steps; `serving` of that throughput is reached, the rest is scheduling and batches that are not full.
With pipeline parallelism the batch is divided, so that every stage always has a part of it to work on.
"""

from dataclasses import dataclass
from typing import Any

from profiler.spec.deployment import Deployment
from profiler.spec.model import ModelSpec
from profiler.theory.cache import kv_bytes
from profiler.theory.inference_memory import inference_memory
from profiler.theory.plan import decode_step, prefill_step
from profiler.theory.rates import Rates, rates
from profiler.theory.timing import Step, step_seconds

SLACK = 0.9  # of a device's memory that engines give to weights and cache
LARGEST = 1024  # sequences that engines run at a time when nobody limits them


@dataclass(frozen=True, slots=True)
class Served:
    """What all devices do together, and what one request sees."""

    batch: int  # requests at a time on one replica
    throughput: float  # new tokens/s of all devices
    first: float  # seconds until a request's first token, when it need not wait for room
    per_token: float  # seconds from one token to the next, with other requests' prompts between


def largest_batch(model: ModelSpec, deployment: Deployment, length: float) -> int:
    """Sequences of `length` tokens whose cache fits beside the weights on each device of a replica; at least one."""
    room = deployment.device.memory * SLACK - inference_memory(model, deployment, 1, 1, 1).weights
    each = kv_bytes(model, length, deployment.precision) / (min(deployment.tensor, max(model.kv_heads, 1)) * deployment.pipeline)
    return int(max(1, min(LARGEST, room / max(each, 1.0))))


def batch_steps(model: ModelSpec, deployment: Deployment, batch: Any, prompt: Any, new: Any, beams: int = 1) -> list[tuple[Any, Step]]:
    """(times, step) of a batch's life on one device: its prompts, and its decode steps half-way through."""
    return [
        (1.0, prefill_step(model, deployment, batch, prompt)),
        (new, decode_step(model, deployment, batch * beams, prompt + new / 2, prompt)),
    ]


def serve(model: ModelSpec, deployment: Deployment, prompt: float, new: float, concurrency: int | None = None) -> Served:
    """At maximum load, or with so many requests at a time on each replica."""
    reached = rates(deployment)
    most = largest_batch(model, deployment, prompt + new)
    batch = most if concurrency is None else max(1, min(concurrency, most))
    alone = deployment.model_copy(update={"pipeline": 1})  # every stage always has a part of the batch to work on
    (_, reading), (_, writing) = batch_steps(model, alone, batch / min(deployment.pipeline, batch), prompt, new)
    whole = lifetime(reading, writing, new, reached)
    return Served(
        batch,
        batch * new / whole * deployment.replicas,
        step_seconds(prefill_step(model, deployment, 1.0, prompt), reached) + step_seconds(writing, reached),
        whole / new,
    )


def lifetime(reading: Step, writing: Step, new: float, reached: Rates) -> float:
    """Seconds that a batch takes from its first prompt to its last token."""
    return (step_seconds(reading, reached) + new * step_seconds(writing, reached)) / reached.serving
