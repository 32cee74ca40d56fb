"""What runs a model: one file for each runtime, one row of ENGINES, behind one small protocol.

An engine is loaded once. It makes decodings (a prompt that is prefilled, then continued token by token, timed), and it tells
the logits of a text, which is what quality is judged by.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from transformers import PreTrainedTokenizerBase

from profiler.record.events import Job
from profiler.worker.channel import Channel
from profiler.worker.engines import ctranslate2, llamacpp, native, onnx, openvino


class Steps(Protocol):
    """A prompt being continued; see `profiler.worker.decoding.Decoding`, which is the one for transformers."""

    @property
    def said(self) -> list:
        """The first sequence's new tokens, each convertible to int."""

    @property
    def cache_bytes(self) -> int:
        """What the KV cache holds now."""

    @property
    def facts(self) -> dict[str, float]:
        """Counts of its own that judge a run: what was guessed, or its own clock; empty where it has none."""

    def prefill(self) -> None:
        """Process the prompt from an empty cache; afterwards the first new token is known."""

    def timed_prefill(self) -> float:
        """Seconds of one prefill."""

    def timed_steps(self, count: int) -> list[float]:
        """Seconds of each of `count` steps, each of which makes one more token for every sequence, greedily."""


class Engine(Protocol):
    """A loaded model."""

    tokenizer: PreTrainedTokenizerBase | None
    vocab: int
    weight_bytes: int  # of the weights as they are held in memory
    file_bytes: int  # that they take as a file
    untraced: str  # why operators cannot be told apart, in one sentence; empty where they can

    def decoding(self, prompt: torch.Tensor) -> Steps:
        """Continue token ids, int64 (batch, tokens)."""

    def logits(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits after each token of one sequence: int64 (tokens,) → float32 (tokens, vocabulary), on the processor."""


ENGINES: dict[str, Callable[[Job, Channel], Engine]] = {
    "transformers": native.load,
    "onnxruntime": onnx.load,
    "llama.cpp": llamacpp.load,
    "openvino": openvino.load,
    "ctranslate2": ctranslate2.load,
}
