"""How much a model lost: its answers on a held-back text beside those of the uncompressed one, place by place.

All is paired: both models foretell the same tokens, and what is averaged is the difference at each. Neighbouring places share
their context, so an average's error is the larger of two estimates: the spread of the means of whole windows (each scored apart),
and the spread of single places at the effective sample size of an AR(1) process (`profiler.spec.measurement`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp, sqrt
from typing import Any

import numpy as np

from profiler.record.events import Scored
from profiler.record.run import Run
from profiler.spec.measurement import Measurement
from profiler.spec.units import number, words

WINDOW = 256  # tokens that are scored together
SURE = 1.96  # standard errors on each side of a 95 % interval


@dataclass(frozen=True)
class Average:
    """A mean with its standard error."""

    value: float
    error: float

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval."""
        return self.value - SURE * self.error, self.value + SURE * self.error


def average(values: Sequence[float]) -> Average:
    """The mean of correlated values in their order, with the larger of both estimates of its error."""
    samples = np.asarray(values, dtype=float)
    if len(samples) < 2:
        return Average(float(samples.mean()), 0.0)
    places = float(samples.std(ddof=1)) / sqrt(Measurement(samples).effective_count)
    windows = [float(part.mean()) for part in np.array_split(samples, max(round(len(samples) / WINDOW), 1))]
    between = float(np.std(windows, ddof=1)) / sqrt(len(windows)) if len(windows) > 1 else 0.0
    return Average(float(samples.mean()), max(places, between))


@dataclass(frozen=True)
class Quality:
    """What one run's score says."""

    scored: Scored

    @property
    def tokens(self) -> int:
        """How many were foretold."""
        return len(self.scored.surprise)

    @property
    def source(self) -> str:
        """Of the text."""
        return self.scored.source

    @property
    def surprise(self) -> float:
        """Nats per token."""
        return float(np.mean(self.scored.surprise))

    @property
    def perplexity(self) -> float:
        """As if the model had to choose among so many equally likely tokens: e to the mean surprise."""
        return exp(self.surprise)

    @cached_property
    def change(self) -> Average:
        """Nats per token more than the reference."""
        return average(np.subtract(self.scored.surprise, self.scored.reference).tolist())

    @property
    def loss(self) -> float:
        """By how much the perplexity rose over the reference's: 0.02 is 2 % more; below zero, it fell."""
        return exp(self.change.value) - 1

    @property
    def loss_interval(self) -> tuple[float, float]:
        """95 % confidence interval of the loss."""
        low, high = self.change.interval
        return exp(low) - 1, exp(high) - 1

    @cached_property
    def divergence(self) -> Average:
        """KL(reference ‖ model) in nats per token."""
        return average(self.scored.divergence)

    @cached_property
    def agreement(self) -> Average:
        """Share of the places where both find the same token the likeliest."""
        return average([float(same) for same in self.scored.agrees])

    @property
    def questions(self) -> int:
        """Of the cloze test."""
        return len(self.scored.right)

    @property
    def right(self) -> float | None:
        """Share of the cloze test that is right; None where the text gave no questions. Chance has a quarter."""
        return float(np.mean(self.scored.right)) if self.scored.right else None

    @property
    def reference_right(self) -> float | None:
        """The same of the reference."""
        return float(np.mean(self.scored.reference_right)) if self.scored.reference_right else None

    @property
    def garbage(self) -> str:
        """Why this is no language model any more, in words; empty where it is one."""
        if self.scored.broken:
            return f"its answers are no numbers at {self.scored.broken:,} of {self.tokens:,} places"
        if self.surprise > self.scored.guessing:
            return "garbage: worse than guessing by word frequency"
        return ""

    @property
    def sentence(self) -> str:
        """What the score says, in numbers."""
        low, high = self.loss_interval
        found = f", but {self.garbage}" if self.garbage else ""
        guessed = (
            f", and {words(self.right, '%')} of {self.questions} missing words are guessed (chance: 25 %)" if self.right is not None else ""
        )
        return (
            f"Perplexity {number(self.perplexity)} on {self.tokens:,} tokens of {self.source}: {100 * self.loss:+.2g} % against the "
            f"uncompressed model in float32 (95 %: {100 * low:+.2g} to {100 * high:+.2g} %){found}. The likeliest token is the same at "
            f"{words(self.agreement.value, '%')} of the places{guessed}."
        )

    def summary(self) -> dict[str, Any]:
        """All of it as plain values, nats for the divergence."""
        return {
            "tokens": self.tokens,
            "perplexity": self.perplexity,
            "loss": self.loss,
            "loss_interval": self.loss_interval,
            "divergence": self.divergence.value,
            "agreement": self.agreement.value,
            "cloze": self.right,
            "garbage": self.garbage,
            "source": self.source,
        }

    def same(self, floor: float = 0.0) -> bool:
        """Whether no loss can be told: the interval reaches what the number format alone costs (`floor`, a share)."""
        low, high = self.loss_interval
        return not self.garbage and low <= floor and high >= -floor


def quality(run: Run) -> Quality | None:
    """The score of a run; None where none was asked for, or the run ended before."""
    found = run.of(Scored)
    return Quality(found[-1]) if found and found[-1].surprise else None
