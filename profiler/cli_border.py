"""The terminal's border: bad input is one sentence and exit code 2; results are text or exactly one JSON object."""

import json
import sys
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError

from profiler.analysis.report import report
from profiler.record.run import Run
from profiler.spec.frozen import sentence

Json = Annotated[bool, typer.Option("--json", help="Exactly one JSON object on standard output.")]


@contextmanager
def border(as_json: bool):
    """The one place where what a person got wrong becomes a sentence and an exit code."""
    try:
        yield
    except ValidationError as error:
        refuse(sentence(error), as_json)
    except (ValueError, OSError) as error:
        refuse(str(error), as_json)


def refuse(reason: str, as_json: bool) -> NoReturn:
    """Say why, and end."""
    if as_json:
        print_json({"status": "refused", "reason": reason})
    print(reason, file=sys.stderr)
    raise typer.Exit(2)


def finish(run: Run, as_json: bool, show, more: dict | None = None) -> None:
    """Tell how a run ended, and what more came of it; exit code 0 only for a finished one."""
    if as_json:
        print_json(report(run) | (more or {}))
    elif run.status == "finished" and not more:
        show(run)
    if run.status != "finished":
        print(run.reason, file=sys.stderr)
        raise typer.Exit(130 if run.status == "cancelled" else 1)


def print_json(value: dict) -> None:
    """One object on standard output."""
    print(json.dumps(value, indent=1, allow_nan=False, default=float))
