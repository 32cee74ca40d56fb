"""How one optimizer step is divided over devices: what one of them computes, sends and updates, as plain numbers.

Sources: tensor and sequence parallelism, Shoeybi et al. 2019 (arXiv 1909.08053), Korthikanti et al. 2022 (arXiv 2205.05198);
pipelines, Narayanan et al. 2021 (arXiv 2104.04473); ZeRO, Rajbhandari et al. 2020 (arXiv 1910.02054);
experts, Lepikhin et al. 2020 (arXiv 2006.16668).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from profiler.spec.formats import FORMATS, Precision
from profiler.spec.model import ModelSpec
from profiler.spec.training import TRAINERS, TrainSetup
from profiler.theory.backward import OUTSIDE
from profiler.theory.cost import Op
from profiler.theory.step import forward

KINDS = ("linear", "attention", "experts", "scan", "vector", "head")
LINEAR, ATTENTION, EXPERTS, SCAN, VECTOR, HEAD = range(len(KINDS))
AGAIN = {"none": 0.0, "attention": 0.0, "half": 0.5, "full": 1.0}  # of the forward pass, that is calculated a second time
# bytes that an optimizer keeps for a parameter beside the weight, scales of blocks included
STATES = {"adamw": 8.0, "adamw-8bit": 2.03, "adamw-4bit": 1.06, "adafactor": 0.02, "sgd": 0.0, "muon": 4.0}
WIDE = ("adamw", "muon", "sgd")  # keep their states in the weights' own format
INSIDE = ("mlp", "experts", "shared_experts")  # operations of several equal matrices
TOKENS_PER_STEP = 4_000_000  # of a large run whose global batch nobody states (Llama 2: 4 million tokens)
LARGE = 64  # devices that such a run has at least


@dataclass(frozen=True, slots=True)
class Work:
    """One device's part of a step, on the pipeline stage that has the most to do. All are numbers, so that many are one stack."""

    # arrays over operations, forward pass of one micro-batch
    kind: Any  # index into KINDS
    flops: Any
    moved: Any  # bytes of activations that cross the memory bus
    loaded: Any  # bytes of weights
    rows: Any  # of the product
    width: Any  # geometric mean of a matrix's sides on this device
    issued: Any  # operations
    again: Any  # of the forward pass, calculated a second time

    micro_batches: Any
    unpacked: Any  # bytes of frozen, packed weights that are widened in a micro-batch: read, and written in 16 bits
    frozen: Any  # 1: no gradients of weights
    logits: Any  # elements
    scores: Any  # elements of attention's scores that are written out; 0 where they stay on the chip
    rescored: Any  # 1: the scores alone are calculated a second time
    tensor: Any  # devices of the group
    reduced: Any  # bytes of one all-reduce in a tensor-parallel group
    reductions: Any  # how many there are in one micro-batch
    expert: Any
    exchanged: Any  # bytes of one layer's all-to-all, summed over the layers
    exchanges: Any
    shards: Any
    copies: Any  # how often the shards are repeated
    gathered: Any  # bytes of weights that are gathered in each micro-batch, and of gradients that are scattered
    settled: Any  # the same, once a step
    averaged: Any  # bytes that are all-reduced between copies once a step
    handed: Any  # bytes that go to the next stage and come back
    stride: Any  # to the device of the next stage
    idle: Any  # stages less one, by pieces: micro-batches' times that a pipeline waits
    updated: Any  # bytes that the optimizer reads and writes
    devices: Any


def completed(setup: TrainSetup, micro_batch: int = 1) -> TrainSetup:
    """The set-up with its batches filled in.

    An unstated global batch is one micro-batch for each replica, four for each stage of a pipeline, and about four million tokens
    where many devices work.
    """
    micro = setup.micro_batch or micro_batch
    if setup.global_batch:
        rounds = max(round(setup.global_batch / (micro * setup.replicas)), 1)
    else:
        wanted = TOKENS_PER_STEP / setup.sequence if setup.devices >= LARGE else 0
        rounds = max(1 if setup.pipeline == 1 else 4 * setup.pipeline, round(wanted / (micro * setup.replicas)))
    return setup.model_copy(update={"micro_batch": micro, "global_batch": micro * setup.replicas * rounds})


