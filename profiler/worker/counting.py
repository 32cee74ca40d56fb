"""Count one forward pass: for each operator call its place in the model, its FLOPs and its bytes by kind.

Nothing is timed here: a Python hook on every operator costs more than many of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import PreTrainedModel

from profiler.worker.flops import flops_of, formula_of
from profiler.worker.groups import group, layer, pattern
from profiler.worker.traffic import Moved, Storages, moved, tensors

NOTHING = ("aten::detach", "aten::alias", "aten::lift_fresh")  # bookkeeping that a profiler may not show


@dataclass
class Call:
    """One operator call as the model made it; FLOPs are those of everything it was made of."""

    name: str
    group: str
    module: str
    layer: int | None
    flops: float = 0.0
    counted: bool = False
    weights: float = 0.0
    kv: float = 0.0
    activations: float = 0.0
    read: Moved = field(default_factory=list)
    written: Moved = field(default_factory=list)


def count(model: nn.Module, cache, work: Callable[[], object]) -> list[Call]:
    """The operator calls of `work`, one forward pass of the model; `cache` tells its KV cache, before and after."""
    counting = Counting(model, cache())
    hooks = [register_module_forward_pre_hook(counting.enter), register_module_forward_hook(counting.leave)]
    try:
        with counting:
            work()
    finally:
        for hook in hooks:
            hook.remove()
    return counting.resolved(cache())


class Counting(TorchDispatchMode):
    """A mode under which every operator call is noted."""

    def __init__(self, model: nn.Module, cache):
        super().__init__()
        self.names = {module: name for name, module in model.named_modules()}
        self.head = model.get_output_embeddings() if isinstance(model, PreTrainedModel) else None
        self.storages = Storages()
        self.weights = {self.storages.number(tensor) for tensor in tensors(model.state_dict(keep_vars=True))}  # what a checkpoint holds
        self.kv = {self.storages.number(tensor) for tensor in cache_tensors(cache)}
        self.stack: list[nn.Module] = []
        self.calls: list[Call] = []
        self.current: Call | None = None

    def enter(self, module: nn.Module, _) -> None:
        """A module begins."""
        self.stack.append(module)

    def leave(self, module: nn.Module, *_) -> None:
        """It is done."""
        self.stack.pop()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if self.current is not None:  # part of a call that was opened
            return self._run(self.current, func, args, kwargs or {})
        name = self.names.get(self.stack[-1], "") if self.stack else ""
        self.current = call = Call(func._schema.name, group(self.stack, self.head), pattern(name), layer(name))
        try:
            out = self._run(call, func, args, kwargs or {})
        finally:
            self.current = None
        call.read, call.written = moved(func, args, kwargs or {}, out, self.storages)
        if call.counted and self.stack:  # weights that the operator's module keeps in no tensor
            call.weights += getattr(self.stack[-1], "packed_bytes", 0)
        self.calls.append(call)
        return out

    def _run(self, call: Call, func, args, kwargs):
        """Run a call; one that is made of others is opened, so that their FLOPs are counted."""
        if formula_of(func) is None:
            with self:
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        out = func(*args, **kwargs)
        if (flops := flops_of(func, args, kwargs, out)) is not None:
            call.flops += flops
            call.counted = True
        return out

    def resolved(self, cache) -> list[Call]:
        """The calls with their bytes told apart; `cache` is the KV cache after the pass."""
        kept = {self.storages.number(tensor) for tensor in cache_tensors(cache)}
        kv = kept | self.kv
        for call in self.calls:
            for number, size in (*call.read, *call.written):
                kind = "weights" if number in self.weights else "kv" if number in kv else "activations"
                setattr(call, kind, getattr(call, kind) + size)
            if any(number in kept for number, size in call.written if size):
                call.group = "cache"
        return [call for call in self.calls if call.name not in NOTHING]


def cache_tensors(cache) -> list[torch.Tensor]:
    """Keys and values of all layers."""
    return tensors([(getattr(layer, "keys", None), getattr(layer, "values", None)) for layer in getattr(cache, "layers", ())])
