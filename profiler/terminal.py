"""How a run looks in a terminal: progress while it lasts, tables when it is done. Words go to standard error, results to
standard output.
"""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from profiler.analysis.experiment import Experiment
from profiler.analysis.foretold import foretold
from profiler.analysis.labs import LABS, Lab, conclude
from profiler.analysis.levers import levers
from profiler.analysis.memory import split
from profiler.analysis.moment import PHASES
from profiler.analysis.outcome import rows as outcome_rows
from profiler.analysis.proof import Proof
from profiler.analysis.proof import rows as proof_rows
from profiler.analysis.quality import quality
from profiler.analysis.table import MODEL, ceilings_rows, point_rows, rows
from profiler.analysis.trust import doubts, overhead, own_load
from profiler.analysis.verdict import verdict
from profiler.analysis.waterfall import waterfall
from profiler.record.jobs import Jobs
from profiler.record.run import Run
from profiler.spec.units import words

OUT, ERR = Console(), Console(stderr=True)
LOOK = 0.5  # seconds: a terminal that redraws more often takes time from the measured cores
COLOURS = {"note": "dim", "doubt": "yellow", "alarm": "red"}


def follow(jobs: Jobs, id: str) -> Run:
    """Wait for the end of a run, with a progress bar where there is a terminal. Control-C cancels the run."""
    run = jobs.store.run(id)
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"), TimeElapsedColumn()
    try:
        with Progress(*columns, console=ERR, transient=True, auto_refresh=False, disable=not ERR.is_terminal) as bar:
            task = bar.add_task("waiting", total=1.0, left="")
            while not run.done:
                time.sleep(LOOK)
                run = jobs.store.refresh(run)
                _show(bar, task, run)
    except KeyboardInterrupt:
        jobs.cancel(id)
        while not run.done:
            time.sleep(LOOK / 5)
            run = jobs.store.refresh(run)
    return run


def _show(bar: Progress, task, run: Run) -> None:
    if not run.phases:
        bar.update(task, description="queued" if run.status == "queued" else "starting", refresh=True)
        return
    phase, left, now = run.phases[-1], run.left(time.time()), time.time()
    begun = run.phases[0].at
    share = (now - begun) / max(now - begun + left, 1e-9) if left is not None else 0.0
    what = phase.note or ("timing" if phase.name in ("prefill", "decode", "rest") else phase.name)
    bar.update(task, description=what, completed=share, left=f"about {left:.0f} s left" if left is not None else "", refresh=True)


def show(run: Run) -> None:
    """A finished generate run: headline, waterfalls, doubts, command."""
    OUT.print(f"[bold]{run.spec.title}[/bold]", highlight=False)
    OUT.print(_metrics(run))
    for phase in PHASES:
        if found := verdict(run, phase):
            OUT.print(f"[bold]{phase}: {found.kind}.[/bold] {found.sentence}", highlight=False)
            OUT.print(_waterfall(run, phase))
            for lever in levers(run, found)[:2]:
                OUT.print(f"  try: [bold]{lever.title}[/bold]. {lever.expectation}", highlight=False)
        if said := foretold(run, phase):
            OUT.print(f"  {said.sentence}", highlight=False)
    if held := split(run):
        parts = ", ".join(f"{name} {words(size, 'B')}" for name, size in held.parts().items())
        OUT.print(f"[bold]Memory[/bold] {words(held.peak, 'B')} at the peak: {parts}.", highlight=False)
    if judged := quality(run):
        OUT.print(f"[bold]Quality[/bold] {judged.sentence}", highlight=False)
    for doubt in doubts(run):
        OUT.print(f"[{COLOURS[doubt.level]}]{doubt.level}: {doubt.sentence}[/]", highlight=False)
    extra, own = overhead(run), own_load(run)
    if extra is not None and own is not None:
        OUT.print(f"Everything else took {extra:.2f} times the measured work; watching used {own:.3f} cores.", highlight=False)
    OUT.print(f"Again: [bold]{run.spec.command}[/bold]", highlight=False, soft_wrap=True)


def show_proofs(found: dict[str, Proof | None]) -> None:
    """What the experiments said about each phase's verdict."""
    for phase, each in found.items():
        if each is None:
            OUT.print(f"[bold]{phase}:[/bold] no verdict that an experiment could test.", highlight=False)
            continue
        OUT.print(f"[bold]{phase}: {each.outcome}.[/bold] {each.sentence}", highlight=False)
        table = Table("change", "foretold", "if it were wrong", "measured", "noise", "answer", box=None, header_style="dim")
        for row in proof_rows(each):
            table.add_row(*list(row.values())[:6])
        OUT.print(table)


def _metrics(run: Run) -> Table:
    shown = ("metric", "median", "95 % interval", "p90", "p99", "samples")
    table = Table(*shown, box=None, header_style="dim")
    for row in rows(run, MODEL):
        table.add_row(*(row[column] for column in shown))
    return table


def _waterfall(run: Run, phase: str) -> Table:
    table, fall = Table(box=None, show_header=False), waterfall(run, phase)
    assert fall  # a phase with a verdict has one
    for name, seconds in [*((part.name, part.seconds) for part in fall.parts), ("measured", fall.measured)]:
        table.add_row("  " + name, words(seconds, "s"), "█" * max(round(40 * seconds / fall.measured), 0))
    return table


def show_ceilings(run: Run) -> None:
    """What the machine can do; of a single curve, its points."""
    rows = ceilings_rows(run.ceilings) if run.ceilings else point_rows(run)
    table = Table(*rows[0], box=None, header_style="dim")
    for row in rows:
        table.add_row(*row.values())
    OUT.print(table)
    if run.ceilings and run.ceilings.disturbed:
        OUT.print("[yellow]The machine was busy with other programs: these are not kept as its ceilings.[/]")


def follow_all(jobs: Jobs, whole: str, ids: list[str]) -> Experiment:
    """Wait for the end of all runs of an experiment. Control-C cancels what is still to come, too."""
    runs = []
    for number, id in enumerate(ids, 1):
        ERR.print(f"{number} of {len(ids)}: {jobs.store.run(id).spec.title}", highlight=False)
        runs.append(follow(jobs, id))
        if runs[-1].status == "cancelled":
            for rest in ids[number:]:
                jobs.cancel(rest)
            break
    return Experiment(whole, tuple(jobs.store.run(id) for id in ids))


def show_experiment(lab: Lab, experiment: Experiment, again: str) -> None:
    """What an experiment found: title, sentence, one row a point, what was lost."""
    found = conclude(lab, experiment)
    lines = [{name: value for name, value in row.items() if name != "run"} for row in outcome_rows(lab, experiment)]
    OUT.print(f"[bold]{found.title}[/bold]", highlight=False)
    OUT.print(found.sentence, highlight=False)
    if lines:
        table = Table(*lines[0], box=None, header_style="dim")
        for line in lines:
            table.add_row(*line.values())
        OUT.print(table)
    for run in experiment.lost:
        OUT.print(f"[yellow]{run.spec.title}: {run.status}. {run.reason}[/]", highlight=False)
    OUT.print(f"Again: [bold]{again}[/bold]", highlight=False, soft_wrap=True)


def show_labs() -> None:
    """The experiments there are."""
    table = Table("lab", "what it asks", box=None, header_style="dim")
    for lab in LABS.values():
        table.add_row(lab.name, lab.question)
    OUT.print(table)
