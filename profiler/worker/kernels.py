"""The model's linear layers alone: the same weights, in the same order, at the same shape, with nothing between them.

What is left of a step's time after this is attention, norms, the growing cache and the framework.
"""

from torch import nn, randn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from profiler.spec.run import Generate
from profiler.worker.timing import slices


def linear_layers(model: PreTrainedModel) -> list[nn.Linear | Conv1D]:
    """All of them, in the order of the modules."""
    return [module for module in model.modules() if isinstance(module, nn.Linear | Conv1D)]


def fan_in(layer: nn.Linear | Conv1D) -> int:
    """Columns of a layer's input (GPT-2's Conv1D keeps its weight transposed)."""
    return layer.weight.shape[0] if isinstance(layer, Conv1D) else layer.weight.shape[1]


def covered(model: PreTrainedModel) -> float:
    """Share of all matrix weights that these layers hold; fused experts of a mixture are not among them."""
    matrices = {id(p): p.numel() for p in model.parameters() if p.dim() > 1}
    head = model.get_output_embeddings()
    table = model.get_input_embeddings().weight
    if head is None or head.weight is not table:
        matrices.pop(id(table), None)  # an embedding is gathered, not multiplied
    held = {id(layer.weight): layer.weight.numel() for layer in linear_layers(model)}
    return sum(held.values()) / sum(matrices.values())


def linear_pass(model: PreTrainedModel, work: Generate, tokens: int, device: str, least: int) -> list[float]:
    """Seconds of each pass over all linear layers with `tokens` tokens per sequence; the lm_head sees the last one alone."""
    head = model.get_output_embeddings()
    layers = [(layer, (fan_in(layer), work.batch * (1 if layer is head else tokens))) for layer in linear_layers(model)]
    inputs = {shape: randn(1, shape[1], shape[0]).to(device, model.dtype) for _, shape in layers}

    def once() -> None:
        for layer, shape in layers:
            layer(inputs[shape])

    return slices(once, device, 0, least)
