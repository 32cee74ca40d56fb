"""Changes to a loaded model that a set-up asks for. Pruning and quantizing change what it computes, the others only how."""

import time
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from profiler.record.events import Job
from profiler.spec.run import Setup
from profiler.worker.channel import Channel
from profiler.worker.prune import prune
from profiler.worker.quantize import quantize


def compress(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, job: Job, channel: Channel) -> PreTrainedModel:
    """The model pruned and quantized as the job's set-up says; tells the time that this took."""
    setup = job.spec.setup
    if setup.pruning or setup.quantization:
        channel.enter("compress")
        began = time.perf_counter()
        if setup.pruning:
            prune(model, tokenizer, setup)
        if setup.quantization:
            quantize(model, setup.quantization)
        channel.measured("compress_time", time.perf_counter() - began)
    return model


def vary(model: PreTrainedModel, setup: Setup) -> PreTrainedModel:
    """The model laid out and compiled as the set-up says: what it computes stays the same."""
    if setup.layout == "columns":
        by_columns(model)
    if setup.compile and setup.cache != "static":
        compiled(model, setup)
    return model


def whole_step(model: PreTrainedModel, setup: Setup) -> Any:
    """What a decode step calls: the model, or, where its shapes never change, all of it compiled as one graph.

    The prompt is read uncompiled: it comes once, and its length would be one more graph. On a processor the weights are frozen into
    the graph, as torch's guide for processors advises: only then are they laid out for the kernels, and most of the gain is that.
    """
    if not (setup.compile and setup.cache == "static"):
        return model
    from torch._inductor import config  # heavy: 1.4 s, which every worker would wait for

    config.freezing = setup.device == "cpu"
    return torch.compile(model.forward, dynamic=False, mode=mode(setup))


def mode(setup: Setup) -> str | None:
    """As torch.compile names it. On a processor there are no CUDA graphs to reduce any overhead."""
    if setup.compile_mode == "max-autotune" and setup.device == "cpu":
        return "max-autotune-no-cudagraphs"
    return None if setup.compile_mode == "default" else setup.compile_mode


def by_columns(model: nn.Module) -> None:
    """Lay the weights of all linear layers out by columns: the library then takes its other product kernel."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.weight.data = module.weight.data.t().contiguous().t()


def compiled(model: nn.Module, setup: Setup) -> None:
    """Compile each layer, not the whole: equal layers share one piece of code, and Python between layers stays as it is."""
    stacks = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    for layer in max(stacks, key=len, default=[model]):
        layer.compile(dynamic=True, mode=mode(setup))  # the cache grows by a token each step
