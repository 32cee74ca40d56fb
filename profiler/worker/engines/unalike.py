"""Random weights no two matrices of which are equal.

`profiler.worker.shapes` repeats one block of numbers in each of them. OpenVINO and CTranslate2 hold equal matrices once, so that a
whole model's weights would fit into a processor's cache, and be read from there.
"""

from transformers import PreTrainedModel


def unalike(model: PreTrainedModel) -> PreTrainedModel:
    """The same model, the numbers of each matrix shifted by another count."""
    for place, parameter in enumerate(model.parameters()):
        if parameter.dim() > 1:
            parameter.data = parameter.data.flatten().roll(place).view(parameter.shape)
    return model
