"""Proof by intervention: change one resource, measure, and see whether the verdict foretold what happened.

For each change there are two forecasts: the verdict's, from the waterfall, and the rival's, which holds if the verdict is
wrong. What is measured decides between them, if it can: the border is half-way between both (in ratios), and noise that
reaches over the border leaves the question open. The baseline is measured again between the changes, and each change is
compared with the ones around it, so that a machine that drifts widens the noise instead of deciding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import log, sqrt
from typing import Literal

from profiler.analysis.changes import Change, Range, changed, changes
from profiler.analysis.verdict import Verdict, verdict
from profiler.analysis.waterfall import Waterfall, measured_step, waterfall
from profiler.record.run import Run
from profiler.spec.run import RunSpec
from profiler.spec.units import words

EVERY = 3  # changes between two baselines
APART = log(1.1)  # forecasts that are closer than this cannot be told apart
BEYOND = log(1.5)  # an effect that is so much larger than foretold is not the one that was foretold
SECONDS = 2.0  # of timed work in each run
OWN = {"compute-bound": "compute", "bandwidth-bound": "bandwidth", "kernel-bound": "kernels", "overhead-bound": "framework"}
Answer = Literal["confirms", "refutes", "larger", "open", "says little", "waiting", "failed", "not run"]


@dataclass(frozen=True)
class Trial:
    """One change: what was foretold and what was measured, as ratios of times to the baseline."""

    change: Change
    predicted: Range | None  # by the verdict
    rival: float | None  # if the verdict were wrong
    measured: float | None
    noise: Range | None  # 95 %, drift of the baselines included
    answer: Answer
    run: Run | None  # the one that measured it
    wider: float = 1.0  # its batch, as a multiple of the baseline's


@dataclass(frozen=True)
class Proof:
    """All trials of one phase's verdict."""

    verdict: Verdict
    trials: tuple[Trial, ...]

    def count(self, answer: Answer) -> int:
        """How many trials answered so."""
        return sum(trial.answer == answer for trial in self.trials)

    @property
    def done(self) -> bool:
        """Nothing more will come."""
        return not self.count("waiting")

    @property
    def outcome(self) -> Literal["confirmed", "refuted", "mixed", "open"]:
        """What the decisive trials say together."""
        yes, no = self.count("confirms"), self.count("refutes")
        if yes and no:
            return "mixed"
        return "confirmed" if yes else "refuted" if no else "open"

    @property
    def sentence(self) -> str:
        """The outcome in numbers."""
        yes, no, kind = self.count("confirms"), self.count("refutes"), self.verdict.kind
        undecided = len(self.trials) - yes - no
        told = {
            "confirmed": f"Proved: {yes} of {yes + no} decisive experiments went as “{kind}” foretold",
            "refuted": f"Refuted: {no} of {yes + no} decisive experiments went against “{kind}”",
            "mixed": f"Mixed: {yes} of {yes + no} decisive experiments went as “{kind}” foretold, {no} against it",
            "open": f"Not decided: no experiment could tell “{kind}” from another limit",
        }
        larger = f", in {self.count('larger')} of them the effect was larger than foretold" if self.count("larger") else ""
        return f"{told[self.outcome]}; {undecided} could not decide{larger}."


def provable(run: Run) -> bool:
    """Whether some phase has a verdict that an experiment can test."""
    return any((found := verdict(run, phase)) and found.kind in OWN for phase in ("decode", "prefill"))


def name_of(run: Run) -> str:
    """What the runs of a run's proof are part of."""
    return f"proof-{run.id}"


def quick(spec: RunSpec) -> RunSpec:
    """The spec as a proof measures it: shorter, without a trace."""
    return changed(spec, work={"trace": False, "seconds": min(SECONDS, spec.generate.seconds)})


def proving(run: Run, phase: str) -> list[Change]:
    """The changes that a proof is made of."""
    return [change for change in changes(run, phase) if change.proves]


def plan(run: Run, fits: Callable[[RunSpec], bool]) -> list[RunSpec]:
    """What to measure, in order: the baseline, then the changes that fit into memory, with the baseline again after every few."""
    wanted: list[RunSpec] = []
    for change in proving(run, "decode"):
        for spec in (change.against, change.spec):
            if spec and quick(spec) not in wanted and fits(spec):
                wanted.append(quick(spec))
    base, planned = quick(run.spec), []
    for start in range(0, len(wanted), EVERY):
        planned += [base, *wanted[start : start + EVERY]]
    return [*planned, base]


def proof(run: Run, phase: str, parts: list[Run]) -> Proof | None:
    """The proof of one phase's verdict from what was measured so far; None where there is no verdict to prove."""
    found, fall = verdict(run, phase), waterfall(run, phase)
    if found is None or fall is None or found.kind not in OWN:
        return None
    return Proof(found, tuple(trial(change, found, fall, run, phase, parts) for change in proving(run, phase)))


