"""How far a run can be trusted: doubts, each with its level, its numbers and its remedy.

Levels: `note` is good to know, `doubt` widens what a number means, `alarm` says measure again.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from profiler.analysis.moment import moment
from profiler.analysis.waterfall import measured_step
from profiler.record.events import Sample
from profiler.record.run import Run
from profiler.spec.units import words

Level = Literal["note", "doubt", "alarm"]
WORST = ("note", "doubt", "alarm")
ROOTS = {"decode_rate": "time_per_token", "jitter": "time_per_token", "prefill_rate": "time_to_first_token"}  # computed from these


@dataclass(frozen=True)
class Doubt:
    """One reason to read a number with care."""

    level: Level
    about: str  # a metric, or "run" for all of them
    sentence: str


def timed_spans(run: Run) -> list[tuple[float, float]]:
    """(begin, end) of the stretches in which the clock ran."""
    return [(begin, end) for (_, begin, end), phase in zip(run.spans, run.phases) if phase.timed]


def foreign_load(run: Run) -> float | None:
    """Cores that other programs used while the clock ran, on average; None where nothing was sampled then."""
    return _while_timed(run, "foreign")


def own_load(run: Run) -> float | None:
    """Cores that the watching process used while the clock ran."""
    return _while_timed(run, "own")


def _while_timed(run: Run, name: str) -> float | None:
    spans, (times, values) = timed_spans(run), run.sampled(name)
    inside = [value for at, value in zip(times, values) if any(begin + 0.3 < at <= end for begin, end in spans)]
    return float(np.mean(inside)) if inside else None


def core_loads(run: Run) -> list[float]:
    """Busy share of each core while the clock ran, on average."""
    spans = timed_spans(run)
    inside = [sample.cores for sample in run.of(Sample) if any(begin < sample.at <= end for begin, end in spans)]
    return [float(share) for share in np.mean(inside, axis=0)] if inside else []


def missing(run: Run) -> list[str]:
    """Readings that this system does not give, by name."""
    names = {
        "exact memory peak (only Linux resets its mark)": "rss_peak" in run.peak("start"),
        "size of the last-level cache": bool(run.started and run.started.hardware.cache),
        "energy, power and temperature (no NVIDIA device in use)": bool(run.sampled("gpu_power")[1]),
    }
    return [name for name, there in names.items() if not there]


def overhead(run: Run) -> float | None:
    """Time of everything else ÷ time of the measured work; a first download is not counted, nor the libraries' import."""
    timed = sum(end - begin for begin, end in timed_spans(run))
    all_of_it = sum(end - begin for name, begin, end in run.spans if name != "fetch")
    return (all_of_it - timed) / timed if timed else None


def doubts(run: Run) -> list[Doubt]:
    """All reasons for care, worst first."""
    found = [*_neighbours(run), *_drift(run), *_noise(run), *_throttling(run), *_state(run)]
    return sorted(found, key=lambda doubt: -WORST.index(doubt.level))


def level(run: Run, about: str = "run") -> Level | None:
    """The worst level of what concerns one metric; None when there is nothing to doubt."""
    levels = [doubt.level for doubt in doubts(run) if doubt.about in ("run", ROOTS.get(about, about))]
    return max(levels, key=WORST.index, default=None)


def _neighbours(run: Run):
    foreign = foreign_load(run)
    if foreign is not None and foreign > 0.15:
        yield Doubt(
            "alarm" if foreign > 0.5 else "doubt",
            "run",
            f"Other programs used {foreign:.2f} cores while the clock ran; close them and measure again.",
        )
    own = own_load(run)
    if own is not None and own > 0.05:
        yield Doubt("doubt", "run", f"Watching took {own:.2f} cores while the clock ran; close other tabs that show this run.")


def _drift(run: Run):
    now = moment(run)
    if now is None:
        return
    if now.drift > 0.1:
        yield Doubt(
            "alarm" if now.drift > 0.25 else "doubt",
            "share",
            f"The machine's own speed changed by {words(now.drift, '%')} during the run (short test reads around it); shares of "
            f"the ceilings are that uncertain.",
        )


def _noise(run: Run):
    for phase, metric in (("prefill", "time_to_first_token"), ("decode", "time_per_token")):
        steps = measured_step(run, phase)
        if steps is None:
            continue
        if len(steps) < 3:
            yield Doubt("doubt", metric, f"Only {len(steps)} samples of {phase}; the interval says little.")
        elif steps.spread > 0.1:
            yield Doubt(
                "alarm" if steps.spread > 0.25 else "doubt",
                metric,
                f"{phase.capitalize()} times vary: the middle half of them spans {words(steps.spread, '%')} of the median.",
            )


def _throttling(run: Run):
    _, slowed = run.sampled("gpu_throttled")
    if any(slowed):
        yield Doubt("alarm", "run", f"The GPU was slowed down by power or heat in {sum(map(bool, slowed))} of {len(slowed)} readings.")


def _state(run: Run):
    facts = getattr(run.ended, "facts", {})
    if facts.get("steady") == 0.0:
        yield Doubt("doubt", "time_per_token", "Step times had not settled when the warm-up's 3 s were over.")
    if facts.get("swapped", 0) > 0:
        yield Doubt("alarm", "run", f"The machine swapped {words(facts['swapped'], 'B')} while the clock ran: memory is too small.")
    if run.ceilings and run.ceilings.disturbed:
        yield Doubt("doubt", "share", "The ceilings were measured on a busy machine and are not kept.")
    if run.started and run.started.hardware.huge_pages == "never" and run.spec.setup.huge_pages:
        yield Doubt("note", "run", "Huge pages were asked for, but this system has them switched off.")
