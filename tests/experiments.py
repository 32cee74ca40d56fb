"""Hand-made experiments: the runs of a plan, each with the time that a function gives it."""

from dataclasses import replace

from profiler.analysis.experiment import Experiment, name_of
from profiler.analysis.labs import LABS, planned
from profiler.analysis.recipes import Conditions
from profiler.catalog.models import rows
from profiler.record.events import Finished, Point, Started
from profiler.record.run import fold
from profiler.record.store import Store
from profiler.spec.run import RunSpec, Setup
from profiler.spec.work import MeasureCeilings
from tests.builders import MACHINE, ceilings, generate_run


def conditions(**changes) -> Conditions:
    """Two threads, float32, 16 GB, and the whole catalogue."""
    held = {
        "setup": Setup(threads=2),
        "model": rows()["smollm2-135m"].spec(random=True),
        "models": tuple(row.spec(random=True) for row in rows().values()),
        "room": 16e9,
        "roofs": ceilings(),
    }
    return Conditions(**(held | changes))


def experiment(name: str, seconds, status="finished", foreign=0.0, **changes) -> Experiment:
    """Every run of a lab took `seconds(spec)` a step."""
    plan = planned(LABS[name], conditions(**changes))
    runs = [
        replace(generate_run(decode=(seconds(spec),) * 96, spec=spec, foreign=foreign, status=status), id=f"run-{number}")
        for number, spec in enumerate(plan.specs)
    ]
    return Experiment(name_of(name, "test"), tuple(runs))


def kept(made: Experiment) -> str:
    """An experiment in the store, as if it had been measured here; its name."""
    store = Store()
    for run in made.runs:
        id = store.add(run.spec, part_of=made.whole)
        store.append(id, list(run.events))
        store.set_status(id, run.status)
    return made.whole


def curves(name: str, points: dict[str, dict[str, list[tuple[float, float]]]], **setup) -> Experiment:
    """A lab of one run that tells curves of the machine: curve → series → (x, value)."""
    spec = RunSpec(work=MeasureCeilings(scope="memory" if name == "staircase" else "matmul"), setup=Setup(**({"threads": 2} | setup)))
    told = [
        Point(at=1, curve=curve, series=series, x=x, value=value)
        for curve, lines in points.items()
        for series, pairs in lines.items()
        for x, value in pairs
    ]
    events = [Started(at=0, hardware=MACHINE, versions={}, warm=False), *told, Finished(at=2)]
    return Experiment(name_of(name, "test"), (fold("run", spec, "finished", 0.0, events),))
