"""Speculative decoding: several tokens are guessed cheaply, then checked by the model in one pass.

Greedy and exact: a guess counts only where it is what the model itself would have said, so the text stays the same
(Leviathan et al. 2023, arXiv 2211.17192; guesses from the prompt: Saxena 2023, prompt lookup decoding).
"""

from typing import Literal

from pydantic import Field, model_validator

from profiler.spec.frozen import Frozen

Guesser = Literal["prompt-lookup", "self-int4"]
GUESSES = 4  # tokens, where nothing is said


class Speculation(Frozen):
    """Who guesses, and how many tokens at a time."""

    guesser: Guesser | Literal["draft"]
    tokens: int = Field(default=GUESSES, ge=1, le=64)
    draft: str = ""  # the folder or hub id of a smaller model with the same tokens; of the guesser `draft` alone

    @model_validator(mode="after")
    def _complete(self) -> "Speculation":
        if (self.guesser == "draft") != bool(self.draft):
            raise ValueError("A draft model is named by its folder or hub id, like draft:FOLDER; the other guessers take none.")
        return self

    @property
    def title(self) -> str:
        """In words, for lists."""
        who = {"prompt-lookup": "from the prompt", "self-int4": "by itself in int4", "draft": f"by {self.draft}"}[self.guesser]
        return f"{self.tokens} tokens guessed {who}"

    @property
    def word(self) -> str:
        """As the command line takes it."""
        named = f"draft={self.draft}" if self.draft else self.guesser
        return f"{named}:{self.tokens}"

    @classmethod
    def parse(cls, word: str) -> "Speculation":
        """From the command line's word. Raises ValueError of one sentence."""
        named, _, count = word.rpartition(":") if word.rpartition(":")[2].isdigit() else (word, "", str(GUESSES))
        who, _, draft = named.partition("=")
        try:
            return cls.model_validate({"guesser": who, "draft": draft, "tokens": int(count)})
        except ValueError as error:
            raise ValueError(
                f"No speculation is called {word!r}; write prompt-lookup, self-int4 or draft=FOLDER, then :N for N tokens at a time."
            ) from error
