"""Fits the constants of training to the published table, and shows how well a source is foretold that the fit has not seen.

    python -m profiler.validation.fit_training [--write]

Residuals are logarithms of predicted over measured time, robust, every source weighing the same; each constant is held to its
physical starting point by a log-normal prior, so that a class that nobody measured stays where physics puts it.
"""

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from scipy.optimize import least_squares

from profiler.theory.sharding import Work, divided
from profiler.theory.training import step_time
from profiler.theory.training_rates import EFFECTS, FILE, PRIORS, STARTS, Constants, generation, names, rates
from profiler.validation.stack import stacked
from profiler.validation.training import Case, case_of, completed_case, predict_case, reported

TABLE = Path(__file__).with_name("published") / "training.csv"
NOISE = 0.08  # standard deviation of a measurement's logarithm, set-ups that sources leave open included
SHARES = ("matrix", "attention", "bandwidth", "narrow", "optimizer", "link", "network", "overlap", "leak", "exposed")  # of a whole
ROWS = 8  # that a source counts for at most


class Named(Protocol):
    """A row by its source and its own name."""

    @property
    def source(self) -> str:
        """Whose table it is from."""

    @property
    def row(self) -> str:
        """Its name in the table."""


@dataclass(frozen=True)
class Sample:
    """One row that can be predicted."""

    source: str
    row: str
    case: Case
    work: Work
    time: float  # measured seconds of a step, from the row's own metric


def samples(path: Path = TABLE) -> tuple[list[Sample], list[tuple[str, str]]]:
    """Rows that can be predicted; and sources with the reason of those that cannot."""
    found, missed = [], []
    for row in csv.DictReader(path.read_text("utf-8").splitlines()):
        try:
            case = completed_case(case_of(row))
        except ValueError as reason:
            missed.append((row["source_id"], str(reason)))
            continue
        predicted = predict_case(case, {})
        ratio = float(row["value"]) / reported(case, predicted)
        slower = ratio if case.timed else 1 / ratio
        found.append(Sample(row["source_id"], row["row_id"], case, divided(case.model, case.setup), predicted.time * slower))
    return found, missed


def free(of: Iterable[Sample]) -> dict[str, tuple[float, float]]:
    """Constants that some rows tell about: name → starting point and spread, of the logarithm, or of an effect."""
    found = {name: (float(np.log(value)), spread) for name, (value, spread) in PRIORS.items()}
    for sample in of:
        for effects in names(sample.case.device, sample.case.setup).values():
            for name in effects:
                found[name] = (STARTS.get(name, 0.0), EFFECTS[name.rpartition(":")[0]])
    return found


def constants(values: np.ndarray, which: dict[str, tuple[float, float]]) -> Constants:
    """Constants as the rates want them."""
    return {name: float(np.exp(value)) if name in PRIORS else float(value) for name, value in zip(which, values)}


class Table:
    """Samples side by side."""

    def __init__(self, rows: list[Sample]) -> None:
        self.rows = rows
        self.work = stacked([sample.work for sample in rows])
        self.measured = np.array([sample.time for sample in rows])
        counts = {source: sum(sample.source == source for sample in rows) for source in {sample.source for sample in rows}}
        self.weights = np.array([(min(counts[s.source], ROWS) / counts[s.source]) ** 0.5 for s in rows]) / NOISE

    def errors(self, found: Constants) -> np.ndarray:
        """Logarithm of predicted over measured time."""
        reached = stacked([rates(sample.case.device, sample.case.setup, found) for sample in self.rows])
        return np.log(step_time(self.work, reached).total / self.measured)


def fitted(rows: list[Sample]) -> Constants:
    """The constants that fit these rows best."""
    table, which = Table(rows), free(rows)
    start = np.array([middle for middle, _ in which.values()])
    spread = np.array([width for _, width in which.values()])

    def residuals(values: np.ndarray) -> np.ndarray:
        soft = table.errors(constants(values, which)) * table.weights
        robust = np.sign(soft) * np.sqrt(2 * (np.sqrt(1 + soft**2) - 1))
        return np.concatenate([robust, (values - start) / spread])

    most = np.array([np.log(0.97) if name in SHARES else np.inf for name in which])
    return constants(least_squares(residuals, start, bounds=(-np.inf, most), max_nfev=40).x, which)


