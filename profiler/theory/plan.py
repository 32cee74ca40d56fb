"""What one device does in a prefill and in a decode step, when a model is spread over several.

Tensor parallelism (Shoeybi et al. 2019, arXiv 1909.08053) divides every matrix and the heads; two all-reduces a layer bring the
parts together: 2·(n − 1)/n of the activations' bytes over each device's link. Pipeline parallelism hands the
activations on; a prompt longer than one chunk keeps several devices busy. Expert parallelism spreads a mixture's experts;
two all-to-alls a layer carry each token to its experts and back; each device attends to requests of its own.
"""

from collections.abc import Callable
from typing import Any

from profiler.spec.deployment import Deployment
from profiler.spec.engines import ENGINES
from profiler.spec.formats import FORMATS
from profiler.spec.model import ModelSpec
from profiler.theory.cost import Cost, Op
from profiler.theory.step import decode, prefill
from profiler.theory.timing import Step

PIPELINED = 0.65  # of the gain that chunks of a prompt on several devices could bring


def prefill_step(model: ModelSpec, deployment: Deployment, batch: Any, prompt: Any) -> Step:
    """The pass over a prompt of `batch` sequences, in the chunks of the engine."""
    tokens = batch * prompt
    chunk = ENGINES[deployment.engine].chunk
    passes = _at_least_one(tokens / chunk)
    ops = _spread(model, deployment, lambda sequences: prefill(model, sequences, prompt, deployment.precision), batch, tokens)
    ops = [_chunked(op, passes) for op in ops]
    return _connected(model, deployment, ops, tokens, passes)


def decode_step(model: ModelSpec, deployment: Deployment, batch: Any, context: Any, prompt: Any = None) -> Step:
    """One new token of each of `batch` sequences that hold `context` tokens; an encoder-decoder's encoder has read `prompt` of them."""
    if not model.head:
        return Step([], once=0.0)  # an encoder writes nothing
    ops = _spread(model, deployment, lambda sequences: decode(model, sequences, context, deployment.precision, prompt), batch, batch)
    return _connected(model, deployment, ops, batch, 1.0)


def _spread(model: ModelSpec, deployment: Deployment, made: Callable[[Any], list[Op]], batch: Any, rows: Any) -> list[Op]:
    """One device's share of the operators that `made` names for so many sequences."""
    ops = _widened(made(batch), deployment, rows)
    spread = deployment.expert > 1 and model.moe
    if spread:
        sharing = max(deployment.expert // deployment.tensor, 1)  # replicas whose tokens meet the same experts
        everybody = {op.name: _divided(op, deployment.expert, 1) for op in made(batch * sharing) if op.kind == "experts"}
        ops = [everybody.get(op.name, op) for op in ops]
    if deployment.tensor == 1:
        return ops
    heads, whole = min(deployment.tensor, model.kv_heads), ("vector", "experts") if spread else ("vector",)
    return [op if op.kind in whole and op.name != "widen" else _divided(op, deployment.tensor, heads) for op in ops]


def _widened(ops: list[Op], deployment: Deployment, rows: Any) -> list[Op]:
    """Where no kernel multiplies packed weights as they are: the operator that writes them out wide, to be read once more."""
    precision = deployment.precision
    row, engine = FORMATS[precision.weights], ENGINES[deployment.engine]
    if row.bits >= 16 or row.arithmetic or not (row.loose or engine.widens):
        return ops
    wide = sum(op.cost.weights for op in ops if op.kind in ("linear", "experts") and op.name != "lm_head")
    moved = 2 * wide / precision.width("weights") * precision.width("activations")
    often = 1.0 if row.loose else (rows > 1) * 1.0
    return [*ops, Op("widen", Cost(weights=moved * often), "vector", sum(op.count for op in ops if op.kind == "linear") * often)]


def _divided(op: Op, parts: int, heads: int) -> Op:
    cost = op.cost
    return Op(
        op.name,
        Cost(cost.flops / parts, cost.weights / parts, cost.kv / heads, cost.activations / parts),
        op.kind,
        op.count,
        op.rows,
        op.parameters / parts,
    )


def _chunked(op: Op, passes: Any) -> Op:
    """Several passes read the weights and start the kernels each time."""
    if op.name in ("lm_head", "embedding"):
        return op
    cost = op.cost
    return Op(
        op.name,
        Cost(cost.flops, cost.weights * passes, cost.kv, cost.activations),
        op.kind,
        op.count * passes,
        op.rows / passes,
        op.parameters,
    )


def _connected(model: ModelSpec, deployment: Deployment, ops: list[Op], rows: Any, passes: Any) -> Step:
    """The step with what passes between the devices."""
    device, ways = deployment.device, deployment.tensor
    row = model.hidden * deployment.precision.width("activations")
    hops: Any = 0.0
    exchanged: Any = 0.0
    link = device.link.bandwidth if device.link else 16e9
    if ways > 1:
        hops = 2 * model.layers * passes
        exchanged = 2 * model.layers * 2 * (ways - 1) / ways * rows * row / link
    overlapped: Any = 0.0
    if deployment.expert > 1 and model.moe:
        hops = hops + 2 * model.layers * passes
        overlapped = model.layers * rows * _to_experts(model, deployment)
    if deployment.pipeline > 1:
        hops = hops + (deployment.pipeline - 1) * passes
        gain = 1 + PIPELINED * (passes * deployment.pipeline / (passes + deployment.pipeline - 1) - 1)
        ops = [op * (1 / gain) for op in ops]
    return Step(ops, model.head_dim, hops, exchanged, overlapped)


def _to_experts(model: ModelSpec, deployment: Deployment) -> float:
    """Seconds that the links need to bring one token to its experts and back, in one layer.

    A token goes once to each node that holds some of its experts (DeepSeek-V3, arXiv 2412.19437, section 3.2), in the format of
    the products, and comes back in that of the activations. DeepSeek's routing touches at most four nodes.
    """
    link = deployment.device.link
    inside, size = (link.bandwidth, link.size) if link else (16e9, 1)
    width = min(1.0, deployment.precision.width("weights")) if deployment.precision.arithmetic != deployment.precision.compute else 2.0
    row = model.hidden * (width + deployment.precision.width("activations"))
    nodes = -(-deployment.expert // size)
    away = min(nodes, 4, model.experts_per_token) * (nodes - 1) / nodes
    near = min(model.experts_per_token, deployment.expert)
    return row * max(near / inside, away / (deployment.device.network or inside))


def _at_least_one(value: Any) -> Any:
    """The value, or one where it is smaller; numbers and arrays."""
    return value if isinstance(value, float | int) and value > 1 else (value > 1) * (value - 1) + 1