def divided(model: ModelSpec, setup: TrainSetup) -> Work:
    """One device's part; the set-up's batches are filled in."""
    ops = forward(model, 1, setup.sequence, 0, Precision.of(stored(setup)), logits="all")
    kind, flops, moved, loaded, rows, width, count, parameters = np.array([_row(op, model) for op in ops]).T
    experts, vector = kind == EXPERTS, kind == VECTOR
    sequences = setup.micro / setup.context
    outside = np.array([op.name in OUTSIDE for op in ops])
    stage = np.where(outside, 1.0, 1 / setup.pipeline)
    split = np.where(vector & (not setup.sequence_parallel), 1.0, 1 / setup.tensor)
    narrow = bytes_of(setup)
    tokens = setup.sequence * sequences
    size = tokens * model.hidden * narrow
    layers = model.layers / setup.pipeline
    held = (parameters * stage * np.where(experts, 1 / setup.expert, 1.0)).sum() / setup.tensor
    per_token = (count * stage * experts).sum() * model.experts_per_token
    all_pairs = (flops * (kind == ATTENTION)).sum() * 2 / (4 * max(model.head_dim, 1))  # of causal pairs, 4·d FLOPs each
    again = AGAIN[setup.recompute]
    last = (1 - np.array([_last(op, model) for op in ops])) if TRAINERS[setup.trainer].stops_early else 1.0
    return Work(
        kind=kind,
        flops=flops * sequences * stage / setup.tensor,
        moved=moved * sequences * stage * split,
        loaded=loaded * stage * np.where(experts, 1 / setup.expert, 1.0) / setup.tensor,
        rows=rows * sequences * np.where(experts, setup.expert, 1.0),
        width=width / setup.tensor**0.5,
        issued=count * stage,
        again=again * last * ~outside,
        micro_batches=setup.rounds,
        unpacked=_packed(setup) * held * (2 + again),
        frozen=float(setup.method != "full"),
        logits=tokens * model.vocab / setup.tensor * model.head,
        scores=0.0 if setup.flash else all_pairs * sequences / (setup.pipeline * setup.tensor),
        rescored=float(setup.recompute == "attention"),
        tensor=setup.tensor,
        reduced=size,
        reductions=layers * (4 + 2 * again) * (setup.tensor > 1),
        expert=setup.expert,
        exchanged=per_token * size / setup.tensor,
        exchanges=(4 + 2 * again) * (setup.expert > 1),
        **_data_parallel(setup, held),
        handed=2 * size / setup.tensor * setup.interleave * (setup.pipeline > 1),
        stride=setup.devices / setup.pipeline,
        idle=(setup.pipeline - 1) / setup.interleave,
        devices=setup.devices,
    )


def _packed(setup: TrainSetup) -> float:
    """Bytes that widening one frozen weight moves; 0 where weights are not packed."""
    bits = FORMATS[setup.base].bits if setup.base else 16.0
    return bits / 8 + 2 if bits < 16 else 0.0


def _data_parallel(setup: TrainSetup, held: float) -> dict[str, Any]:
    """What keeps the replicas' weights equal, and the update of those that this device is responsible for."""
    group = shards(setup)
    copies = setup.replicas * setup.context / group
    narrow, wide = bytes_of(setup), gradient_width(setup)
    trained = held if setup.method == "full" else 0.0
    sharded = setup.zero == 3
    return {
        "shards": group,
        "copies": copies,
        "gathered": (held * narrow * (1 + setup.reshard) + trained * wide) * sharded,
        "settled": trained * (narrow + wide) * (0 < setup.zero < 3),
        "averaged": trained * wide / (group if setup.zero else 1),
        "updated": trained / (group if setup.zero else 1) * (2 * (states(setup) + master(setup) + narrow) + wide),
    }


def parameter_counts(model: ModelSpec) -> tuple[float, float]:
    """Parameters beside the experts, and of the experts."""
    ops = forward(model, 1, 1, 0, Precision())
    experts = sum(op.parameters for op in ops if op.kind == "experts")
    return float(sum(op.parameters for op in ops) - experts), float(experts)


def stored(setup: TrainSetup) -> str:
    """The number format in which activations pass between operations."""
    return "float32" if setup.compute in ("float32", "tf32") else "float16" if setup.compute == "float16" else "bfloat16"


def bytes_of(setup: TrainSetup) -> float:
    """Bytes of one element of an activation, and of a weight that a product reads."""
    return 4.0 if stored(setup) == "float32" else 2.0


def gradient_width(setup: TrainSetup) -> float:
    """Bytes of one element of a summed gradient."""
    return 4.0 if TRAINERS[setup.trainer].wide_gradients else bytes_of(setup)


def master(setup: TrainSetup) -> float:
    """Bytes of a parameter's float32 copy."""
    return 0.0 if setup.pure or bytes_of(setup) == 4 else 4.0


def states(setup: TrainSetup) -> float:
    """Bytes of a parameter's states in the optimizer."""
    narrow = bytes_of(setup) / 4 if setup.pure and setup.optimizer in WIDE else 1.0
    return STATES[setup.optimizer] * narrow


def shards(setup: TrainSetup) -> float:
    """Devices over which ZeRO spreads the states: the replicas, and those that share a sequence; of one domain, if hybrid."""
    if setup.zero == 0:
        return 1.0
    group = setup.replicas * setup.context
    return max(group / setup.domains, 1.0) if setup.hybrid else float(group)


def _last(op: Op, model: ModelSpec) -> float:
    """The share of an operation that a layer ends with: the last of an MLP's products."""
    return (1 / 3 if model.gated else 1 / 2) if op.name in INSIDE else 0.0


def _row(op: Op, model: ModelSpec) -> tuple[float, ...]:
    """Numbers of one operation; the mean side of its matrices follows from the FLOPs of one row: 2 × their product."""
    kind = HEAD if op.name == "lm_head" else KINDS.index(op.kind)
    product = op.cost.flops / max(op.count * op.rows, 1.0) / 2
    if kind == EXPERTS:
        product = op.parameters / op.count / model.experts
    matrices = (3 if model.gated else 2) if op.name in INSIDE else 1
    side = (max(product, 1.0) / matrices) ** 0.5
    return kind, op.cost.flops, op.cost.activations, op.cost.weights, op.rows, side, op.count, op.parameters
