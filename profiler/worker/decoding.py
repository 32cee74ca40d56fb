"""The work that is timed: one prefill, then one forward pass a token with a KV cache, greedy.

How the loop is written is part of the set-up: a cache of full size at once, none at all, a prompt in chunks or with a kept
beginning. Each is a small change to `Decoding`; guessing ahead is `profiler.worker.speculating`.
"""

import inspect
from functools import cached_property
from typing import Any

import torch
from transformers import PreTrainedModel, StaticCache

from profiler.spec.run import Setup
from profiler.worker import kv_cache
from profiler.worker.device import Marks


class Decoding:
    """A model with a prompt; `prefill` starts over, `step` makes the next token."""

    def __init__(self, model: PreTrainedModel, prompt: torch.Tensor, setup: Setup, new_tokens: int = 0):
        self.model, self.setup, self.device = model, setup, setup.device
        self.prompt = prompt.to(self.device)
        self.new_tokens = new_tokens
        self.cache: Any = None
        self.token = self.prompt[:, :1]
        self.said: list[torch.Tensor] = []  # the first sequence's new tokens, left on the device
        self.forward: Any = model  # of a decode step; a compiled one takes its place

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
        return cache_name(self.model)

    def _forward(self, ids: torch.Tensor, through: Any) -> None:
        out = through(input_ids=ids, **{self._cache_name: self.cache}, use_cache=True, **self._last_only)
        self.cache = out[self._cache_name]
        self.token = out.logits[:, -1:].argmax(-1)

    def _emptied(self) -> Any:
        """A cache without any token; None lets the model make its own."""
        return kv_cache.made(self.model, self.setup.kv)

    def prefill(self) -> None:
        """Process the prompt from an empty cache; the first new token is in `token` after it."""
        self.said = []
        if self.setup.prefix:
            self._begin()
        else:
            self.cache = self._emptied()
        rest = self.prompt[:, self.setup.prefix :] if self.setup.prefix else self.prompt
        for part in rest.split(self.setup.chunk, dim=1) if self.setup.chunk else (rest,):
            self._forward(part, self.model)
        self.said.append(self.token[0])

    def _begin(self) -> None:
        """A cache that holds the kept beginning of the prompt, which an earlier request has read."""
        if self.cache is None:
            self._forward(self.prompt[:, : self.setup.prefix], self.model)
        else:
            trim(self.cache, self.setup.prefix)

    def step(self) -> None:
        """One more token for every sequence."""
        self._forward(self.token, self.forward)
        self.said.append(self.token[0])

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

    @property
    def facts(self) -> dict[str, float]:
        """Counts of its own that judge a run; none here."""
        return {}


def cache_name(model: PreTrainedModel) -> str:
    """How this version of transformers calls the KV cache."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


def trim(cache: Any, tokens: int) -> None:
    """Take the last tokens out of a cache, until it holds so many."""
    if surplus := max(int(cache.get_seq_length()) - tokens, 0):
        cache.crop(-surplus)


class WholeCache(Decoding):
    """With a cache that has its full size from the beginning, so that every step has the same shapes: what compiling needs."""

    def _emptied(self) -> StaticCache:
        if self.cache is None:
            return StaticCache(config=self.model.config, max_cache_len=self.prompt.shape[1] + self.new_tokens)
        self.cache.reset()
        return self.cache


class NoCache(Decoding):
    """Without a cache: each token asks the model about the whole text again."""

    text: torch.Tensor  # int64 (batch, tokens so far)

    def _forward(self, ids: torch.Tensor, through: Any) -> None:
        self.text = torch.cat([self.text, ids], dim=1)
        out = through(input_ids=self.text, use_cache=False, **self._last_only)
        self.token = out.logits[:, -1:].argmax(-1)

    def prefill(self) -> None:
        """Process the prompt."""
        self.text = self.prompt[:, :0]
        super().prefill()
