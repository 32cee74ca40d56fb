"""Quantize a model's linear layers: one row of WAYS for each format of weights that transformers can run here.

A layer of the blocks, and the lm_head where the format says so, is replaced by one that holds the same weights in fewer bits. An
embedding that shares the lm_head's matrix then looks up in the narrow one, so that the memory is really saved.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from profiler.worker import quantize_libraries as libraries
from profiler.worker.device import release_memory
from profiler.worker.quantize_modules import Int4Groups, Int8Dynamic, Int8Rows, Packed, RowsEmbedding, lookup
from profiler.worker.quantize_rounding import rounded
from profiler.worker.traffic import tensors

__all__ = ["quantize", "rounded", "stored_bytes"]

ENOUGH = 0.5  # of the weights of the blocks; with less in the format, a model would not be what it is called


class Way(NamedTuple):
    """How one format is made of linear layers."""

    layer: Callable[[nn.Linear], nn.Module]
    head: Callable[[nn.Linear], nn.Module] | None  # of the lm_head; None: it stays
    fits: Callable[[nn.Linear], bool] = lambda layer: True
    dtypes: tuple[str, ...] = ("float32", "bfloat16", "float16")  # that its kernels take
    package: str = ""
    processor: bool = False  # torch's kernels for a processor
    capability: float = 0.0  # CUDA compute capability that its kernels need


def _own(layer: type[Packed], head: type[Packed]) -> Way:
    return Way(layer, head, layer.fits, layer.dtypes, processor=True)


WAYS = {
    "int8-rows": _own(Int8Rows, Int8Rows),
    "int4-rows-g32": _own(Int4Groups, Int8Rows),
    "int8-fbgemm": _own(Int8Dynamic, Int8Dynamic),
    "int8": Way(libraries.ao_int8, libraries.ao_int8, package="torchao"),
    "int4": Way(libraries.ao_int4, None, libraries.groups_of_128, ("bfloat16",), "torchao", capability=8.0),
    "float8-ao": Way(libraries.ao_float8, libraries.ao_float8, libraries.tiles_of_16, ("bfloat16",), "torchao", capability=8.9),
    "llm-int8": Way(libraries.bnb_int8, None, package="bitsandbytes"),
    "nf4": Way(libraries.bnb_nf4, None, package="bitsandbytes"),
}


def quantize(model: PreTrainedModel, name: str) -> None:
    """Quantize in place. `name` is a key of FORMATS. Raises ValueError, before anything is changed, where it cannot be done."""
    if name not in WAYS:
        raise ValueError(f"transformers does not run weights in {name} here; choose one of {', '.join(WAYS)}, or another engine.")
    way = WAYS[name]
    _check(model, name, way)
    for place in _places(model, name, way):  # no name holds a layer that was replaced, so its memory is free at once
        model.set_submodule(place, way.layer(_as_linear(model.get_submodule(place))))
    if way.head:
        _quantize_head(model, way)
    release_memory()


def stored_bytes(model: nn.Module) -> int:
    """Bytes of all weights as they are held: what a checkpoint would keep, shared ones once, and what kernels keep for themselves."""
    held = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors(model.state_dict(keep_vars=True))}
    return sum(held.values()) + sum(module.packed_bytes for module in model.modules() if isinstance(module, Packed))


def _check(model: PreTrainedModel, name: str, way: Way) -> None:
    """Raise ValueError where a format's kernels are missing or take no such numbers."""
    dtype = str(model.dtype).removeprefix("torch.")
    if dtype not in way.dtypes:
        raise ValueError(f"The kernels of {name} take activations in {' or '.join(way.dtypes)}, not {dtype}; add --dtype {way.dtypes[0]}.")
    if way.processor and model.device.type != "cpu":
        raise ValueError(f"The kernels of {name} are for processors; take another format, or --device cpu.")
    if name == "int8-fbgemm" and "fbgemm" not in torch.backends.quantized.supported_engines:
        raise ValueError("This build of torch has no FBGEMM, which needs an x86 processor with AVX2; take int8-rows.")
    if libraries.capability(model.device) < way.capability:
        raise ValueError(f"{name} needs an NVIDIA GPU of compute capability {way.capability:g} or higher; take another format.")
    if way.package:
        libraries.need(way.package)


def _head(model: PreTrainedModel) -> nn.Linear | None:
    head = model.get_output_embeddings()
    return head if isinstance(head, nn.Linear) else None


def _places(model: PreTrainedModel, name: str, way: Way) -> list[str]:
    """Where the layers are that go into the format; the lm_head is a matter of its own.

    Raises ValueError if most weights of the blocks are in no layer that the format can hold.
    """
    head = _head(model)
    linears = {place: module for place, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D) and module is not head}
    fitting = {place: layer.weight.numel() for place, layer in linears.items() if way.fits(_empty(layer))}
    beside = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding) or module is head}
    whole = sum(parameter.numel() for parameter in model.parameters() if parameter.dim() > 1 and id(parameter) not in beside)
    share = sum(fitting.values()) / max(whole, 1)
    if share < ENOUGH:
        raise ValueError(
            f"Only {share:.0%} of the weights in this model's blocks are in linear layers that {name} can hold (experts in one tensor, "
            "and sizes that its kernels do not take, stay as they are); choose another format or another model."
        )
    return list(fitting)


def _empty(layer: nn.Linear | Conv1D) -> nn.Linear:
    """A linear layer of the same size without weights."""
    inputs, outputs = layer.weight.shape if isinstance(layer, Conv1D) else layer.weight.shape[::-1]
    return nn.Linear(inputs, outputs, device="meta")


def _as_linear(layer: nn.Module) -> nn.Linear:
    """GPT-2 has its matrices the other way round."""
    if isinstance(layer, nn.Linear):
        return layer
    assert isinstance(layer, Conv1D)
    linear = _empty(layer)
    linear.weight = nn.Parameter(layer.weight.detach().t().contiguous(), requires_grad=False)
    linear.bias = layer.bias
    return linear


def _quantize_head(model: PreTrainedModel, way: Way) -> None:
    """The lm_head, and the embeddings that share its matrix. What a kernel packs for itself cannot be looked up: they keep theirs."""
    head = _head(model)
    if head is None or way.head is None or not getattr(way.head, "fits", way.fits)(head):
        return
    named = dict(model.named_modules())
    shared = {place: module for place, module in named.items() if isinstance(module, nn.Embedding) and module.weight is head.weight}
    narrow = way.head(head)
    model.set_submodule(next(place for place, module in named.items() if module is head), narrow)
    for place, embedding in shared.items():
        if (found := lookup(narrow)) and RowsEmbedding.stands_for(embedding):
            model.set_submodule(place, RowsEmbedding(embedding, *found))
