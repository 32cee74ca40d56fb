"""What a load test measured: at each rate of arrivals, how many answers a second came, how long they took, and whether the server kept up.

All times are seconds. A percentile that the samples cannot carry is None: one in ten needs twenty samples, one in a hundred two hundred.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from profiler.record.events import Finished, Request, Served
from profiler.record.run import Run
from profiler.spec.work import LoadTest

NEEDS = {50: 1, 90: 20, 99: 200}  # percentile → samples: two of them beyond it, on average
ENOUGH = 0.95  # of the requests are answered in time where a server keeps up
SLOWEST = 0.75  # of the arrivals' rate: with few requests, one late answer is chance, unless it holds up all as much as that
GROWTH = 0.05  # seconds that first tokens wait longer for each second of arrivals: from here on a queue is said to grow
SURE = 2.0  # standard errors that the growth must be above zero
FEW = 8  # requests, from which on a growth can be told
WITHIN = 1.0  # seconds: first tokens that people do not call slow
LATE = 0.1  # seconds by which requests may leave after their moment, before it is worth a word


def percentile(samples: list[float], rank: int) -> float | None:
    """A percentile (50, 90 or 99) of samples; None where there are too few."""
    return float(np.percentile(samples, rank)) if len(samples) >= NEEDS[rank] else None


@dataclass(frozen=True)
class Alone:
    """Medians of single requests on the idle server: seconds, and tokens of an answer."""

    first: float
    latency: float
    tokens: float

    @property
    def rate(self) -> float:
        """Requests/s of one after another."""
        return 1 / self.latency


@dataclass(frozen=True)
class Point:
    """One rate of arrivals, and what became of its requests. `window`: seconds of arrivals."""

    served: Served
    window: float
    alone: Alone | None

    @property
    def rate(self) -> float:
        """Requests/s that were offered."""
        return self.served.rate

    @property
    def sent(self) -> int:
        """Requests."""
        return len(self.served.requests)

    @cached_property
    def answers(self) -> list[Request]:
        """Requests that were answered to the end."""
        return [request for request in self.served.requests if request.outcome == "answered" and request.first is not None]

    @cached_property
    def outcomes(self) -> dict[str, int]:
        """How many requests ended how."""
        return dict(Counter(request.outcome for request in self.served.requests))

    @property
    def failed(self) -> int:
        """Requests without a whole answer."""
        return self.sent - len(self.answers)

    @cached_property
    def notes(self) -> dict[str, int]:
        """What the server, or the line to it, said of those that failed → how often; the most frequent first."""
        return dict(Counter(request.note for request in self.served.requests if request.outcome != "answered").most_common())

    @cached_property
    def first(self) -> list[float]:
        """Seconds from a request's moment to its first token, of all answers."""
        return [(request.first or 0.0) - request.due for request in self.answers]

    @cached_property
    def between(self) -> list[float]:
        """Seconds from one piece of an answer to the next, of all answers: of one token to the next where servers stream so."""
        return [gap for request in self.answers for gap in request.gaps]

    @cached_property
    def latency(self) -> list[float]:
        """Seconds from a request's moment to its last token, of all answers."""
        return [(request.end or 0.0) - request.due for request in self.answers]

    @cached_property
    def completed(self) -> float:
        """Answers/s: by the time that so many arrivals stand for, or the longer one that the server needed."""
        if not self.answers:
            return 0.0
        idle = self.alone.latency if self.alone else 0.0
        last = max(request.end or 0.0 for request in self.answers)
        return len(self.answers) / max(self.window + 1 / self.rate, last - idle)

    @property
    def tokens(self) -> float:
        """Tokens/s that were written in whole answers."""
        return self.completed * float(np.mean([request.tokens for request in self.answers])) if self.answers else 0.0

    @cached_property
    def in_time(self) -> int:
        """Answers that were over when arrivals were, or after it no later than an answer usually took in the first half."""
        half = len(self.latency) // 2 or 1
        usual = float(np.median(self.latency[:half])) if self.latency else 0.0
        until = self.window + max(usual, self.alone.latency if self.alone else 0.0)
        return sum((request.end or 0.0) <= until for request in self.answers)

    @cached_property
    def growth(self) -> float | None:
        """Seconds that a first token waits longer for each second of arrivals, by a line through all; None if that cannot be told."""
        due = np.array([request.due for request in self.answers])
        if len(due) < FEW or not due.std():
            return None
        slope, level = np.polyfit(due, self.first, 1)
        rest = np.array(self.first) - slope * due - level
        error = float(np.sqrt(rest @ rest / (len(due) - 2) / ((due - due.mean()) ** 2).sum()))
        return float(slope) if slope - SURE * error > 0 else None

    @property
    def queue_grew(self) -> bool:
        """Whether those who came later clearly waited longer: there was no steady state."""
        return self.growth is not None and self.growth > GROWTH

    @property
    def keeps_up(self) -> bool:
        """No request failed, no queue grew, and all but 5 % (or one) were answered in time, that one not much later."""
        if self.failed or self.queue_grew or not self.sent:
            return False
        arrived = self.sent / (self.window + 1 / self.rate)
        return self.sent - self.in_time <= max((1 - ENOUGH) * self.sent, 1.0) and self.completed >= SLOWEST * arrived

    def goodput(self, within: float = WITHIN) -> float:
        """Answers/s whose first token came within so many seconds."""
        return self.completed * sum(wait <= within for wait in self.first) / len(self.first) if self.first else 0.0


@dataclass(frozen=True)
class Serving:
    """A load test, finished or on its way."""

    run: Run

    @property
    def work(self) -> LoadTest:
        """What was asked."""
        assert isinstance(self.run.spec.work, LoadTest)
        return self.run.spec.work

    @cached_property
    def alone(self) -> Alone | None:
        """The idle server; None before it was asked."""
        single = [one for served in self.run.of(Served) if not served.rate for one in served.requests]
        answers = [request for request in single if request.outcome == "answered" and request.first is not None and request.end]
        if not answers:
            return None
        first, last = ([getattr(request, name) - request.due for request in answers] for name in ("first", "end"))
        return Alone(*(float(np.median(values)) for values in (first, last, [request.tokens for request in answers])))

    @cached_property
    def points(self) -> list[Point]:
        """One for each rate that is over, from low to high."""
        found = [Point(served, self.work.seconds, self.alone) for served in self.run.of(Served) if served.rate]
        return sorted(found, key=lambda point: point.rate)

    @property
    def saturation(self) -> Point | None:
        """The highest rate that it kept up with; None where it kept up with none."""
        return next((point for point in reversed(self.points) if point.keeps_up), None)

    @property
    def beyond(self) -> Point | None:
        """The lowest rate above that; None where it kept up with all."""
        kept = self.saturation.rate if self.saturation else 0.0
        return next((point for point in self.points if point.rate > kept), None)

    @property
    def best(self) -> Point | None:
        """The rate at which most tokens were written."""
        return max(self.points, key=lambda point: point.tokens, default=None)

    @property
    def late(self) -> float:
        """Seconds by which the test itself sent a request too late, at worst; 0 while it runs."""
        return self.run.ended.facts.get("late", 0.0) if isinstance(self.run.ended, Finished) else 0.0
