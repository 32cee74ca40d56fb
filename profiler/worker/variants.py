"""Changes to a loaded model that a set-up asks for: what it computes stays the same, how it is computed does not."""

from torch import nn
from transformers import PreTrainedModel

from profiler.spec.run import Setup


def vary(model: PreTrainedModel, setup: Setup) -> PreTrainedModel:
    """The model as the set-up wants it."""
    if setup.layout == "columns":
        by_columns(model)
    if setup.compile:
        compiled(model)
    return model


def by_columns(model: nn.Module) -> None:
    """Lay the weights of all linear layers out by columns: the library then takes its other product kernel."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.weight.data = module.weight.data.t().contiguous().t()


def compiled(model: nn.Module) -> None:
    """Compile each layer, not the whole: equal layers share one piece of code, and Python between layers stays as it is."""
    stacks = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    for layer in max(stacks, key=len, default=[model]):
        layer.compile(dynamic=True)  # the cache grows by a token each step
