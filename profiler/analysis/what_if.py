"""One device looked at closely: what it would gain from twice of something, and how it does at other batches and contexts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from profiler.analysis.fleet import Choice, Workload
from profiler.spec.device import Device
from profiler.spec.model import ModelSpec
from profiler.spec.units import words
from profiler.theory.estimate import estimate

MOST = 100_000  # sequences at once that are looked at
FELT = 1.02  # a smaller gain is none
LINK = "bandwidth between devices"
KINDS = ("memory", "compute", "overhead", "communication")


@dataclass(frozen=True)
class Doubled:
    """A device with twice of one thing."""

    name: str  # "bandwidth", "compute", "memory", "link"; "" as it is
    parts: dict[str, float]  # seconds of one whole answer, by what they are spent on
    batch: int  # most sequences that fit at once; 0: not even one
    rate: float  # new tokens/s, of an encoder texts/s, with so many

    @property
    def seconds(self) -> float:
        """Of one whole answer, prompt included."""
        return sum(self.parts.values())


def doubled(model: ModelSpec, one: Choice) -> list[Doubled]:
    """The device as it is, and with twice its bandwidth, compute, memory, and link where there are several devices."""
    device = one.device
    variants = {
        "": device,
        "bandwidth": device.model_copy(update={"bandwidth": 2 * device.bandwidth}),
        "compute": device.model_copy(update={"peak": {name: 2 * rate for name, rate in device.peak.items()}}),
        "memory": device.model_copy(update={"memory": 2 * device.memory}),
    }
    if device.link and one.deployment.group > 1:
        variants["link"] = device.model_copy(update={"link": device.link.model_copy(update={"bandwidth": 2 * device.link.bandwidth})})
    room = {"": most(model, one), "memory": most(model, _on(variants["memory"], one))}
    return [_variant(name, model, _on(device, one), room.get(name, room[""])) for name, device in variants.items()]


def _on(device: Device, one: Choice) -> Choice:
    return replace(one, deployment=one.deployment.model_copy(update={"device": device}))


def _variant(name: str, model: ModelSpec, one: Choice, batch: int) -> Doubled:
    work, placed = one.work, one.deployment
    new = work.new if model.head else 0
    found = estimate(model, placed, work.batch, work.prompt, new or 1)
    first, each = found.prefill.spent, found.decode.spent
    parts = {kind: float(getattr(first, kind) + new * getattr(each, kind)) for kind in KINDS}
    full = estimate(model, placed, max(batch, 1), work.prompt, new or 1)
    return Doubled(name, parts, batch, replace(one, estimate=full, work=replace(work, batch=max(batch, 1))).rate)


def most(model: ModelSpec, one: Choice) -> int:
    """The most sequences of this length that fit at once, up to `MOST`; 0 where not even one does."""

    def fitting(batches: np.ndarray) -> int:
        found = estimate(model, one.deployment, batches, float(one.work.prompt), float(one.work.new))
        return int(np.count_nonzero(found.fits))

    coarse = np.unique(np.geomspace(1, MOST, 200).round())
    count = fitting(coarse)
    if count in (0, len(coarse)):
        return MOST if count else 0
    between = np.arange(coarse[count - 1], coarse[count])
    return int(between[fitting(between) - 1])


def sentence(variants: Sequence[Doubled]) -> str:
    """What twice of each thing would bring, in one sentence of numbers."""
    base, others = variants[0], variants[1:]
    gains = {one.name: base.seconds / one.seconds for one in others if one.name != "memory"}
    told = [
        f"twice the {LINK if name == 'link' else name} would bring {_gain(gain)}"
        for name, gain in sorted(gains.items(), key=lambda pair: -pair[1])
    ]
    memory = next(one for one in others if one.name == "memory")
    text = "; ".join(told)
    text = f"{text[0].upper()}{text[1:]}."
    if base.batch >= MOST:
        return f"{text} Memory is no limit: {MOST:,} sequences and more fit at once."
    if memory.batch == base.batch:
        return f"{text} Twice the memory would {'hold no more sequences than now' if base.batch else 'still not hold it'}."
    if not base.batch:
        return f"{text} Twice the memory would hold it: up to {memory.batch:,} sequences at once."
    beyond = "at least " if memory.batch >= MOST else ""
    room = f"{text} Twice the memory would hold {beyond}{memory.batch:,} sequences at once instead of {base.batch:,}"
    gain = memory.rate / base.rate
    return f"{room}, which would make {words(gain, '1')} × the tokens/s." if gain >= FELT else f"{room}, without more tokens/s."


def _gain(gain: float) -> str:
    return f"{words(gain, '1')} ×" if gain >= FELT else "nothing"


@dataclass(frozen=True)
class Grid:
    """Batches (rows) against contexts (columns)."""

    batches: list[int]
    contexts: list[int]  # prompt and answer together
    seconds: np.ndarray  # of one decode step; of an encoder, of a batch of texts
    rate: np.ndarray  # new tokens/s while decoding; of an encoder, texts/s
    memory: np.ndarray  # bytes on each device
    fits: np.ndarray


def grid(model: ModelSpec, one: Choice, batches: Sequence[int] | None = None, contexts: Sequence[int] | None = None) -> Grid:
    """A device over batch and context, in one calculation."""
    rows = list(batches or (1 << power for power in range(11)))
    columns = list(contexts or lengths(model))
    batch, whole = np.array(rows, float)[:, None], np.array(columns, float)[None, :]
    new = np.minimum(float(one.work.new), whole / 2) if model.head else np.ones_like(whole)
    prompt = whole - new if model.head else whole
    found = estimate(model, one.deployment, batch, prompt, new)
    shape = (len(rows), len(columns))
    step = found.decode if model.head else found.prefill
    rate = batch / step.time * one.deployment.replicas
    return Grid(rows, columns, *(np.broadcast_to(value, shape) for value in (step.time, rate, found.memory, found.fits)))


def lengths(model: ModelSpec, count: int = 9) -> list[int]:
    """Contexts to look at: the longest that the model was made for, and powers of two below it."""
    powers = [1 << power for power in range(4, 24) if 1 << power < model.context]
    return [*powers[-count + 1 :], model.context]


def at(view: Grid, work: Workload) -> tuple[int, int]:
    """The cell that is nearest to a workload, as (batch, context)."""
    return _nearest(view.batches, work.batch), _nearest(view.contexts, work.prompt + work.new)


def _nearest(values: Iterable[int], wanted: int) -> int:
    return min(values, key=lambda value: abs(np.log(value / wanted)))
