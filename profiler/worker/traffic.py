"""Bytes that an operator must move, each operand once, by what the operand is: weights, KV cache or activations.

A tensor is known by its storage. Storages are given back and taken again while a step runs, so each new one gets a number
of its own; which numbers are the cache is known when the step is over. Expanded axes (stride 0) are one element long.
Views move nothing. A look-up moves what it takes out of its table, a grouped product the matrices that have rows.
"""

from math import prod
from typing import Any

import torch
from torch.utils._python_dispatch import is_traceable_wrapper_subclass
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
# operators whose first argument is a table of which only as much is read as comes out
LOOK_UPS = {aten.embedding, aten.index, aten.index_select, aten.gather, aten.take, aten.take_along_dim}
# operators that write a small part of their first argument: what is written is the size of the last tensor among the others
SCATTERS = {aten.index_put_, aten.index_copy_, aten.scatter_, aten.slice_scatter}
ALLOCATIONS = {aten.empty, aten.empty_like, aten.new_empty, aten.empty_strided}

Moved = list[tuple[int, float]]  # (number of a storage, bytes)


def size(tensor: torch.Tensor) -> float:
    """Bytes of a tensor's distinct elements."""
    return tensor.element_size() * prod(length for length, stride in zip(tensor.shape, tensor.stride()) if stride) if tensor.numel() else 0


class Storages:
    """Numbers for storages, in the order in which they are first seen."""

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}
        self.count = 0

    def number(self, tensor: torch.Tensor) -> int:
        """The number of a tensor's storage; a new one if it was not seen before."""
        return self.numbers.setdefault(self._key(tensor), self._next())

    def renew(self, tensor: torch.Tensor) -> int:
        """A new number for a storage that an operator has just made, whatever lay there before."""
        self.numbers[self._key(tensor)] = number = self._next()
        return number

    def _next(self) -> int:
        self.count += 1
        return self.count

    @staticmethod
    def _key(tensor: torch.Tensor) -> int:
        return tensor.untyped_storage().data_ptr()


def tensors(values: Any) -> list[torch.Tensor]:
    """All tensors in nested arguments, in order; of one that is made of others, those."""
    return [part for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor) for part in _parts(leaf)]


def _parts(tensor: torch.Tensor) -> list[torch.Tensor]:
    """A package's quantized tensor is levels, scales and zero points in a wrapper that holds nothing itself."""
    if not is_traceable_wrapper_subclass(tensor):
        return [tensor]
    names, _ = tensor.__tensor_flatten__()
    return [part for name in names for part in _parts(getattr(tensor, name))]


def moved(operator, args: tuple, kwargs: dict[str, Any], out: Any, storages: Storages) -> tuple[Moved, Moved]:
    """(read, written) of one call. Nothing for a view."""
    inputs, outputs, packet = tensors((args, kwargs)), tensors(out), operator._overloadpacket
    numbers = {storages.number(tensor) for tensor in inputs}
    if packet in ALLOCATIONS:
        return [], [(storages.renew(tensor), 0.0) for tensor in outputs]
    mutable = operator._schema.is_mutable
    if outputs and not mutable and all(storages.number(tensor) in numbers for tensor in outputs):
        return [], []
    read = _read(packet, inputs, outputs, storages)
    if packet in SCATTERS:
        return read[1:], [(storages.number(inputs[0]), size(inputs[-1]))]
    written = [(storages.number(t) if mutable else storages.renew(t), size(t)) for t in outputs]
    return read, written


def _read(packet, inputs: list[torch.Tensor], outputs: list[torch.Tensor], storages: Storages) -> Moved:
    parts = [(storages.number(tensor), size(tensor)) for tensor in inputs]
    if packet in LOOK_UPS and parts and outputs:
        parts[0] = (parts[0][0], min(parts[0][1], size(outputs[0])))
    if packet is aten._grouped_mm and len(inputs) > 2 and inputs[1].dim() == 3:
        ends = inputs[2]
        used = int((torch.diff(ends, prepend=ends.new_zeros(1)) > 0).sum())
        parts[1] = (parts[1][0], parts[1][1] * used / inputs[1].shape[0])
    return parts
