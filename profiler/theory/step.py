"""The operations of one forward pass of a decoder: prefill is many tokens, decode is one.

Sources: linear layers 2·M·N·K (Kaplan et al. 2020, arXiv 2001.08361, appendix B); attention 4·b·a·d per visible
pair of positions (Dao et al. 2022, arXiv 2205.14135); KV bytes 2·g·d per token and layer (Pope et al. 2022,
arXiv 2211.05102). Causal: a query sees only what is before it; the masked half that some kernels compute is not needed.
Only the last position's logits are needed to generate. Mixture of experts under uniform routing: of E experts, T tokens
with k each touch E·(1 − (1 − k/E)^T) on average.
"""

from typing import Literal

import numpy as np

from profiler.spec.formats import Of, Precision
from profiler.spec.model import ModelSpec
from profiler.theory.cost import Cost, Op, total


def prefill(model: ModelSpec, batch, prompt, precision: Precision) -> list[Op]:
    """Operations of processing `prompt` tokens of `batch` sequences from an empty cache."""
    return forward(model, batch, prompt, 0, precision)


def decode(model: ModelSpec, batch, context, precision: Precision) -> list[Op]:
    """Operations of one decode step with `context` tokens already in the cache."""
    return forward(model, batch, 1, context, precision)


def forward(m: ModelSpec, batch, tokens, context, precision: Precision, logits: Literal["last", "all"] = "last") -> list[Op]:
    """Operations of `tokens` new tokens per sequence on top of `context` cached ones."""
    rows = batch * tokens
    query, shared = m.heads * m.head_dim, m.kv_heads * m.head_dim
    norm = m.hidden * (2 if m.norm_bias else 1)
    p = precision
    per_layer = [
        _linear("qkv", rows, m.hidden, query + 2 * shared, p, bias=m.qkv_bias),
        _attention(m, batch, tokens, context, p),
        _linear("attention_out", rows, query, m.hidden, p, bias=m.output_bias),
        *_mlp(m, rows, p),
        _vector("norms", rows, m.norms_per_layer * norm + _qk_norm(m), m.norms_per_layer * m.hidden, p),
    ]
    table = m.vocab * m.hidden
    head = _linear("lm_head", batch if logits == "last" else rows, m.hidden, m.vocab, p, of="head")
    read = rows * m.hidden * p.width("embedding")
    return [
        _vector("embedding", rows, table + m.positions * m.hidden, m.hidden, p, weights=read),
        *(op * m.layers for op in per_layer),
        _vector("final_norm", rows, norm, m.hidden, p),
        Op(head.name, head.cost, "linear", 1, head.rows, 0 if m.tied else table),
    ]


def parameters(model: ModelSpec) -> int:
    """How many parameters the model holds; a tied lm_head counts once."""
    return int(sum(op.parameters for op in forward(model, 1, 1, 0, Precision())))


def active_parameters(model: ModelSpec) -> int:
    """How many of them one token meets: of a mixture, the experts that it is sent to; an embedding counts one row."""
    ops = {op.name: op for op in forward(model, 1, 1, 0, Precision())}
    idle = ops["experts"].parameters * (1 - model.experts_per_token / model.experts) if model.moe else 0
    return int(sum(op.parameters for op in ops.values()) - idle)


def visible_pairs(tokens, context, window: int | None):
    """(query, key) pairs of causal attention: query i of `tokens` sees context + i + 1 keys, at most `window`."""
    everything = tokens * context + tokens * (tokens + 1) / 2
    if window is None:
        return everything
    clipped = np.maximum(context + tokens - window, 0) - np.maximum(context - window, 0)  # queries that see a full window
    free = tokens - clipped
    return free * context + free * (free + 1) / 2 + clipped * window


def _attention(m: ModelSpec, batch, tokens, context, p: Precision) -> Op:
    """Scores and weighted sum of all heads, averaged over sliding and full layers; cache read once, new entries written."""
    share = 1 / m.window_every if m.window else 0.0
    full, slid = visible_pairs(tokens, context, None), visible_pairs(tokens, context, m.window)
    pairs = share * slid + (1 - share) * full
    length = context + tokens
    held = share * np.minimum(length, m.window or length) + (1 - share) * length
    moved = batch * 2 * m.kv_heads * m.head_dim * p.width("kv") * (held - tokens * (context > 0) + tokens)
    inout = 2 * batch * tokens * m.heads * m.head_dim * p.width("activations")
    return Op("attention", Cost(4 * batch * m.heads * m.head_dim * pairs, 0, moved, inout), "attention", 1, batch * tokens)


def _mlp(m: ModelSpec, rows, p: Precision) -> list[Op]:
    matrices = 3 if m.gated else 2
    size = matrices * m.hidden * m.ffn + (m.ffn * (matrices - 1) + m.hidden if m.mlp_bias else 0)
    moved = rows * p.width("activations") * (2 * m.hidden + matrices * m.ffn)
    if not m.moe:
        return [Op("mlp", Cost(2 * rows * matrices * m.hidden * m.ffn, size * p.width("weights"), 0, moved), "linear", 1, rows, size)]
    used = m.experts * (1 - (1 - m.experts_per_token / m.experts) ** rows)
    chosen = rows * m.experts_per_token
    cost = Cost(2 * chosen * matrices * m.hidden * m.ffn, used * size * p.width("weights"), 0, moved * m.experts_per_token)
    return [
        _linear("router", rows, m.hidden, m.experts, p, of="vectors"),
        Op("experts", cost, "experts", 1, chosen / used, m.experts * size),
    ]


def _linear(name: str, rows, fan_in: int, fan_out: int, p: Precision, *, bias: bool = False, of: Of = "weights") -> Op:
    size = fan_in * fan_out + (fan_out if bias else 0)
    cost = Cost(2 * rows * fan_in * fan_out, size * p.width(of), 0, rows * (fan_in + fan_out) * p.width("activations"))
    return Op(name, cost, "linear", 1, rows, size)


def _vector(name: str, rows, size: float, columns: int, p: Precision, weights=None) -> Op:
    """Element-wise work: bytes matter, FLOPs do not."""
    read = size * p.width("vectors") if weights is None else weights
    return Op(name, Cost(0, read, 0, 2 * rows * columns * p.width("activations")), "vector", 1, rows, size)


def _qk_norm(m: ModelSpec) -> int:
    """Parameters of the norms on queries and keys, per layer."""
    return {"none": 0, "head": 2 * m.head_dim, "full": (m.heads + m.kv_heads) * m.head_dim}[m.qk_norm]


def step_ops(model: ModelSpec, batch, prompt, new, precision: Precision) -> dict[str, list[Op]]:
    """Operations of the prefill and of the median decode step, half-way through the new tokens."""
    return {"prefill": prefill(model, batch, prompt, precision), "decode": decode(model, batch, prompt + new / 2, precision)}


def step_cost(model: ModelSpec, batch, prompt, new, precision: Precision) -> dict[str, Cost]:
    """Cost of the prefill and of the median decode step."""
    return {phase: total(ops) for phase, ops in step_ops(model, batch, prompt, new, precision).items()}
