"""How well is a run on this machine predicted? Models of the catalogue, dense and mixtures of experts, each measured as
always in a fresh process and predicted from the ceilings of that very run, which know nothing of the model.

    python -m benchmarks.predicted [MODEL ...] [--quick]

The machine must be quiet: a neighbour takes from the model what short probes do not see, and a thread that waits for another
on a shared core waits long. `others` are the cores that other programs used meanwhile; the rows without any are summed up apart.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
from rich.table import Table

from profiler.analysis.foretold import Foretold, foretold, span
from profiler.analysis.moment import PHASES
from profiler.analysis.trust import foreign_load
from profiler.catalog.machine import available_memory, this_machine
from profiler.catalog.models import find
from profiler.record.jobs import Jobs
from profiler.record.run import Run
from profiler.record.store import Store
from profiler.spec.run import RunSpec, Setup
from profiler.spec.units import words
from profiler.spec.work import Generate
from profiler.terminal import OUT
from profiler.theory.memory import fits

MODELS = (
    "smollm2-135m",
    "gpt2",
    "pythia-160m",
    "gemma-3-270m",
    "qwen2.5-0.5b",
    "llama-3.2-1b",
    "granite-3.0-1b-a400m",
)
FORMATS = ("float32", "bfloat16")
FOREIGN = 0.15  # cores that other programs used while the clock ran, from which on a row does not judge the prediction
WORK = ((1, 128), (1, 512), (4, 128))  # batch and tokens of the prompt


def main(names: list[str]) -> None:
    """Measure, then print the table and what it comes to."""
    wanted = [name for name in names if not name.startswith("-")] or MODELS
    found: list[tuple[Run, Foretold]] = []
    for name, dtype, (batch, prompt) in product(wanted, FORMATS, WORK[:1] if "--quick" in names else WORK):
        row = find(name)
        assert row, name
        work = Generate(batch=batch, prompt_tokens=prompt, new_tokens=32, seconds=5.0, trace=False)
        spec = RunSpec(
            model=row.spec(random=True), work=work, setup=Setup.model_validate({"threads": this_machine().cores, "dtype": dtype})
        )
        if not fits(spec, this_machine(), available_memory()):
            print(f"Left out, since it does not fit: {spec.title}", file=sys.stderr)
            continue
        run = measured(spec)
        for each in filter(None, (foretold(run, phase) for phase in PHASES)):
            found.append((run, each))
            print(f"{spec.title}, {each.phase}: {each.sentence} (load {os.getloadavg()[0]:.1f})", file=sys.stderr)
    OUT.print(table(found))
    for line in summary(found):
        OUT.print(line, highlight=False)


def measured(spec: RunSpec) -> Run:
    """A run with a store of its own, so that no ceilings are kept from the last one."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "runs.sqlite")
        id = Jobs(store, this_machine()).submit(spec, source="terminal")
        while not (run := store.run(id)).done:
            time.sleep(1)
    if run.status != "finished":
        sys.exit(f"{spec.title}: {run.reason}")
    return run


def table(found: list[tuple[Run, Foretold]]) -> Table:
    """A line for each phase of each run."""
    shown = Table(
        "model", "format", "batch", "prompt", "phase", "predicted", "interval", "measured", "error", "others", box=None, header_style="dim"
    )
    for run, each in found:
        work, model = run.spec.generate, run.spec.model
        assert model
        error = f"{100 * (1 / each.ratio - 1):+.0f} %{'' if each.inside else ' outside'}"
        expected = words(each.expected.time, "s"), span(each.expected), words(each.measured, "s")
        others = f"{foreign_load(run) or 0.0:.2f}"
        shown.add_row(model.name, run.spec.setup.dtype, str(work.batch), str(work.prompt_tokens), each.phase, *expected, error, others)
    return shown


def summary(found: list[tuple[Run, Foretold]]) -> list[str]:
    """Median error and the share inside the interval, by phase, then by format and by kind of model."""
    kinds: dict[str, Callable[[Run], bool]] = {
        "all": lambda run: True,
        "quiet": lambda run: (foreign_load(run) or 0.0) < FOREIGN,
        "float32": lambda run: run.spec.setup.dtype == "float32",
        "bfloat16": lambda run: run.spec.setup.dtype == "bfloat16",
        "dense": lambda run: not (run.spec.model and run.spec.model.moe),
        "experts": lambda run: bool(run.spec.model and run.spec.model.moe),
        "batch 1": lambda run: run.spec.generate.batch == 1,
        "batch 4": lambda run: run.spec.generate.batch == 4,
    }
    lines = []
    for (title, belongs), phase in product(kinds.items(), PHASES):
        some = [each for run, each in found if each.phase == phase and belongs(run)]
        if some:
            errors = np.array([1 / each.ratio - 1 for each in some])
            inside = np.mean([each.inside for each in some])
            lines.append(
                f"{title:9} {phase:8} {len(some):3} runs: median error {np.median(np.abs(errors)):.1%}, "
                f"bias {np.median(errors):+.1%}, inside the interval {inside:.0%}"
            )
    return lines


if __name__ == "__main__":
    main(sys.argv[1:])
