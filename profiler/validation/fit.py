"""Fits the constants of the cost model to published measurements: `python -m profiler.validation.fit`.

Least squares of log(predicted ÷ measured) with a robust loss, every source and phase weighing the same, and a prior that pulls
each effect to zero: what the data do not say stays what it physically was. Leaving each source out shows what the constants
are worth for measurements that they have not seen.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from profiler.theory import rates as rates_of
from profiler.theory.cost import Cost, Op
from profiler.theory.rates import SCALES, Constants, Traits, assemble, effects, scales, traits
from profiler.theory.timing import device_seconds, kernels, soft
from profiler.validation.inference import Case, answer, case_of, steps

# How far an effect may move without evidence, as a standard deviation of its logarithm: first the common constant,
# then what a family, a style, an engine or a format change about it.
FREE = {"host": 0.7, "operator": 0.7, "step": 0.7, "hop": 0.7, "scores": 0.5, "unpack": 0.7, "packed": 0.5, "attention": 0.5}
SHRINK = 0.5


@dataclass(frozen=True)
class Table:
    """All cases, flattened: one Op per kind whose fields are arrays, with the step of each element."""

    cases: list[Case]
    measured: np.ndarray
    weight: np.ndarray
    ops: dict[str, tuple[Op, np.ndarray, np.ndarray]]  # kind → (fields as arrays, step of each, head_dim of each)
    case_of_step: np.ndarray
    times: np.ndarray
    hops: np.ndarray
    exchanged: np.ndarray
    started: np.ndarray
    names: list[str]  # of the constants
    design: dict[str, np.ndarray]  # quantity → cases × names
    base: dict[str, np.ndarray]
    traits: Traits


def flatten(cases: list[Case], measured: list[float], weight: list[float]) -> Table:
    """The cases as arrays."""
    found: dict[str, list] = {}
    step_rows: list[tuple[int, float, Any]] = []
    for index, case in enumerate(cases):
        for times, step in steps(case):
            for op in step.ops:
                found.setdefault(op.kind, []).append((op, len(step_rows), step.head_dim))
            step_rows.append((index, times, step))
    ops = {}
    for kind, entries in found.items():
        fields = [np.array([float(getattr(op.cost, name)) for op, _, _ in entries]) for name in ("flops", "weights", "kv", "activations")]
        count = np.array([float(op.count) for op, _, _ in entries])
        ops[kind] = (Op(kind, Cost(*fields), entries[0][0].kind, count), np.array([s for _, s, _ in entries]), np.array([h for *_, h in entries]))
    keys = [{name: effects(case.deployment, name) for name in SCALES if name != "serving"} for case in cases]
    names = sorted({key for row in keys for found_keys in row.values() for key in found_keys})
    place = {name: index for index, name in enumerate(names)}
    quantities = [name for name in SCALES if name != "serving"]
    design = {name: np.zeros((len(cases), len(names))) for name in quantities}
    for row, made in enumerate(keys):
        for name, found_keys in made.items():
            for key in found_keys:
                design[name][row, place[key]] = 1.0
    bases = [scales(case.deployment) for case in cases]
    has = [traits(case.deployment) for case in cases]
    started = np.array([float(sum(kernels(op) for op in step.ops)) for _, _, step in step_rows])
    return Table(
        cases,
        np.array(measured),
        np.array(weight),
        ops,
        np.array([i for i, _, _ in step_rows]),
        np.array([t for _, t, _ in step_rows]),
        np.array([float(s.hops) for *_, s in step_rows]),
        np.array([float(s.exchanged) for *_, s in step_rows]),
        started,
        names,
        design,
        {name: np.array([b[name] for b in bases]) for name in quantities},
        Traits(*(np.array([getattr(t, f) for t in has]) for f in ("packed", "width", "hosted", "written"))),
    )


def seconds(table: Table, values: np.ndarray) -> np.ndarray:
    """Predicted seconds of each case under these constants."""
    reached = {name: table.base[name] * np.exp(matrix @ values) for name, matrix in table.design.items()}
    by_case = assemble(table.traits, reached)
    at = lambda index: rates_of.Rates(*(np.asarray(getattr(by_case, f))[index] for f in by_case.__slots__))  # noqa: E731
    device = np.zeros(len(table.times))
    for op, step, head_dim in table.ops.values():
        device += np.bincount(step, soft(*device_seconds(op, at(table.case_of_step[step]), head_dim)), len(table.times))
    r = at(table.case_of_step)
    total = soft(device + table.started * r.operator, table.started * r.host) + r.step + table.hops * r.hop + table.exchanged
    return np.bincount(table.case_of_step, table.times * total, len(table.cases))


def predictions(table: Table, values: np.ndarray) -> np.ndarray:
    """Predicted numbers in the rows' own units."""
    return np.array([answer(case, value) for case, value in zip(table.cases, seconds(table, values))])


def spread(name: str) -> float:
    """Standard deviation of the prior on a constant's logarithm."""
    quantity, *rest = name.split(":")
    return FREE.get(quantity, 0.3) * (1.0, SHRINK, SHRINK * 0.7)[len(rest)]


def solve(table: Table, chosen: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """The constants that fit the chosen cases."""
    prior = np.array([spread(name) for name in table.names])

    def residuals(values: np.ndarray) -> np.ndarray:
        errors = np.log(predictions(table, values) / table.measured) / NOISE
        return np.concatenate([(errors * table.weight)[chosen], values / prior])

    return least_squares(residuals, np.zeros(len(prior)) if start is None else start, loss="soft_l1", max_nfev=30).x


NOISE = 0.12  # of a measurement that a model of classes can hope to foretell
EVIDENCE = 30.0  # independent rows that one source's phase is worth at most


def weights(groups: list[tuple[str, str]]) -> list[float]:
    """Every source's phase weighs the same, however many rows it has; small ones weigh what they have."""
    count: dict[tuple[str, str], int] = {}
    for group in groups:
        count[group] = count.get(group, 0) + 1
    return [min(1.0, EVIDENCE / count[group]) ** 0.5 for group in groups]
