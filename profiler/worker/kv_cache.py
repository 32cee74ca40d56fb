"""A KV cache in int8, with a 16-bit scale for each token and head.

transformers has narrow caches too, but they need a package (quanto, hqq) and keep the latest tokens wide, or have one scale for
everything. Here a token is quantized when it comes, and never again. What attention is given is always what the cache holds,
in a prefill too, so that quality is judged by it; it is widened at each step, which saves memory, not time.
"""

from typing import Any

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from profiler.worker.quantize_rounding import rows

NAME = "int8-kv"
SCALE = 2  # bytes of a scale, which stand behind its row: then all that transformers does with keys and values still fits


class _Narrow:
    """Over a layer of transformers' cache: what goes in is narrowed, what comes out is widened."""

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Add keys and values (batch, heads, tokens, size); all that attention may see comes back."""
        held = super().update(narrow(key_states), narrow(value_states), *args, **kwargs)  # type: ignore[misc]  # of the layer that it is mixed into
        return widened(held[0], key_states.dtype), widened(held[1], value_states.dtype)


class NarrowLayer(_Narrow, DynamicLayer):
    """Of attention to all tokens."""


class NarrowWindow(_Narrow, DynamicSlidingWindowLayer):
    """Of attention to the latest tokens."""


def narrow(states: torch.Tensor) -> torch.Tensor:
    """(…, size) → int8 (…, size + 2): levels, and the bytes of their scale behind them."""
    levels, scales = rows(states, _kept(states.dtype))
    return torch.cat([levels, scales[..., None].view(torch.int8)], -1)


def widened(held: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The way back."""
    return held[..., :-SCALE].to(dtype) * held[..., -SCALE:].view(_kept(dtype))


def _kept(dtype: torch.dtype) -> torch.dtype:
    """A scale has 16 bits, whatever the model computes in."""
    return torch.bfloat16 if dtype == torch.float32 else dtype


def made(model: PreTrainedModel, kv: str) -> Any:  # models have caches of many classes
    """An empty cache of that format; None, for no format, lets the model make its own.

    Raises ValueError for other formats, and for a model that keeps something else than keys and values.
    """
    if not kv:
        return None
    if kv != NAME:
        raise ValueError(f"transformers does not keep a KV cache in {kv} here; take {NAME}, or another engine.")
    cache = DynamicCache(config=model.config)
    cache.layers = [_narrow_layer(layer) for layer in cache.layers]
    return cache


def _narrow_layer(layer: Any) -> NarrowLayer | NarrowWindow:
    if type(layer) is DynamicLayer:
        return NarrowLayer()
    if type(layer) is DynamicSlidingWindowLayer:
        return NarrowWindow(layer.sliding_window)
    raise ValueError(f"This model keeps more than keys and values ({type(layer).__name__}), which {NAME} cannot hold; leave --kv away.")
