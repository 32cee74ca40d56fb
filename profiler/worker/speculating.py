"""Speculative decoding, greedy: guesses are checked by the model in one pass, and count as far as it would have said the same.

The text is that of plain greedy decoding. Only where two tokens are equally likely within the arithmetic's own rounding can a pass
of several tokens choose another one than a pass of one: then both are the model's answers (in float32 that is rare).
"""

import copy
from collections.abc import Callable
from typing import Any, Protocol

import torch
from transformers import DynamicCache, PreTrainedModel

from profiler.spec.run import Setup
from profiler.spec.speculation import Speculation
from profiler.worker.decoding import Decoding, cache_name, trim
from profiler.worker.engines.timed import seconds_of
from profiler.worker.loading import open_model
from profiler.worker.quantize import quantize

LONGEST = 3  # tokens at the text's end that are looked for in what came before; if they are not there, fewer are
SELF = "int4-rows-g32"  # format of the weights of a model that guesses for itself


class Guesser(Protocol):
    """Whoever foretells the next tokens cheaply."""

    def begin(self) -> None:
        """A new text begins."""

    def guess(self, text: list[int], count: int) -> list[int]:
        """At most `count` tokens that may follow."""


class PromptLookup:
    """Whatever followed when the text's last tokens stood there before."""

    def begin(self) -> None:
        """Nothing to forget."""

    def guess(self, text: list[int], count: int) -> list[int]:
        """What followed the latest place with the same last three tokens; or the same two, or one."""
        for length in range(min(LONGEST, len(text) - 1), 0, -1):
            end = text[-length:]
            for place in range(len(text) - length - 1, -1, -1):
                if text[place : place + length] == end:
                    return text[place + length : place + length + count]
        return []


class Draft:
    """A faster model with the same tokens, which writes on greedily."""

    def __init__(self, model: PreTrainedModel):
        self.model, self.name = model, cache_name(model)
        self.begin()

    def begin(self) -> None:
        """Forget the text."""
        self.cache = DynamicCache(config=self.model.config)

    def guess(self, text: list[int], count: int) -> list[int]:
        """The next `count` tokens. What of the earlier guesses was right stays in its cache."""
        held = min(self.cache.get_seq_length(), len(text) - 1)
        trim(self.cache, held)
        ids, said = torch.tensor([text[held:]], device=self.model.device), []
        for _ in range(count):
            out = self.model(input_ids=ids, **{self.name: self.cache}, use_cache=True, logits_to_keep=1)
            ids = out.logits[:, -1:].argmax(-1)
            said.append(int(ids))
        return said


class Speculating(Decoding):
    """A prompt that is continued several tokens at a time. A step still is one token, and takes its share of the passes."""

    def __init__(self, model: PreTrainedModel, prompt: torch.Tensor, setup: Setup, new_tokens: int, guesser: Guesser):
        super().__init__(model, prompt, setup, new_tokens)
        assert setup.speculation
        self.guesser, self.most = guesser, setup.speculation.tokens
        self.ahead, self.owed = 0, 0.0  # tokens that were made and not asked for yet, and their seconds
        self.passes = self.guesses = self.right = self.made = 0

    def prefill(self) -> None:
        """Process the prompt; the first new token is in `said` after it."""
        super().prefill()
        self.ahead, self.owed = 0, 0.0
        self.text = [*self.prompt[0].tolist(), int(self.token)]
        self.guesser.begin()

    def timed_steps(self, count: int) -> list[float]:
        """Seconds of each of `count` tokens: the average over all passes of this call.

        Tokens come in bursts. With each pass's own share the median would be that of the large bursts, faster than any text is written.
        """
        seconds, before = 0.0, self.made
        while self.made - before < count - self.ahead:
            seconds += seconds_of(self.step)
        fresh = self.made - before
        share = (seconds + self.owed) / (fresh + self.ahead)
        self.ahead += fresh - count
        self.owed = share * self.ahead
        return [share] * count

    def step(self) -> None:
        """One pass: guesses, and the model's word on them; one token more than were right."""
        guesses = self.guesser.guess(self.text, self.most)
        ids = torch.tensor([[self.text[-1], *guesses]], device=self.device)
        chosen = self._chosen(ids)
        right = next((place for place, (guess, own) in enumerate(zip(guesses, chosen)) if guess != own), len(guesses))
        new = chosen[: right + 1]
        self.text += new
        trim(self.cache, len(self.text) - 1)  # the last token is not in it yet
        self.said += [torch.tensor([token]) for token in new]
        self.passes, self.guesses, self.right, self.made = (
            self.passes + 1, self.guesses + len(guesses), self.right + right, self.made + len(new),
        )  # fmt: skip

    def _chosen(self, ids: torch.Tensor) -> list[int]:
        """The model's next token after each of ids, int64 (1, tokens)."""
        wanted = {"logits_to_keep": ids.shape[1]} if self._last_only else {}
        out = self.model(input_ids=ids, **{self._cache_name: self.cache}, use_cache=True, **wanted)
        self.cache = out[self._cache_name]
        return out.logits[0, -ids.shape[1] :].argmax(-1).tolist()

    @property
    def facts(self) -> dict[str, float]:
        """Passes of the model, tokens that were guessed, guesses that were right, tokens that were made; warm-up included."""
        return {"passes": self.passes, "guesses": self.guesses, "right": self.right, "made": self.made}


def guesser(speculation: Speculation, model: PreTrainedModel, setup: Setup) -> Guesser:
    """Who guesses. Raises ValueError of one sentence for a draft model that has other tokens, or cannot be made."""
    makers: dict[str, Callable[[], Guesser]] = {
        "prompt-lookup": PromptLookup,
        "self-int4": lambda: Draft(_narrowed(model, setup)),
        "draft": lambda: Draft(_drafting(speculation.draft, model, setup)),
    }
    return makers[speculation.guesser]()


def _narrowed(model: PreTrainedModel, setup: Setup) -> PreTrainedModel:
    if setup.device != "cpu" or setup.dtype == "float32":
        raise ValueError("A model guesses for itself in int4 on a processor and in a 16-bit number format only; take dtype bfloat16.")
    twin: Any = copy.deepcopy(model)
    quantize(twin, SELF)
    return twin


def _drafting(source: str, model: PreTrainedModel, setup: Setup) -> PreTrainedModel:
    draft = open_model(source, source, setup).eval().requires_grad_(False)
    ours, theirs = model.config.get_text_config().vocab_size, draft.config.get_text_config().vocab_size
    if ours != theirs:
        raise ValueError(f"The draft model has {theirs:,} tokens, the model {ours:,}; take a smaller model of the same family.")
    return draft
