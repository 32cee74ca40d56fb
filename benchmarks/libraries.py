"""Do other engines do on this machine what the page says they do? The quick race on the trained model, and what must hold:

    python -m benchmarks.libraries [--all]

at least six engines, all of which agree with the uncompressed model in float32; the fastest at least three times as fast as eager
transformers at equal or fewer bytes; a waterfall of each that sums to what was measured; llama.cpp's own clock within 5 % of ours;
guessing ahead writes what the model writes; all of the race within five minutes. Ratios only. Exit code 1 if something does not hold.
`--all`: every engine that runs here, and no limit of time.
"""

import sys
import time

from profiler.analysis.experiment import Experiment, name_of
from profiler.analysis.libraries import Racer, choices, engines, racers
from profiler.analysis.libraries_table import table
from profiler.analysis.recipes import Conditions
from profiler.catalog.machine import available_memory, native_dtype, this_machine
from profiler.catalog.methods import unavailable
from profiler.catalog.models import find
from profiler.cli_jobs import jobs_here
from profiler.record.store import new_id
from profiler.spec.libraries import LIBRARIES, LOOPS
from profiler.spec.methods import Table
from profiler.spec.run import Setup
from profiler.terminal import OUT, follow_all

MODEL = "smollm2-135m"
LIMIT = 300.0  # seconds
GUESSING = ("lookup", "self-draft")


def main(everything: bool) -> int:
    """Measure, print the table, and say what holds."""
    began = time.monotonic()
    raced = measured(LIBRARIES, LIBRARIES.choices if everything else LIBRARIES.quick)
    spent = time.monotonic() - began
    guessed = measured(LOOPS, GUESSING)
    for experiment in (raced, guessed):
        shown(table(experiment))
    told = claims(racers(raced), racers(guessed, LOOPS), spent, everything)
    for sentence, holds in told.items():
        OUT.print(f"{'holds' if holds else 'DOES NOT HOLD'}: {sentence}", highlight=False)
    return 0 if all(told.values()) else 1


def measured(rows: Table, names: tuple[str, ...]) -> Experiment:
    """The runs of those rows that can run here, the baseline among them."""
    row, machine = find(MODEL), this_machine()
    assert row
    model, setup = row.spec(), Setup.model_validate({"threads": machine.cores, "dtype": native_dtype("cpu")})
    kept = tuple(name for name in names if not unavailable(name, setup, model, machine, rows))
    conditions = Conditions(setup=setup, model=model, room=available_memory(), methods=kept)
    plan = (engines if rows is LIBRARIES else choices)(conditions)
    jobs, whole = jobs_here(), name_of("libraries" if rows is LIBRARIES else "choices", new_id())
    return follow_all(jobs, whole, [jobs.submit(spec, "terminal", whole) for spec in plan.specs])


def shown(rows: list[dict[str, str]]) -> None:
    """One block an engine: there are more columns than a terminal is wide."""
    for row in rows:
        OUT.print(
            f"[bold]{row['engine']}[/bold]: " + ", ".join(f"{name} {value}" for name, value in list(row.items())[1:]), highlight=False
        )


def claims(raced: list[Racer], guessed: list[Racer], spent: float, everything: bool) -> dict[str, bool]:
    """Sentence → whether it holds."""
    base = next(racer for racer in raced if racer.first)
    light = [racer for racer in raced if not racer.wrong and racer.one.gain and racer.one.weights <= base.one.weights]
    best = max(light, key=lambda racer: racer.one.gain[0] if racer.one.gain else 0.0)
    assert best.one.gain
    right = [racer for racer in raced if racer.answer and racer.answer.agrees]
    sums = [abs(sum(part.seconds for part in racer.fall.parts) / racer.one.seconds - 1) for racer in raced if racer.fall]
    told = {
        f"{len(raced)} engines were measured, at least 6": len(raced) >= 6,
        f"{len(right)} of {len(raced)} agree with the reference": len(right) == len(raced),
        f"{best.one.title} is {best.one.gain[0]:.2f} times as fast as {base.one.title}, at least 3, with "
        f"{best.one.weights / base.one.weights:.2f} of its bytes": best.one.gain[0] >= 3,
        f"{len(sums)} waterfalls sum to what was measured within {max(sums):.1e}": len(sums) == len(raced) and max(sums) < 0.01,
    }
    for racer in raced:
        if "step_own" in (facts := getattr(racer.run.ended, "facts", {})):
            ratio = facts["step_ours"] / facts["step_own"]
            told[f"{racer.one.title}: our clock over llama.cpp's own, of the same steps: {ratio:.3f}"] = abs(ratio - 1) < 0.05
    for racer in (one for one in guessed if one.run.spec.setup.speculation):
        assert racer.answer
        told[f"{racer.one.title}: the answer is the model's ({racer.answer.told})"] = racer.answer.agrees
    if not everything:
        told[f"the race took {spent:.0f} s, at most {LIMIT:.0f}"] = spent <= LIMIT
    return told


if __name__ == "__main__":
    sys.exit(main("--all" in sys.argv[1:]))