def trial(change: Change, found: Verdict, fall: Waterfall, run: Run, phase: str, parts: list[Run]) -> Trial:
    """One change, judged."""
    predicted, rival = change.effect(fall), rival_of(change, found)
    at = next((index for index, part in enumerate(parts) if part.spec == quick(change.spec)), None)
    if at is None:
        return Trial(change, predicted, rival, None, None, "not run", None)
    part = parts[at]
    around = _around(parts, at, quick(change.against or run.spec))
    if not all(one.done for one in (part, *around)):
        return Trial(change, predicted, rival, None, None, "waiting", part)
    ratio = _ratio(part, around, phase)
    if ratio is None:
        return Trial(change, predicted, rival, None, None, "failed", part)
    measured, noise = ratio
    answer = judge(predicted, rival, measured, noise, change.only_confirms)
    wider = part.spec.generate.batch / (change.against or run.spec).generate.batch
    return Trial(change, predicted, rival, measured, noise, answer, part, wider)


def rival_of(change: Change, found: Verdict) -> float | None:
    """What would happen if the verdict were wrong; None where no forecast is far enough from the verdict's own.

    If the change touches what the verdict names, the rival is that nothing happens; if it does not, that the step is limited
    by what the change touches most.
    """
    own = change.factors[OWN[found.kind]]
    if own is None:
        return None
    if distance(1.0, own) > APART:
        return 1.0
    others = [_mildest(factor) for limit, factor in change.factors.items() if factor and limit != OWN[found.kind]]
    farthest = max(others, key=lambda factor: abs(log(factor)), default=1.0)
    return farthest if abs(log(farthest)) > APART else None


def judge(predicted: Range | None, rival: float | None, measured: float, noise: Range, only_confirms: bool = False) -> Answer:
    """Which forecast the measured ratio agrees with, and whether the noise lets it say so."""
    if predicted is None or rival is None or distance(rival, predicted) < APART:
        return "says little"
    edge = min(max(rival, predicted[0]), predicted[1])
    border = sqrt(max(edge, 1e-3) * rival)
    if noise[0] <= border <= noise[1]:
        return "open"
    if (measured < border) == (edge < rival):
        return "confirms" if _gap(noise, predicted) <= BEYOND else "larger"
    return "open" if only_confirms else "refutes"


def _gap(noise: Range, predicted: Range) -> float:
    """How far two ranges are apart, as a logarithm; 0 where they overlap."""
    return max(log(max(predicted[0], 1e-3) / noise[1]), log(noise[0] / predicted[1]), 0.0)


def distance(value: float, held: Range) -> float:
    """How far a ratio is from a range, as a logarithm; 0 inside."""
    low, high = max(held[0], 1e-3), held[1]
    return max(log(low / value), log(value / high), 0.0)


def _mildest(factor: Range) -> float:
    """The end of a range that is nearest to no change."""
    return min(factor, key=lambda end: abs(log(max(end, 1e-3))))


def _around(parts: list[Run], at: int, against: RunSpec) -> list[Run]:
    """The nearest baselines before and after."""
    same = [index for index, part in enumerate(parts) if part.spec == against]
    before = [index for index in same if index < at][-1:]
    after = [index for index in same if index > at][:1]
    return [parts[index] for index in before + after]


def _ratio(part: Run, baselines: list[Run], phase: str) -> tuple[float, Range] | None:
    """Median over the baselines' medians, and the range that both intervals allow; None while one of them is missing."""
    ours = measured_step(part, phase)
    theirs = [steps for base in baselines if (steps := measured_step(base, phase))]
    if ours is None or not theirs:
        return None
    middle = sum(steps.median for steps in theirs) / len(theirs)
    low, high = min(steps.interval[0] for steps in theirs), max(steps.interval[1] for steps in theirs)
    return ours.median / middle, (ours.interval[0] / high, ours.interval[1] / low)


def rows(found: Proof) -> list[dict[str, str]]:
    """One row a trial, in words."""
    return [
        {
            "change": trial.change.title,
            "foretold": _times(trial.predicted),
            "if it were wrong": _times((trial.rival, trial.rival) if trial.rival else None),
            "measured": _times((trial.measured, trial.measured) if trial.measured else None),
            "noise": _times(trial.noise),
            "answer": trial.answer if trial.run is None or trial.run.status != "failed" else f"failed: {trial.run.reason}",
            "why": trial.change.why,
        }
        for trial in found.trials
    ]


def gain_of(found: Proof | None, spec: RunSpec) -> float | None:
    """Tokens a second that a change of the run itself brought in its proof, as a ratio; None where that was not measured."""
    trials = found.trials if found else ()
    trial = next((trial for trial in trials if trial.change.spec == spec and not trial.change.against), None)
    return trial.wider / trial.measured if trial and trial.measured else None


def _times(ratio: Range | None) -> str:
    """A ratio of times in words."""
    if ratio is None:
        return "–"
    low, high = (words(value, "1") for value in ratio)
    return f"× {low}" if low == high else f"× {low} to {high}"


def told(found: Proof | None) -> dict | None:
    """The proof as plain values, ready for JSON."""
    if found is None:
        return None
    return {
        "verdict": found.verdict.kind,
        "outcome": found.outcome,
        "sentence": found.sentence,
        "trials": [
            {
                "name": trial.change.name,
                "title": trial.change.title,
                "predicted": trial.predicted,
                "rival": trial.rival,
                "measured": trial.measured,
                "noise": trial.noise,
                "answer": trial.answer,
                "run": trial.run.id if trial.run else None,
                "command": trial.change.spec.command,
            }
            for trial in found.trials
        ],
    }
