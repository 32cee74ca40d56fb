"""From a row of a table of inference results to a prediction of the very number that the row reports.

The measured value is never read here. The engine is found in the software's name, number formats in `quant`, the split over
devices in `parallelism`; where a submitter was free to choose, the fastest split that fits is taken.
"""

from dataclasses import dataclass, replace
from typing import Any

from profiler.catalog import devices, models
from profiler.spec.deployment import Deployment
from profiler.spec.device import Device
from profiler.spec.engines import ENGINES, engine_named
from profiler.spec.formats import FORMATS, Precision, format_named
from profiler.spec.model import ModelSpec
from profiler.theory.plan import decode_step, prefill_step
from profiler.theory.rates import Constants, rates
from profiler.theory.step import parameters
kv_bytes = lambda m,l,p: 2*m.layers*m.kv_heads*m.head_dim*p.width("kv")*l
from profiler.theory.timing import Step, step_seconds
from profiler.validation import conditions
from profiler.validation.conditions import Row

SLACK = 0.9  # of a device's memory that an engine gives to weights and cache
LARGEST = 1024  # sequences that engines run at a time when nobody limits them
SERVING = ("serving", "mlperf-offline", "mlperf-server")


@dataclass(frozen=True)
class Case:
    """One published measurement, as a question to the cost model."""

    model: ModelSpec
    deployment: Deployment
    phase: str
    batch: int
    prompt: float
    new: float
    beams: int
    metric: str
    unit: str


def case_of(row: Row) -> Case:
    """The question that a row asks. Raises ValueError with the reason where something in it cannot be resolved."""
    model = models.find(row["model"])
    device = devices.find(row["hardware"])
    if model is None:
        raise ValueError(f"unknown model {row['model']!r}")
    if device is None:
        raise ValueError(f"unknown device {row['hardware']!r}")
    spec, phase = model.spec(), row["phase"].strip().lower()
    deployment = _deployment(row, spec, device)
    told = conditions.lengths(row)
    batch = conditions.batch(row)
    if batch is None:
        batch = _full(spec, deployment, told.prompt + told.new) if phase in SERVING or phase == "end-to-end" else 1
    elif "dp" in row["parallelism"].lower() and deployment.replicas > 1:
        batch = max(batch // deployment.replicas, 1)
    return Case(spec, deployment, phase, batch, told.prompt, told.new, conditions.beams(row), row["metric"], row["unit"])


def _deployment(row: Row, model: ModelSpec, device: Device) -> Deployment:
    engine = engine_named(row["software"])
    compute = "bfloat16" if "bfloat16" in device.peak else "float16"
    precision = Precision.of(format_named(row["quant"]), compute)
    if engine == "tensorrt-llm" and FORMATS[precision.weights].arithmetic == "float8":
        precision = precision.model_copy(update={"kv": "float8"})
    count = int(float(row["num_devices"] or 1))
    degrees = conditions.split(row)
    software = row["software"].lower()
    flash = True if "fa on" in software else (False if "fa off" in software else None)
    made = Deployment(device=device, devices=count, engine=engine, precision=precision, flash=flash)
    if "layer" in row["parallelism"].lower() or (count > 1 and not degrees and ENGINES[engine].split == "layers"):
        return made.model_copy(update={"pipeline": count})
    if degrees:
        tensor = min(degrees.get("tensor", 1), count)
        return made.model_copy(update={"tensor": tensor, "expert": degrees.get("expert", 1), "pipeline": degrees.get("pipeline", 1)})
    return made.model_copy(update={"tensor": _least(model, made)})


def _least(model: ModelSpec, deployment: Deployment) -> int:
    """The smallest tensor-parallel degree whose devices hold the weights and as much again of cache as a quarter of them."""
    need = parameters(model) * deployment.precision.width("weights") * 1.25
    degree = 1
    while degree < deployment.devices and degree * deployment.device.memory * SLACK < need:
        degree *= 2
    return min(degree, deployment.devices)


def _full(model: ModelSpec, deployment: Deployment, length: float) -> int:
    """Sequences of `length` that fit beside the weights on one replica."""
    room = deployment.group * deployment.device.memory * SLACK - parameters(model) * deployment.precision.width("weights")
    return int(max(1, min(LARGEST, room / kv_bytes(model, length, deployment.precision))))


def steps(case: Case) -> list[tuple[float, Step]]:
    """(times, step) of what the answer's seconds are made of: the prompt's pass and the decode steps of one batch."""
    model, place = case.model, case.deployment
    rows = case.batch * case.beams
    made = []
    if case.phase != "decode":
        made.append((1.0, prefill_step(model, place, float(case.batch), float(case.prompt))))
    if case.phase != "prefill":
        times = 1.0 if case.phase == "decode" else case.new
        made.append((times, decode_step(model, place, float(rows), case.prompt + case.new / 2)))
    return made


def answer(case: Case, seconds: Any) -> Any:
    """The row's own number, in its own unit, from the seconds of `steps`."""
    metric, unit = case.metric.lower(), case.unit.lower()
    if unit in ("s", "ms"):
        return seconds * (1e3 if unit == "ms" else 1.0)
    tokens = {"prefill": case.prompt, "decode": 1.0}.get(case.phase, case.new)
    if "in_plus_out" in metric or "total_tokens" in metric:
        tokens = case.prompt + case.new
    replicas = 1 / case.deployment.group if "per_gpu" in metric or "per_device" in metric else case.deployment.replicas
    return case.batch * tokens / seconds * replicas


def predict_row(row: Row, constants: Constants | None = None) -> float:
    """What the cost model says of a row, in the row's own unit. Raises ValueError where it cannot be resolved."""
    case = case_of(row)
    reached = rates(case.deployment, constants)
    return answer(case, sum(times * step_seconds(step, reached) for times, step in steps(case)))
