"""What vendors promise: datasheets.toml, found by the precise name that a system reports, or not at all."""

import tomllib
from functools import cache
from pathlib import Path

from pydantic import Field

from profiler.spec.frozen import Frozen
from profiler.spec.machine import Hardware


class Sheet(Frozen):
    """One device on paper. A format without a published rate is absent."""

    title: str
    bandwidth: float  # bytes/s, theoretical
    peak: dict[str, float] = Field(default_factory=dict)  # format → dense FLOP/s (OP/s of int8)
    source: str
    note: str = ""


@cache
def sheets() -> dict[str, Sheet]:
    """All rows, by the name that the driver or the system reports."""
    table = tomllib.loads(Path(__file__).with_name("datasheets.toml").read_text("utf-8"))
    return {name: Sheet(**row) for name, row in table.items()}


def sheet(name: str) -> Sheet | None:
    """The data sheet of the device with exactly this name (capitals and spaces do not matter); None where there is none."""
    wanted = _plain(name)
    return next((found for known, found in sheets().items() if _plain(known) == wanted), None)


def name_of(machine: Hardware, device: str) -> str:
    """What the system calls a device of this machine."""
    return next((gpu.name for gpu in machine.gpus if gpu.device == device), machine.name)


def _plain(name: str) -> str:
    return " ".join(name.lower().split())
