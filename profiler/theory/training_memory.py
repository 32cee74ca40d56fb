"""What training holds on one device at its peak, by accounting.

Sources: states under ZeRO, Rajbhandari et al. 2020 (arXiv 1910.02054); activations by what each kernel keeps for its backward pass,
after Korthikanti et al. 2022 (arXiv 2205.05198), recounted for gated MLPs, grouped keys and flash attention; micro-batches in
flight, Narayanan et al. 2021 (arXiv 2104.04473); 8- and 4-bit states, Dettmers et al. 2022 (arXiv 2110.02861);
frozen and quantized weights, Dettmers et al. 2023 (arXiv 2305.14314).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from profiler.spec.device import Device
from profiler.spec.formats import Precision
from profiler.spec.model import Attention, Block, Experts, LatentAttention, LinearAttention, Mlp, ModelSpec, StateSpace
from profiler.spec.training import TRAINERS, TrainSetup
from profiler.theory.inference_memory import resident
from profiler.theory.memory_rates import Constants, calibrated
from profiler.theory.sharding import AGAIN, bytes_of, completed, gradient_width, master, parameter_counts, shards, states, stored

MICRO_BATCHES = 2 ** np.arange(11)


@dataclass(frozen=True, slots=True)
class TrainMemory:
    """Bytes on one device, by purpose."""

    weights: Any
    gradients: Any
    optimizer: Any
    activations: Any
    logits: Any
    gathered: Any  # weights that are whole for a moment, and buckets of gradients
    slack: Any  # what the allocator keeps beyond what is in use
    runtime: Any  # libraries' buffers and the device's context

    @property
    def allocated(self) -> Any:
        """The most that tensors take at a time."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.logits + self.gathered

    @property
    def reserved(self) -> Any:
        """What the allocator has taken from the device."""
        return self.allocated + self.slack

    @property
    def total(self) -> Any:
        """What the device has given away."""
        return self.reserved + self.runtime


def training_memory(model: ModelSpec, setup: TrainSetup, constants: Constants | None = None) -> TrainMemory:
    """Peak of one optimizer step."""
    c = calibrated() if constants is None else constants
    setup = completed(setup)
    weights, gradients, optimizer, gathered = _states(model, setup)
    activations, logits = _activations(model, setup, c)
    used = weights + gradients + optimizer + gathered + activations + logits
    return TrainMemory(
        weights,
        gradients,
        optimizer,
        activations,
        logits,
        gathered + c["workspace"],
        used * c["slack"],
        c["context"] + c["peers"] * (np.asarray(setup.devices) > 1),
    )


def largest_micro_batch(model: ModelSpec, device: Device, setup: TrainSetup, constants: Constants | None = None) -> int:
    """The largest power of two that fits the device's memory, at most what a replica has of the global batch; 1 in a pipeline."""
    if setup.pipeline > 1:
        return 1
    share = setup.global_batch / setup.replicas if setup.global_batch else MICRO_BATCHES[-1]
    for size in MICRO_BATCHES[::-1]:
        if size <= max(share, 1) and size > 1:
            need = training_memory(model, setup.model_copy(update={"micro_batch": int(size), "global_batch": None}), constants)
            if need.total <= device.memory:
                return int(size)
    return 1


def _states(model: ModelSpec, setup: TrainSetup) -> tuple[Any, Any, Any, Any]:
    """Bytes of weights, of gradients, of the optimizer's states, and of what is whole for a moment."""
    dense, experts = parameter_counts(model)
    stage = setup.tensor * setup.pipeline
    held = dense / stage + experts / (stage * setup.expert)
    group = shards(setup)
    spread = [1.0, *(group if setup.zero >= level else 1.0 for level in (1, 2, 3))]
    narrow, sharded = bytes_of(setup), setup.zero == 3 and group > 1
    if setup.method != "full":
        whole = resident(model, Precision.of(setup.base or stored(setup))).total / stage
        trained = trainable(model, setup) / stage * (narrow + gradient_width(setup) + states(setup))
        cast = held * narrow if setup.base == "float32" and narrow == 2 else 0.0  # autocast keeps narrow copies of wide weights
        gathered = whole * sharded * (1.0 if TRAINERS[setup.trainer].keeps_whole else 2 / model.layers)
        return whole / spread[3] + cast, 0.0, trained, gathered
    wide = master(setup)
    gradient = max(gradient_width(setup), wide) if setup.zero >= 2 else gradient_width(setup)
    only = wide if sharded and wide else narrow  # under ZeRO 3 the wide copy is the only one
    bucket = held * gradient_width(setup) if setup.zero == 0 and setup.replicas > 1 else 0.0
    layer = 2 * held * narrow / (model.layers / setup.pipeline) * sharded
    kept = states(setup) + (0.0 if sharded else wide)
    return held * only / spread[3], held * gradient / spread[2], held * kept / spread[1], bucket + layer


