"""How long an experiment will take, so that nobody waits blindly. Rough on purpose, and corrected by what it took so far."""

from profiler.analysis.experiment import Experiment
from profiler.record.run import Run
from profiler.spec.machine import Ceilings
from profiler.spec.run import BYTES, RunSpec
from profiler.spec.work import Generate, Requests, Sensitivity
from profiler.theory.cost import Cost
from profiler.theory.predict import bound
from profiler.theory.step import active_parameters, parameters, step_cost

START = 6.0  # seconds until a fresh process has its libraries and its machine is quiet
SPAWN = 3.0  # of them before the worker's first word
LOADING = 5e8  # bytes/s of making or reading weights
SLOWER = 2.5  # a library against the roofs
ROUNDS, OVERTIME = 3, 3.0  # as the worker counts them
COMPILING = 25.0  # seconds
TRACING = 4.0  # seconds of passes under the profiler, and of reading what it saw
CURVES = 25.0  # seconds of one machine curve
WAITING = 1.6  # times the steps of continuous batches that static ones take, whose rows wait for the longest answer
UNKNOWN = (2e11, 2e10)  # FLOP/s and bytes/s of a machine that was never measured: only for this guess


def expected(spec: RunSpec, roofs: Ceilings | None) -> float:
    """Seconds of one run, from its start to its end."""
    if isinstance(spec.work, Sensitivity):
        return _sensitivity(spec, spec.work, roofs)
    if isinstance(spec.work, Requests):
        return _requests(spec, spec.work, roofs)
    if not isinstance(spec.work, Generate) or spec.model is None:
        return CURVES
    work = spec.work
    costs = step_cost(spec.shape, work.batch, work.prompt_tokens, work.new_tokens, spec.setup.precision)
    seconds = _least(spec, costs, roofs)
    once = SLOWER * (seconds["prefill"] + work.new_tokens * seconds["decode"])
    rounds = max(work.seconds, min(ROUNDS * once, OVERTIME * work.seconds + once))
    around = 4 * SLOWER * seconds["prefill"] + 2.0  # cold, warm, and the kernels alone
    around += COMPILING if spec.setup.compile else 0.0
    around += TRACING + 20 * SLOWER * seconds["decode"] if work.trace else 0.0
    around += _compressing(spec) + _scoring(spec, work.quality, 2, roofs)
    return START + costs["decode"].weights / LOADING + around + rounds


def _least(spec: RunSpec, costs: dict[str, Cost], roofs: Ceilings | None) -> dict[str, float]:
    """Seconds of each phase at the roofs, or at those of some machine."""
    if roofs and spec.setup.dtype in roofs.matmul:
        return {phase: bound(cost, roofs).time for phase, cost in costs.items()}
    return {phase: max(cost.flops / UNKNOWN[0], cost.bytes / UNKNOWN[1]) for phase, cost in costs.items()}


def _requests(spec: RunSpec, work: Requests, roofs: Ceilings | None) -> float:
    """Seconds of all batches, their prompts and their steps, and of a short one before."""
    rows = min(work.slots, work.count)
    costs = step_cost(spec.shape, rows, work.prompt_tokens, work.new_tokens, spec.setup.precision)
    seconds = _least(spec, costs, roofs)
    wait = WAITING if rows > 1 and work.batching == "static" else 1.0
    batches = work.count / rows + 1
    once = SLOWER * batches * (seconds["prefill"] + work.new_tokens * wait * seconds["decode"])
    return START + costs["decode"].weights / LOADING + _compressing(spec) + once


def _compressing(spec: RunSpec) -> float:
    """Seconds of reading all weights once more, and writing them; another engine also makes a file of them."""
    assert spec.model
    whole = parameters(spec.model) * BYTES[spec.setup.dtype]
    return whole * (1 if spec.setup.engine == "transformers" else 3) / LOADING if spec.setup.compressed else 0.0


def _scoring(spec: RunSpec, tokens: int, passes: float, roofs: Ceilings | None) -> float:
    """Seconds of letting models of this size foretell a text, and of loading the one that is compared with."""
    if not tokens:
        return 0.0
    assert spec.model
    rate = roofs.peak_in("float32") if roofs else UNKNOWN[0]
    return passes * SLOWER * 2 * tokens * active_parameters(spec.model) / rate + parameters(spec.model) * BYTES["float32"] / LOADING


def _sensitivity(spec: RunSpec, work: Sensitivity, roofs: Ceilings | None) -> float:
    """Seconds of half a pass for each of two parts of each layer (the layers before the part are not asked again)."""
    assert spec.model
    return START + _scoring(spec, work.tokens, spec.model.layers + 2, roofs)


def left(experiment: Experiment, now: float) -> float:
    """Seconds still to go: what is expected of the open runs, each as much too short as it was for those that are over."""
    late = [_seconds(run) - expected(run.spec, None) for run in experiment.finished]
    typical = sorted(late)[len(late) // 2] if late else 0.0
    return sum(_open(run, now, typical) for run in experiment.runs if not run.done)


def _open(run: Run, now: float, late: float) -> float:
    """Of one open run: what is expected of it, or the worker's own word if that is longer (before the rounds it is too short)."""
    elapsed = now - run.started.at if run.started else 0.0
    return max(expected(run.spec, None) + late - elapsed, run.left(now) or 0.0, 1.0)


def _seconds(run: Run) -> float:
    begun = run.started.at if run.started else run.events[-1].at
    return run.events[-1].at - begun + SPAWN
