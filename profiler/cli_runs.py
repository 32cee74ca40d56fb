"""The terminal's commands about runs that were measured before: list, show, export, import, delete."""

import time
from pathlib import Path
from typing import Annotated, Optional

import typer

from profiler import terminal
from profiler.analysis.proof import name_of
from profiler.analysis.report import report
from profiler.cli_border import Json, border, print_json
from profiler.cli_serve import show as show_load_test
from profiler.record.run import Run
from profiler.record.store import IMPORT_LIMIT, Store
from profiler.spec.work import Generate

kept = typer.Typer(help="The runs that were measured so far.", no_args_is_help=True)


@kept.command("list")
def list_runs(limit: Annotated[int, typer.Option(help="At most this many, newest first.")] = 50, as_json: Json = False) -> None:
    """The newest runs."""
    store = Store()
    store.mend()
    runs = store.heads(limit)
    if as_json:
        return print_json(
            {
                "runs": [
                    {"id": run.id, "status": run.status, "created": run.created, "title": run.spec.title, "command": run.spec.command}
                    for run in runs
                ]
            }
        )
    table = terminal.Table("id", "when", "status", "what", box=None, header_style="dim")
    for run in runs:
        table.add_row(run.id, time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created)), run.status, run.spec.title)
    terminal.OUT.print(table)


@kept.command("show")
def show_run(id: str, as_json: Json = False) -> None:
    """One run again, as it was shown when it ended."""
    with border(as_json):
        found = _find(id)
        if as_json:
            return print_json(report(found))
        if found.status != "finished":
            terminal.OUT.print(f"{found.spec.title}: {found.status}. {found.reason}", highlight=False)
        elif isinstance(found.spec.work, Generate):
            terminal.show(found)
        elif found.spec.work.task == "ceilings":
            terminal.show_ceilings(found)
        elif found.spec.work.task == "load-test":
            show_load_test(found)
        else:
            terminal.OUT.print(f"{found.spec.title}: a part of an experiment. Again: {found.spec.command}", highlight=False)


@kept.command("export")
def export_run(id: str, file: Annotated[Optional[Path], typer.Argument(help="Standard output if not said.")] = None) -> None:
    """Write one run, raw samples and all, as JSON."""
    with border(False):
        text = Store().export(_find(id).id)
        if file is None:
            typer.echo(text)
        else:
            file.write_text(text, "utf-8")


@kept.command("import")
def import_run(file: Path) -> None:
    """Take in a run that was exported elsewhere."""
    with border(False):
        if not file.is_file():
            raise ValueError(f"There is no file {file}.")
        if file.stat().st_size > IMPORT_LIMIT:
            raise ValueError(f"{file} is larger than {IMPORT_LIMIT >> 20} MiB, so it is not one exported run.")
        typer.echo(Store().load(file.read_bytes()))


@kept.command("delete")
def delete_run(id: str) -> None:
    """Forget one run for good."""
    with border(False):
        run = _find(id)
        Store().delete(run.id, name_of(run))


def _find(id: str) -> Run:
    """A run by its id or the beginning of one."""
    store = Store()
    matches = [head.id for head in store.heads(10_000) if head.id.startswith(id)]
    if id in matches or len(matches) == 1:
        return store.run(id if id in matches else matches[0])
    raise ValueError(
        f"{len(matches)} runs begin with {id!r}; name more of the id."
        if matches
        else f"There is no run {id}; `python -m profiler runs list` shows what there is."
    )
