"""Tables of published measurements: read, told apart by their header, and predicted row by row.

A prediction is made of a row whose measured cells were emptied before, so that no measured number can reach it.
"""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path

from pydantic import ValidationError

from profiler.spec.frozen import sentence
from profiler.validation import inference, memory, training
from profiler.validation.conditions import time_unit

Row = dict[str, str]

PUBLISHED = Path(__file__).with_name("published")
ONE = "one source"  # where a table names none
MEASURED = ("value", "mfu_pct", "tflops_per_dev")  # cells that a prediction never sees
COUNTS = ("num_devices", "batch", "params_b", "active_b", "seq_len", "micro_batch", "global_batch")
LENGTHS = ("prompt_len", "gen_len")  # may be 0


@dataclass(frozen=True)
class Kind:
    """One kind of table."""

    name: str
    needed: tuple[str, ...]  # columns without which no row can be predicted and compared
    optional: tuple[str, ...]  # others that are read where they are there
    own: tuple[str, ...]  # columns that no other kind has
    phase: Callable[[Row], str]
    predict: Callable[[Row], float]


_SET_UP = ("model", "hardware", "num_devices", "software")
_RESULT = ("metric", "value", "unit")
_MORE = ("row_id", "source_id", "params_b", "active_b", "date", "flag", "notes")
_TRAINED = ("micro_batch", "global_batch", "sharding", "act_ckpt")

KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "inference",
            (*_SET_UP, "quant", "phase", "batch", "prompt_len", "gen_len", *_RESULT),
            ("parallelism", *_MORE),
            ("phase", "prompt_len", "gen_len", "parallelism"),
            lambda row: row["phase"].strip().lower(),
            inference.predict_row,
        ),
        Kind(
            "training",
            (*_SET_UP, "precision", "seq_len", *_TRAINED, *_RESULT),
            _MORE,
            ("precision", *_TRAINED),
            lambda row: "training",
            training.predict_row,
        ),
        Kind(
            "memory",
            (*_SET_UP, "workload", "quant", "batch", "seq_len", "setting", *_RESULT),
            _MORE,
            ("workload", "setting"),
            lambda row: row["workload"].strip(),
            memory.predict_row,
        ),
    )
}


@dataclass(frozen=True)
class Table:
    """A table as it was read; every row has all columns of its kind."""

    kind: Kind
    rows: tuple[Row, ...]
    faults: tuple[str, ...]  # of each row, why its cells cannot be told; empty where they can


@dataclass(frozen=True)
class Judged:
    """One row: what was measured, what is predicted, or why it is not."""

    row: str
    source: str
    phase: str
    flag: str
    model: str
    hardware: str
    metric: str
    unit: str
    measured: float | None
    predicted: float | None
    error: float | None  # of time or bytes: predicted ÷ measured − 1
    reason: str  # why the row is not covered; empty where it is


def published(name: str) -> Table:
    """One of the three tables that the constants are fitted to."""
    return read(PUBLISHED / f"{name}.csv")


def read(file: Path) -> Table:
    """The table in a CSV file. Raises ValueError of one sentence where it is none."""
    lines = csv.reader(io.StringIO(_text(file), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(lines, [])]
        kind = told(header, file)
        rows = [cells for cells in lines if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise ValueError(f"{file} is no table of comma-separated values: line {lines.line_num}: {error}.") from None
    if not rows:
        raise ValueError(f"{file} has a header, but no rows.")
    empty = dict.fromkeys((*kind.needed, *kind.optional), "")
    return Table(kind, tuple(empty | dict(zip(header, cells)) for cells in rows), tuple(_fault(kind, header, cells) for cells in rows))


def told(header: list[str], file: Path) -> Kind:
    """The kind of table that has such a header: the one most of whose own columns are there."""
    kind = max(KINDS.values(), key=lambda kind: sum(name in header for name in kind.own) / len(kind.own))
    if not any(name in header for name in kind.own):
        signs = "; ".join(f"of {kind.name} {', '.join(kind.own)}" for kind in KINDS.values())
        raise ValueError(f"The first line of {file} is the header of no table that is known. Signs are the columns {signs}.")
    missing = [name for name in kind.needed if name not in header]
    if missing:
        columns = "columns" if len(missing) > 1 else "column"
        raise ValueError(f"{file} looks like a table of {kind.name}, but lacks the {columns} {', '.join(missing)}.")
    twice = [name for name in kind.needed if header.count(name) > 1]
    if twice:
        raise ValueError(f"{file} has the column {twice[0]} twice.")
    return kind


def judged(table: Table) -> list[Judged]:
    """Every row of a table, predicted."""
    return [_judged(table.kind, number, row, fault) for number, (row, fault) in enumerate(zip(table.rows, table.faults), 1)]


def is_time(row: Row) -> bool:
    """Whether the row's number grows with the time taken; else it is a rate."""
    return time_unit(row) is not None


def _judged(kind: Kind, number: int, row: Row, fault: str) -> Judged:
    measured = _measured(row["value"])
    fault = fault or _absurd(row)
    predicted, reason = (None, fault) if fault else _predicted(kind, row)
    if not reason and measured is None:
        reason = f"the measured value {row['value']!r} is not a positive number"
    error = None
    if not reason and predicted and measured:
        larger = kind.name == "memory" or is_time(row)
        error = (predicted / measured if larger else measured / predicted) - 1
    return Judged(
        row=row["row_id"] or str(number),
        source=row["source_id"].strip() or ONE,
        phase=kind.phase(row) or "not said",
        flag=row["flag"].strip(),
        model=row["model"],
        hardware=row["hardware"],
        metric=row["metric"],
        unit=row["unit"],
        measured=measured,
        predicted=predicted,
        error=error,
        reason=reason,
    )


def _predicted(kind: Kind, row: Row) -> tuple[float | None, str]:
    """The number that the cost model expects in the row's own unit; or why there is none."""
    try:
        number = float(kind.predict(row | dict.fromkeys(MEASURED, "")))
    except ValidationError as error:
        return None, sentence(error)
    except (ValueError, ArithmeticError) as error:
        return None, str(error)
    return (number, "") if 0 < number < inf else (None, f"the prediction is {number}")


def _measured(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) and value > 0 else None


def _fault(kind: Kind, header: list[str], cells: list[str]) -> str:
    """Why the cells of a line cannot be told: too few, or too many."""
    if len(cells) > len(header):
        return f"the line has {len(cells)} cells, the header {len(header)}"
    missing = [name for name in header[len(cells) :] if name in kind.needed]
    return f"the line ends before its cell of {missing[0]}" if missing else ""


def _absurd(row: Row) -> str:
    """Why a number of things cannot be meant; words are left to those who read them."""
    for name in (*COUNTS, *LENGTHS):
        try:
            value = float(row.get(name, ""))
        except ValueError:
            continue
        if not (0 < value < inf or (value == 0 and name in LENGTHS)):
            return f"{name} is {row[name].strip()}; a number {'from 0' if name in LENGTHS else 'above 0'} is needed"
    return ""


def _text(file: Path) -> str:
    if file.is_dir():
        raise ValueError(f"{file} is a folder; name a CSV file.")
    if not file.is_file():
        raise ValueError(f"There is no file {file}.")
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8 text (byte {error.start}); save it as UTF-8.") from None
    if not text.strip():
        raise ValueError(f"{file} is empty; a table begins with the names of its columns.")
    return text
