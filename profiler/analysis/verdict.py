"""The verdict: one of a closed list, with its evidence in one sentence of numbers.

At least 60 % of the time on a roof: that roof binds. Otherwise the largest excess names it: kernels that are slower than
the roof, the framework around them, or waiting for a processor, which is no answer about the model. If the answer changes
between the canaries' quartiles, it is none.
"""

from dataclasses import dataclass
from typing import Literal

from profiler.analysis.moment import LOWER, MEDIAN, PHASES, UPPER, cost_of
from profiler.analysis.operators import slowest
from profiler.analysis.trust import foreign_load
from profiler.analysis.waterfall import Waterfall, waterfall
from profiler.record.events import Traced
from profiler.record.run import Run
from profiler.spec.units import words

Kind = Literal["compute-bound", "bandwidth-bound", "kernel-bound", "overhead-bound", "capacity-bound", "inconclusive", "impossible"]
ON_THE_ROOF = 0.6
BEYOND = 1.1  # share of a roof that cannot be noise
BUSY = 0.5  # cores of foreign work that veto a verdict
MEANING = {
    "compute-bound": "The processor's arithmetic is the limit: fewer or smaller multiplications help, faster memory does not.",
    "bandwidth-bound": "Moving the weights and the cache from memory is the limit: fewer bytes help, more arithmetic units do not.",
    "kernel-bound": "The library's kernels are far from what the hardware can do at this shape: another kernel, number format or "
    "library helps.",
    "overhead-bound": "Most time beyond physics passes outside kernels, in Python and the framework: fewer, larger operators help.",
    "capacity-bound": "The machine ran out of memory and moved pages to disk: nothing else matters until it fits.",
    "inconclusive": "The measurement does not carry an answer: see why, and measure again.",
    "impossible": "Faster than its own ceiling: the ceilings are wrong; measure them again.",
}


@dataclass(frozen=True)
class Verdict:
    """What limits one phase, and why we say so."""

    phase: str
    kind: Kind
    sentence: str

    @property
    def meaning(self) -> str:
        """What this kind of limit means for a person."""
        return MEANING[self.kind]


def verdict(run: Run, phase: str) -> Verdict | None:
    """The verdict on one phase; None before it was measured."""
    fall = waterfall(run, phase)
    if fall is None:
        return None
    kind, why = _veto(run) or _stable(run, phase)
    return Verdict(phase, kind, why or _sentence(run, fall, kind))


def _veto(run: Run) -> tuple[Kind, str] | None:
    swapped = getattr(run.ended, "facts", {}).get("swapped", 0)
    if swapped > 1 << 20:
        return (
            "capacity-bound",
            f"{words(swapped, 'B')} were swapped while the clock ran: the model and its neighbours do not fit in memory.",
        )
    foreign = foreign_load(run)
    if foreign is not None and foreign > BUSY:
        return "inconclusive", f"Other programs used {foreign:.1f} cores while the clock ran; close them and measure again."
    return None


def _stable(run: Run, phase: str) -> tuple[Kind, str]:
    """The kind, if the middle half of the canaries agrees on it."""
    kinds = [classify(fall) for quartile in (LOWER, MEDIAN, UPPER) if (fall := waterfall(run, phase, quartile))]
    if len(set(kinds)) == 1:
        return kinds[1], ""
    low, high = kinds[0], kinds[-1]
    return "inconclusive", (
        f"The machine's own speed changed during the run: by its slower moments this is {low}, by its faster "
        f"ones {high}. Measure again, on a quieter machine."
    )


def classify(fall: Waterfall) -> Kind:
    """The kind of limit that a waterfall shows."""
    share = fall.ideal / fall.measured
    if share > BEYOND:
        return "impossible"
    if share >= ON_THE_ROOF:
        return "compute-bound" if fall.binding == "compute" else "bandwidth-bound"
    kernels, framework, waiting = fall.of("kernels"), fall.of("framework"), fall.of("waiting")
    if not fall.told or waiting > max(kernels, framework):
        return "inconclusive"
    return "kernel-bound" if kernels >= framework else "overhead-bound"


def beaten(run: Run) -> bool:
    """Whether a finished run was faster than its ceilings allow, in any phase: they must be measured again."""
    return any((found := verdict(run, phase)) is not None and found.kind == "impossible" for phase in PHASES)


def _sentence(run: Run, fall: Waterfall, kind: Kind) -> str:
    """The evidence, in numbers."""
    what = "token" if fall.phase == "decode" else "prompt"
    took, need, share = words(fall.measured, "s"), _need(run, fall), words(fall.ideal / fall.measured, "%")
    kernels, framework = fall.of("kernels"), fall.of("framework")
    bound = f"{share} of the {took} per {what} are what physics asks for: {need}."
    sentences: dict[Kind, str] = {
        "compute-bound": bound,
        "bandwidth-bound": bound,
        "kernel-bound": f"Of {took} per {what}, {words(kernels, 's')} ({words(kernels / fall.measured, '%')}) are the kernels' own "
        f"slowness: {need} ({share}){_slowest(run, fall)}.",
        "overhead-bound": f"Of {took} per {what}, {words(framework, 's')} ({words(framework / fall.measured, '%')}) pass outside kernels; "
        f"{need} ({share}).",
        "impossible": f"A {what} took {took}, but {need}: faster than the ceiling, so the ceiling is wrong.",
        "inconclusive": f"Of {took} per {what}, {need} ({share}); {_untold(run, fall)}",
    }
    return sentences[kind]


def _slowest(run: Run, fall: Waterfall) -> str:
    """Which part of the model loses most in its kernels, and how far from its roof it is."""
    kernels = [part for part in fall.parts if part.kind == "kernels"]
    part = max(kernels, key=lambda part: part.seconds, default=None)
    row = slowest(run, fall.phase, part.name) if part else None
    if part is None or row is None:
        return ""
    return f", and most of it is lost in {part.name}, where {row.op} reaches {words(row.share, '%')} of its own roof"


def _untold(run: Run, fall: Waterfall) -> str:
    """Why there is no answer."""
    if fall.told:
        return f"the measuring thread had no processor for {words(fall.of('waiting'), 's')}: other work ran. Measure on a quieter machine."
    note = next((traced.note for traced in run.of(Traced) if traced.note), "")
    return f"the rest could not be told apart: {note or 'this run has no operator trace. Measure again with one.'}"


def _need(run: Run, fall: Waterfall) -> str:
    """What physics needs, in words."""
    cost, least = cost_of(run, fall.phase), words(fall.ideal, "s")
    if fall.binding == "compute":
        return f"the {words(cost.flops, 'FLOP')} need {least} at this machine's {words(cost.flops / fall.ideal, 'FLOP/s')}"
    return f"reading {words(cost.bytes, 'B')} needs {least} at this machine's {words(cost.bytes / fall.ideal, 'B/s')}"
