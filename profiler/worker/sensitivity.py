"""How much is lost if one part of one layer alone is quantized: the task `sensitivity`.

A part's weights are replaced by what quantization leaves of them, the divergence from the model's own answers is taken, and
they are put back. The layers before the changed one answer what they answered before, so half of the work is spared.
On a processor all this is in float32: in 16 bits, rounding on the way costs as much as a layer's quantization. Only the weights
are rounded in the set-up's dtype, in which a run keeps their scales.

Weights that were quantized before lie on a grid already, and rounding them to the same grid again costs nothing, whatever the layer
is worth; the fact `on_grid` tells which share of them does. (The default model comes from a 4-bit file.)
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from profiler.record.events import Finished, Job, Point, Step
from profiler.spec.formats import FORMATS
from profiler.spec.work import Sensitivity
from profiler.worker import groups, scores
from profiler.worker.channel import Channel
from profiler.worker.loading import load
from profiler.worker.quantize import rounded
from profiler.worker.reference import uncompressed
from profiler.worker.texts import WINDOW, held_back

USUAL = "int4-rows-g32"
HEAD = "lm_head"
GROUP, LEVELS, GROUPS = 32, 16, 1000  # weights of one scale in most 4-bit formats, values that 4 bits have, groups looked at
PARTS = {"attention": "attention", "MLP": "MLP", "experts": "MLP", "residual adds": "MLP"}  # group of a layer's child → part


@torch.inference_mode()
def run(job: Job, channel: Channel) -> Finished:
    """A point for each part of each layer, and the divergence with all of them quantized at once.

    Raises ValueError for random weights, a model without tokenizer, and one whose layers cannot be told apart.
    """
    spec, work = job.spec.model, job.spec.work
    assert spec
    assert isinstance(work, Sensitivity)
    if not spec.trained:
        raise ValueError(f"{spec.name} has random weights, whose quality is not defined; choose a model with trained ones.")
    name = job.spec.setup.quantization or USUAL
    rounded(torch.ones(1, 256), name)  # a format whose rounding is not known is refused before anything is loaded
    setup = uncompressed(job)
    model, tokenizer = load(job.model_copy(update={"spec": job.spec.model_copy(update={"setup": setup})}), channel)
    if tokenizer is None:
        raise ValueError(f"{spec.name} has no tokenizer, so no text can be scored; add its tokenizer files to the model.")
    windows, _ = held_back(tokenizer, work.tokens, work.text, min(WINDOW, spec.context))
    channel.enter("quality", note="Listening to the model as it is")
    layers = Layers(model, windows.to(setup.device), name, getattr(torch, job.spec.setup.dtype))
    places = list(layers.parts())
    channel.enter("quality", note="Quantizing one part at a time")
    began, spent, whole = time.perf_counter(), 0.0, sum(layers.work(layer) for layer, _, _ in places)
    for layer, part, linears in places:
        value = layers.divergence(linears, since=layer)
        channel.emit(Point(at=time.time(), curve="sensitivity", series=part, x=layer, value=value))
        spent += layers.work(layer)
        left = (time.perf_counter() - began) / spent * (whole - spent)
        channel.emit(Step(at=time.time(), name="quality", done=spent / whole, left=left))
    every = [linear for _, _, linears in places for linear in linears]
    facts = {"tokens": float(windows.numel()), "everything": layers.divergence(every, since=0), "on_grid": on_grid(every)}
    return Finished(at=time.time(), facts=facts)


def head_format(name: str) -> str:
    """In what the format of this name keeps the lm_head: itself, or int8; empty where it leaves it in 16 bits, or no rounding is known."""
    bits, head = FORMATS[name].bits, FORMATS[name].head_bits
    return name if head == bits else "int8-rows" if head == 8 else ""


def on_grid(linears: list[nn.Linear | Conv1D]) -> float:
    """Share of the groups of 32 neighbouring weights with at most 16 different values, among the first of each matrix: what 4 bits
    leave, by whomever. Of weights that never were quantized it is next to nothing.
    """
    looked = [
        _matrix(linear).flatten()[: GROUP * GROUPS].unflatten(0, (-1, GROUP)) for linear in linears if linear.weight.numel() % GROUP == 0
    ]
    if not looked:
        return 0.0
    ordered = torch.cat(looked).sort(-1).values
    return float(((ordered.diff(dim=-1) != 0).sum(-1) < LEVELS).double().mean())


class Layers:
    """A model that has answered a text int64 (windows, tokens) once, and is asked again with some weights rounded."""

    def __init__(self, model: PreTrainedModel, windows: torch.Tensor, name: str, dtype: torch.dtype):
        self.model, self.windows, self.name, self.dtype = model, windows, name, dtype
        stacks = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
        self.stack: list[nn.Module] = list(max(stacks, key=len, default=[]))
        if not self.stack:
            raise ValueError("The layers of this model cannot be told apart, so none can be quantized alone; choose another model.")
        self.heard: list[list] = [[] for _ in self.stack]  # what each layer answered, window by window
        with self._hearing():
            self.reference = [scores.top(self._logs(window)) for window in windows]

    def parts(self) -> Iterator[tuple[int, str, list[nn.Linear | Conv1D]]]:
        """(layer, part, its linear layers), the lm_head last, with the number of layers as its own."""
        for number, layer in enumerate(self.stack):
            found: dict[str, list[nn.Linear | Conv1D]] = {}
            for child in layer.children():
                part = groups.group([layer, child], None)
                linears = [module for module in child.modules() if isinstance(module, nn.Linear | Conv1D)]
                found.setdefault(PARTS.get(part, part), []).extend(linears)
            yield from ((number, part, linears) for part, linears in found.items() if linears)
        head = self.model.get_output_embeddings()
        if isinstance(head, nn.Linear) and head_format(self.name):
            yield len(self.stack), HEAD, [head]

    def divergence(self, linears: list[nn.Linear | Conv1D], since: int) -> float:
        """Mean KL(as it is ‖ with these layers' weights rounded), nats a token. Layers before `since` are not run again."""
        with self._rounded(linears):
            found = [
                scores.divergence(top, self._logs(window, number, since))
                for number, (window, top) in enumerate(zip(self.windows, self.reference))
            ]
        return float(torch.cat(found).double().mean())

    def work(self, since: int) -> float:
        """What asking again costs, in layers; the lm_head, which may be as large as several, is always asked."""
        head = self.model.get_output_embeddings()
        return len(self.stack) - since + (_size(head) / _size(self.stack[0]) if head else 1.0)

    def _logs(self, window: torch.Tensor, number: int = 0, since: int = 0) -> torch.Tensor:
        """Log-probabilities at each place of a window."""
        with self._spared(number, since) if since else nullcontext():
            return scores.foretold(self.model(input_ids=window[None], use_cache=False).logits[0, :-1].float())[0]

    @contextmanager
    def _hearing(self):
        """Keep what each layer answers."""
        hooks = [
            layer.register_forward_hook(lambda _layer, _given, out, heard=heard: heard.append(out))
            for layer, heard in zip(self.stack, self.heard)
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    @contextmanager
    def _spared(self, number: int, since: int):
        """The layers before `since` say what they said of this window."""
        for layer, heard in zip(self.stack[:since], self.heard):
            layer.forward = lambda *_, said=heard[number], **__: said
        try:
            yield
        finally:
            for layer in self.stack[:since]:
                del layer.forward  # the class's own is behind it

    @contextmanager
    def _rounded(self, linears: list[nn.Linear | Conv1D]):
        """These layers with rounded weights. A parameter of its own, so that an embedding that shares the weight keeps it."""
        kept, head = [linear.weight for linear in linears], self.model.get_output_embeddings()
        try:
            for linear in linears:
                name = head_format(self.name) if linear is head else self.name
                left = rounded(_matrix(linear).to(self.dtype), name).to(linear.weight.dtype)
                linear.weight = nn.Parameter(left.t() if isinstance(linear, Conv1D) else left, requires_grad=False)
            yield
        finally:
            for linear, weight in zip(linears, kept):
                linear.weight = weight


def _matrix(linear: nn.Linear | Conv1D) -> torch.Tensor:
    """Its weights, (outputs, inputs); GPT-2 has its matrices the other way round."""
    return linear.weight.t().contiguous() if isinstance(linear, Conv1D) else linear.weight


def _size(module: nn.Module) -> int:
    """Its parameters."""
    return sum(parameter.numel() for parameter in module.parameters())
