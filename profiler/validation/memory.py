"""From a row of a table of peak memories to a prediction of the bytes that the row reports.

The measured value is never read. What a row leaves open is the usual case of its kind: a short chat for inference, the trainer's
defaults for training.
"""

import re
from dataclasses import dataclass
from typing import Any

from profiler.catalog import devices
from profiler.spec.deployment import Deployment
from profiler.spec.device import Device
from profiler.spec.engines import engine_named
from profiler.spec.formats import FORMATS, Precision, format_named
from profiler.spec.model import ModelSpec
from profiler.spec.training import TRAINERS, TrainSetup, trainer_named
from profiler.theory.inference_memory import inference_memory
from profiler.theory.memory_rates import Constants
from profiler.theory.training_memory import training_memory
from profiler.validation import training_words as words
from profiler.validation.training import model_of
from profiler.validation.training_words import Row

CHAT = 256  # tokens, prompt and answer, where nobody states them
ALPACA = 512  # tokens of a long example of that data set, which sets the peak
FINE_TUNED = 8  # sequences of a batch of such a data set, where nobody states them
SEQUENCE = 2048
# what people call a format whose kind they do not name: that of bitsandbytes (Dettmers et al., arXiv 2208.07339, 2305.14314)
LOOSELY = ((r"4.?bit|qlora", "nf4"), (r"8.?bit", "int8"), (r"bf16|bfloat16", "bfloat16"), (r"fp16|float16|half|16.?bit", "float16"))
UNITS = {"gib": 2**30, "mib": 2**20, "gb": 1e9, "mb": 1e6, "kb": 1e3, "tb": 1e12, "b": 1.0, "bytes": 1.0}


@dataclass(frozen=True)
class Case:
    """One published peak, as a question to the model of memory."""

    model: ModelSpec
    setup: TrainSetup | None  # of training
    deployment: Deployment | None  # of inference
    batch: int
    length: int
    counter: str  # allocated, reserved, or total: who counted
    unit: float  # bytes
    share: float = 1.0  # devices that the number is the sum of


def predict_row(row: Row, constants: Constants | None = None) -> float:
    """The number that a row reports, in its own unit. Raises ValueError with the reason where the row cannot be resolved."""
    return predict_case(case_of(row), constants)


def predict_case(case: Case, constants: Constants | None = None) -> float:
    """The number of a case, in its unit."""
    if case.setup:
        found: Any = training_memory(case.model, case.setup, constants)
    else:
        assert case.deployment
        found = inference_memory(case.model, case.deployment, case.batch, case.length / 2, case.length / 2, constants)
    return float(getattr(found, case.counter)) * case.share / case.unit


def case_of(row: Row) -> Case:
    """The question that a row asks."""
    row = words.cells(row)
    spec, device = model_of(row), devices.find(row["hardware"])
    if device is None:
        raise ValueError(f"unknown device {row['hardware']!r}")
    unit = UNITS.get(row["unit"].strip().lower().split("/")[0].split(" ")[0])
    if unit is None:
        raise ValueError(f"unknown unit {row['unit']!r}")
    trainer = trainer_named(row["software"] + " " + row["setting"])
    text = words.said(row, "metric", "unit", "notes")
    number = words.count(row["num_devices"]) or 1
    share = number if "total" in text.split("notes")[0] and number > 1 else 1
    training = re.search(r"train|tun|lora|pre-?train|sft|dpo", row["workload"].lower())
    if training:
        binary = TRAINERS[trainer].binary_units and unit == 1e9
        setup = fitting(spec, device, training_setup(row, trainer))
        return Case(spec, setup, None, 1, 1, _counter(text), 2**30 if binary else unit, share)
    length = words.count(row["seq_len"]) or CHAT
    return Case(spec, None, deployment(row, device), words.count(row["batch"]) or 1, length, _counter(text), unit, share)


def _counter(text: str) -> str:
    """Who counted: the allocator by what tensors take, unless the row names its pool or the driver."""
    if re.search(r"nvidia-smi|device memory|vram|total|rocm-smi|process", text):
        return "total"
    return "reserved" if "reserved" in text else "allocated"


