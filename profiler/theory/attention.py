"""Attention: what it computes, what it reads, what it keeps.

4·b·a·d FLOPs per visible pair of positions (Dao et al. 2022, arXiv 2205.14135): queries, keys, values and output cross the
bus once. KV bytes 2·g·d per token and layer (Pope et al. 2022, arXiv 2211.05102). Causal: a query sees only what is before
it; the masked half that some kernels compute is not needed.

Latent attention (DeepSeek-V2, arXiv 2405.04434): the cache holds one latent and one rotary key per token. It is either
expanded to keys and values, or the expansion is absorbed into queries and output, which then work on the latent itself.
The product that expands a new token costs what the one that absorbs it costs, 2·r·a·(n + v). An indexer scores all tokens with few
narrow heads, and attention looks at the best alone (DeepSeek-V3.2, arXiv 2512.02556).
"""

from profiler.spec.model import Attention, LatentAttention
from profiler.theory.cost import Cost, Op
from profiler.theory.products import Pass, chosen, linear, smaller


def visible_pairs(tokens, context, window: int | None):
    """(query, key) pairs of causal attention: query i of `tokens` sees context + i + 1 keys, at most `window`."""
    if window is None:
        return tokens * context + tokens * (tokens + 1) / 2
    before = context - smaller(context, window)
    clipped = context + tokens - smaller(context + tokens, window) - before  # queries that see a full window
    free = tokens - clipped
    return free * context + free * (free + 1) / 2 + clipped * window


def attention(m: Attention, p: Pass, count: float) -> list[Op]:
    """Projections, scores and weighted sum, output."""
    query, keys = m.heads * m.head_dim, m.kv_heads * (m.head_dim + m.value)
    asked = query * 2 if m.gated else query
    out, biases = m.heads * m.value, p.hidden * m.output_bias
    if not m.cross:
        return [
            linear(p, "qkv", p.hidden, asked + keys, count, bias=(asked + keys) * m.qkv_bias),
            _itself(m, p, count),
            linear(p, "attention_out", out, p.hidden, count, bias=biases),
        ]
    made = [linear(p, "cross_kv", p.hidden, keys, count, bias=keys * m.qkv_bias, rows=p.batch * p.source)] if p.encode else []
    return [
        linear(p, "cross_q", p.hidden, asked, count, bias=asked * m.qkv_bias),
        *made,
        _itself(m, p, count),
        linear(p, "cross_out", out, p.hidden, count, bias=biases),
    ]


def _itself(m: Attention, p: Pass, count: float) -> Op:
    """The cache is read once and new entries are written; without a cache all of it is activations."""
    row, inout = m.kv_heads * (m.head_dim + m.value), m.heads * (m.head_dim + m.value)
    activations = p.rows * inout * p.width["activations"]
    if m.cross:
        pairs, kept = p.tokens * p.source, p.batch * p.source * row * p.width["kv"]
    elif m.causal:
        pairs = visible_pairs(p.tokens, p.context, m.window)
        earlier = smaller(p.context, m.window - 1) if m.window else p.context
        kept = p.batch * row * p.width["kv"] * (earlier + p.tokens * (1 + (p.context == 0)))
    else:
        pairs, kept = two_sided_pairs(p.tokens, m.window), 0.0
        activations = activations + p.rows * row * p.width["activations"]
    flops = 2 * p.batch * inout * pairs
    sinks = m.heads if m.sinks else 0
    cost = Cost(count * flops, count * sinks * p.width["vectors"], count * kept, count * activations)
    return Op("cross_attention" if m.cross else "attention", cost, "attention", count, p.rows, count * sinks)


def two_sided_pairs(tokens, window: int | None):
    """(query, key) pairs where a query sees the whole sequence, or half a window to each side."""
    return tokens * (smaller(tokens, window) if window else tokens)


def latent(m: LatentAttention, p: Pass, count: float) -> list[Op]:
    """Projections down and up, attention on keys and values or on the latent itself, output."""
    query, down = m.heads * (m.nope_dim + m.rope_dim), m.kv_rank + m.rope_dim
    first = m.q_rank or query
    ops = [linear(p, "qkv", p.hidden, first + down, count, bias=(m.q_rank + down) * m.bias)]
    if m.q_rank:
        ops.append(linear(p, "q_up", m.q_rank, query, count))
    ops.append(linear(p, "kv_up", m.kv_rank, m.heads * (m.nope_dim + m.value_dim), count))
    if m.index_heads:
        ops += _index(m, p, count)
    return [
        *ops,
        _latent_itself(m, p, count),
        linear(p, "attention_out", m.heads * m.value_dim, p.hidden, count, bias=p.hidden * m.bias),
    ]


def _index(m: LatentAttention, p: Pass, count: float) -> list[Op]:
    """Queries of the indexer from the queries' latent, one key and a weight for each head from the hidden vector, and all scores."""
    size, norm = m.index_heads * m.index_dim, 2 * m.index_dim
    flops = 2 * p.batch * size * visible_pairs(p.tokens, p.context, None)
    kept = p.batch * m.index_dim * p.width["kv"] * (p.context + p.tokens * (1 + (p.context == 0)))
    moved = p.rows * size * p.width["activations"]
    cost = Cost(flops, norm * p.width["vectors"], kept, moved) * count
    return [
        linear(p, "index_q", m.q_rank or p.hidden, size, count),
        linear(p, "index_k", p.hidden, m.index_dim + m.index_heads, count),
        Op("index", cost, "attention", count, p.rows, count * norm),
    ]


def _latent_itself(m: LatentAttention, p: Pass, count: float) -> Op:
    """Whichever of the two forms takes fewer FLOPs: expanded for a prompt, absorbed on top of a cache."""
    pairs = visible_pairs(p.tokens, p.context, m.index_top or None)
    earlier = smaller(p.context, m.index_top) if m.index_top else p.context
    wide, narrow = m.nope_dim + m.rope_dim + m.value_dim, 2 * m.kv_rank + m.rope_dim
    expanded = 2 * m.heads * (wide * pairs + earlier * m.kv_rank * (m.nope_dim + m.value_dim))
    absorbed = 2 * m.heads * narrow * pairs
    columns = m.heads * chosen(expanded < absorbed, 2 * wide, narrow)  # queries, keys, values, output; or queries, output
    kept = (m.kv_rank + m.rope_dim) * p.width["kv"] * (earlier + p.tokens * (1 + (p.context == 0)))
    cost = Cost(p.batch * smaller(expanded, absorbed), 0.0, p.batch * kept, p.rows * columns * p.width["activations"])
    return Op("attention", cost * count, "attention", count, p.rows)
