"""The race: the first round of several runs, as if all had started at once.

They are measured one after another (two at once would halve each other); each token's time since the prompt was handed over lets
them be replayed side by side. One round is a picture, not the measurement: the medians over all rounds stand elsewhere.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from profiler.analysis.experiment import Experiment
from profiler.record.events import Step
from profiler.record.run import Run
from profiler.spec.run import RunSpec
from profiler.spec.units import words
from profiler.spec.work import Generate

LONGEST = 2000  # tokens of a race, at most: a page gets all of them with every update
CLOSE = 1.05  # times as long: less is the same time
TitleOf = Callable[[RunSpec], str]  # how a run is called
WrongOf = Callable[[Run], str]  # a sentence on how its answers disagree; empty where they are right


@dataclass(frozen=True)
class Lane:
    """One run on the track; `texts` is empty where nothing tells how the tokens read, else as long as `times`."""

    id: str
    title: str
    goal: int  # tokens that it shall write
    times: tuple[float, ...]  # seconds from the prompt's handing over until each token was there, ascending
    texts: tuple[str, ...] = ()
    status: Literal["queued", "running", "finished", "failed"] = "finished"
    reason: str = ""  # why it failed
    wrong: str = ""  # how its answers disagree
    doing: str = ""  # the phase that a running one is in

    @property
    def first(self) -> float | None:
        """Seconds until the first token was there; None before."""
        return self.times[0] if self.times else None

    @property
    def last(self) -> float | None:
        """Seconds until the newest token was there; None before the first."""
        return self.times[-1] if self.times else None

    @property
    def rate(self) -> float | None:
        """Tokens/s of one answer after its first token, so far; None before the second."""
        spent = self.times[-1] - self.times[0] if self.times else 0.0
        return (len(self.times) - 1) / spent if spent > 0 else None

    @property
    def complete(self) -> bool:
        """Whether all its tokens are there."""
        return bool(self.times) and len(self.times) >= self.goal and self.status != "failed"

    @property
    def over(self) -> bool:
        """Whether nothing more will come on this lane."""
        return self.complete or self.status in ("finished", "failed")

    def written(self, at: float) -> int:
        """Tokens that were there `at` seconds after the prompt was handed over."""
        return bisect_right(self.times, at)


def lanes(experiment: Experiment, title_of: TitleOf, wrong_of: WrongOf = lambda run: "") -> list[Lane]:
    """One for each run that generates, in the order they were asked for."""
    return [_lane(run, title_of(run.spec), wrong_of(run)) for run in experiment.runs if isinstance(run.spec.work, Generate)]


def heard(experiment: Experiment) -> int:
    """How many tokens are on all tracks: when it grows, there is something new to draw."""
    return sum(len(_times(run)) for run in experiment.runs)


def _times(run: Run) -> tuple[float, ...]:
    """Seconds from the prompt's handing over to each token of the first round; the worker's rests between blocks are not in it."""
    prefill, decode = _first_round(run)
    if not prefill:
        return ()
    first = sum(second for step in prefill for second in step.seconds)
    return tuple(accumulate((second for step in decode for second in step.seconds), initial=first))[:LONGEST]


def _first_round(run: Run) -> tuple[list[Step], list[Step]]:
    prefill, decode = ([step for step in run.steps(name) if step.round == 0] for name in ("prefill", "decode"))
    return prefill, decode


def _texts(run: Run) -> tuple[str, ...]:
    """How each token reads; empty where none is told."""
    prefill, decode = _first_round(run)
    told = ["".join(text for step in prefill for text in step.texts)]
    for step in decode:
        told += (step.texts + ("",) * len(step.seconds))[: len(step.seconds)]
    return tuple(told[:LONGEST]) if any(told) else ()


def _lane(run: Run, title: str, wrong: str) -> Lane:
    times = _times(run)
    whole = run.status == "finished" or any(step.round > 0 for step in run.steps("prefill"))  # fewer steps than tokens: some were guessed
    goal = len(times) if whole and times else min(run.spec.generate.new_tokens, LONGEST)
    lost = run.done and run.status != "finished"
    reason = " ".join(part for part in (f"{run.status.capitalize()}." if run.status != "failed" else "", run.reason) if part)
    doing = run.phases[-1].name if run.phases else "starting"
    return Lane(
        id=run.id,
        title=title,
        goal=goal,
        times=times,
        texts=_texts(run),
        status="failed" if lost else run.status,  # type: ignore[arg-type]  # what is neither lost nor open has finished
        reason=reason if lost else "",
        wrong="" if lost else wrong,
        doing=doing if run.status == "running" else "",
    )


def placed(all: list[Lane]) -> list[Lane]:
    """Those that wrote everything, the earliest first; one whose answers are wrong takes no place."""
    return sorted((lane for lane in all if lane.complete and not lane.wrong), key=lambda lane: lane.times[-1])


def finding(all: list[Lane]) -> str:
    """What the race showed, in one sentence without a full stop; empty before anybody has arrived."""
    order = placed(all)
    running = any(not lane.over for lane in all)
    if not order:
        return "" if running or not all else "Nobody arrived with right answers" if any(lane.wrong for lane in all) else "Nobody arrived"
    winner, slowest = order[0], order[-1]
    early = [lane.title for lane in all if lane.wrong and lane.complete and lane.times[-1] < winner.times[-1]]
    beaten = f"; {_listed(early)} came earlier, but with wrong answers" if early else ""
    return f"{'So far ' if running else ''}{_compared(winner, slowest, len(order))}{beaten}"


def _compared(winner: Lane, slowest: Lane, count: int) -> str:
    end = winner.times[-1]
    wrote = f"wrote {len(winner.times)} tokens"
    if count == 1:
        return f"{winner.title} {wrote} in {words(end, 's')}"
    if slowest.times[-1] < CLOSE * end:
        return f"{'both' if count == 2 else f'all {count}'} {wrote} in about {words(end, 's')}"
    meanwhile = slowest.written(end)
    return f"{winner.title} {wrote} while {slowest.title} {f'wrote {meanwhile}' if meanwhile else 'was still reading the prompt'}"


def standing(all: list[Lane]) -> str:
    """Everybody's place, time and speed as text, for those who do not see the lanes."""
    order = placed(all)
    rest = [lane for lane in all if lane not in order]
    return "; ".join([*(f"{place}. {lane.title}: {_told(lane)}" for place, lane in enumerate(order, 1)), *map(_unplaced, rest)])


def _told(lane: Lane) -> str:
    speed = f", {words(lane.rate, 'tok/s')}" if lane.rate else ""
    return f"{len(lane.times)} tokens in {words(lane.last, 's')}{speed}, the first after {words(lane.first, 's')}"


def _unplaced(lane: Lane) -> str:
    if lane.status == "failed":
        return f"{lane.title}: no result. {lane.reason}".rstrip()
    if lane.wrong:
        return f"{lane.title}: wrong answers, no place. {lane.wrong}"
    return f"{lane.title}: {_told(lane)}, so far" if lane.times else f"{lane.title}: {'waits' if lane.status == 'queued' else 'prepares'}"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
