"""Hand-made comparisons of engines and choices: each run with a time, an answer, and what it takes to start."""

from dataclasses import replace

from profiler.analysis.experiment import Experiment, name_of
from profiler.analysis.labs import LABS, planned
from profiler.record.events import Measured, Point
from profiler.record.run import Run
from profiler.spec.methods import Table
from profiler.spec.run import RunSpec
from tests.builders import SPEC, generate_run
from tests.experiments import conditions

# name → seconds of a decode step, of a prefill, of compiling; error of the logits; tokens at four at once, per second
ENGINES = {
    "eager": (0.040, 0.40, 0.0, 0.015, 70.0),
    "sdpa": (0.036, 0.20, 0.0, 0.015, 80.0),
    "compiled": (0.030, 0.20, 20.0, 0.015, 90.0),
    "llamacpp": (0.010, 0.50, 0.0, 0.016, 120.0),
    "llamacpp-q8": (0.008, 0.30, 0.0, 0.036, 200.0),
    "openvino-q8": (0.006, 0.10, 1.5, 0.9, 300.0),  # fast, and wrong
}
CHOICES = {
    "usual": (0.040, 0.40, 0.0, 0.015, 0.0),
    "no-cache": (0.400, 0.40, 0.0, 0.015, 0.0),
    "prefix": (0.040, 0.10, 0.0, 0.015, 0.0),
    "chunked": (0.040, 0.60, 0.0, 0.015, 0.0),
    "lookup": (0.025, 0.40, 0.0, 0.015, 0.0),
}
GUESSED = {"passes": 40.0, "guesses": 100.0, "right": 60.0, "made": 100.0}


def racer(spec: RunSpec, seconds: float, prefill: float, compiling: float, error: float, batches: float, **more) -> Run:
    """One finished run."""
    facts = {"answer_tokens": 64.0, "answer_same": 64.0, "answer_gap": 0.0, "answer_error": error, "weight_bytes": 2.7e8}
    facts |= GUESSED if spec.setup.speculation else {}
    traced = spec.setup.engine == "transformers" and not spec.setup.compile
    times = {"decode": (seconds,) * 96, "prefill": (prefill,) * 3, "kernels_decode": 0.6 * seconds, "kernels_prefill": 0.7 * prefill}
    made = generate_run(**times, spec=spec, facts=facts, **more)
    events = [event for event in made.events if traced or event.kind != "traced"]
    told = [Measured(at=2.0, name="compile_time", samples=(compiling,))] if compiling else []
    told += [Point(at=41.0, curve="throughput", series="decode", x=4, value=batches)] if batches else []
    events[-1:-1] = told
    return replace(made, events=tuple(events))


def race(lab: str = "libraries", outcomes=None, *, foreign: float = 0.0, **changes) -> Experiment:
    """All rows of `outcomes`, the baseline first."""
    known = outcomes or {"libraries": ENGINES, "choices": CHOICES}[lab]
    table = LABS[lab].ways
    assert isinstance(table, Table)
    setup = SPEC.setup.model_copy(update={"dtype": "bfloat16"})
    plan = planned(LABS[lab], conditions(**({"model": SPEC.model, "methods": tuple(known), "setup": setup} | changes)))
    runs = [
        replace(racer(spec, *known[table.name_of(spec.setup, plan.specs[0].setup.threads)], foreign=foreign), id=f"run-{at}")
        for at, spec in enumerate(plan.specs)
    ]
    return Experiment(name_of(lab, "test"), tuple(runs))
