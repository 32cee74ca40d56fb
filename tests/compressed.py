"""Hand-made comparisons of methods: each run with a time, a size and a score of its own."""

from dataclasses import replace

import numpy as np

from profiler.analysis.experiment import Experiment, name_of
from profiler.analysis.labs import LABS, planned
from profiler.record.events import Finished, Measured, Point, Said, Scored, Started
from profiler.record.run import Run, fold
from profiler.spec.methods import method_of
from profiler.spec.run import RunSpec
from tests.builders import MACHINE, SPEC, generate_run
from tests.experiments import conditions

# method → seconds of a decode step, share of the weights' bytes, nats of surprise more than float32's
OUTCOMES = {
    "none": (0.012, 1.0, 0.0002),
    "int8": (0.0075, 0.5, 0.004),
    "int4": (0.0058, 0.3, 0.11),
    "gguf-q4": (0.0036, 0.29, 0.09),
    "magnitude": (0.012, 1.0, 1.4),
    "wanda": (0.0121, 1.0, 0.4),
    "channels": (0.0105, 0.84, 1.1),
    "layers": (0.0102, 0.84, 1.2),
}
BYTES = 269_030_016.0  # of SmolLM2-135M in 16 bits
TOKENS = 1024


def scored(more: float, seed: int = 0, broken: int = 0, noise: float = 0.02) -> Scored:
    """A score of 1,024 tokens whose surprise is `more` nats above the reference's on average, with a little noise at each."""
    random = np.random.default_rng(seed)
    reference = random.exponential(2.5, TOKENS)
    difference = random.normal(0.0, noise + more / 2, TOKENS)
    difference += more - difference.mean()
    return Scored(
        at=42.5,
        surprise=tuple(reference + difference),
        reference=tuple(reference),
        divergence=tuple(np.full(TOKENS, max(0.8 * more, 1e-5))),
        agrees=tuple(bool(one) for one in random.random(TOKENS) > 0.3 * min(more, 2)),
        right=tuple(index % 10 < 7 for index in range(60)),
        reference_right=tuple(index % 10 < 8 for index in range(60)),
        broken=broken,
        guessing=5.5,
        source="Python's language reference",
    )


def variant(spec: RunSpec, seconds: float, share: float, score: Scored | None, *, foreign: float = 0.0, status: str = "finished") -> Run:
    """One finished run of the comparison."""
    rates = tuple(seconds * (1 + 0.01 * np.sin(np.arange(96))))
    facts = {"weight_bytes": share * BYTES, "file_bytes": share * BYTES, "kv_bytes": 7e6}
    traced = spec.setup.engine == "transformers"
    made = generate_run(
        decode=rates, prefill=(40 * seconds,) * 3, kernels_decode=0.6 * seconds, kernels_prefill=30 * seconds, spec=spec, facts=facts,
        foreign=foreign, status=status,
    )  # fmt: skip
    events = [event for event in made.events if traced or event.kind != "traced"]
    more = [Measured(at=2.0, name="compress_time", samples=(1.5,))] if spec.setup.compressed else []
    events[-1:-1] = [*more, *([score] if score else [])]
    return replace(made, events=tuple(events))


def comparison(outcomes=None, *, trained: bool = True, foreign: float = 0.0, **changes) -> Experiment:
    """All methods of `outcomes`, the uncompressed model first."""
    known = outcomes or OUTCOMES
    model = SPEC.model if trained else conditions().model
    held = {"model": model, "methods": tuple(known), "setup": SPEC.setup.model_copy(update={"dtype": "bfloat16"})} | changes
    plan = planned(LABS["compression"], conditions(**held))
    runs = []
    for number, spec in enumerate(plan.specs):
        seconds, share, more = known[method_of(spec.setup)]
        run = variant(spec, seconds, share, scored(more, number) if trained else None, foreign=foreign)
        runs.append(replace(run, id=f"run-{number}"))
    return Experiment(name_of("compression", "test"), tuple(runs))


def sensitivity(losses: dict[str, list[float]], everything: float | None = None, **changes) -> Experiment:
    """Part → divergence by layer; the lm_head's stands after the last layer."""
    spec = planned(LABS["sensitivity"], conditions(**({"model": SPEC.model, "setup": SPEC.setup} | changes))).specs[0]
    first = {"lm_head": SPEC.model.layers}
    points = [
        Point(at=1, curve="sensitivity", series=part, x=first.get(part, 0) + layer, value=value)
        for part, values in losses.items()
        for layer, value in enumerate(values)
    ]
    facts = {} if everything is None else {"everything": everything}
    events = [Started(at=0, hardware=MACHINE, versions={}, warm=False), *points, Finished(at=2, facts=facts)]
    return Experiment(name_of("sensitivity", "test"), (fold("run", spec, "finished", 0.0, events),))


def spoken(spec: RunSpec, text: str, seconds: float, status: str = "finished") -> Run:
    """A run that said a text, a word a piece; the first one took ten times as long as the others."""
    pieces = [
        Said(at=1 + number, text=f"{word} ", tokens=1, seconds=seconds * (10 if number == 0 else 1))
        for number, word in enumerate(text.split())
    ]
    events = [Started(at=0, hardware=MACHINE, versions={}, warm=False), *pieces, Finished(at=99, text=text)]
    return fold("run", spec, status, 0.0, events if status == "finished" else events[:-1])
