"""The operations of one pass of a language model: prefill is many tokens, decode is one.

Equal layers are one operation that runs `count` times. Only the last position's logits are needed to generate; training
needs all. An encoder-decoder's prefill is the encoder's pass over the prompt and the decoder's first token; its decode step
reads the keys and values of the prompt that the cross attention keeps. Sources of the formulas: the modules imported here.
"""

from collections.abc import Callable
from typing import Literal

from profiler.spec.formats import Precision
from profiler.spec.model import Block, Mixer, ModelSpec
from profiler.theory.attention import attention, latent
from profiler.theory.cost import Cost, Op, total
from profiler.theory.mixture import experts, idle_parameters, mlp
from profiler.theory.products import Pass, linear, vector
from profiler.theory.scan import convolution, linear_attention, state_space

MIXERS: dict[str, Callable[..., list[Op]]] = {
    "attention": attention,
    "latent": latent,
    "state": state_space,
    "linear": linear_attention,
    "convolution": convolution,
}


def prefill(model: ModelSpec, batch, prompt, precision: Precision, kept=0) -> list[Op]:
    """Operations of processing `prompt` tokens of `batch` sequences, the first `kept` of which are in the cache already."""
    if model.encoder:
        return _through(model, batch, 1, 0, precision, "last", prompt, encode=True)
    return forward(model, batch, prompt - kept, kept, precision)


def decode(model: ModelSpec, batch, context, precision: Precision, prompt=None) -> list[Op]:
    """Operations of one decode step with `context` tokens already there; `prompt` of them were read by an encoder, if there is one."""
    if not model.head:
        raise ValueError(f"{model.name} is an encoder: it reads a text, but it does not write one token after the other.")
    if model.encoder:
        source = context if prompt is None else prompt
        return _through(model, batch, 1, context - source, precision, "last", source, encode=False)
    return forward(model, batch, 1, context, precision)


def forward(model: ModelSpec, batch, tokens, context, precision: Precision, logits: Literal["last", "all"] = "last") -> list[Op]:
    """Operations of `tokens` new tokens per sequence on top of `context` cached ones; an encoder reads as many."""
    return _through(model, batch, tokens, context, precision, logits, tokens, encode=bool(model.encoder))


def _through(m: ModelSpec, batch, tokens, context, precision: Precision, logits: str, source, *, encode: bool) -> list[Op]:
    """Embedding, stacks, head."""
    width = precision.widths
    p = Pass(m.hidden, batch, tokens, context, width, width["dense" if m.moe else "weights"], source, encode)
    read = Pass(m.hidden, batch, source, 0, width, p.matrix)
    ops = [*_embedding(m, p, read.rows if encode else 0)]
    if encode:
        ops += _stack(m, m.encoder, read)
    ops += _stack(m, m.blocks, p)
    if m.final_norms:
        ops.append(vector(p, "final_norm", m.norm_vectors * m.hidden * m.final_norms, m.hidden, 1))
    if m.pooler:
        ops.append(linear(p, "pooler", m.hidden, m.hidden, 1, bias=m.hidden, rows=batch))
    return [*ops, *_head(m, p, batch if logits == "last" else p.rows)] if m.head else ops


def _embedding(m: ModelSpec, p: Pass, more_rows) -> list[Op]:
    """One row of each table for each token, and what makes a hidden vector of it."""
    columns = m.embedding_width or m.hidden
    rows = p.rows + more_rows
    tables = m.vocab * columns + (m.positions + m.token_types) * m.hidden + m.other_parameters
    cost = Cost(0.0, rows * columns * p.width["embedding"], 0.0, 2 * rows * columns * p.width["activations"])
    ops = [Op("embedding", cost, "vector", 1, rows, tables)]
    if m.embedding_norms:
        ops.append(vector(p, "embedding_norm", m.norm_vectors * m.hidden * m.embedding_norms, m.hidden, 1))
    if m.embedding_width:
        ops.append(linear(p, "embedding_projection", columns, m.hidden, 1))
    return ops


def _head(m: ModelSpec, p: Pass, rows) -> list[Op]:
    """Logits; a tied lm_head holds no parameters of its own."""
    columns = m.embedding_width or m.hidden
    whole = linear(p, "lm_head", columns, m.vocab, 1, bias=m.vocab * m.head_bias, rows=rows, width=p.width["head"])
    own = whole.parameters - columns * m.vocab * m.tied
    ops = [Op(whole.name, whole.cost, "linear", 1, rows, own)]
    return [linear(p, "head_projection", m.hidden, columns, 1, rows=rows), *ops] if m.embedding_width else ops


def _stack(m: ModelSpec, blocks: tuple[Block, ...], p: Pass) -> list[Op]:
    """All blocks of one stack; what is equal in several kinds of blocks is one operation."""
    if len(blocks) == 1:
        return _block(m, blocks[0], p)
    found: dict[tuple, Op] = {}
    for block in blocks:
        windows = tuple(mixer.window for mixer in block.mixers if mixer.kind == "attention")
        for op in _block(m, block, p):
            key = (op.name, windows if op.kind == "attention" else op.parameters / op.count)
            found[key] = _joined(found[key], op) if key in found else op
    return list(found.values())


def _joined(one: Op, other: Op) -> Op:
    """Equal operations of two kinds of blocks."""
    return Op(one.name, one.cost + other.cost, one.kind, one.count + other.count, one.rows, one.parameters + other.parameters)


def _block(m: ModelSpec, block: Block, p: Pass) -> list[Op]:
    """All layers of one kind."""
    ops: list[Op] = []
    count = block.repeat
    for mixer in block.mixers:
        ops += MIXERS[mixer.kind](mixer, p, count)
    if block.mlp:
        ops.append(mlp(block.mlp, p, count))
    if block.experts:
        ops += experts(block.experts, p, count)
    size = block.norms * m.norm_vectors * m.hidden + sum(map(_inner_norms, block.mixers))
    return [*ops, vector(p, "norms", size, block.norms * m.hidden, count)]


def _inner_norms(mixer: Mixer) -> int:
    """Parameters of the norms inside a mixer."""
    if mixer.kind == "latent":
        return mixer.q_rank + mixer.kv_rank
    if mixer.kind == "linear":
        return mixer.value_dim
    return 0 if mixer.kind == "convolution" else mixer.norm_width


def parameters(model: ModelSpec) -> int:
    """How many parameters the model holds; a tied lm_head counts once."""
    return int(sum(op.parameters for op in forward(model, 1, 1, 0, Precision())))


def active_parameters(model: ModelSpec) -> int:
    """How many of them work on one token: of a mixture, only the experts that it is sent to."""
    idle = sum(block.repeat * idle_parameters(block.experts, model.hidden) for block in model.blocks if block.experts)
    return parameters(model) - idle


def step_ops(model: ModelSpec, batch, prompt, new, precision: Precision, kept=0) -> dict[str, list[Op]]:
    """Operations of the prefill and of the median decode step, half-way through the new tokens."""
    return {"prefill": prefill(model, batch, prompt, precision, kept), "decode": decode(model, batch, prompt + new / 2, precision, prompt)}


def step_cost(model: ModelSpec, batch, prompt, new, precision: Precision) -> dict[str, Cost]:
    """Cost of the prefill and of the median decode step."""
    return {phase: total(ops) for phase, ops in step_ops(model, batch, prompt, new, precision).items()}
