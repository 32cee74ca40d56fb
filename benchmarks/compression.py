"""Does compression do on this machine what the page says it does? The quick experiment on the trained model, and what must hold:

    python -m benchmarks.compression [--all]

at least five variants; int8 within 2 % of the baseline's perplexity; at least two quantized variants faster than bfloat16 at
decode, for certain; magnitude pruning worse than Wanda; structured pruning smaller and faster; all of it within four minutes.
Beside each measured speed-up stands what was foretold, and what fewer
bytes and FLOPs would bring alone. Ratios only: every variant is held against the
uncompressed model of the same experiment. Exit code 1 if something does not hold. `--all`: every method that runs here.
"""

import sys
import time

from rich.table import Table

from profiler.analysis.compression import Variant, methods, variants
from profiler.analysis.experiment import Experiment, name_of
from profiler.analysis.recipes import Conditions
from profiler.catalog.machine import available_memory, this_machine
from profiler.catalog.methods import possible
from profiler.catalog.models import find
from profiler.cli_jobs import jobs_here
from profiler.record.store import new_id
from profiler.spec.methods import METHODS
from profiler.spec.run import Setup
from profiler.terminal import OUT, follow_all
from profiler.theory.compressed import forecast

MODEL = "smollm2-135m"
LIMIT = 240.0  # seconds


def main(everything: bool) -> int:
    """Measure, print the table, and say what holds."""
    row = find(MODEL)
    assert row
    setup = Setup.model_validate({"threads": this_machine().cores, "dtype": "bfloat16"})
    chosen = [name for name in possible(setup, row.spec(), this_machine()) if everything or METHODS[name].quick]
    plan = methods(Conditions(setup=setup, model=row.spec(), room=available_memory(), methods=tuple(chosen)))
    jobs, whole, began = jobs_here(), name_of("compression", new_id()), time.monotonic()
    experiment = follow_all(jobs, whole, [jobs.submit(spec, "terminal", whole) for spec in plan.specs])
    spent, found = time.monotonic() - began, variants(experiment)
    OUT.print(table(found, experiment))
    told = claims({one.name: one for one in found}, spent, everything)
    for sentence, holds in told.items():
        OUT.print(f"{'holds' if holds else 'DOES NOT HOLD'}: {sentence}", highlight=False)
    return 0 if all(told.values()) else 1


def table(found: list[Variant], experiment: Experiment) -> Table:
    """One row a variant."""
    made = Table("method", "tok/s", "x measured", "x foretold", "x by bytes", "weights", "file", "perplexity", "KL", "agree", "cloze")
    roofs = next((run.ceilings for run in experiment.finished if run.ceilings), None)
    base = found[0].run.spec
    for one in found:
        seen = forecast(one.run.spec, base, roofs, this_machine().name) if roofs else None
        judged = one.quality
        made.add_row(
            one.title,
            f"{one.rate:.1f}",
            f"{one.gain[0]:.2f}" if one.gain else "1",
            f"{seen.expected:.2f}" if seen and seen.expected else "-",
            f"{seen.physics:.2f}" if seen else "-",
            f"{one.weights / 1e6:.0f} MB",
            f"{(one.fact('file_bytes') or 0) / 1e6:.0f} MB",
            *(
                (f"{judged.loss:+.2%}", f"{judged.divergence.value:.4f}", f"{judged.agreement.value:.1%}", f"{judged.right or 0:.1%}")
                if judged
                else ()
            ),
        )
    return made


def _cut(found: list[Variant], base: Variant) -> str:
    return ", ".join(f"{one.weights / base.weights:.2f} of the weights at x {one.gain[0]:.2f}" for one in found if one.gain)


def claims(found: dict[str, Variant], spent: float, everything: bool) -> dict[str, bool]:
    """What must hold → whether it does."""
    fast = [one for one in found.values() if one.run.spec.setup.quantization and one.faster]
    int8, zeros, wanda, base = (found[name].quality for name in ("int8", "magnitude", "wanda", "none"))
    cut = [found[name] for name in ("channels", "layers")]
    assert int8
    assert zeros
    assert wanda
    assert base
    told = {
        f"{len(found)} variants were measured, at least five": len(found) >= 5,
        f"int8's perplexity is {int8.loss - base.loss:+.2%} of the baseline's, within 2 %": abs(int8.loss - base.loss) <= 0.02,
        f"{len(fast)} quantized variants are faster than bfloat16 for certain, at least two": len(fast) >= 2,
        f"magnitude loses {zeros.loss:+.0%}, Wanda {wanda.loss:+.0%}": zeros.loss_interval[0] > wanda.loss_interval[1],
        f"with parts taken out, {_cut(cut, found['none'])}: smaller, and faster for certain": (
            all(one.weights < found["none"].weights for one in cut) and any(one.faster for one in cut)
        ),
    }
    return told if everything else told | {f"it took {spent:.0f} s, at most {LIMIT:.0f}": spent <= LIMIT}


if __name__ == "__main__":
    sys.exit(main("--all" in sys.argv[1:]))
