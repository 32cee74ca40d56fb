"""What a published row says of how a model was trained, in the words of its source, as values of a TrainSetup.

Nothing here reads a measured value. What a source leaves open is what its trainer does by itself.
"""

import re
from typing import Any

from profiler.spec.training import TRAINERS, Compute, Kernel, Method, Optimizer, Recompute

Row = dict[str, str]

COLUMNS = (
    *("model", "params_b", "active_b", "precision", "hardware", "num_devices", "seq_len", "micro_batch", "global_batch", "sharding"),
    *("act_ckpt", "metric", "unit", "software", "date", "notes", "workload", "quant", "batch", "setting"),
)
# the years since which trainers have FlashAttention (arXiv 2205.14135, May 2022) and its second version (arXiv 2307.08691, July 2023)
FLASH, SECOND = 2023, 2024


def cells(row: Row) -> Row:
    """The row with every column that is read, empty where a table has none or a cell is missing."""
    return {**dict.fromkeys(COLUMNS, ""), **{name: (text or "").strip() for name, text in row.items() if isinstance(name, str)}}


def said(row: Row, *columns: str) -> str:
    """Small letters of several cells."""
    return " ".join(row.get(column, "") for column in columns).lower()


def count(text: str) -> int | None:
    """The whole number that a cell states, with k or M; None where there is none, or a range."""
    stated = re.fullmatch(r"\s*(?:~|about )?(\d+(?:\.\d+)?)\s*([km]?)\b.*", text.replace(",", "").lower())
    if stated is None or re.match(r"\s*\d+\s*-\s*\d", text):
        return None
    return int(float(stated[1]) * {"": 1, "k": 1024, "m": 1e6}[stated[2]])


def sequences(text: str, sequence: int) -> int | None:
    """A batch in sequences; where the cell counts tokens, they are divided by the sequence's length."""
    found = count(text)
    if found is None:
        bracket = re.search(r"\((\d+)\)", text)
        return int(bracket[1]) if bracket else None
    return max(round(found / sequence), 1) if "tok" in text.lower() else max(found, 1)


def compute(text: str) -> tuple[Compute, bool]:
    """The format of the products, and whether there is no float32 copy of the weights."""
    text = text.lower()
    formats: list[tuple[str, Compute]] = [
        (r"fp4|float4|nvfp4|mxfp4", "float4"),
        (r"fp8|float8|mxfp8", "float8"),
        (r"int8|i8", "int8"),
        (r"bf16|bfloat16", "bfloat16"),
        (r"fp16|float16|half|f16|\b16\b", "float16"),
        (r"tf32", "tf32"),
        (r"fp32|float32|f32|\b32\b", "float32"),
    ]
    found: Compute = next((name for pattern, name in formats if re.search(pattern, text)), "bfloat16")
    return found, bool(re.search(r"true|full|pure", text))


def mixed(text: str) -> bool:
    """Whether narrow products work on wide weights: 16-bit arithmetic on float32, not 8-bit on 16."""
    return bool(re.search(r"\bamp|fp32 weights|mixed", text.lower())) and not re.search(r"int8|fp8|float8", text.lower())


def recompute(text: str, trainer: str) -> Recompute:
    """What is calculated again, from a word about activation checkpointing."""
    text = text.lower()
    words: list[tuple[str, Recompute]] = [
        (r"default|^\s*$", TRAINERS[trainer].recompute),
        (r"none|^\s*(false|no|off|0)\b|without|minimal|disabled", "none"),
        (r"selective (op|layer)|every|alternat|half|save_|proj|dots|custom|offload", "half"),
        (r"select|attention|core", "half" if trainer == "torchtitan" else "attention"),
    ]
    return next((what for pattern, what in words if re.search(pattern, text)), "full")


def degrees(text: str) -> dict[str, int]:
    """Degrees of parallelism that a text states: tensor, pipeline, context, expert, data, interleave."""
    names = {
        "tp": "tensor",
        "tensor": "tensor",
        "pp": "pipeline",
        "pipeline": "pipeline",
        "cp": "context",
        "context": "context",
        "ep": "expert",
        "expert": "expert",
        "interleave": "interleave",
        "vpp": "interleave",
        "vp": "interleave",
    }
    found = re.findall(r"\b(tp|pp|cp|ep|vpp|vp|tensor|pipeline|context|expert|interleave)[a-z ]*[=:_ -]*(\d+)", text.lower())
    return {names[word]: max(int(size), 1) for word, size in found}


def zero(text: str, trainer: str) -> dict[str, Any]:
    """The ZeRO stage that a text states, and whether weights are gathered once or twice; by default the trainer's own."""
    text = text.lower().replace("_", "-").replace(" ", "-")
    stage = re.search(r"zero-?(?:stage-?)?(\d)|stage-?(\d)", text)
    if stage:
        return {"zero": min(int(stage[1] or stage[2]), 3)}
    if re.search(r"shard-grad-op|no-reshard", text):
        return {"zero": 3, "reshard": False}
    if re.search(r"\bddp|no-shard|single|data-parallel|replicat", text):
        return {"zero": 0}
    if re.search(r"hsdp|hybrid", text):
        return {"zero": 3, "hybrid": True}
    if re.search(r"fsdp|full-shard|fully-sharded", text):
        return {"zero": 3}
    return {"zero": TRAINERS[trainer].zero}


def method(text: str) -> Method:
    """Which parameters are trained."""
    text = text.lower()
    if re.search(r"adapter.?v2", text):
        return "adapter-v2"
    if "adapter" in text and "lora" not in text:
        return "adapter"
    return "lora" if re.search(r"lora|peft|dora", text) else "full"


def optimizer(text: str) -> Optimizer:
    """The optimizer that a text names; AdamW where it names none."""
    text = text.lower()
    words: list[tuple[str, Optimizer]] = [
        (r"4.?bit|adam4", "adamw-4bit"),
        (r"8.?bit|adam8", "adamw-8bit"),
        (r"adafactor", "adafactor"),
        (r"muon", "muon"),
        (r"\bsgd\b", "sgd"),
    ]
    return next((name for pattern, name in words if re.search(pattern, text)), "adamw")


def domains(text: str) -> int | None:
    """How many slices or pods of accelerators a text counts."""
    found = re.search(r"(\d+)\s*(?:x\s*v\d|slices?\b|pods?\b)", text.lower())
    return int(found[1]) if found else None


def year(row: Row) -> int:
    """The year of a row's date; 0 where it has none."""
    found = re.match(r"\d{4}", row["date"])
    return int(found[0]) if found else 0


def attention(row: Row, trainer: str) -> Kernel:
    """Which kernels of attention a row's trainer had in its year; without a year, today's."""
    since = year(row) or SECOND
    if since < FLASH and "flash" not in said(row, "software", "notes"):
        return "scores"
    return "flash" if since < SECOND else "tuned" if TRAINERS[trainer].tuned else "flash-2"
