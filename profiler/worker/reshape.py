"""Cut parts out of a model, so that what is left is an ordinary smaller one: matrices, counts and numbers in the configuration.

What can be cut is told by how a layer is built, not by the family's name.
"""

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

HEADS = ("num_heads", "num_attention_heads")  # as modules and configurations call them
GROUPS = ("num_key_value_heads", "num_kv_heads")
OTHERWISE = "take out layers, or single weights by wanda or magnitude"


def decoder_layers(model: PreTrainedModel) -> nn.ModuleList:
    """The stack of layers. Raises ValueError where there is none."""
    count = model.config.get_text_config().num_hidden_layers
    for module in model.base_model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise ValueError(f"{type(model).__name__} has no plain stack of layers, so this program does not prune it; choose another model.")


def attention_of(layer: nn.Module) -> Any:
    """A layer's attention, if its heads can be cut out of separate projections. Raises ValueError otherwise."""
    found: Any = getattr(layer, "self_attn", None)
    if not _linear(found, ("q_proj", "k_proj", "v_proj", "o_proj")):
        raise ValueError(f"{type(layer).__name__} has no separate projections q, k, v and o to cut heads from; {OTHERWISE}.")
    query, key, value, output = found.q_proj, found.k_proj, found.v_proj, found.o_proj
    width = getattr(found, "head_dim", 0) or 0
    even = width and key.out_features == value.out_features and query.out_features == output.in_features
    own = {id(parameter) for part in (query, key, value, output) for parameter in part.parameters()}
    others = [parameter for parameter in found.parameters() if id(parameter) not in own]
    if not even or query.out_features % key.out_features or any(parameter.numel() != width for parameter in others):
        raise ValueError(f"The heads of {type(found).__name__} hang together by more than its projections; {OTHERWISE}.")
    return found


def mlp_of(layer: nn.Module) -> Any:
    """A layer's gated MLP. Raises ValueError where it has none."""
    found: Any = getattr(layer, "mlp", None)
    if not _linear(found, ("gate_proj", "up_proj", "down_proj")):
        raise ValueError(f"{type(layer).__name__} has no separate projections gate, up and down to cut channels from; {OTHERWISE}.")
    return found


def _linear(holder: Any, names: tuple[str, ...]) -> bool:
    """Whether all of these parts are there, and are plain linear layers."""
    return all(isinstance(getattr(holder, name, None), nn.Linear) for name in names)


def groups_of(attention: Any) -> int:
    """How many groups of heads share keys and values."""
    return attention.k_proj.out_features // attention.head_dim


def keep_groups(config: PreTrainedConfig, attention: Any, groups: torch.Tensor) -> torch.Tensor:
    """Cut all other groups out of a layer's attention; returns which inputs of the output projection stayed."""
    config.head_dim = attention.head_dim  # where it is left out, it is taken for the width divided by the heads
    shared = attention.q_proj.out_features // attention.k_proj.out_features
    queries, keys = _run(groups, shared * attention.head_dim), _run(groups, attention.head_dim)
    for part, rows in ((attention.q_proj, queries), (attention.k_proj, keys), (attention.v_proj, keys)):
        _cut_outputs(part, rows)
    _cut_inputs(attention.o_proj, queries)
    for holder in (attention, config):
        _say(holder, HEADS, shared * len(groups))
        _say(holder, GROUPS, len(groups))
    return queries


def keep_channels(config: PreTrainedConfig, mlp: Any, channels: torch.Tensor) -> torch.Tensor:
    """Cut all other channels out of a layer's MLP; returns which inputs of the down projection stayed: these."""
    _cut_outputs(mlp.gate_proj, channels)
    _cut_outputs(mlp.up_proj, channels)
    _cut_inputs(mlp.down_proj, channels)
    for holder in (mlp, config):
        _say(holder, ("intermediate_size",), len(channels))
    return channels


def keep_layers(model: PreTrainedModel, layers: nn.ModuleList, places: torch.Tensor) -> None:
    """Cut all other layers out of the stack, in place; those that stay are numbered anew, since a cache goes by their numbers."""
    config, before, kept = model.config.get_text_config(), len(layers), places.tolist()
    stay = [layers[place] for place in kept]
    del layers[len(stay) :]
    for place, layer in enumerate(stay):
        layers[place] = layer
        for module in layer.modules():
            _say(module, ("layer_idx",), place)
    for name, value in list(vars(config).items()):
        if "layer" in name and isinstance(value, list | tuple) and len(value) == before:  # one entry for each layer
            setattr(config, name, [value[place] for place in kept])
    config.num_hidden_layers = len(stay)


def _run(parts: torch.Tensor, width: int) -> torch.Tensor:
    """The places of all elements of these parts, each `width` wide."""
    return (parts[:, None] * width + torch.arange(width, device=parts.device)).flatten()


def _cut_outputs(linear: nn.Linear, rows: torch.Tensor) -> None:
    linear.weight = nn.Parameter(linear.weight[rows], requires_grad=False)
    if linear.bias is not None:
        linear.bias = nn.Parameter(linear.bias[rows], requires_grad=False)
    linear.out_features = len(rows)


def _cut_inputs(linear: nn.Linear, columns: torch.Tensor) -> None:
    linear.weight = nn.Parameter(linear.weight[:, columns], requires_grad=False)
    linear.in_features = len(columns)


def _say(holder: Any, names: tuple[str, ...], number: int) -> None:
    """Set those of these attributes that are there."""
    for name in names:
        if hasattr(holder, name):
            setattr(holder, name, number)
