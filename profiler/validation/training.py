"""From a row of a table of training results to a prediction of the very number that the row reports.

The measured value is never read. Names are found in the catalogue, the trainer in the software's name, and what the row leaves open
is the trainer's default, or the least splitting that fits the devices' memory.
"""

import re
from dataclasses import dataclass, replace

from profiler.catalog import devices, models
from profiler.spec.device import Device
from profiler.spec.model import ModelSpec
from profiler.spec.training import TRAINERS, TrainSetup, trainer_named
from profiler.theory.collectives import fabric
from profiler.theory.sharding import completed
from profiler.theory.training import Training, predict_training
from profiler.theory.training_memory import largest_micro_batch, training_memory
from profiler.theory.training_rates import Constants
from profiler.validation import training_words as words
from profiler.validation.shapes import decoder
from profiler.validation.training_words import Row

SEQUENCE = 2048  # of pretraining whose length nobody states
ALPACA = 256  # tokens: the longest of a few examples of that data set, to which the others are padded
FINE_TUNED = 8  # sequences of a batch of such a data set, where nobody states them
CAUSAL_SINCE = {"maxtext": 2025}  # the year since which a trainer counts causal pairs once in its model FLOPs
WIDEST = 8  # devices of a tensor-parallel group that nobody describes
DEEPEST = 64  # stages of a pipeline that nobody describes
NUMBERS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)  # devices that are tried where nobody states how many
PIECES = 8  # at most, of a stage of an interleaved pipeline that nobody describes
MEMORY = 0.95  # of a device's memory that a set-up may plan with


@dataclass(frozen=True)
class Case:
    """One published measurement, as a question to the model of training."""

    model: ModelSpec
    device: Device
    setup: TrainSetup
    metric: str
    unit: str
    causal: bool
    basis: str = ""  # number format whose peak a utilisation refers to; "": that of the products

    @property
    def timed(self) -> bool:
        """Whether the row reports a time, not a rate."""
        return ("time" in self.metric or "iter" in self.metric or "latency" in self.metric or "ms" in self.metric.split("_")) and (
            "tok" not in self.metric and "flop" not in self.metric
        )


def predict_row(row: Row, constants: Constants | None = None) -> float:
    """The number that a row reports, in its own unit. Raises ValueError with the reason where the row cannot be resolved."""
    case = case_of(row)
    return reported(case, predict_case(case, constants))


def predict_case(case: Case, constants: Constants | None = None) -> Training:
    """The prediction behind it."""
    return predict_training(case.model, case.device, case.setup, constants)


def completed_case(case: Case) -> Case:
    """The case with its batches filled in."""
    setup = case.setup
    micro = 1 if setup.micro_batch else largest_micro_batch(case.model, case.device, setup)
    return replace(case, setup=completed(setup, micro))


def case_of(row: Row) -> Case:
    """The question that a row asks."""
    row = words.cells(row)
    model, device = model_of(row), devices.find(row["hardware"])
    if device is None:
        raise ValueError(f"unknown device {row['hardware']!r}")
    setup = setup_of(row, model, device)
    year = words.year(row)
    causal = year >= CAUSAL_SINCE.get(setup.trainer, 10_000) or ("causal" in row["notes"] and "non-causal" not in row["notes"])
    basis = "bfloat16" if re.search(r"bf16[a-z ]* peak|peak[a-z ]* bf16|(?:vs|to) bf16", words.said(row, "notes", "metric", "unit")) else ""
    return Case(model, device, setup, row["metric"].lower(), row["unit"], causal, basis)


def model_of(row: Row) -> ModelSpec:
    """The catalogue's model of that name; of an unknown name, a decoder with so many parameters as the row states."""
    found = models.find(row["model"])
    if found is not None:
        return found.spec()
    stated = re.search(r"(\d+(?:\.\d+)?)\s*([bt])\b", row["model"].lower())
    billions = float(row["params_b"] or (float(stated[1]) * {"b": 1, "t": 1000}[stated[2]] if stated else 0))
    if not billions:
        raise ValueError(f"unknown model {row['model']!r}")
    return decoder(row["model"], billions * 1e9, float(row["active_b"]) * 1e9 if row["active_b"] else None)


def reported(case: Case, found: Training) -> float:
    """A prediction in the metric and unit of its row."""
    metric, unit = case.metric, case.unit.lower()
    if "mfu" in metric or "utilization" in metric or "utilisation" in metric:
        share = found.achieved(case.causal) / case.device.peak.get(case.basis, found.peak)
        return share * (100 if "%" in unit or not unit else 1)
    if "flop" in metric:
        achieved = found.achieved(case.causal)
        return achieved / (1e15 if unit.startswith("p") else 1e12) * (1 if _per_device(case) else case.setup.devices)
    if case.timed:
        return found.time * (1000 if "ms" in unit or "ms" in metric.split("_") else 1)
    rate = found.tokens / found.time
    if "sample" in metric or "seq" in metric or "sample" in unit:
        rate = rate / case.setup.sequence
    elif "tok" not in metric and "throughput" not in metric and "tok" not in unit:
        raise ValueError(f"unknown metric {case.metric!r}")
    return rate / (case.setup.devices if _per_device(case) else 1) * (86400 if "day" in unit else 1)