def deployment(row: Row, device: Device) -> Deployment:
    """Where and how the row's model ran."""
    engine = engine_named(row["software"])
    number = words.count(row["num_devices"]) or 1
    stated = {name: size for name, size in words.degrees(row["setting"]).items() if name in ("tensor", "pipeline", "expert")}
    if number > 1 and not stated:
        layers = re.search(r"sequential|layer|pipeline|device.?map|naive", row["setting"].lower())
        stated = {"pipeline" if layers else "tensor": number}
    found = Deployment(device=device, devices=number, engine=engine, precision=precision(row["quant"]))
    return found.model_copy(update=stated)


def precision(text: str) -> Precision:
    """Formats of weights and arithmetic; mixed: wide weights, narrow arithmetic."""
    if words.mixed(text):
        return Precision(weights="float32", kv="bfloat16", compute=words.compute(text.split("(", maxsplit=1)[0])[0])
    return Precision.of(quantization(text))


def training_setup(row: Row, trainer: str) -> TrainSetup:
    """How the row's model was trained."""
    text = words.said(row, "workload", "setting", "notes", "software").replace("_", " ").replace("-", " ")
    number = words.count(row["num_devices"]) or 1
    alpaca = "alpaca" in row["seq_len"].lower()
    method = words.method(f"{row['workload']} {row['setting']}")
    compute, pure = words.compute(row["quant"])
    mixed = words.mixed(row["quant"])
    quant = row["quant"] + (" 4-bit" if "qlora" in text and "bit" not in row["quant"] else "")
    base = _base(quant) if method != "full" else ""
    trained = re.search(r"trainable ([\d,]+)", row["setting"])
    known = words.zero(row["setting"], trainer) if number > 1 else {"zero": 0}
    again = re.search(
        r"(?:\b(?:full|no|without|selective(?: op| layer)?) )?(?:(?:activation |gradient )?(?:checkpoint|recomput)\w*|\bac\b)", text
    )
    recompute = words.recompute(again[0] if again else "", trainer)
    if method != "full" and known["zero"] == 3 and number > 1 and TRAINERS[trainer].recompute_sharded:
        recompute = "full"
    setup = TrainSetup(
        devices=number,
        sequence=words.count(row["seq_len"]) or (ALPACA if alpaca else SEQUENCE),
        micro_batch=words.sequences(row["batch"], 1) or (FINE_TUNED if alpaca else 1),
        trainer=trainer,
        compute="float16" if compute == "float16" else "float32" if compute == "float32" and not mixed else "bfloat16",
        pure=method == "full" and not mixed and (pure or TRAINERS[trainer].narrow),
        method=method,
        base=base,
        trainable=float(trained[1].replace(",", "")) if trained else None,
        optimizer=words.optimizer(text),
        recompute=recompute,
    )
    return setup.model_copy(update={**known, **words.degrees(row["setting"])})


def fitting(model: ModelSpec, device: Device, setup: TrainSetup) -> TrainSetup:
    """The set-up in micro-batches, and with every layer calculated again if need be: a peak that was measured did fit."""
    for recompute in dict.fromkeys((setup.recompute, "full")):
        size = setup.micro_batch or 1
        while size >= 1:
            found = setup.model_copy(update={"micro_batch": size, "recompute": recompute})
            if training_memory(model, found).allocated <= device.memory:
                return found
            size //= 2
    return setup


def _base(text: str) -> str:
    """The format of frozen weights."""
    if words.mixed(text) or "fp32" in text.lower():
        return "float32"
    name = quantization(text)
    return name if FORMATS[name].bits < 16 else ""


def quantization(text: str) -> str:
    """The key of FORMATS that a cell means, alone or among other words. Raises ValueError where it means none."""
    for word in (text, *re.split(r"[\s(),/+]+", text), *re.split(r"[\s(),/+-]+", text)):
        try:
            return format_named(word)
        except ValueError:
            continue
    found = next((name for pattern, name in LOOSELY if re.search(pattern, text.lower())), None)
    return found if found else format_named(text)
