"""Fits the constants of memory to the published table, and shows how well a source is foretold that the fit has not seen.

    python -m profiler.validation.fit_memory [--write]

The way of `profiler.validation.fit_training`: robust residuals of logarithms, every source weighing the same, log-normal priors.
"""

import csv
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

from profiler.theory.memory_rates import FILE, PRIORS, Constants, defaults
from profiler.validation.fit_training import ROWS, report, show, spread, unseen
from profiler.validation.memory import Case, case_of, predict_case

TABLE = Path(__file__).with_name("published") / "memory.csv"
NOISE = 0.04  # standard deviation of a peak's logarithm


@dataclass(frozen=True)
class Sample:
    """One row that can be predicted."""

    source: str
    row: str
    case: Case
    measured: float


def samples(path: Path = TABLE) -> tuple[list[Sample], list[tuple[str, str]]]:
    """Rows that can be predicted; and sources with the reason of those that cannot."""
    found, missed = [], []
    for row in csv.DictReader(path.read_text("utf-8").splitlines()):
        try:
            case = case_of(row)
            predict_case(case, defaults())
        except ValueError as reason:
            missed.append((row["source_id"], f"{row['row_id']}: {reason}"))
            continue
        found.append(Sample(row["source_id"], row["row_id"], case, float(row["value"])))
    return found, missed


def errors(rows: Iterable[Sample], found: Constants) -> np.ndarray:
    """Logarithm of predicted over measured bytes."""
    return np.log([predict_case(sample.case, found) / sample.measured for sample in rows])


def fitted(rows: list[Sample]) -> Constants:
    """The constants that fit these rows best."""
    start = np.log([value for value, _ in PRIORS.values()])
    width = np.array([spread for _, spread in PRIORS.values()])
    counts = {source: sum(sample.source == source for sample in rows) for source in {sample.source for sample in rows}}
    weights = np.array([(min(counts[s.source], ROWS) / counts[s.source]) ** 0.5 for s in rows]) / NOISE

    def residuals(values: np.ndarray) -> np.ndarray:
        soft = errors(rows, dict(zip(PRIORS, np.exp(values)))) * weights
        robust = np.sign(soft) * np.sqrt(2 * (np.sqrt(1 + soft**2) - 1))
        return np.concatenate([robust, (values - start) / width])

    return {n: float(v) for n, v in zip(PRIORS, np.exp(least_squares(residuals, start, max_nfev=20).x))}


def crossed(rows: list[Sample]) -> dict[str, float]:
    """Row → error, of constants that were fitted without the row's source."""
    found: dict[str, float] = {}
    for source in sorted({sample.source for sample in rows}):
        inside = [sample for sample in rows if sample.source == source]
        kept = fitted([sample for sample in rows if sample.source != source])
        found |= {sample.row: float(error) for sample, error in zip(inside, errors(inside, kept))}
    return found


def main() -> None:
    """Fits, shows, and with --write keeps."""
    rows, missed = samples()
    for source, reason in missed:
        show(f"not covered: {source}: {reason}")
    best = fitted(rows)
    inside, outside = errors(rows, best), crossed(rows)
    show(report(rows, missed, inside, outside))
    for name, value in best.items():
        show(f"{name:24} {value:12.4g}  from {PRIORS[name][0]:g}")
    if "--write" in sys.argv:
        kept = {
            "constants": {n: float(f"{v:.4g}") for n, v in best.items()},
            "spread": spread(rows, inside, outside),
            "left_out": unseen(rows, outside),
        }
        FILE.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
