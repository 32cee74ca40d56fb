"""What one device does in a prefill and in a decode step, when a model is spread over several.

Tensor parallelism (Shoeybi et al. 2019, arXiv 1909.08053) divides every matrix and the heads; two all-reduces a layer bring the
parts together: 2·(n − 1)/n of the activations' bytes over each device's link. Pipeline parallelism hands the
activations on; a prompt longer than one chunk keeps several devices busy. Expert parallelism spreads a mixture's experts;
two all-to-alls a layer carry each token to its experts and back; each device attends to requests of its own.
"""

from typing import Any

from profiler.spec.deployment import Deployment
from profiler.spec.engines import ENGINES
from profiler.spec.model import ModelSpec
from profiler.theory.cost import Cost, Op
from profiler.theory.step import forward, parameters
from profiler.theory.timing import Step

PIPELINED = 0.5  # of the gain that chunks of a prompt on several devices could bring


def prefill_step(model: ModelSpec, deployment: Deployment, batch: Any, prompt: Any) -> Step:
    """The pass over a prompt of `batch` sequences, in the chunks of the engine."""
    tokens = batch * prompt
    chunk = ENGINES[deployment.engine].chunk
    passes = _at_least_one(tokens / chunk)
    ops = [_chunked(op, passes) for op in _spread(model, deployment, batch, prompt, 0)]
    return _connected(model, deployment, ops, tokens, passes)


def decode_step(model: ModelSpec, deployment: Deployment, batch: Any, context: Any) -> Step:
    """One new token of each of `batch` sequences that hold `context` tokens."""
    return _connected(model, deployment, _spread(model, deployment, batch, 1, context), batch, 1.0)


def _spread(model: ModelSpec, deployment: Deployment, batch: Any, tokens: Any, context: Any) -> list[Op]:
    """One device's share of the operators."""
    ops = forward(model, batch, tokens, context, deployment.precision)
    if deployment.expert > 1 and model.moe:
        everybody = forward(model, batch * deployment.expert, tokens, context, deployment.precision)
        shared = {op.name: _divided(op, deployment.expert, 1) for op in everybody if op.kind == "experts"}
        ops = [shared.get(op.name, op) for op in ops]
    if deployment.tensor == 1:
        return ops
    heads = min(deployment.tensor, model.kv_heads)
    return [_divided(op, deployment.tensor, heads) if op.kind != "vector" else op for op in ops]


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
        op.name, Cost(cost.flops, cost.weights * passes, cost.kv, cost.activations), op.kind, op.count * passes, op.rows / passes, op.parameters
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
    if deployment.expert > 1 and model.moe:
        wide = device.network if device.link is None or deployment.expert > device.link.size else link
        hops = hops + 2 * model.layers * passes
        exchanged = exchanged + 2 * model.layers * rows * model.experts_per_token * row / (wide or link)
    if deployment.pipeline > 1:
        hops = hops + (deployment.pipeline - 1) * passes
        gain = 1 + PIPELINED * (passes * deployment.pipeline / (passes + deployment.pipeline - 1) - 1)
        ops = [op * (1 / gain) for op in ops]
    return Step(ops, model.head_dim, hops, exchanged)


def _at_least_one(value: Any) -> Any:
    """The value, or one where it is smaller; numbers and arrays."""
    return value if isinstance(value, float | int) and value > 1 else (value > 1) * (value - 1) + 1


def weight_bytes(model: ModelSpec, deployment: Deployment) -> float:
    """Bytes of all weights of one replica: blocks, embedding and lm_head at their own widths; a tied lm_head is there once."""
    precision, table = deployment.precision, model.vocab * model.hidden
    inner = parameters(model) - table * (1 if model.tied else 2)
    return inner * precision.width("weights") + table * (precision.width("embedding") + (0 if model.tied else precision.width("head")))
