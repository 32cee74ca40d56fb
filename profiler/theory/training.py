"""Time of one optimizer step on many devices, and what a person makes of it: tokens a second, model FLOPs utilisation.

Forward: each operation takes max(FLOPs ÷ reached rate, bytes ÷ reached bandwidth). Backward: twice that for products with
weights (once, where they are frozen), 2.5 times for attention that calculates its scores again (Dao et al. 2022, arXiv
2205.14135), and the forward pass once more where activations are not kept. Traffic of sharded states hides behind the computation
as far as it can; that of tensor- and expert-parallel groups stands in its way. A pipeline of p stages with m micro-batches in
v pieces idles for (p − 1) ÷ (m·v) of its time (Narayanan et al. 2021, arXiv 2104.04473).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from profiler.spec.device import Device
from profiler.spec.model import ModelSpec
from profiler.spec.training import TrainSetup
from profiler.theory.backward import model_flops
from profiler.theory.collectives import exchange, gather, reduce, send
from profiler.theory.sharding import ATTENTION, EXPERTS, HEAD, LINEAR, SCAN, VECTOR, Work, completed, divided
from profiler.theory.training_memory import TrainMemory, largest_micro_batch, training_memory
from profiler.theory.training_rates import Constants, Interval, Rates, arithmetic, interval, rates

KERNELS = 12.0  # behind one of our operations, forward and backward each, where everything is issued by itself


@dataclass(frozen=True, slots=True)
class Parts:
    """Seconds of one optimizer step."""

    compute: Any
    communication: Any  # what the computation does not hide
    bubble: Any
    optimizer: Any
    overhead: Any

    @property
    def total(self) -> Any:
        """The whole step."""
        return self.compute + self.communication + self.bubble + self.optimizer + self.overhead


@dataclass(frozen=True, slots=True)
class Training:
    """A predicted step."""

    model: ModelSpec
    setup: TrainSetup  # with its batches filled in
    parts: Parts
    memory: TrainMemory
    interval: Interval  # of the time, as factors
    tokens: float  # of one step, on all devices
    peak: float  # FLOP/s of one device in the format of the products

    @property
    def time(self) -> float:
        """Seconds of a step."""
        return float(self.parts.total)

    @property
    def tokens_per_device(self) -> float:
        """Tokens a second and device."""
        return self.tokens / self.time / self.setup.devices

    def achieved(self, causal: bool = False) -> float:
        """Model FLOP/s of one device, nothing for what is calculated again; by the older convention every pair of positions counts."""
        return model_flops(self.model, self.setup.sequence, causal) * self.tokens_per_device

    def utilisation(self, causal: bool = False) -> float:
        """Model FLOPs utilisation (PaLM, arXiv 2204.02311, appendix B): of the device's peak."""
        return self.achieved(causal) / self.peak


def predict_training(model: ModelSpec, device: Device, setup: TrainSetup, constants: Constants | None = None) -> Training:
    """One optimizer step."""
    setup = completed(setup, 1 if setup.micro_batch else largest_micro_batch(model, device, setup))
    work = divided(model, setup)
    parts = step_time(work, rates(device, setup, constants))
    peak = device.peak.get(arithmetic(device, setup.compute), max(device.peak.values(), default=1.0))
    tokens = float(setup.global_batch or 0) * setup.sequence
    return Training(model, setup, parts, training_memory(model, setup), interval(device, setup), tokens, peak)


def step_time(work: Work, r: Rates) -> Parts:
    """Seconds of one step, by part."""
    compute = np.maximum(computation(work, r), r.operation * 2 * KERNELS * work.issued.sum(0))
    waited = r.exposed * (
        work.reductions * reduce(r.fabric, work.reduced, work.tensor)
        + work.exchanges * exchange(r.fabric, work.exchanged, work.expert, work.tensor)
    )
    each = gather(r.fabric, work.gathered, work.shards, work.tensor)
    once = gather(r.fabric, work.settled, work.shards, work.tensor)
    once = once + reduce(r.fabric, work.averaged, work.copies, work.tensor * work.shards)
    hidden = r.overlap * compute
    exposed = np.maximum(each - hidden, r.leak * each)
    last = np.maximum(once - hidden, r.leak * once)
    handed = r.leak * send(r.fabric, work.handed, work.stride) * (work.handed > 0)
    busy = compute + waited + exposed + handed
    scale = 1 + r.stragglers * np.log2(work.devices)
    return Parts(
        compute * work.micro_batches * scale,
        ((waited + exposed + handed) * work.micro_batches + last) * scale,
        busy * work.idle * scale,
        work.updated / r.optimizer,
        r.step,
    )


def computation(work: Work, r: Rates) -> Any:
    """Seconds of computation of one micro-batch, forward and backward."""
    kind = work.kind
    product = (kind == LINEAR) | (kind == EXPERTS)
    filled = 1 / (1 + r.half_rows / np.maximum(work.rows, 1) + r.half_width / work.width)
    rate = np.select(
        [product, kind == HEAD, kind == ATTENTION, kind == SCAN], [r.matrix * filled, r.head * filled, r.attention, r.scan], 1e30
    )
    calculated = work.flops / rate * np.where(kind == EXPERTS, r.imbalance, 1.0)
    moved = work.moved * np.where(kind == VECTOR, r.traffic, 1.0)
    forward = np.maximum(calculated, (moved + work.loaded) / r.bandwidth) + r.cast * work.moved * product / r.bandwidth
    times = np.where(kind == ATTENTION, 3.5, np.where(product, 3.0 - work.frozen, 3.0))
    scores = work.scores * r.scores / r.bandwidth
    again = (work.again * forward).sum(0) + (work.again.max(0) + work.rescored) * scores
    again = again + work.rescored * (work.scores > 0) * (forward * (kind == ATTENTION)).sum(0)
    beside = (work.logits * r.loss + work.exchanged * r.routing) / r.bandwidth
    return (forward * times).sum(0) + again + 3 * scores + beside + work.unpacked / r.unpack
