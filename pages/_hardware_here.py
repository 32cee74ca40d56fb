"""This machine among the devices: the newest measured run of the same model, beside what was predicted for it."""

from dataclasses import dataclass

import streamlit as st

from pages._backend import ago, store
from profiler.analysis.foretold import foretold
from profiler.analysis.moment import ceilings_now
from profiler.analysis.report import metrics
from profiler.figures.hardware import Seen
from profiler.record.run import Run
from profiler.spec.measurement import Measurement
from profiler.spec.model import ModelSpec
from profiler.spec.units import words
from profiler.spec.work import Generate
from profiler.theory.local import expected
from profiler.theory.predict import predict

METRIC = {"prefill": "time_to_first_token", "decode": "time_per_token"}


@dataclass(frozen=True)
class Here:
    """A run of this machine."""

    run: Run
    measured: dict[str, Measurement]  # by phase
    predicted: dict[str, tuple[float, float, float]]  # (time, low, high) in seconds by phase; empty where no ceilings were measured

    @property
    def title(self) -> str:
        """How the row of this machine is called on an axis."""
        return f"this machine, {self.run.spec.setup.dtype}"


def here(model: ModelSpec) -> Here | None:
    """The newest finished run of a model of this shape in this machine's store."""
    id = _newest(model.model_dump_json(include={"hidden", "vocab", "blocks"}))
    if id is None:
        return None
    run = store().run(id)
    found = metrics(run)
    return Here(run, {phase: found[name] for phase, name in METRIC.items() if name in found}, _predicted(run))


def _predicted(run: Run) -> dict[str, tuple[float, float, float]]:
    """What this machine's kernels say of the run; where they were not measured, the least that its ceilings allow."""
    if run.ceilings is None:
        return {}
    if said := expected(run.spec, run.ceilings):
        return {phase: (one.time, one.low, one.high) for phase, one in said.items()}
    bounds = predict(run.spec, ceilings_now(run) or run.ceilings)
    return {phase: (bound.time, bound.time, bound.time) for phase, bound in bounds.items()}


@st.cache_data(show_spinner=False, ttl=10)
def _newest(shape: str) -> str | None:
    """The id of the newest finished run whose model has this shape."""
    for run in store().heads():
        model = run.spec.model
        ours = run.status == "finished" and isinstance(run.spec.work, Generate) and run.source != "import"
        if ours and model and model.model_dump_json(include={"hidden", "vocab", "blocks"}) == shape:
            return run.id
    return None


def seen(found: Here | None, phase: str) -> Seen | None:
    """This machine's row in the figure of times."""
    if found is None or phase not in found.measured:
        return None
    measured = found.measured[phase]
    return Seen(found.title, (measured.median, *measured.interval), found.predicted.get(phase))


def told(found: Here, phase: str) -> str:
    """The run in one sentence: its workload, measured against predicted."""
    work = found.run.spec.generate
    start = (
        f"This machine, measured {ago(found.run.created)} with {work.prompt_tokens:,} + {work.new_tokens:,} tokens, batch {work.batch}, "
        f"{found.run.spec.setup.dtype}: "
    )
    if said := foretold(found.run, phase):
        return start + said.sentence[0].lower() + said.sentence[1:]
    least = found.predicted.get(phase)
    beside = f"; its ceilings allow {words(least[0], 's')} at least" if least else ""
    return f"{start}{words(found.measured[phase].median, 's')}{beside}."
