"""The terminal's command that sets predictions beside published measurements."""

from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.markup import escape
from rich.table import Table

from profiler.cli_border import Json, border, print_json
from profiler.cli_setups import line as write
from profiler.cli_setups import show_table
from profiler.spec.units import words
from profiler.validation.report import Figures, Group, Line, Summary, left_out, summary, told
from profiler.validation.tables import KINDS, judged, published, read

REASONS = 20  # that are printed; JSON has all


def validate(
    file: Annotated[Optional[Path], typer.Argument(help="A CSV file; without it, the three tables that came with the program.")] = None,
    as_json: Json = False,
) -> None:
    """Predict every row of a table of published measurements, and say how far off the predictions are."""
    with border(as_json):
        if file is not None:
            table = read(file)
            rows = judged(table)
            found = summary(table.kind.name, rows)
            return print_json({"file": str(file), **told(found, rows)}) if as_json else show(found)
        tables = {name: judged(published(name)) for name in KINDS}
        kept = {name: summary(name, rows, left_out(name)) for name, rows in tables.items()}
        if as_json:
            return print_json({"tables": {name: told(found, tables[name]) for name, found in kept.items()}})
        for found in kept.values():
            show(found)
            write("")


def show(found: Summary) -> None:
    """Errors by source and phase, their means over sources, coverage, and why rows are not covered."""
    size = "large" if found.kind == "memory" else "slow"
    write(
        f"[bold]{found.kind}[/bold]: median absolute error of {'bytes' if size == 'large' else 'time'}; bias above 0: predicted too {size}."
    )
    known = any(line.left_out is not None for line in found.lines)
    doubted = found.unflagged.rows < found.all.rows
    columns = ["source", "phase", "rows", "covered", "error", "bias", *["left out"] * known]
    table = Table(*columns, *["of these unflagged:", "covered", "error", "bias"] * doubted, box=None)
    rows: list[tuple[str, str, Line | Group, str | None]] = [(escape(line.source), escape(line.phase), line, None) for line in found.lines]
    rows += [(_mean(group), group.name, group, "bold") for group in found.groups]
    for source, phase, row, style in rows:
        cells = [*_cells(row.all), *[_share(row.left_out)] * known, *list(_cells(row.unflagged)) * doubted]
        table.add_row(source, phase, *cells, style=style)
    show_table(table)
    if known:
        write("left out: the median error under constants that were fitted without the source.")
    write(f"Covered: {found.all.covered:,} of {found.all.rows:,} rows ({words(found.coverage, '%')}).")
    for reason, count in list(found.reasons.items())[:REASONS]:
        write(f"  not covered, {count} {'row' if count == 1 else 'rows'}: {escape(reason)}")
    if len(found.reasons) > REASONS:
        write(f"  and {len(found.reasons) - REASONS} more reasons; --json has them all.")


def _mean(group: Group) -> str:
    return f"mean over {group.sources} {'source' if group.sources == 1 else 'sources'}"


def _cells(found: Figures) -> tuple[str, str, str, str]:
    return f"{found.rows:,}", f"{found.covered:,}", _share(found.error), _signed(found.bias)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value * 100:.1f} %"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value * 100:+.1f} %"
