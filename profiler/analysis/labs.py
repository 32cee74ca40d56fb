"""Labs: experiments made of several runs. A lab is a recipe, one row of LABS: what to vary, where a run stands on the axis,
and what to say about the result. To add one is to add a row here, and its figure in profiler/figures/lab.py.
"""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from profiler.analysis import (
    batching,
    compression,
    compression_table,
    compression_words,
    findings,
    libraries,
    libraries_table,
    libraries_words,
    promises,
    recipes,
    sensitivity,
)
from profiler.analysis.experiment import Experiment, Place, by_batch, by_bytes, by_context
from profiler.analysis.findings import Finding
from profiler.analysis.recipes import Conditions, Plan
from profiler.spec.libraries import LIBRARIES, LOOPS
from profiler.spec.machine import Ceilings
from profiler.spec.methods import COMPRESSION, Table
from profiler.spec.run import RunSpec, Setup
from profiler.theory.predict import Bound, predict

Lines = dict[str, list[tuple[float, Bound]]]  # series → (x, the least time there)


@dataclass(frozen=True)
class Lab:
    """One recipe."""

    name: str
    title: str
    question: str
    plan: Callable[[Conditions], Plan]
    finding: Callable[[Experiment], Finding]
    promise: Callable[[list[RunSpec], dict[str, Ceilings]], str]  # a title, on known roofs
    axis: str = ""
    unit: str = "1"  # of the axis, in SI
    place: Place | None = None  # None: its runs tell curves of the machine, not steps of a model
    grid: Callable[[list[RunSpec]], list[RunSpec]] = lambda specs: specs  # where the predicted line is computed
    asks: tuple[str, ...] = ("model", "dtype", "threads", "device", "thorough")  # what a person chooses
    table: Callable[[Experiment], list[dict[str, str]]] | None = None  # its data in words, where they are not steps along an axis
    brief: Callable[[Experiment], list[dict[str, str]]] | None = None  # the same in fewer columns, for a terminal
    values: Callable[[Experiment], list[dict[str, Any]]] | None = None  # the same as plain values, for JSON
    ways: Table | None = None  # what it compares, where a person chooses among named ways to run a model
    needs: tuple[str, ...] = ()  # methods of compression that it takes where they can run
    published: bool = False  # starts in the number format that most models are published in


LABS = {
    lab.name: lab
    for lab in (
        Lab(
            "batch",
            "Batch sweep",
            "How many sequences at once until arithmetic, not memory, sets the pace of decode?",
            recipes.batches,
            findings.batch,
            promises.batch,
            "batch",
            "1",
            by_batch,
            recipes.batch_grid,
        ),
        Lab(
            "matmul",
            "Matrix products",
            "How fast are matrix products here, by size, number format and threads?",
            recipes.products,
            findings.matmul,
            promises.matmul,
            asks=("threads",),
        ),
        Lab(
            "staircase",
            "Cache staircase",
            "How fast can memory be read, from the first cache to main memory?",
            recipes.staircase,
            findings.staircase,
            promises.staircase,
            asks=("threads", "device"),
        ),
        Lab(
            "bytes",
            "Time against bytes",
            "Does decode time follow the bytes of the model, and at which bandwidth?",
            recipes.ladder,
            findings.model_bytes,
            promises.model_bytes,
            "bytes read per token",
            "B",
            by_bytes,
            asks=("dtypes", "threads", "device", "thorough"),
        ),
        Lab(
            "context",
            "Growth with context",
            "What does a longer context, and its KV cache, cost each token?",
            recipes.contexts,
            findings.context,
            promises.context,
            "tokens of context",
            "1",
            by_context,
            recipes.context_grid,
        ),
        Lab(
            "compression",
            "Compare methods",
            "Does a smaller model run faster here, and is it still as good?",
            compression.methods,
            compression_words.finding,
            compression_words.promise,
            "method",
            "1",
            compression.by_method,
            asks=("model", "dtype", "threads", "device", "thorough", "text"),
            table=compression_table.table,
            brief=compression_table.brief,
            values=compression_table.values,
            ways=COMPRESSION,
            published=True,
        ),
        Lab(
            "libraries",
            "Race of engines",
            "How fast is the same model in other engines, and are the answers the same?",
            libraries.engines,
            libraries_words.engines,
            libraries_words.promised(LIBRARIES),
            "engine",
            "1",
            libraries.placed(LIBRARIES),
            table=libraries_table.table,
            brief=libraries_table.brief,
            values=libraries_table.values,
            ways=LIBRARIES,
        ),
        Lab(
            "choices",
            "Choices of the loop",
            "What do caches, guesses, chunks and threads bring, with the same engine?",
            libraries.choices,
            libraries_words.choices,
            libraries_words.promised(LOOPS),
            "choice",
            "1",
            libraries.placed(LOOPS),
            table=libraries_table.table,
            brief=libraries_table.brief,
            values=libraries_table.values,
            ways=LOOPS,
        ),
        Lab(
            "sensitivity",
            "Layer by layer",
            "Which layers bear quantization badly?",
            sensitivity.plan,
            sensitivity.finding,
            sensitivity.promise,
            asks=("model", "dtype", "quantization", "threads", "device", "thorough", "text"),
            table=sensitivity.table,
            published=True,
        ),
        Lab(
            "batching",
            "Many requests",
            "What do batches bring when many ask at once, and what does continuous batching bring beyond?",
            batching.plan,
            batching.finding,
            batching.promise,
            table=batching.table,
            brief=batching.brief,
            values=batching.values,
            needs=(batching.LLAMACPP,),
        ),
    )
}


