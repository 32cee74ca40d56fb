"""Take weights or whole parts out of a model.

Single weights become zeros: as many as the share says, to the nearest one, in each matrix (magnitude, as in Han et al. 2015,
arXiv 1506.02626) or in each of its rows (Wanda, arXiv 2306.11695, compares only the weights of one output). Parts are cut out, and
what is left has the shape that `profiler.spec.compression.after` foretells.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.pytorch_utils import Conv1D

from profiler.spec.compression import Pruning, channels_kept, kept
from profiler.spec.run import Setup
from profiler.worker import reshape
from profiler.worker.device import release_memory
from profiler.worker.importance import best, contributions, norms, on_its_way, text, turns

SPARSE_FROM = (8, 0)  # CUDA compute capability from which on tensor cores skip zeros (Ampere)


@torch.no_grad()
def prune(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, setup: Setup) -> None:
    """Prune in place. Raises ValueError of one sentence for a model that is not built for it."""
    pruning = setup.pruning
    if pruning is None:
        return
    if pruning.method == "layers":
        _shorten(model, text(model, tokenizer), pruning)
    elif pruning.structured:
        _narrow(model, text(model, tokenizer), pruning)
    elif pruning.method == "wanda":
        matrices = _matrices(model, pruning)
        on_its_way(model, text(model, tokenizer), {matrix: partial(zero_least, matrix, pruning) for matrix in matrices})
    else:
        for matrix in _matrices(model, pruning):
            zero_least(matrix, pruning)
    if pruning.pattern == "2:4" and _skips_zeros(setup):
        _compress(_matrices(model, pruning))
    release_memory()


def _shorten(model: PreTrainedModel, ids: torch.Tensor, pruning: Pruning) -> None:
    """Take out the layers that turn what passes through them least, wherever they are."""
    layers = reshape.decoder_layers(model)
    reshape.keep_layers(model, layers, best(turns(model, layers, ids), kept(len(layers), pruning.share)))


def _narrow(model: PreTrainedModel, ids: torch.Tensor, pruning: Pruning) -> None:
    """Take the same number of heads or channels out of each layer, of each those that say least."""
    parts = [_parts(model, layer, pruning) for layer in reshape.decoder_layers(model)]
    on_its_way(model, ids, {part.output: partial(_cut, part) for part in parts})


class _Parts(NamedTuple):
    """Parts of one layer that can be cut out, and the product that reads them."""

    output: nn.Linear
    number: int
    kept: int
    keep: Callable[[torch.Tensor], torch.Tensor]  # cuts all others out; says which inputs of `output` stayed


def _parts(model: PreTrainedModel, layer: nn.Module, pruning: Pruning) -> _Parts:
    config = model.config.get_text_config()
    if pruning.method == "heads":
        attention = reshape.attention_of(layer)
        groups = reshape.groups_of(attention)
        return _Parts(attention.o_proj, groups, kept(groups, pruning.share), partial(reshape.keep_groups, config, attention))
    mlp = reshape.mlp_of(layer)
    width = mlp.down_proj.in_features
    return _Parts(mlp.down_proj, width, channels_kept(width, pruning.share), partial(reshape.keep_channels, config, mlp))


def _cut(parts: _Parts, inputs: torch.Tensor) -> torch.Tensor:
    """Keep the parts that say most; the inputs of those are handed on."""
    return inputs[..., parts.keep(best(contributions(inputs, parts.output.weight, parts.number), parts.kept))]


def _matrices(model: PreTrainedModel, pruning: Pruning) -> list[nn.Module]:
    """All linear layers of the stack, of torch and of GPT-2 (`Conv1D`, whose weight lies the other way round).

    Raises ValueError, before anything is changed, where weights cannot be taken out of all of them.
    """
    layers = reshape.decoder_layers(model)
    if any(parameter.dim() == 3 for parameter in _own(layers)):
        raise ValueError(
            "This model holds the experts of a layer as one tensor, so no single weights are taken; take out layers, if they are alike."
        )
    found: list[nn.Module] = [module for module in layers.modules() if isinstance(module, nn.Linear | Conv1D)]
    if not found:
        raise ValueError("This model's layers hold no linear layers of the usual kind to take weights from; take out layers instead.")
    uneven = {width for matrix in found if (width := _by_output(matrix).shape[1]) % 4}
    if pruning.pattern == "2:4" and uneven:
        raise ValueError(f"A matrix of this model has {min(uneven)} inputs, no multiple of four; prune without the pattern 2:4.")
    return found


def _own(layers: nn.ModuleList) -> Iterator[nn.Parameter]:
    """All parameters but those of convolutions."""
    for module in layers.modules():
        if not isinstance(module, nn.Conv1d):
            yield from module.parameters(recurse=False)


def _by_output(matrix: Any) -> torch.Tensor:
    """The weight as (outputs, inputs): a view."""
    return matrix.weight.t() if isinstance(matrix, Conv1D) else matrix.weight


def zero_least(matrix: nn.Module, pruning: Pruning, inputs: torch.Tensor | None = None) -> None:
    """Set the weights of least score to zero; with inputs, a weight counts by how large its input is.

    Exactly as many as asked for, whatever is equal: chosen by place, not by a threshold.
    """
    weight = _by_output(matrix)
    scores = weight.abs().float()
    if inputs is not None:
        scores *= norms(inputs)
    together = 4 if pruning.pattern == "2:4" else weight.shape[1] if inputs is not None else weight.numel()
    rows = scores.reshape(-1, together)
    least = rows.topk(round(pruning.share * together), largest=False, sorted=False).indices
    weight.masked_fill_(torch.zeros_like(rows, dtype=torch.bool).scatter_(1, least, True).view(weight.shape), 0)


def _skips_zeros(setup: Setup) -> bool:
    """Whether this device multiplies 2:4 matrices of such numbers faster, and nothing else is done to the weights later."""
    if not setup.device.startswith("cuda") or torch.version.cuda is None or setup.dtype == "float32" or setup.quantization:
        return False
    return torch.cuda.get_device_capability(setup.device) >= SPARSE_FROM


def _compress(matrices: list[nn.Module]) -> None:
    """Hold 2:4 matrices as sparse tensors, which the products of torch then skip the zeros of (torch.sparse, semi-structured)."""
    for matrix in matrices:
        if isinstance(matrix, nn.Linear):
            try:
                sparse = torch.sparse.to_sparse_semi_structured(matrix.weight.detach())
            except RuntimeError as error:
                raise ValueError(
                    f"This device does not take these matrices as 2:4 ({str(error).splitlines()[0]}); use wanda:0.5."
                ) from error
            matrix.weight = nn.Parameter(sparse, requires_grad=False)
