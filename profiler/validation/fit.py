"""Fits the constants of the cost model to published measurements, and says what they are worth for others.

    python -m profiler.validation.fit [--write]

Leaving each source out shows what the constants are worth for measurements that they have not seen: the intervals of predictions
come from both kinds of residuals.
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np

from profiler.theory.rates import FILE
from profiler.validation.inference import SERVING, case_of, steps, value_seconds
from profiler.validation.kernels import kernel
from profiler.validation.least_squares import Entry, Objective, Table, flatten, solve

PUBLISHED = Path(__file__).with_name("published")
THINNED = 6  # every so many rows of the many kernel timings are taken
DOUBTFUL = ("ANOMALY", "suspect", "non-monotonic", "KV-cache limited", "very low for this device")


def entries() -> list[Entry]:
    """The rows of the published tables that can be predicted."""
    found = []
    for row in _rows("inference.csv"):
        try:
            case = case_of(row)
        except ValueError:
            continue
        seconds, doubtful = value_seconds(case, float(row["value"])), any(word in row["flag"] for word in DOUBTFUL)
        serving = case.phase in SERVING
        loose = serving or case.phase.startswith("mlperf")
        found.append(Entry(case.deployment, steps(case), seconds, row["source_id"], case.phase, serving, loose, doubtful))
    timings = _rows("microbench.csv")
    few = [row for row in timings if not ("decode" in row["kind"] or "GEMM" in row["kind"])]
    for row in few + [row for row in timings if row not in few][::THINNED]:
        place, step, seconds = kernel(row)
        found.append(Entry(place, [(1.0, step)], seconds, row["source_id"], f"kernel: {row['kind'][:12].strip()}"))
    return found


def _rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((PUBLISHED / name).read_text("utf-8").splitlines()))


def left_out(table: Table, start: np.ndarray) -> np.ndarray:
    """log(predicted ÷ measured) of every entry, under constants that were fitted without its source."""
    sources = np.array([entry.source for entry in table.entries])
    sound = ~np.array([entry.doubtful for entry in table.entries])
    errors = np.zeros(len(sources))
    for source in sorted(set(sources)):
        goal = Objective(table, sound & (sources != source))
        errors[sources == source] = goal.errors(solve(table, goal.chosen, start))[sources == source]
    return errors


def medians(table: Table, errors: np.ndarray) -> dict[str, dict[str, list[float]]]:
    """Source → phase → [median absolute error, rows]."""
    found: dict[str, dict[str, list[float]]] = {}
    for source, phase in sorted({(entry.source, entry.phase) for entry in table.entries}):
        mine = np.array([(entry.source, entry.phase) == (source, phase) for entry in table.entries])
        found.setdefault(source, {})[phase] = [round(float(np.median(np.abs(np.expm1(errors[mine])))), 3), int(mine.sum())]
    return found


def spreads(table: Table, errors: np.ndarray) -> list[float]:
    """The interval of log(measured ÷ predicted) that four of five measurements fall into, every source weighing the same."""
    sources = [entry.source for entry in table.entries]
    count = {source: sources.count(source) for source in sources}
    order = np.argsort(-errors)
    share = np.cumsum([1 / count[sources[index]] for index in order])
    low, high = (float(-errors[order[np.searchsorted(share, share[-1] * part)]]) for part in (0.1, 0.9))
    return [round(min(low, -0.02), 3), round(max(high, 0.02), 3)]


def residuals(table: Table, inside: np.ndarray, outside: np.ndarray) -> dict[str, dict[str, list[float]]]:
    """Phase → origin → interval. Who is new to engine and family alike is half as uncertain again as who is left out."""
    made = {}
    for phase, names in (("prefill", ("prefill",)), ("decode", ("decode", "end-to-end"))):
        mine = [index for index, entry in enumerate(table.entries) if entry.phase in names]
        part = Table(**{**table.__dict__, "entries": [table.entries[index] for index in mine]})
        seen, other = spreads(part, inside[mine]), spreads(part, outside[mine])
        made[phase] = {"calibrated": seen, "transferred": other, "data sheet": [round(1.5 * end, 3) for end in other]}
    return made


def main() -> None:
    """Fit, leave each source out, print, and write the constants where asked to."""
    table = flatten(entries())
    goal = Objective(table, ~np.array([entry.doubtful for entry in table.entries]))
    values = solve(table, goal.chosen)
    inside, outside = goal.errors(values), left_out(table, values)
    fitted, other = medians(table, inside), medians(table, outside)
    for source, phases in fitted.items():
        for phase, (error, rows) in phases.items():
            print(f"{source:26}{phase:24}{rows:5.0f} rows   {error:7.1%}   left out {other[source][phase][0]:7.1%}")
    if "--write" in sys.argv:
        kept = {name: round(float(value), 3) for name, value in zip(table.names, values) if abs(value) >= 0.005}
        seen = sorted({f"{entry.deployment.engine} on {entry.deployment.device.family}" for entry in table.entries})
        models = {source: phases for source, phases in other.items() if not any(phase.startswith("kernel") for phase in phases)}
        made = {"constants": kept, "residuals": residuals(table, inside, outside), "seen": seen, "left_out": models}
        FILE.write_text(json.dumps(made, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
