"""Which operations of the closed form belong to which part of a model, as the operator trace names the parts."""

from profiler.theory.cost import Cost, Op

PARTS = {
    "embedding": "embedding",
    "qkv": "attention projections",
    "attention_out": "attention projections",
    "attention": "attention",
    "mlp": "MLP",
    "router": "router",
    "experts": "experts",
    "norms": "norms",
    "final_norm": "norms",
    "lm_head": "lm_head",
}


def by_part(ops: list[Op]) -> dict[str, Cost]:
    """Part → cost."""
    found: dict[str, Cost] = {}
    for op in ops:
        part = PARTS[op.name]
        found[part] = found.get(part, Cost()) + op.cost
    return found
