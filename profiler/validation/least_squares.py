"""Least squares of log(predicted ÷ measured) with a robust loss, every source and phase weighing the same, and a prior that pulls each
effect to zero: what the data do not say stays what it physically was.

All entries are flattened into arrays, so that one evaluation takes milliseconds; scipy's trust region does the steps.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.optimize import minimize

from profiler.catalog import devices
from profiler.spec.deployment import Deployment
from profiler.theory.cost import Cost, Op
from profiler.theory.rates import SCALES, Rates, Traits, assemble, effects, limited, scales, traits
from profiler.theory.timing import Step, device_seconds, kernels, soft

# How far a constant may move without evidence, as a standard deviation of its logarithm. EFFECT, LOOSE and EVIDENCE were chosen among
# a few round values by the errors of sources that were left out.
FREE = {"bandwidth": 0.3, "matrix": 0.3, "attention": 0.3, "serving": 0.4, "cache": 0.3, "operator": 1.0, "host": 1.0}
USUAL = 0.6
EFFECT = 1.3  # how far an effect may move, of how far the common constant may
NOISE = 0.12  # of a measurement that a model of classes can hope to foretell
LOOSE = 2.0  # the same where the submitter chose: it tells little about kernels
EVIDENCE = 30.0  # independent rows that one source's phase is worth at most
STEP = 1e-4  # relative, of a quantity, by which its slope is found
COSTS = ("flops", "weights", "kv", "activations")


@dataclass(frozen=True)
class Entry:
    """One measurement: what was run, in steps, and how many seconds it took."""

    deployment: Deployment
    parts: list[tuple[float, Step]]  # (times, step)
    seconds: float
    source: str
    phase: str
    serving: bool = False
    loose: bool = False  # a submission to a benchmark, or serving: batch, split and scheduling are the submitter's
    doubtful: bool = False  # flagged as an anomaly by who collected the table: judged, but nothing is learnt from it


@dataclass(frozen=True)
class Table:
    """All entries, flattened: one Op per kind whose fields are arrays, with the step and head size of each element."""

    entries: list[Entry]
    measured: np.ndarray
    weight: np.ndarray
    ops: list[tuple[Op, np.ndarray, np.ndarray]]
    entry_of_step: np.ndarray
    times: np.ndarray
    links: dict[str, np.ndarray]  # hops, exchanged, overlapped, once of each step
    started: np.ndarray
    names: list[str]  # of the constants
    keys: dict[str, tuple[np.ndarray, np.ndarray]]  # quantity → (indices of its constants, how much of each), entries × constants
    base: dict[str, np.ndarray]
    traits: Traits


def flatten(entries: list[Entry]) -> Table:
    """The entries as arrays."""
    steps = [(index, times, step) for index, entry in enumerate(entries) for times, step in entry.parts]
    keys = [{name: effects(entry.deployment, name) for name in SCALES} for entry in entries]
    names = sorted({key for found in keys for several in found.values() for key in several})
    bases = [scales(entry.deployment) for entry in entries]
    switches = [traits(entry.deployment) for entry in entries]
    return Table(
        entries,
        np.array([entry.seconds for entry in entries]),
        _weights(entries),
        _by_kind([step for *_, step in steps]),
        np.array([index for index, *_ in steps]),
        np.array([times for _, times, _ in steps]),
        {name: np.array([float(getattr(step, name)) for *_, step in steps]) for name in ("hops", "exchanged", "overlapped", "once")},
        np.array([float(sum(kernels(op) for op in step.ops)) for *_, step in steps]),
        names,
        {name: _indices([found[name] for found in keys], names) for name in SCALES},
        {name: np.array([base[name] for base in bases]) for name in SCALES},
        Traits(*(np.array([getattr(one, field) for one in switches]) for field in Traits.__slots__)),
    )


def _by_kind(steps: list[Step]) -> list[tuple[Op, np.ndarray, np.ndarray]]:
    found: dict[str, list[tuple[Op, int, float]]] = {}
    for index, step in enumerate(steps):
        for op in step.ops:
            found.setdefault(op.kind, []).append((op, index, step.head_dim))
    return [
        (
            Op(
                kind,
                Cost(*(_column([op.cost for op, *_ in each], name) for name in COSTS)),
                each[0][0].kind,
                rows=_column([op for op, *_ in each], "rows"),
            ),
            np.array([index for _, index, _ in each]),
            np.array([head for *_, head in each]),
        )
        for kind, each in found.items()
    ]


def _column(values: list, name: str) -> Any:
    """One field of many values, as an array."""
    return np.array([float(getattr(value, name)) for value in values])


def _indices(keys: list[dict[str, float]], names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    place = {name: index for index, name in enumerate(names)}
    index, much = (np.zeros((len(keys), max(map(len, keys)))) for _ in range(2))
    for row, several in enumerate(keys):
        index[row, : len(several)] = [place[key] for key in several]
        much[row, : len(several)] = list(several.values())
    return index.astype(int), much


def _weights(entries: list[Entry]) -> np.ndarray:
    """Every source's phase weighs the same, however many rows it has; small ones weigh what they have."""
    count: dict[tuple[str, str], int] = {}
    for entry in entries:
        count[entry.source, entry.phase] = count.get((entry.source, entry.phase), 0) + 1
    even = [min(1.0, EVIDENCE / count[entry.source, entry.phase]) ** 0.5 for entry in entries]
    return np.array([weight / (LOOSE if entry.loose else NOISE) for weight, entry in zip(even, entries)])


