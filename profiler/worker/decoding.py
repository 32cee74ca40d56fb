"""The work that is timed: one prefill, then one forward pass a token with a KV cache, greedy."""

import inspect
from functools import cached_property
from typing import Any

import torch
from transformers import PreTrainedModel

from profiler.worker import kv_cache
from profiler.worker.device import Marks


class Decoding:
    """A model with a prompt; `prefill` starts over, `step` makes the next token."""

    def __init__(self, model: PreTrainedModel, prompt: torch.Tensor, device: str, kv: str = ""):
        self.model, self.device = model, device
        self.kv = kv  # the KV cache's format; empty: the model's own
        self.prompt = prompt.to(device)
        self.cache: Any = None
        self.token = self.prompt[:, :1]
        self.said: list[torch.Tensor] = []  # the first sequence's new tokens, left on the device

    @cached_property
    def _arguments(self) -> set[str]:
        """What the model's forward takes."""
        return set(inspect.signature(self.model.forward).parameters)

    @cached_property
    def _last_only(self) -> dict[str, int]:
        """Ask for the last position's logits alone, where the model can."""
        return {"logits_to_keep": 1} if "logits_to_keep" in self._arguments else {}

    @cached_property
    def _cache_name(self) -> str:
        """How this version of transformers calls the KV cache."""
        return "cache" if "cache" in self._arguments else "past_key_values"

    def _forward(self, ids: torch.Tensor) -> None:
        out = self.model(input_ids=ids, **{self._cache_name: self.cache}, use_cache=True, **self._last_only)
        self.cache = out[self._cache_name]
        self.token = out.logits[:, -1:].argmax(-1)
        self.said.append(self.token[0])

    def prefill(self) -> None:
        """Process the prompt from an empty cache; the first new token is in `token` after it."""
        self.cache, self.said = kv_cache.made(self.model, self.kv), []
        self._forward(self.prompt)

    def step(self) -> None:
        """One more token for every sequence."""
        self._forward(self.token)

    def timed_prefill(self) -> float:
        """Seconds of one prefill."""
        marks = Marks(self.device)
        marks.mark()
        self.prefill()
        marks.mark()
        return marks.seconds()[0]

    def timed_steps(self, count: int) -> list[float]:
        """Seconds of each of `count` steps."""
        marks = Marks(self.device)
        marks.mark()
        for _ in range(count):
            self.step()
            marks.mark()
        return marks.seconds()

    @property
    def cache_bytes(self) -> int:
        """What the KV cache holds now, by its tensors."""
        layers = getattr(self.cache, "layers", ())
        return sum(part.nbytes for layer in layers for part in (layer.keys, layer.values) if part is not None)
