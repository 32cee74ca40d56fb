"""The terminal's command for experiments: a prediction, its points, one sentence."""

import sys
from dataclasses import replace
from typing import Annotated, Optional

import typer

from profiler import terminal
from profiler.analysis.experiment import name_of
from profiler.analysis.labs import LABS, Lab, command, planned
from profiler.analysis.labs import lab as find_lab
from profiler.analysis.outcome import told
from profiler.analysis.recipes import Conditions
from profiler.catalog import models as catalogue
from profiler.catalog.machine import available_memory, devices, this_machine
from profiler.catalog.methods import unavailable
from profiler.catalog.resolve import resolve
from profiler.cli_border import Json, border, print_json
from profiler.cli_jobs import Device, Threads, jobs_here, setup_of
from profiler.record.jobs import Jobs
from profiler.record.store import new_id
from profiler.spec.model import ModelSpec
from profiler.spec.run import RunSpec, Setup
from profiler.spec.work import MeasureCeilings
from profiler.theory.memory import capacity, check

COMPRESSED_FROM = "bfloat16"  # the format that most models are published in


def lab(
    name: Annotated[Optional[str], typer.Argument(help="Which experiment; without it, all are listed.")] = None,
    model: Annotated[str, typer.Option(help="Of experiments with one model.")] = catalogue.DEFAULT,
    dtype: Annotated[Optional[list[str]], typer.Option(help="May be given several times where formats are compared.")] = None,
    threads: Threads = None,
    device: Device = None,
    ways: Annotated[
        Optional[str],
        typer.Option("--methods", "--engines", "--choices", help="What is compared, with commas between; all that run here if not said."),
    ] = None,
    quantization: Annotated[str, typer.Option(help="Of the sensitivity experiment: the format that each layer is tried in.")] = "",
    text: Annotated[str, typer.Option(help="A file of text that quality is judged by, instead of documentation installed here.")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="Only the methods, engines or choices of the quick preset.")] = False,
    thorough: Annotated[bool, typer.Option(help="More points, each measured longer.")] = False,
    as_json: Json = False,
) -> None:
    """Measure an experiment of several runs: a prediction, its points, one sentence."""
    if name is None:
        return print_json({"labs": {row.name: row.question for row in LABS.values()}}) if as_json else terminal.show_labs()
    with border(as_json):
        recipe, jobs = find_lab(name), jobs_here()
        formats: list[str | None] = [*dtype] if dtype else [COMPRESSED_FROM if recipe.published else None]
        setups = [setup_of(device, threads, each) for each in formats]
        setups[0] = Setup.model_validate(setups[0].model_dump() | {"quantization": quantization})
        chosen = resolve(model) if "model" in recipe.asks else None
        kept, refused = _ways(recipe, ways, quick, setups[0], chosen)
        usual = _conditions(jobs, setups, chosen, device)
        conditions = replace(usual, thorough=thorough, methods=kept, refused=refused, text=text)
        _run(recipe, conditions, jobs, as_json)


def _ways(recipe: Lab, asked: str | None, quick: bool, setup: Setup, model: ModelSpec | None) -> tuple[tuple[str, ...], dict[str, str]]:
    """(those that can run, the others with their reason). Raises ValueError of one sentence where none can."""
    table = recipe.ways
    if table is None or model is None:
        return (), {name: why for name in recipe.needs if model and (why := unavailable(name, setup, model, this_machine()))}
    names = [name.strip() for name in asked.split(",")] if asked else list(table.quick if quick else table.choices)
    for name in names:
        table.named(name)
    refused = {name: why for name in names if (why := unavailable(name, setup, model, this_machine(), table))}
    kept = tuple(name for name in names if name not in refused)
    if not set(kept) - {table.baseline}:
        raise ValueError(f"None of these {table.key} can run here. {'; '.join(f'{name}: {why}' for name, why in refused.items())}")
    return kept, refused


def _conditions(jobs: Jobs, setups: list[Setup], model: ModelSpec | None, device: str | None) -> Conditions:
    return Conditions(
        setup=setups[0],
        model=model,
        dtypes=tuple(setup.dtype for setup in setups),
        devices=(setups[0].device,) if device else tuple(devices()),
        models=tuple(row.spec(random=True) for row in catalogue.rows().values()),
        room=capacity(this_machine(), setups[0].device, available_memory()),
        roofs=jobs.ceilings(RunSpec(work=MeasureCeilings(), setup=setups[0])),
    )


def _run(recipe: Lab, conditions: Conditions, jobs: Jobs, as_json: bool) -> None:
    """Do the runs and say what came out."""
    wanted = planned(recipe, conditions)
    check(wanted.specs[0], this_machine(), available_memory())
    for left_out in wanted.left_out:
        print(f"Left out: {left_out}.", file=sys.stderr)
    whole = name_of(recipe.name, new_id())
    done = terminal.follow_all(jobs, whole, [jobs.submit(each, "terminal", whole) for each in wanted.specs])
    if as_json:
        print_json(told(recipe, done))
    else:
        terminal.show_experiment(recipe, done, command(recipe, conditions))
    if done.lost:
        raise typer.Exit(1)
