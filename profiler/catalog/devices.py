"""The catalogue of devices: devices/*.toml, one row each, found by name or not at all.

A file begins with the vendor. Sizes of memory are words ("80 GiB", "81559 MiB", "16 GB"), everything else is a number in base
units; a row's `link` names a row of links.toml.
"""

import tomllib
from collections import defaultdict
from dataclasses import replace
from difflib import SequenceMatcher
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from profiler.catalog.device_names import Name, agrees, parse, readings
from profiler.spec.device import Device, Kind, Link
from profiler.spec.machine import Hardware

FOLDER = Path(__file__).with_name("devices")
UNITS = {"MiB": 2**20, "GiB": 2**30, "GB": 1e9}
KINDS: dict[str, Kind] = {"tpu": "tpu", "gaudi": "npu", "neuron": "npu", "mobile": "npu", "cpu": "cpu"}  # first word of a family


@cache
def links() -> dict[str, Link]:
    """All links between devices, by id."""
    return {id: Link(**row) for id, row in _table("links").items()}


@cache
def rows() -> dict[str, Device]:
    """All devices, by id."""
    files = sorted(file.stem for file in FOLDER.glob("*.toml") if file.stem != "links")
    return {device.id: device for file in files for device in _devices(file)}


@lru_cache(1024)
def find(text: str) -> Device | None:
    """The device of that name; None where no row has just these words, or where a figure in the name contradicts the row."""
    for wanted in filter(lambda name: name.words, readings(text)):
        fitting = [(known, device) for known, device in _index().get(wanted.words, []) if agrees(wanted, known, device)]
        if fitting:
            return min(fitting, key=lambda pair: (pair[0].figures != wanted.figures, pair[0].kind != wanted.kind))[1]
    return None


def nearest(text: str, count: int = 3) -> list[str]:
    """Ids of the devices that look most like `text`, best first."""
    wanted = parse(text).words
    spelled = " ".join(sorted(wanted))

    def likeness(words: frozenset[str]) -> float:
        shared = len(wanted & words) / max(len(wanted | words), 1)
        return shared + SequenceMatcher(None, spelled, " ".join(sorted(words))).ratio()

    best: dict[str, float] = defaultdict(float)
    for words, pairs in _index().items():
        for _, device in pairs:
            best[device.id] = max(best[device.id], likeness(words))
    return [known for known in sorted(best, key=best.__getitem__, reverse=True) if best[known] > 0.7][:count]


def names(device: Device) -> list[Name]:
    """All that a device is known under. A processor's name means itself only where no graphics unit in it goes by the same."""
    known = dict.fromkeys(parse(text) for text in (device.id, device.title, *device.names, *device.aliases))
    return [replace(name, kind="cpu") for name in known] if device.kind == "cpu" else list(known)


def sheet(name: str) -> Device | None:
    """The device whose driver or system reports exactly this name (capitals and spaces do not matter); None where there is none."""
    return _reported().get(_plain(name))


def name_of(machine: Hardware, device: str) -> str:
    """What the system calls a device of this machine."""
    return next((gpu.name for gpu in machine.gpus if gpu.device == device), machine.name)


@cache
def _index() -> dict[frozenset[str], list[tuple[Name, Device]]]:
    found: dict[frozenset[str], list[tuple[Name, Device]]] = defaultdict(list)
    for device in rows().values():
        for name in names(device):
            found[name.words].append((name, device))
    return dict(found)


@cache
def _reported() -> dict[str, Device]:
    return {_plain(name): device for device in rows().values() for name in device.names}


def _devices(file: str) -> list[Device]:
    table = _table(file)
    vendor = table.pop("vendor")
    return [_device(id, vendor, row) for id, row in table.items()]


def _device(id: str, vendor: str, row: dict[str, Any]) -> Device:
    size, unit = row["memory"].split()
    kind = KINDS.get(row["family"].split("-")[0], "gpu")
    link = links()[row["link"]] if "link" in row else None
    return Device(**{"id": id, "vendor": vendor, "kind": kind, **row, "memory": float(size) * UNITS[unit], "link": link})


def _table(file: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / f"{file}.toml").read_text("utf-8"))


def _plain(name: str) -> str:
    return " ".join(name.lower().split())
