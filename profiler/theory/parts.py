"""Which operations of the closed form belong to which part of a model, as the operator trace names the parts."""

from profiler.theory.cost import Cost, Op

PARTS = {
    "embedding": "embedding",
    "embedding_norm": "norms",
    "embedding_projection": "embedding",
    "qkv": "attention projections",
    "q_up": "attention projections",
    "kv_up": "attention projections",
    "cross_q": "attention projections",
    "cross_kv": "attention projections",
    "cross_out": "attention projections",
    "cross_attention": "attention",
    "index_q": "attention projections",
    "index_k": "attention projections",
    "index": "attention",
    "attention_out": "attention projections",
    "attention": "attention",
    "mixer_in": "mixer projections",
    "mixer_out": "mixer projections",
    "scan_inputs": "mixer projections",
    "step_size": "mixer projections",
    "convolution": "short convolution",
    "scan": "scan",
    "mlp": "MLP",
    "router": "router",
    "experts": "experts",
    "shared_experts": "experts",
    "shared_gate": "experts",
    "norms": "norms",
    "final_norm": "norms",
    "pooler": "pooler",
    "head_projection": "lm_head",
    "lm_head": "lm_head",
}


def by_part(ops: list[Op]) -> dict[str, Cost]:
    """Part → cost."""
    found: dict[str, Cost] = {}
    for op in ops:
        part = PARTS[op.name]
        found[part] = found.get(part, Cost()) + op.cost
    return found