def trainable(model: ModelSpec, setup: TrainSetup) -> float:
    """Trained parameters: as stated, or those of rank 8 on queries and values."""
    if setup.trainable is not None:
        return setup.trainable
    return 2 * 8 * 2 * model.hidden * model.layers


def _activations(model: ModelSpec, setup: TrainSetup, c: Constants) -> tuple[Any, Any]:
    """Bytes of what the backward pass needs, and of the logits with their gradient."""
    width = bytes_of(setup)
    tokens = setup.micro * setup.sequence / setup.context
    split = setup.tensor if setup.sequence_parallel else (1 + setup.tensor) / 2
    blocks = (*model.encoder, *model.blocks)
    kept = c[f"kept:{setup.style}"]
    each = [_kept(block, model, setup, c) * width * tokens / split * kept for block in blocks]
    inputs = model.hidden * width * tokens / split
    layers = sum(block.repeat * size for block, size in zip(blocks, each))
    quantized = bool(setup.base) and setup.base not in ("float32", "bfloat16", "float16")
    if setup.method != "full":
        layers, each = (layers * c[f"kept:{setup.method}"], [size * c[f"kept:{setup.method}"] for size in each])
        layers = layers + inputs * model.layers * c["kept:quantized"] * quantized
    again = AGAIN[setup.recompute]
    held = (1 - again) * layers + again * (inputs * model.layers + max(each))
    flight = min(setup.pipeline, setup.rounds) / setup.pipeline
    flight = flight * (1 + (setup.pipeline - 1) / (setup.pipeline * setup.interleave) * (setup.interleave > 1))
    logits = c[f"logits:{setup.style}"] * tokens * model.vocab / setup.tensor * model.head
    return held * flight, logits


def _kept(block: Block, model: ModelSpec, setup: TrainSetup, c: Constants) -> float:
    """Elements per token that one layer keeps, where every operation keeps its input: norms, mixers, MLP or experts."""
    wide = c["norms"] if model.norm_vectors == 1 and setup.style == "host" else 0.0  # RMSNorm written out in float32
    found = block.norms * model.hidden * (2 + wide)
    rotated = model.positions == 0
    for mixer in block.mixers:
        if isinstance(mixer, Attention):
            query, key = mixer.heads * mixer.head_dim, mixer.kv_heads * mixer.head_dim
            found += (query + key) * (1 + rotated) + mixer.kv_heads * mixer.value + mixer.heads * mixer.value
            found += 0 if setup.flash or setup.recompute == "attention" else 2.5 * mixer.heads * setup.sequence
        elif isinstance(mixer, LatentAttention):
            found += mixer.heads * (4 * (mixer.nope_dim + mixer.rope_dim) + 2 * mixer.value_dim) + 2 * (mixer.q_rank + mixer.kv_rank)
        elif isinstance(mixer, StateSpace):
            found += 6 * mixer.inner
        elif isinstance(mixer, LinearAttention):
            found += 3 * (mixer.keys + mixer.values)
        else:
            found += 4 * model.hidden
    return found + _inside(block.mlp) + _chosen(block.experts, model.hidden)


def _inside(mlp: Mlp | None) -> float:
    """Elements per token inside an MLP: gate, up, activation, product; or up and activation."""
    return (4 if mlp.gated else 2) * mlp.width if mlp else 0


def _chosen(experts: Experts | None, hidden: int) -> float:
    """Elements per token of the experts that it is sent to: its copies there and back, and what is inside."""
    if experts is None:
        return 0
    matrices = 4 if experts.gated else 2
    return experts.per_token * (matrices * experts.width + 2 * hidden) + matrices * experts.shared_width