def crossed(rows: list[Sample]) -> dict[str, float]:
    """Row → error, of constants that were fitted without the row's source."""
    found: dict[str, float] = {}
    for source in sorted({sample.source for sample in rows}):
        inside = [sample for sample in rows if sample.source == source]
        kept = fitted([sample for sample in rows if sample.source != source])
        found |= {sample.row: float(error) for sample, error in zip(inside, Table(inside).errors(kept))}
    return found


def median(errors: Iterable[float]) -> float:
    """Median absolute percentage error."""
    return float(np.median(np.abs(np.exp(list(errors)) - 1)) * 100)


def report(rows: Sequence[Named], missed: list[tuple[str, str]], inside: np.ndarray, outside: dict[str, float]) -> str:
    """One line for each source."""
    lines, means = [f"{'source':24} rows covered  error %  left out %  bias"], []
    for source in sorted({sample.source for sample in rows}):
        seen = [error for sample, error in zip(rows, inside) if sample.source == source]
        unseen = [outside[sample.row] for sample in rows if sample.source == source]
        lost = sum(name == source for name, _ in missed)
        means.append((median(seen), median(unseen)))
        lines.append(
            f"{source:24} {len(seen) + lost:4} {len(seen):7} {means[-1][0]:8.1f} {means[-1][1]:11.1f} {np.exp(np.median(unseen)):5.2f}"
        )
    lines.append(f"{'mean':24} {len(rows) + len(missed):4} {len(rows):7} {np.mean(means, 0)[0]:8.1f} {np.mean(means, 0)[1]:11.1f}")
    return "\n".join(lines)


def by_source(rows: Sequence[Named], outside: dict[str, float]) -> dict[str, float]:
    """Source → median absolute percentage error, of constants that were fitted without it."""
    sources = sorted({sample.source for sample in rows})
    return {name: round(median(outside[sample.row] for sample in rows if sample.source == name), 1) for name in sources}


def unseen(rows: Sequence[Named], outside: dict[str, float]) -> dict[str, dict[str, list[float]]]:
    """Source → all its phases ("") → [median error under constants that were fitted without it, rows]."""
    return {
        name: {"": [round(error / 100, 3), sum(row.source == name for row in rows)]} for name, error in by_source(rows, outside).items()
    }


def spread(rows: Sequence[Named], inside: np.ndarray, outside: dict[str, float]) -> dict[str, float]:
    """Standard deviations of the logarithm that intervals are made of, robustly: of sources seen, and left out."""
    left = [abs(outside[sample.row]) for sample in rows]
    transferred = float(np.quantile(left, 0.8) / 1.28)
    return {
        "calibrated": float(np.quantile(np.abs(inside), 0.8) / 1.28),
        "transferred": transferred,
        "data sheet": 1.5 * transferred,
    }


def show(line: str) -> None:
    """A line on the terminal."""
    sys.stdout.write(line + "\n")


def main() -> None:
    """Fits, shows, and with --write keeps."""
    rows, missed = samples()
    best = fitted(rows)
    inside, outside = Table(rows).errors(best), crossed(rows)
    show(report(rows, missed, inside, outside))
    for name, value in best.items():
        show(f"{name:40} {value:12.4g}")
    if "--write" in sys.argv:
        seen = sorted({f"{sample.case.setup.trainer} on {generation(sample.case.device)}" for sample in rows})
        kept = {
            "constants": {n: float(f"{v:.4g}") for n, v in best.items()},
            "spread": spread(rows, inside, outside),
            "seen": seen,
            "left_out": unseen(rows, outside),
        }
        FILE.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
