"""The report: a run as plain values, for JSON, tables and tests."""

from dataclasses import asdict
from typing import Any, get_args

import numpy as np

from profiler.analysis.levers import levers
from profiler.analysis.memory import split
from profiler.analysis.moment import PHASES, cost_of, moment
from profiler.analysis.operators import notes, operators, totals, uncounted
from profiler.analysis.quality import quality
from profiler.analysis.trust import core_loads, doubts, foreign_load, missing, overhead, own_load
from profiler.analysis.verdict import verdict
from profiler.analysis.waterfall import measured_step, waterfall
from profiler.record.events import Curve
from profiler.record.run import Run
from profiler.spec.measurement import Measurement
from profiler.spec.metrics import METRICS

RAW = (
    "cold_prefill",
    "cold_decode",
    "load_time",
    "setup_time",
    "compress_time",
    "compile_time",
    "waiting_prefill",
    "waiting_decode",
    "canary_read",
    "canary_matmul",
)


def metrics(run: Run) -> dict[str, Measurement]:
    """Every metric of the run that has samples, by its name in the registry."""
    found: dict[str, Measurement] = {}
    if run.spec.work.task == "generate":
        found |= _timings(run)
    found |= {name: measured for name in RAW if (measured := run.measured(name))}
    for name in ("cpu", "foreign", "own", "rss", "gpu_utilisation", "gpu_memory", "gpu_power", "gpu_clock", "gpu_temperature"):
        _, values = run.sampled(name)
        if values:
            found[name] = Measurement(values)
    return found


def _timings(run: Run) -> dict[str, Measurement]:
    work, found = run.spec.generate, {}
    if prefill := measured_step(run, "prefill"):
        found["time_to_first_token"] = prefill
        found["prefill_rate"] = Measurement(work.batch * work.prompt_tokens / prefill.samples)
    if decode := measured_step(run, "decode"):
        found["time_per_token"] = decode
        found["decode_rate"] = Measurement(work.batch / decode.samples)
        if len(decode) > 2:
            found["jitter"] = Measurement(np.abs(np.diff(decode.samples)))
    if (energy := run.measured("gpu_energy")) is not None:
        found["energy_per_token"] = Measurement(energy.samples / (work.batch * (work.new_tokens - 1)))
    if (slopes := growth(run)) and slopes.interval[0] * slopes.interval[1] > 0:  # around zero, none can be told
        found["growth"] = slopes
    return found


def growth(run: Run) -> Measurement | None:
    """Seconds more per decode step and 1,000 tokens of context: the slope of a line through each round's steps."""
    rounds: dict[int, list[tuple[int, float]]] = {}
    for step in run.steps("decode"):
        rounds.setdefault(step.round, []).extend(enumerate(step.seconds, step.first))
    slopes = [_slope(points) * 1000 for points in rounds.values() if len(points) >= 8]
    return Measurement(slopes) if len(slopes) >= 3 else None


def _slope(points: list[tuple[int, float]]) -> float:
    positions, seconds = zip(*points)
    return float(np.polyfit(positions, seconds, 1)[0])


def report(run: Run) -> dict[str, Any]:
    """The whole run, ready for JSON; raw samples of the timings included."""
    generate = run.spec.work.task == "generate"
    return {
        "id": run.id,
        "status": run.status,
        "reason": run.reason,
        "spec": run.spec.model_dump(mode="json"),
        "machine": run.started.hardware.model_dump(mode="json") | {"versions": run.started.versions} if run.started else None,
        "metrics": {name: {"unit": METRICS[name].unit, **measured.summary()} for name, measured in metrics(run).items()},
        "samples": {phase: list(steps.samples) for phase in PHASES if (steps := measured_step(run, phase))},
        "memory": _memory(run) if generate else None,
        "quality": judged.summary() if (judged := quality(run)) else None,
        "phases": phases(run),
        "curves": {curve: points for curve in get_args(Curve) if (points := run.points(curve))},
        "ceilings": run.ceilings.model_dump(mode="json") if run.ceilings else None,
        "waterfall": {phase: _waterfall(run, phase) for phase in PHASES if generate},
        "operators": {phase: _operators(run, phase) for phase in PHASES if generate},
        "verdict": {phase: _verdict(run, phase) for phase in PHASES if generate},
        "levers": {phase: _levers(run, phase) for phase in PHASES if generate},
        "trust": _trust(run),
        "text": getattr(run.ended, "text", None),
        "command": run.spec.command,
    }


def phases(run: Run) -> dict[str, float]:
    """Seconds spent in each phase."""
    spent: dict[str, float] = {}
    for name, begin, end in run.spans:
        spent[name] = spent.get(name, 0.0) + end - begin
    return spent


def achieved(run: Run, phase: str) -> dict[str, float] | None:
    """FLOP/s and bytes/s that a phase reached, and its arithmetic intensity."""
    steps = measured_step(run, phase)
    if steps is None:
        return None
    cost = cost_of(run, phase)
    return {"flops": cost.flops / steps.median, "bandwidth": cost.bytes / steps.median, "intensity": cost.intensity}


def _memory(run: Run) -> dict[str, Any] | None:
    held = split(run)
    return {"unit": "B", "peak": held.peak, "source": held.source, **held.parts()} if held else None


def _waterfall(run: Run, phase: str) -> dict[str, Any] | None:
    fall = waterfall(run, phase)
    if fall is None:
        return None
    return {
        "unit": "s",
        "parts": {part.name: part.seconds for part in fall.parts},
        "kinds": {part.name: part.kind for part in fall.parts},
        "measured": fall.measured,
        "binding": fall.binding,
        "achieved": achieved(run, phase),
    }


def _operators(run: Run, phase: str) -> dict[str, Any] | None:
    """The table; the traced and the untraced total; what has no FLOP formula; why there is no trace, if so."""
    traced = run.traced(phase)
    if traced is None:
        return {"note": note} if (note := next(iter(notes(run)), "")) else None
    return {
        "totals": totals(run, phase),
        "context": traced.context,
        "passes": traced.passes,
        "dispatch_floor": traced.floor,
        "rows": [asdict(row) | {"share": row.share, "intensity": row.intensity} for row in operators(run, phase)],
        "layers": traced.layers,
        "uncounted": {f"{row.op} in {row.group}": row.seconds for row in uncounted(run, phase)},
    }


def _levers(run: Run, phase: str) -> list[dict[str, Any]]:
    found = verdict(run, phase)
    return [
        {"title": lever.title, "gain": lever.gain, "limit": lever.limit, "command": lever.spec.command}
        for lever in (levers(run, found) if found else ())
    ]


def _verdict(run: Run, phase: str) -> dict[str, str] | None:
    found = verdict(run, phase)
    return {"kind": found.kind, "sentence": found.sentence} if found else None


def _trust(run: Run) -> dict[str, Any]:
    now = moment(run) if run.spec.work.task == "generate" else None
    return {
        "doubts": [{"level": doubt.level, "about": doubt.about, "sentence": doubt.sentence} for doubt in doubts(run)]
        if run.spec.work.task == "generate"
        else [],
        "foreign_cores": foreign_load(run),
        "own_cores": own_load(run),
        "core_loads": core_loads(run),
        "missing": missing(run),
        "drift": now.drift if now else None,
        "overhead": overhead(run),
        "warm_worker": run.started.warm if run.started else None,
        "facts": getattr(run.ended, "facts", {}),
    }
