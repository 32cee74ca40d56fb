"""What inference holds on one device at its peak: weights in their formats, the KV cache, activations, and what software adds.

Software's part, by style. runtime: an own program with few buffers. graph: captured or compiled steps keep pools of their own. compiled:
weights are packed on the device, which leaves the allocator holes. host: products with packed weights widen one matrix at a time
(Dettmers et al. 2023, arXiv 2305.14314).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from profiler.spec.deployment import Deployment
from profiler.spec.engines import ENGINES
from profiler.spec.formats import FORMATS, Of, Precision
from profiler.spec.model import ModelSpec
from profiler.theory.memory_rates import Constants, calibrated
from profiler.theory.step import forward

CHUNK = 4096  # tokens of a prompt whose activations are live at a time


@dataclass(frozen=True, slots=True)
class Resident:
    """Bytes of a model's weights by where they stand, and of its largest matrix in 16 bits."""

    layers: float
    experts: float  # of the layers, what can be spread over expert-parallel devices
    head: float
    embedding: float
    largest: float

    @property
    def total(self) -> float:
        """All weights."""
        return self.layers + self.head + self.embedding


@dataclass(frozen=True, slots=True)
class InferenceMemory:
    """Bytes on the fullest device, by purpose."""

    weights: Any
    kv: Any
    activations: Any
    copies: Any  # weights in a second format: cast, or widened for a product
    software: Any  # pools, holes and buffers that the allocator counts as taken
    runtime: Any  # context and libraries, which only the driver counts

    @property
    def allocated(self) -> Any:
        """What the framework's allocator reports."""
        return self.weights + self.kv + self.activations + self.copies + self.software

    @property
    def total(self) -> Any:
        """What the device has given away."""
        return self.allocated + self.runtime


def resident(model: ModelSpec, precision: Precision) -> Resident:
    """Bytes of the weights as they lie in memory."""
    layers = experts = head = embedding = largest = 0.0
    mixture = model.moe
    for op in forward(model, 1, 1, 0, Precision()):
        if op.name == "embedding":
            embedding += op.parameters * precision.width("head" if model.tied and model.head else "embedding")
        elif op.name == "lm_head":
            head += op.parameters * precision.width("head")
            largest = max(largest, op.cost.flops)
        elif op.kind == "vector":
            layers += op.parameters * precision.width("vectors")
        else:
            of: Of = "weights" if op.kind == "experts" or not mixture else "dense"
            layers += op.parameters * precision.width(of)
            experts += op.parameters * precision.width(of) * (op.kind == "experts")
            largest = max(largest, op.cost.flops / op.count / (3 if op.name == "mlp" else 1) if op.kind == "linear" else 0.0)
    return Resident(layers, experts, head, embedding, largest)


def inference_memory(
    model: ModelSpec, deployment: Deployment, batch: Any = 1, prompt: Any = 64, new: Any = 192, constants: Constants | None = None
) -> InferenceMemory:
    """Peak of generating `new` tokens for each of `batch` prompts."""
    c = calibrated() if constants is None else constants
    precision, style = deployment.precision, ENGINES[deployment.engine].style
    held = resident(model, precision)
    ends = held.head + held.embedding  # stand whole on the first or the last device, or on each
    stages = np.ceil(model.layers / deployment.pipeline) / model.layers
    spread = max(deployment.tensor, deployment.expert)
    weights = ((held.layers - held.experts) / deployment.tensor + held.experts / spread) * stages + ends
    cached = sum(op.cost.kv for op in forward(model, batch, 1, prompt + new, precision))
    kv = cached * stages / min(deployment.tensor, max(model.kv_heads, 1))
    packed = FORMATS[precision.weights].bits < 16
    copies = held.largest * c["unpacked"] * packed * (style == "host")
    if precision.weights == "float32" and precision.compute != "float32":
        copies = (held.layers + held.head) / 2 / spread  # autocast keeps narrow copies
    converted = c["converted"] * weights * packed * (deployment.engine == "compiled")
    rows = batch * prompt if style == "host" else np.minimum(batch * prompt, CHUNK)
    live = rows * precision.width("activations") * (6 * model.hidden + 2 * model.ffn) / deployment.tensor + 6 * batch * model.vocab
    peers = c["peers"] * (deployment.group > 1)
    return InferenceMemory(weights, kv, live, copies, converted + c[f"inference:{style}"], c["context"] + peers)
