"""What a model's weights take in a format: blocks, embedding and lm_head each at their own width."""

from profiler.spec.formats import FORMATS, Precision
from profiler.spec.model import ModelSpec
from profiler.theory.step import forward


def weight_bytes(model: ModelSpec, precision: Precision) -> float:
    """Bytes of all weights; a tied table is there once, at the lm_head's width, unless the format holds it twice."""
    held, once = 0.0, model.tied and model.head and not FORMATS[precision.weights].apart
    for op in forward(model, 1, 1, 0, precision):
        if op.name == "embedding":
            held += op.parameters * precision.width("head" if once else "embedding")
        elif op.name == "experts":
            held += op.parameters * precision.width("weights")
        elif op.name != "lm_head" or not once:
            held += op.cost.weights
    return held
