"""From a row of a table of inference results to a prediction of the very number that the row reports.

The measured value is never read here. The engine is found in the software's name, number formats in `quant`, the split over
devices in `parallelism`; where a submitter was free to choose, the fastest split that fits is taken.
"""

from dataclasses import dataclass
from typing import Any

from profiler.catalog import devices, models
from profiler.spec.deployment import Deployment
from profiler.spec.device import Device
from profiler.spec.engines import ENGINES, engine_named
from profiler.spec.formats import FORMATS, Precision, format_named
from profiler.spec.model import ModelSpec
from profiler.theory.rates import Constants, rates
from profiler.theory.serving import SLACK, batch_steps, largest_batch
from profiler.theory.timing import Step, step_seconds
from profiler.theory.weights import weight_bytes
from profiler.validation import conditions
from profiler.validation.conditions import Row
from profiler.validation.shapes import decoder

SERVER = 0.95  # of the full batch's throughput where requests arrive at random and must not wait; assumed
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
    scale: float | None  # how many of the row's unit make a second; None: the row reports a rate


def case_of(row: Row) -> Case:
    """The question that a row asks. Raises ValueError with the reason where something in it cannot be resolved."""
    device = devices.find(row["hardware"])
    if device is None:
        raise ValueError(f"unknown device {row['hardware']!r}")
    model, phase = _model(row), row["phase"].strip().lower()
    deployment = _deployment(row, model, device)
    told = conditions.lengths(row)
    batch = conditions.batch(row)
    if batch is None:
        batch = largest_batch(model, deployment, told.prompt + told.new) if phase in SERVING or phase == "end-to-end" else 1
    elif "dp" in row["parallelism"].lower() and deployment.replicas > 1:
        batch = max(batch // deployment.replicas, 1)
    metric, unit = row["metric"].lower(), row["unit"].lower()
    beams, scale = conditions.beams(row), conditions.time_unit(row)
    return Case(model, deployment, phase, batch, told.prompt, told.new, beams, metric, unit, scale)


def _model(row: Row) -> ModelSpec:
    """The catalogue's model of that name; else, where the row states a size, a usual decoder of that size."""
    known = models.find(row["model"])
    if known is not None:
        return known.spec()
    if not row["params_b"].strip():
        raise ValueError(f"unknown model {row['model']!r}")
    active = float(row["active_b"]) * 1e9 if row["active_b"].strip() else None
    return decoder(row["model"], float(row["params_b"]) * 1e9, active)


def _deployment(row: Row, model: ModelSpec, device: Device) -> Deployment:
    engine = _engine(row, device)
    precision = _precision(row, engine, device)
    degrees = conditions.split(row)
    software = row["software"].lower()
    tensor, pipeline, expert = (degrees.get(name, 1) for name in ("tensor", "pipeline", "expert"))
    count = max(int(float(row["num_devices"] or 1)), 1)
    told = {"fa on": True, "fa off": False} | ({"llama": True} if row["date"].strip() >= "2025-09" else {})  # then it became automatic
    flash = next((on for words, on in told.items() if words in software), None)
    made = Deployment(device=device, devices=count, engine=engine, precision=precision, flash=flash)
    if "layer" in row["parallelism"].lower() or (count > 1 and not degrees and ENGINES[engine].split == "layers"):
        return made.model_copy(update={"pipeline": count})
    if not degrees:
        return made.model_copy(update={"tensor": _least(model, made)})
    if device.kind != "npu":  # of the NPUs, cores are what sources count as ways
        count = max(count, tensor * pipeline, expert)
    tensor = min(tensor, count)
    return made.model_copy(update={"devices": count, "tensor": tensor, "pipeline": min(pipeline, count // tensor), "expert": expert})


def _engine(row: Row, device: Device) -> str:
    """The engine that the software's name tells; else the usual one of such a device."""
    try:
        engine = engine_named(row["software"])
    except ValueError:
        engine = "compiled" if device.family.endswith("-hbm") or device.kind in ("tpu", "npu") else "llama.cpp"
    before = row["date"].strip()
    return "llama.cpp-2024" if engine == "llama.cpp" and before and before < "2024-08" else engine


def _precision(row: Row, engine: str, device: Device) -> Precision:
    """Number formats; benchmarks of TensorRT-LLM keep a float8 model's cache in float8."""
    compute = "bfloat16" if "bfloat16" in device.peak else "float16"
    precision = Precision.of(format_named(row["quant"]) if row["quant"].strip() else compute, compute)
    if engine == "tensorrt-llm" and FORMATS[precision.weights].arithmetic == "float8":
        return precision.model_copy(update={"kv": "float8"})
    return precision


def _least(model: ModelSpec, deployment: Deployment) -> int:
    """The smallest tensor-parallel degree whose devices hold the weights and as much again of cache as a quarter of them."""
    need = weight_bytes(model, deployment.precision) * 1.25
    degree = 1
    while degree < deployment.devices and degree * deployment.device.memory * SLACK < need:
        degree *= 2
    return min(degree, deployment.devices)


FIRST = ("ttft", "first_token", "first token", "prefill")  # metrics of the prompt's pass alone
EACH = ("tpot", "itl", "inter_token", "per_output_token", "per_token", "per token")  # and of one token after the other


def steps(case: Case) -> list[tuple[float, Step]]:
    """(times, step) of what the answer's seconds are made of: the prompt's pass and the decode steps of one batch.

    Where requests are served, a first token waits for one pass over its own prompt, and other prompts stand between the next ones.
    """
    many = case.phase in SERVING
    first, each = (case.scale is not None and any(word in case.metric for word in words) for words in (FIRST, EACH))
    batch = 1.0 if first and many else float(case.batch)
    reading, writing = batch_steps(case.model, case.deployment, batch, float(case.prompt), float(case.new), case.beams)
    if case.phase == "prefill" or first:
        return [reading]
    if case.phase == "decode" or (each and not many):
        return [(1.0, writing[1])]
    return [(1 / case.new, reading[1]), (1.0, writing[1])] if each else [reading, writing]


def answer(case: Case, seconds: Any) -> Any:
    """The row's own number, in its own unit, from the seconds of `steps`; a rate is the inverse of a time, so it works both ways."""
    if case.scale is not None:
        return seconds * case.scale
    tokens = {"prefill": case.prompt, "decode": 1.0}.get(case.phase, case.new)
    if "in_plus_out" in case.metric or "total_tokens" in case.metric:
        tokens = case.prompt + case.new
    if "request" in case.metric or "sample" in case.metric:
        tokens = 1.0
    together = case.batch * case.deployment.replicas * (SERVER if case.phase == "mlperf-server" else 1.0)
    if "user" in case.metric or "user" in case.unit:
        together = 1.0
    elif any(word in case.metric + case.unit for word in ("per_gpu", "per_device", "per_chip", "/gpu", "/device", "/chip")):
        together = case.batch / case.deployment.group
    return together * tokens / seconds * (60 if case.unit.endswith("/min") else 1)


def value_seconds(case: Case, value: float) -> float:
    """The seconds that a number in the row's own unit stands for."""
    at_one = answer(case, 1.0)
    return value / at_one if case.scale is not None else at_one / value


def predict_row(row: Row, constants: Constants | None = None) -> float:
    """What the cost model says of a row, in the row's own unit. Raises ValueError where it cannot be resolved."""
    case = case_of(row)
    reached = rates(case.deployment, constants)
    seconds = sum(times * step_seconds(step, reached) for times, step in steps(case))
    return answer(case, seconds / (reached.serving if case.phase in SERVING else 1.0))
