"""What a published row says of its conditions, in the words of its source, as numbers.

Nothing here reads a measured value. What a source leaves open is filled with the usual case of its kind, said below.
"""

import re
from typing import NamedTuple

Row = dict[str, str]


class Lengths(NamedTuple):
    """Mean tokens of a request: read, and written."""

    prompt: float
    new: float


# Units of time in one second, however they are spelled.
TIMES = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("h", "hour", "hours"), 1 / 3600),
    **dict.fromkeys(("day", "days"), 1 / 86400),
    "min": 1 / 60,
    "ms": 1e3,
    "us": 1e6,
    "µs": 1e6,
    "ns": 1e9,
}
TIMED = ("time", "latency", "ttft", "tpot", "_iter")  # parts of a metric's name that mean a time, where no unit is given


def time_unit(row: Row) -> float | None:
    """How many of the row's unit make a second; None where the row reports no time."""
    unit, metric = row["unit"].strip().lower().split("/")[0].split(" ")[0], row["metric"].lower()
    if unit in TIMES:
        return TIMES[unit]
    timed = not unit and "tok" not in metric and any(part in metric for part in TIMED)
    return (1e3 if metric.endswith("_ms") or "ms_" in metric else 1.0) if timed else None


# Mean lengths of the data sets that benchmarks name. vLLM paper (arXiv 2309.06180, section 6.1) for ShareGPT and Alpaca;
# MLPerf inference's reference implementations for the others (GPT-J: 69 tokens per sample; Llama-2: 294.45).
DATASETS = {
    "cnn": Lengths(870, 69),
    "openorca/gsm8k/mbxp": Lengths(370, 146),
    "openorca": Lengths(294, 294),
    "sharegpt": Lengths(161, 338),
    "alpaca": Lengths(19, 58),
}
# Where a decode row gives no lengths: a short chat, half-way through the answer.
UNSTATED = Lengths(64, 128)


def number(text: str) -> float | None:
    """The number that a cell states, alone or as a mean; None where it is a name or a range."""
    text = text.strip().replace(",", "")
    stated = re.fullmatch(r"(?:mean |~|about )?(\d+(?:\.\d+)?)\s*(k?)(?: tok(?:en)?s?)?", text.lower())
    return float(stated[1]) * (1024 if stated[2] else 1) if stated else None


def lengths(row: Row) -> Lengths:
    """Prompt and new tokens of a row: as stated, else by its data set, else the usual ones."""
    told = next((known for name, known in DATASETS.items() if name in (row["prompt_len"] + row["gen_len"]).lower()), UNSTATED)
    prompt, new = number(row["prompt_len"]), number(row["gen_len"])
    if row["phase"] == "prefill":
        new = 0
    return Lengths(told.prompt if prompt is None else prompt, told.new if new is None else new)


def batch(row: Row) -> int | None:
    """Sequences at a time; None where the source leaves it to the engine."""
    stated = number(row["batch"])
    if stated is None:
        told = re.search(
            r"(?:batch(?: of| size)?|concurren\w*|users?|num_seqs)\D{0,3}(\d+)|(\d+)\s*(?:concurren|users|requests|seq)",
            row["batch"].lower(),
        )
        stated = float(told[1] or told[2]) if told else None
    return None if stated is None else max(int(stated), 1)


def beams(row: Row) -> int:
    """Width of a beam search: rows that are generated for each one that counts."""
    found = re.search(r"beam(?: search| width)?\s*(\d+)", row["gen_len"].lower())
    return int(found[1]) if found else 1


def split(row: Row) -> dict[str, int]:
    """Degrees of parallelism that a row states: tensor, pipeline, expert, data."""
    names = {"tp": "tensor", "pp": "pipeline", "ep": "expert", "dp": "data"}
    found = re.findall(r"(?<![a-z])(tp|pp|ep|dp)[ =-]?(\d+)", row["parallelism"].lower())
    return {names[short]: int(size) for short, size in found}
