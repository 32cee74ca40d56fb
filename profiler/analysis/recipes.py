"""Recipes of the labs: from the conditions to the runs of an experiment, pure and without a clock.

What does not fit into memory or into the time that one point may take is left out by name, with its reason.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from profiler.analysis.duration import expected
from profiler.analysis.experiment import by_bytes
from profiler.analysis.findings import crossing
from profiler.spec.machine import Ceilings
from profiler.spec.model import ModelSpec
from profiler.spec.run import Dtype, RunSpec, Setup
from profiler.spec.units import words
from profiler.spec.work import Generate, MeasureCeilings
from profiler.theory.memory import predict_memory
from profiler.theory.step import parameters

WIDEST, USUAL, NARROWEST = 1024, 64, 16  # of a batch sweep
BEYOND = 4.0  # times the predicted crossing: far enough to see both sides
APART = 1.35  # times the size of the next smaller model
LONGEST = 8192  # tokens of prompt
SHORT = 8  # tokens of prompt where only decode matters
DENSE = 40  # points of a predicted line


@dataclass(frozen=True)
class Conditions:
    """What an experiment may use."""

    setup: Setup
    model: ModelSpec | None = None
    dtypes: tuple[Dtype, ...] = ("float32",)
    devices: tuple[str, ...] = ("cpu",)
    models: tuple[ModelSpec, ...] = ()  # with random weights, for labs that vary the model
    room: float = 0.0  # bytes that a run may take
    roofs: Ceilings | None = None  # for the extent of the axis and the time it takes
    thorough: bool = False  # more points, each measured longer
    methods: tuple[str, ...] = ()  # of compression, for the lab that compares them
    refused: dict[str, str] = field(default_factory=dict)  # methods that cannot run here → why
    text: str = ""  # a file of text that quality is judged by

    @property
    def seconds(self) -> float:
        """Timed work of one run."""
        return 4.0 if self.thorough else 1.5

    @property
    def patience(self) -> float:
        """Seconds that one run may take; what is expected to take longer is left out."""
        return 90.0 if self.thorough else 30.0


@dataclass(frozen=True)
class Plan:
    """The runs to be done, and what is not done and why."""

    specs: tuple[RunSpec, ...]
    left_out: tuple[str, ...] = ()
    absent: tuple[RunSpec, ...] = ()  # runs that were asked for and cannot be here; elsewhere, or earlier, they could


def _generate(c: Conditions, model: ModelSpec, dtype: Dtype, **work) -> RunSpec:
    setup = c.setup.model_copy(update={"dtype": dtype})
    return RunSpec(model=model, work=Generate(trace=False, seconds=c.seconds, **work), setup=setup)


def possible(c: Conditions, specs: list[RunSpec], name: Callable[[RunSpec], str], patience: float | None = None) -> Plan:
    """Those that fit into memory and into the time (`patience` seconds each); the others by name, with their reason."""
    kept, out = [], []
    patience = c.patience if patience is None else patience
    for spec in specs:
        need, time = predict_memory(spec).peak, expected(spec, c.roofs)
        if need > c.room:
            out.append(f"{name(spec)} would need {words(need, 'B')} of memory, {words(c.room, 'B')} are free")
        elif time > patience:
            out.append(f"{name(spec)} would take about {words(time, 's')}, longer than one point may")
        else:
            kept.append(spec)
    return Plan(tuple(kept), tuple(out))


def batches(c: Conditions) -> Plan:
    """Powers of two, from one sequence to well beyond the predicted crossing."""
    assert c.model
    top = USUAL
    if c.roofs and c.setup.dtype in c.roofs.matmul:
        at = crossing(c.model, SHORT, 16, c.setup.dtype, c.roofs)
        top = int(min(max(BEYOND * (at or WIDEST), NARROWEST), WIDEST))
    step = 1 if c.thorough else 2
    sizes = [1 << power for power in range(0, (top - 1).bit_length() + step, step)]
    specs = [_generate(c, c.model, c.setup.dtype, batch=size, prompt_tokens=SHORT, new_tokens=16) for size in sizes]
    return possible(c, specs, lambda spec: f"Batch {spec.generate.batch}")


def batch_grid(specs: list[RunSpec]) -> list[RunSpec]:
    """Batches close enough for a smooth line."""
    top = 2 * max(spec.generate.batch for spec in specs)
    return [_with(specs[0], batch=int(size)) for size in np.unique(np.geomspace(1, top, DENSE).round())]


def ladder(c: Conditions) -> Plan:
    """Models of clearly different size, the largest that fits first, in each number format."""
    kept: list[RunSpec] = []
    out: list[str] = []
    for dtype in c.dtypes:
        dense = sorted((model for model in c.models if _plain(model)), key=parameters)
        specs = [_generate(c, model, dtype, prompt_tokens=SHORT, new_tokens=24) for model in dense]
        fitting = possible(c, specs, lambda spec: f"{spec.model.name} in {spec.setup.dtype}" if spec.model else "")
        apart: list[RunSpec] = []
        for spec in reversed(fitting.specs):
            if not apart or by_bytes(spec)[0] * (1.1 if c.thorough else APART) <= by_bytes(apart[-1])[0]:
                apart.append(spec)
        kept += reversed(apart)
        out += fitting.left_out[:1]  # the smallest that does not fit stands for all larger ones
    return Plan(tuple(kept), tuple(f"{told}; so would every larger model" for told in out))


def _plain(model: ModelSpec) -> bool:
    """A dense decoder with attention in every layer, which a run can measure: of one kind, so that only the size differs."""
    return model.generates and model.buildable and not (model.moe or model.recurrent)


def contexts(c: Conditions) -> Plan:
    """For batch 1 and 4: evenly spaced prompts up to the longest that model, memory and time allow."""
    assert c.model
    kept: list[RunSpec] = []
    out: list[str] = []
    for batch in (1, 4):
        lengths = [1 << power for power in range(7, 14) if (1 << power) + 16 <= min(c.model.context, LONGEST)]
        tried = [_generate(c, c.model, c.setup.dtype, batch=batch, prompt_tokens=length, new_tokens=16) for length in lengths]
        fitting = possible(c, tried, lambda spec: f"{spec.generate.prompt_tokens:,} tokens at batch {spec.generate.batch}")
        out += fitting.left_out[:1]
        if fitting.specs:
            longest = fitting.specs[-1]
            spaced = np.unique(np.linspace(32, longest.generate.prompt_tokens, 6 if c.thorough else 4).round())
            kept += [_with(longest, prompt_tokens=int(length)) for length in spaced]
    return Plan(tuple(kept), tuple(out))


def context_grid(specs: list[RunSpec]) -> list[RunSpec]:
    """Prompt lengths for each batch."""
    by_size: dict[int, list[RunSpec]] = {}
    for spec in specs:
        by_size.setdefault(spec.generate.batch, []).append(spec)
    return [
        _with(group[0], prompt_tokens=int(length))
        for group in by_size.values()
        for length in np.linspace(1, max(spec.generate.prompt_tokens for spec in group), 12)
    ]


def _with(spec: RunSpec, **changes) -> RunSpec:
    return spec.model_copy(update={"work": spec.generate.model_copy(update=changes)})


def staircase(c: Conditions) -> Plan:
    """One run that tells the curve of memory."""
    return Plan((RunSpec(work=MeasureCeilings(scope="memory"), setup=c.setup),))


def products(c: Conditions) -> Plan:
    """One run for each device that tells the curve of matrix products."""
    setups = [c.setup.model_copy(update={"device": device}) for device in c.devices]
    return Plan(tuple(RunSpec(work=MeasureCeilings(scope="matmul"), setup=setup) for setup in setups))
