"""From the words of a command line to what a prediction is made of: a model, a device, formats, software, a split over devices."""

import shlex
from collections.abc import Iterable
from math import lcm
from pathlib import Path

from rich.console import Console
from rich.table import Table

from profiler.analysis.fleet import PLAIN, usual
from profiler.catalog import devices, models
from profiler.catalog.resolve import resolve
from profiler.spec.deployment import Deployment
from profiler.spec.device import Device
from profiler.spec.engines import ENGINES, engine_named
from profiler.spec.formats import Precision, format_named
from profiler.spec.model import ModelSpec
from profiler.terminal import OUT

HERE = "here"  # this machine, as a device
MOST = 1_000_000_000  # of tokens or sequences
WIDTH = 140  # of a table that goes into a file or another program


def model_named(text: str) -> tuple[ModelSpec, str]:
    """A model's shape, which is all that a prediction needs; and a sentence where it comes from elsewhere than was asked for."""
    text = text.strip()
    published = next((row for row in models.rows().values() if row.hub and row.hub.lower() == text.lower()), None)
    row = models.find(text) or published
    if row:
        return row.spec(), ""
    path = Path(text).expanduser()
    if text and (path.is_dir() or path.suffix == ".json"):
        return resolve(f"random:{path.resolve()}"), ""
    try:
        return resolve(text), ""
    except ValueError:
        row = models.find(text.rpartition("/")[2]) if text.count("/") == 1 and not path.exists() else None
        if row is None:
            raise
        return row.spec(random=True), f"{text} cannot be fetched; {row.name} of the catalogue is taken instead."


def device_named(text: str) -> Device:
    """A device of the catalogue. Raises ValueError with the nearest names, or where nothing can be said about it."""
    if text.strip().lower() == HERE:
        raise ValueError("This machine is no device of the catalogue: it is predicted by `python -m profiler predict MODEL here`.")
    found = devices.find(text)
    if found is None:
        near = devices.nearest(text)
        hint = f"Did you mean {' or '.join(near)}?" if near else "`python -m profiler devices` lists the catalogue."
        raise ValueError(f"No device is called {text!r}. {hint}")
    if not found.peak:
        raise ValueError(f"No source tells how fast {found.title} calculates, so nothing can be predicted for it.")
    return found


def precision_of(dtype: str, quant: str | None, kv: str | None = None) -> Precision:
    """Formats of weights, cache and arithmetic."""
    compute = format_named(dtype)
    if compute not in PLAIN:
        raise ValueError(f"A dtype is {', '.join(PLAIN[:-1])} or {PLAIN[-1]} (got {dtype!r}); a quantization is named by --quant.")
    found = Precision.of(quant or compute, compute)
    return found.model_copy(update={"kv": format_named(kv)}) if kv else found


def engine_of(name: str | None, device: Device, precision: Precision) -> str:
    """The software that was named; else what is usual for such weights on such a device."""
    return engine_named(name) if name else usual(device, precision)


def split(model: ModelSpec, engine: str, count: int) -> dict[str, int]:
    """How an engine shares a model over so many devices when nobody says: by layers, or by the most heads that divide."""
    if ENGINES[engine].split == "layers":
        return {"pipeline": count if count <= model.layers else 1}
    return {"tensor": next(size for size in range(count, 0, -1) if count % size == 0 and model.heads % size == 0)}


def deployed(
    model: ModelSpec, device: Device, engine: str, precision: Precision, count: int | None, degrees: dict[str, int | None]
) -> tuple[Deployment, list[str]]:
    """The deployment; and what is impossible about its numbers of devices, each in one sentence with what is taken instead."""
    known = {name: whole(name, size) for name, size in degrees.items() if size is not None}
    wanted = None if count is None else whole("devices", count)
    if wanted and not known:
        known = split(model, engine, wanted)
    group = lcm(known.get("tensor", 1) * known.get("pipeline", 1), known.get("expert", 1))
    asked = wanted or group
    used = max(asked // group, 1) * group
    found = Deployment.model_validate({"device": device, "devices": used, "engine": engine, "precision": precision, **known})
    if used == asked:
        return found, []
    ways = " × ".join(f"{name} {size}" for name, size in known.items())
    if asked < group:
        return found, [
            f"A group of {ways} needs {group} devices, but {asked} {'is' if asked == 1 else 'are'} there; shown is what {used} would do."
        ]
    return found, [f"{asked} devices cannot be shared by groups of {group} ({ways}); shown is what {used} of them do."]


def whole(name: str, value: int) -> int:
    """A number of things that there must be at least one of."""
    if not 1 <= value <= MOST:
        raise ValueError(f"{name} must be 1 to {MOST:,} (got {value:,}).")
    return value


def command(words: Iterable[object]) -> str:
    """A command line that can be pasted into a shell."""
    return "python -m profiler " + shlex.join(str(word) for word in words)


def line(text: str) -> None:
    """One line on standard output, as long as it is."""
    OUT.print(text, highlight=False, soft_wrap=True)


def show_table(table: Table) -> None:
    """A table on standard output, as wide as the terminal; elsewhere as wide as it needs."""
    table.header_style = "dim"
    (OUT if OUT.is_terminal else Console(width=WIDTH)).print(table)
