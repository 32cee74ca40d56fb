"""The terminal: the same jobs, store and analysis as the pages. Bad input is one sentence and exit code 2."""

import json
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn, Optional

import typer
from pydantic import ValidationError

from profiler import terminal
from profiler.analysis.experiment import name_of
from profiler.analysis.labs import LABS, command, planned
from profiler.analysis.labs import lab as find_lab
from profiler.analysis.outcome import told
from profiler.analysis.recipes import Conditions
from profiler.analysis.report import report
from profiler.catalog import models as catalogue
from profiler.catalog.machine import available_memory, devices, native_dtype, this_machine
from profiler.catalog.resolve import resolve
from profiler.record.jobs import Jobs
from profiler.record.run import Run
from profiler.record.store import IMPORT_LIMIT, Store, new_id
from profiler.spec.frozen import sentence
from profiler.spec.run import FetchModel, Generate, MeasureCeilings, RunSpec, Setup
from profiler.spec.units import words
from profiler.theory.memory import capacity, check
from profiler.theory.step import parameters

app = typer.Typer(
    help="Why is this language model as slow as it is, here, and what would make it faster?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
kept = typer.Typer(help="The runs that were measured so far.", no_args_is_help=True)
app.add_typer(kept, name="runs")

Json = Annotated[bool, typer.Option("--json", help="Exactly one JSON object on standard output.")]
Device = Annotated[Optional[str], typer.Option(help="cpu, cuda:N or mps; the best one here if not said.")]
Threads = Annotated[Optional[int], typer.Option(help="Processor threads, each on a core of its own; all cores if not said.")]
Dtype = Annotated[Optional[str], typer.Option(help="float32, bfloat16 or float16; what the hardware multiplies fast if not said.")]


@app.command()
def run(
    model: Annotated[str, typer.Argument(help="Catalogue name, hub id, folder, .gguf file, or random:NAME for random weights.")],
    prompt_tokens: Annotated[int, typer.Option(help="Tokens the model reads first.")] = 128,
    new_tokens: Annotated[int, typer.Option(help="Tokens the model writes.")] = 32,
    batch: Annotated[int, typer.Option(help="Sequences side by side.")] = 1,
    dtype: Dtype = None,
    threads: Threads = None,
    device: Device = None,
    attention: Annotated[str, typer.Option(help="auto (what transformers has best for the model), sdpa or eager.")] = "auto",
    huge_pages: Annotated[bool, typer.Option(help="Ask Linux for 2 MB pages.")] = True,
    seconds: Annotated[float, typer.Option(help="Stop adding rounds after this much timed work.")] = Generate().seconds,
    seed: Annotated[int, typer.Option(help="Of random weights and prompts.")] = 0,
    time_limit: Annotated[float, typer.Option(help="End the run as failed after this many seconds.")] = 3600,
    as_json: Json = False,
) -> None:
    """Measure a model: time to first token, time per token, memory, and where the time goes."""
    with border(as_json):
        work = Generate(batch=batch, prompt_tokens=prompt_tokens, new_tokens=new_tokens, seconds=seconds, seed=seed)
        setup = _setup(device, threads, dtype).model_dump() | {"attention": attention, "huge_pages": huge_pages}
        spec = RunSpec(model=resolve(model), work=work, setup=Setup(**setup))
        done = _do(spec, time_limit)
        finish(done, as_json, terminal.show)


@app.command()
def ceilings(
    scope: Annotated[str, typer.Option(help="full (about a minute), quick (a few seconds), or one curve: memory or matmul.")] = "full",
    quick: Annotated[bool, typer.Option("--quick", help="Short for --scope quick.")] = False,
    dtype: Dtype = None,
    threads: Threads = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Measure what this machine can do: bandwidth, matrix products, dispatch."""
    with border(as_json):
        work = MeasureCeilings.model_validate({"scope": "quick" if quick else scope})
        finish(_do(RunSpec(work=work, setup=_setup(device, threads, dtype))), as_json, terminal.show_ceilings)


@app.command()
def fetch(as_json: Json = False) -> None:
    """Bring the default model into the cache."""
    with border(as_json):
        done = _do(RunSpec(work=FetchModel(), setup=_setup(None, None, None)))
        finish(done, as_json, lambda run: terminal.OUT.print("The default model is in the cache."))


@app.command()
def models(as_json: Json = False) -> None:
    """List the catalogue."""
    rows = catalogue.rows().values()
    if as_json:
        return _print_json({"models": [_model(row) for row in rows]})
    table = terminal.Table("id", "name", "parameters", "weights", "context", box=None, header_style="dim")
    for row in rows:
        spec = row.spec()
        table.add_row(row.id, row.name, words(parameters(spec), ""), "real" if spec.trained else "random", f"{spec.context:,}")
    terminal.OUT.print(table)


def _model(row: catalogue.Row) -> dict:
    spec = row.spec()
    return {
        "id": row.id,
        "name": row.name,
        "parameters": parameters(spec),
        "weights": spec.origin,
        "context": spec.context,
        "hub": row.hub,
    }


@app.command()
def lab(
    name: Annotated[Optional[str], typer.Argument(help="Which experiment; without it, all are listed.")] = None,
    model: Annotated[str, typer.Option(help="Of experiments with one model.")] = catalogue.DEFAULT,
    dtype: Annotated[Optional[list[str]], typer.Option(help="May be given several times where formats are compared.")] = None,
    threads: Threads = None,
    device: Device = None,
    thorough: Annotated[bool, typer.Option(help="More points, each measured longer.")] = False,
    as_json: Json = False,
) -> None:
    """Measure an experiment of several runs: a prediction, its points, one sentence."""
    if name is None:
        return _print_json({"labs": {row.name: row.question for row in LABS.values()}}) if as_json else terminal.show_labs()
    with border(as_json):
        recipe, machine = find_lab(name), this_machine()
        setups = [_setup(device, threads, each) for each in dtype] if dtype else [_setup(device, threads, None)]
        jobs, spec = Jobs(Store(), machine), RunSpec(work=MeasureCeilings(), setup=setups[0])
        conditions = Conditions(
            setup=setups[0],
            model=resolve(model) if "model" in recipe.asks else None,
            dtypes=tuple(setup.dtype for setup in setups),
            devices=(setups[0].device,),
            models=tuple(row.spec(random=True) for row in catalogue.rows().values()),
            room=capacity(machine, setups[0].device, available_memory()),
            roofs=jobs.ceilings(spec),
            thorough=thorough,
        )
        plan = planned(recipe, conditions)
        check(plan.specs[0], machine, available_memory())
        for left_out in plan.left_out:
            print(f"Left out: {left_out}.", file=sys.stderr)
        whole = name_of(name, new_id())
        done = terminal.follow_all(jobs, whole, [jobs.submit(each, "terminal", whole) for each in plan.specs])
        if as_json:
            _print_json(told(recipe, done))
        else:
            terminal.show_experiment(recipe, done, command(recipe, conditions))
        if done.lost:
            raise typer.Exit(1)


@kept.command("list")
def list_runs(limit: Annotated[int, typer.Option(help="At most this many, newest first.")] = 50, as_json: Json = False) -> None:
    """The newest runs."""
    store = Store()
    store.mend()
    runs = store.heads(limit)
    if as_json:
        return _print_json(
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
            return _print_json(report(found))
        if found.status != "finished":
            terminal.OUT.print(f"{found.spec.title}: {found.status}. {found.reason}", highlight=False)
        elif isinstance(found.spec.work, Generate):
            terminal.show(found)
        elif found.spec.work.task == "ceilings":
            terminal.show_ceilings(found)


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
        Store().delete(_find(id).id)


@contextmanager
def border(as_json: bool):
    """The one place where what a person got wrong becomes a sentence and an exit code."""
    try:
        yield
    except ValidationError as error:
        _refuse(sentence(error), as_json)
    except (ValueError, OSError) as error:
        _refuse(str(error), as_json)


def _refuse(reason: str, as_json: bool) -> NoReturn:
    if as_json:
        _print_json({"status": "refused", "reason": reason})
    print(reason, file=sys.stderr)
    raise typer.Exit(2)


def finish(run: Run, as_json: bool, show) -> None:
    """Tell how a run ended; exit code 0 only for a finished one."""
    if as_json:
        _print_json(report(run))
    elif run.status == "finished":
        show(run)
    if run.status != "finished":
        print(run.reason, file=sys.stderr)
        raise typer.Exit(130 if run.status == "cancelled" else 1)


def _do(spec: RunSpec, time_limit: float = 3600) -> Run:
    machine = this_machine()
    check(spec, machine, available_memory())
    jobs = Jobs(Store(), machine, time_limit)
    return terminal.follow(jobs, jobs.submit(spec, source="terminal"))


def _setup(device: str | None, threads: int | None, dtype: str | None) -> Setup:
    """The set-up with what was not said filled in for this machine."""
    machine = this_machine()
    device = "cuda:0" if device == "cuda" else device or devices()[0]
    threads = machine.cores if threads is None else threads
    return Setup.model_validate({"device": device, "threads": threads, "dtype": dtype or native_dtype(device)})


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


def _print_json(value: dict) -> None:
    print(json.dumps(value, indent=1, allow_nan=False, default=float))