def reach(table: Table, values: np.ndarray) -> dict[str, np.ndarray]:
    """What each entry's quantities are under these constants."""
    return {name: table.base[name] * limited(name, factor) for name, factor in factors(table, values).items()}


def factors(table: Table, values: np.ndarray) -> dict[str, np.ndarray]:
    """What the constants make of each quantity's scale, before its limit."""
    return {name: np.exp((values[index] * much).sum(axis=1)) for name, (index, much) in table.keys.items()}


def predicted(table: Table, reached: dict[str, np.ndarray]) -> np.ndarray:
    """Seconds of each entry."""
    by_entry = assemble(table.traits, reached)

    def at(index: np.ndarray) -> Rates:
        return Rates(*(np.asarray(getattr(by_entry, field))[index] for field in Rates.__slots__))

    device = np.zeros(len(table.times))
    for op, step, head_dim in table.ops:
        device += np.bincount(step, soft(*device_seconds(op, at(table.entry_of_step[step]), head_dim)), len(device))
    rates, links = at(table.entry_of_step), table.links
    working = soft(device + table.started * rates.operator, table.started * rates.host)
    total = soft(working, links["overlapped"]) + links["once"] * rates.step + links["hops"] * rates.hop + links["exchanged"]
    whole = np.bincount(table.entry_of_step, table.times * total, len(table.entries))
    return whole / np.where([entry.serving for entry in table.entries], reached["serving"], 1.0)


@cache
def lonely() -> frozenset[str]:
    """Generations of which the catalogue has one device."""
    count = Counter(f"{device.vendor} {device.generation}" for device in devices.rows().values())
    return frozenset(name for name, many in count.items() if many < 2)


def spread(name: str) -> float:
    """Standard deviation of the prior on a constant's logarithm."""
    quantity, *rest = name.split(":")
    if rest and rest[0] in lonely():
        return 1e-3  # a class of one device would be a constant of that device
    if quantity == "bandwidth" and rest and rest[0].startswith(("products", "weights", "plain")):
        return 0.15  # bytes are read alike in whatever format they are
    if rest == ["balance"]:
        return 0.3
    return FREE.get(quantity, USUAL) * (EFFECT if rest else 1.0)


class Objective:
    """Robust squared error with its gradient and Gauss–Newton Hessian, of the chosen entries."""

    def __init__(self, table: Table, chosen: np.ndarray):
        self.table, self.chosen = table, chosen
        self.prior = np.array([spread(name) for name in table.names]) ** -2
        self.weight = table.weight[chosen]
        self._at: tuple[bytes, np.ndarray, np.ndarray] | None = None

    def errors(self, values: np.ndarray) -> np.ndarray:
        """log(predicted ÷ measured) of all entries."""
        return np.log(predicted(self.table, reach(self.table, values)) / self.table.measured)

    def value(self, values: np.ndarray) -> float:
        """Sum of 2·(√(1 + e²) − 1), and of what the prior says."""
        error = self.errors(values)[self.chosen] * self.weight
        return float(2 * (np.sqrt(1 + error**2) - 1).sum() + (self.prior * values**2).sum())

    def gradient(self, values: np.ndarray) -> np.ndarray:
        """Its slope."""
        error, slopes = self._slopes(values)
        return 2 * (slopes.T @ (error / np.sqrt(1 + error**2)) + self.prior * values)

    def hessian(self, values: np.ndarray) -> np.ndarray:
        """Its curvature, of the linearised errors."""
        error, slopes = self._slopes(values)
        return 2 * ((slopes / np.sqrt(1 + error**2)[:, None]).T @ slopes + np.diag(self.prior))

    def _slopes(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(errors, their slopes), weighted. By the chain rule: how an entry moves with each quantity, times how that moves."""
        if self._at is None or self._at[0] != values.tobytes():
            table, reached, free = self.table, reach(self.table, values), factors(self.table, values)
            here = np.log(predicted(table, reached))
            whole = np.zeros((len(here), len(values)))
            for name, (index, much) in table.keys.items():
                moved = (np.log(predicted(table, reached | {name: reached[name] * (1 + STEP)})) - here) / np.log1p(STEP)
                moved = moved * (reached[name] / table.base[name] / free[name]) ** 4  # the slope of `limited`
                for column, part in zip(index.T, much.T):
                    whole[np.arange(len(here)), column] += moved * part
            error = (here - np.log(table.measured))[self.chosen] * self.weight
            self._at = (values.tobytes(), error, whole[self.chosen] * self.weight[:, None])
        return self._at[1], self._at[2]


def solve(table: Table, chosen: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """The constants that fit the chosen entries."""
    goal = Objective(table, chosen)
    first = np.zeros(len(table.names)) if start is None else start
    options = {"gtol": 0.5, "maxiter": 60, "initial_trust_radius": 2.0, "max_trust_radius": 20.0}
    return minimize(goal.value, first, method="trust-exact", jac=goal.gradient, hess=goal.hessian, options=options).x