def _per_device(case: Case) -> bool:
    text = f"{case.metric} {case.unit}".lower()
    return (
        any(word in text for word in ("per_gpu", "per_device", "per_chip", "/gpu", "/chip", "/device", "per gpu")) and "total" not in text
    )


def setup_of(row: Row, model: ModelSpec, device: Device) -> TrainSetup:
    """How the row's model was trained."""
    trainer = trainer_named(row["software"])
    text = words.said(row, "sharding", "notes")
    format, pure = words.compute(row["precision"])
    sequence = words.count(row["seq_len"]) or (ALPACA if "alpaca" in row["seq_len"].lower() else SEQUENCE)
    stated = words.degrees(row["sharding"]) or words.degrees(row["notes"])
    number = words.count(row["num_devices"])
    kernel = words.attention(row, trainer)
    method = words.method(text + " " + row["software"].lower())
    setup = TrainSetup(
        sequence=sequence,
        trainer=trainer,
        compute=format,
        pure=pure or (TRAINERS[trainer].narrow and not words.mixed(row["precision"])),
        method=method,
        base="nf4"
        if method != "full" and re.search(r"qlora|nf4|4.?bit", words.said(row, "precision", "sharding", "notes", "software"))
        else "",
        optimizer=words.optimizer(row["software"] + " " + row["notes"]),
        recompute=words.recompute(row["act_ckpt"], trainer),
        attention=kernel,
        asynchronous="async" in text,
        sequence_parallel="full recompute" not in row["act_ckpt"].lower() or kernel != "scores",
        **words.zero(row["sharding"], trainer),
    )
    setup = setup.model_copy(update={**stated, "devices": number or 0, "domains": _domains(text, device, number or 1)})
    if number and number < setup.replica:
        raise ValueError(f"{number} devices are too few for a replica of {setup.replica}")
    short = FINE_TUNED if sequence == ALPACA else None
    micro = words.sequences(row["micro_batch"], sequence) or TRAINERS[trainer].micro_batch or short
    setup = setup.model_copy(update={"micro_batch": micro, "global_batch": words.sequences(row["global_batch"], sequence)})
    setup = split(model, device, setup, bool(re.search(r"\b[tp]p\b|tensor|pipeline|3d", text)) and not stated)
    if micro and setup.global_batch:
        micro = min(micro, max(setup.global_batch // setup.replicas, 1))
    return setup.model_copy(update={"micro_batch": micro})


def _domains(text: str, device: Device, number: int) -> int:
    """Groups of devices that a slow network joins."""
    return words.domains(text) or (max(round(number / device.link.size), 1) if device.kind == "tpu" and device.link else 1)


def split(model: ModelSpec, device: Device, setup: TrainSetup, open: bool) -> TrainSetup:
    """The set-up with degrees of parallelism and a number of devices, where a source leaves them open: the fastest that fits."""
    if setup.devices and not open and (fits(model, device, setup) or setup.replica > 1):
        return setup
    widest = min(WIDEST, int(fabric(device).size))
    tensors = [size for size in (1, 2, 4, 8) if size <= widest and model.heads % size == 0]
    pipelines = [stages for stages in range(1, min(model.layers, DEEPEST) + 1) if model.layers % stages == 0]
    for number in (setup.devices,) if setup.devices else NUMBERS:
        choices = [(1, 1)] if setup.method != "full" else [(size, stages) for size in tensors for stages in pipelines]
        found = [_split(model, setup, number, *choice) for choice in choices if number % (choice[0] * choice[1] * setup.context) == 0]
        fitting = [choice for choice in found if fits(model, device, choice)]
        if fitting:
            return min(fitting, key=lambda choice: 1 / predict_training(model, device, choice).tokens_per_device)
    if setup.recompute != "full":
        return split(model, device, setup.model_copy(update={"recompute": "full"}), open)
    return setup.model_copy(update={"devices": setup.devices or WIDEST})


def _split(model: ModelSpec, setup: TrainSetup, number: int, tensor: int, pipeline: int) -> TrainSetup:
    """One way to share the devices; a pipeline is interleaved as far as its layers allow."""
    pieces = max(size for size in range(1, PIECES + 1) if model.layers // pipeline % size == 0) if pipeline > 1 else 1
    return setup.model_copy(update={"tensor": tensor, "pipeline": pipeline, "devices": number, "interleave": pieces})


def fits(model: ModelSpec, device: Device, setup: TrainSetup) -> bool:
    """Whether the smallest micro-batch fits the devices' memory."""
    return bool(training_memory(model, setup.model_copy(update={"micro_batch": 1, "global_batch": None})).total < MEMORY * device.memory)
