"""Many configurations at once: models × formats × devices × batches × prompts.

What a step consists of depends on the model and its formats; how fast that goes, on the device. So the operators are counted once
for all devices, and the devices' rates are one more axis of the arrays. The formulas are those of `theory.estimate`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np

from profiler.spec.deployment import Deployment
from profiler.spec.model import ModelSpec
from profiler.theory.estimate import energy, longest, timed
from profiler.theory.inference_memory import inference_memory
from profiler.theory.plan import decode_step, prefill_step
from profiler.theory.rates import Rates, rates
from profiler.theory.timing import Spent, spent

CELLS = 2**15  # configurations that are calculated together: their arrays stay in a processor's cache
UNIT = Spent(0.0, 0.0, 0.0, 0.0, 1.0)  # one second, to see how wide its interval is


@dataclass(frozen=True, slots=True)
class Workload:
    """Every batch with every prompt, and the new tokens of each sequence."""

    batches: Sequence[int]
    prompts: Sequence[int]
    new: int

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.batches) * len(self.prompts)


@dataclass(frozen=True, slots=True)
class Block:
    """One model in one set of formats on some devices. Columns are arrays of devices × batches × prompts, in SI units."""

    model: ModelSpec
    deployments: list[Deployment]
    batches: np.ndarray
    prompts: np.ndarray
    new: int
    columns: dict[str, np.ndarray]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Devices, batches, prompts."""
        return len(self.deployments), len(self.batches), len(self.prompts)


@dataclass(frozen=True, slots=True)
class _Place:
    """A deployment with what follows from it alone: its rates, and the factors from a time to the ends of its interval."""

    deployment: Deployment
    rates: Rates
    prefill: tuple[float, float]
    decode: tuple[float, float]


def sweep(models: Sequence[ModelSpec], groups: Sequence[Sequence[Deployment]], workload: Workload) -> Iterator[Block]:
    """All configurations, in blocks. The deployments of one group differ in their device alone."""
    for group in groups:
        places = [_placed(deployment) for deployment in group]
        for model in models:
            for here, batches in _pieces(places, workload):
                yield _block(model, here, batches, np.array(workload.prompts, float), workload.new)


def _placed(deployment: Deployment) -> _Place:
    ends = [(float(found.low), float(found.high)) for found in (timed(UNIT, deployment, phase) for phase in ("prefill", "decode"))]
    return _Place(deployment, rates(deployment), *ends)


def _pieces(places: list[_Place], workload: Workload) -> Iterator[tuple[list[_Place], np.ndarray]]:
    """Devices and batches of a block. Devices that work together differ in their links as well, and are taken one by one."""
    rows = max(CELLS // len(workload.prompts), 1)
    first = places[0].deployment
    together = 1 if max(first.group, first.expert) > 1 else max(CELLS // workload.size, 1)
    for begin in range(0, len(places), together):
        for start in range(0, len(workload.batches), rows):
            yield places[begin : begin + together], np.array(workload.batches[start : start + rows], float)


def _block(model: ModelSpec, places: list[_Place], batches: np.ndarray, prompts: np.ndarray, new: int) -> Block:
    deployments = [place.deployment for place in places]
    first, batch, prompt, reached = deployments[0], batches[:, None], prompts[None, :], _stacked([place.rates for place in places])
    shape = (len(places), len(batches), len(prompts))
    prefill = _whole(spent(prefill_step(model, first, batch, prompt), reached), shape)
    decode = _whole(spent(decode_step(model, first, batch, prompt + new / 2, prompt), reached), shape)
    memory = inference_memory(model, first, batch, prompt, new).total
    joules = [_energy(place, i, prefill, decode, new, batch) for i, place in enumerate(deployments)]
    columns = {
        "time_to_first_token": prefill.total,
        "time_to_first_token_low": prefill.total * _column([place.prefill[0] for place in places]),
        "time_to_first_token_high": prefill.total * _column([place.prefill[1] for place in places]),
        "time_per_token": decode.total,
        "time_per_token_low": decode.total * _column([place.decode[0] for place in places]),
        "time_per_token_high": decode.total * _column([place.decode[1] for place in places]),
        "tokens_per_second": batch / decode.total * first.replicas if model.head else np.zeros(shape),
        "throughput": batch * new / (prefill.total + new * decode.total) * first.replicas,
        "memory": np.broadcast_to(memory, shape),
        "fits": memory <= _column([place.device.memory for place in deployments]),
        "in_context": np.broadcast_to(longest(model, prompt, new) <= model.context, shape),
        "energy_per_token": np.array(joules),
    }
    return Block(model, deployments, batches, prompts, new, columns)


def _stacked(found: list[Rates]) -> Rates:
    """The rates of several devices, each an array along the first axis."""
    return Rates(*(_column([getattr(each, name) for each in found]) for name in Rates.__slots__))


def _column(values: list[float]) -> np.ndarray:
    return np.array(values, float)[:, None, None]


def _whole(parts: Spent, shape: tuple[int, ...]) -> Spent:
    return Spent(*(np.broadcast_to(getattr(parts, name), shape) for name in Spent.__slots__))


def _energy(deployment: Deployment, index: int, prefill: Spent, decode: Spent, new: int, batch: np.ndarray) -> Any:
    """Joule per token on one of the devices; not a number where its power is not known."""
    here = [Spent(*(getattr(phase, name)[index] for name in Spent.__slots__)) for phase in (prefill, decode)]
    found = energy(deployment, here[0], here[1], new, batch)
    return np.full(prefill.total.shape[1:], nan) if found is None else found
