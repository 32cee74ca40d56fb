"""What a model's weights take in a format: blocks, embedding and lm_head each at their own width."""

from profiler.spec.formats import Precision
from profiler.spec.model import ModelSpec
from profiler.theory.step import forward


def weight_bytes(model: ModelSpec, precision: Precision) -> float:
    """Bytes of all weights; a tied table is there once, at the lm_head's width."""
    held = 0.0
    for op in forward(model, 1, 1, 0, precision):
        if op.name == "embedding":
            held += op.parameters * precision.width("head" if model.tied and model.head else "embedding")
        elif op.name == "experts":
            held += op.parameters * precision.width("weights")
        elif op.name != "lm_head" or not model.tied:
            held += op.cost.weights
    return held