def lab(name: str) -> Lab:
    """The lab of that name. Raises ValueError of one sentence."""
    if name not in LABS:
        raise ValueError(f"There is no lab {name!r}; there are {', '.join(LABS)}.")
    return LABS[name]


def conclude(lab: Lab, experiment: Experiment) -> Finding:
    """What the experiment found; no conclusion where other programs took part in it."""
    found = lab.finding(experiment)
    points = experiment.landed(lab.place) if lab.place else []
    busy = [point for point in points if point.disturbed]
    if not busy:
        return found
    separator = "\n" if "\n" in found.sentence else " "
    which = f"{len(busy)} of the {len(points)} points {'were' if len(busy) > 1 else 'was'} measured"
    warned = f"{separator}Other programs were busy while {which} (hollow in the figure): run it again on a quieter machine."
    if len(busy) * 2 < len(points):
        return replace(found, sentence=found.sentence + warned)
    return replace(found, title="Inconclusive: other programs were busy meanwhile", sentence=found.sentence + warned, conclusive=False)


def planned(lab: Lab, c: Conditions) -> Plan:
    """The plan. Raises ValueError of one sentence when nothing can be run."""
    plan = lab.plan(c)
    if not plan.specs:
        raise ValueError(f"Nothing of this experiment fits here: {plan.left_out[0]}. Choose a smaller model or a 16-bit number format.")
    return plan


def predicted(lab: Lab, specs: list[RunSpec], roofs: dict[str, Ceilings]) -> Lines:
    """Series → (x, bound) along the axis, for the number formats whose roofs are known; empty for curves of the machine."""
    return _bounds(lab, lab.grid(specs) if lab.place else [], roofs)


def aims(lab: Lab, specs: list[RunSpec], roofs: dict[str, Ceilings]) -> Lines:
    """The same, only where the runs themselves should land."""
    return _bounds(lab, specs, roofs)


def _bounds(lab: Lab, specs: list[RunSpec], roofs: dict[str, Ceilings]) -> Lines:
    lines: Lines = {}
    for spec in specs:
        ceilings = roofs.get(spec.setup.dtype)
        if lab.place and ceilings and spec.setup.dtype in ceilings.matmul:
            x, series = lab.place(spec)
            lines.setdefault(series, []).append((x, predict(spec, ceilings)["decode"]))
    return {series: sorted(line, key=lambda point: point[0]) for series, line in lines.items()}


def alike(lab: Lab, ours: list[RunSpec], theirs: list[RunSpec]) -> bool:
    """Whether two lists of runs ask the same: equal set-ups, and equal models and number formats where the lab asks for them."""
    formats = {"dtype", "dtypes"} & set(lab.asks)

    def asked(specs: list[RunSpec]) -> set:
        return {
            (
                spec.model.reference if spec.model and "model" in lab.asks else "",
                spec.setup if formats else spec.setup.model_copy(update={"dtype": Setup().dtype}),
            )
            for spec in specs
        }

    return asked(ours) == asked(theirs)


def command(lab: Lab, c: Conditions) -> str:
    """The command line that repeats an experiment."""
    line = ["python", "-m", "profiler", "lab", lab.name]
    line += ["--model", c.model.reference] if "model" in lab.asks and c.model else []
    dtypes = c.dtypes if "dtypes" in lab.asks else (c.setup.dtype,) if "dtype" in lab.asks else ()
    line += [word for dtype in dtypes for word in ("--dtype", dtype)]
    line += ["--threads", str(c.setup.threads), "--device", c.setup.device]
    line += [f"--{lab.ways.key}", ",".join(c.methods)] if lab.ways and c.methods else []
    line += ["--quantization", c.setup.quantization] if "quantization" in lab.asks and c.setup.quantization else []
    line += ["--text", c.text] if "text" in lab.asks and c.text else []
    return shlex.join(line + (["--thorough"] if c.thorough else []))
