"""The terminal's command that predicts many configurations at once, into a file or as a table of the best."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Optional

import numpy as np
import typer
from rich.progress import Progress
from rich.table import Table

from profiler.catalog import devices as device_catalogue
from profiler.catalog import models as model_catalogue
from profiler.cli_border import border
from profiler.cli_setups import MOST, device_named, engine_of, model_named, precision_of, show_table, whole
from profiler.spec.deployment import Deployment
from profiler.spec.formats import Precision
from profiler.spec.model import ModelSpec
from profiler.spec.units import words
from profiler.terminal import ERR, OUT
from profiler.theory.sweep import Block, Workload, sweep

POINTS = 100_000  # of one range
SHOWN = 20  # rows of the table of the best


class Aim(NamedTuple):
    """What the best rows are best in."""

    column: str
    title: str
    sign: int  # 1: less is better


AIMS = {
    "throughput": Aim("throughput", "tokens/s, prompt included", -1),
    "time-per-token": Aim("time_per_token", "time per token", 1),
    "first-token": Aim("time_to_first_token", "time to first token", 1),
    "energy": Aim("energy_per_token", "energy per token", 1),
}


def sweep_command(
    models: Annotated[str, typer.Option(help="Names with commas between, or all.")],
    devices: Annotated[str, typer.Option(help="Names with commas between, or all.")],
    dtypes: Annotated[str, typer.Option(help="bfloat16, float16, float32, with commas between.")] = "bfloat16",
    quants: Annotated[str, typer.Option(help="Formats of the weights, with commas between; none: as the dtype.")] = "none",
    batches: Annotated[str, typer.Option(help="1,2,4 or 1:1024:x2 (times 2) or 8:64:8 (plus 8).")] = "1",
    contexts: Annotated[str, typer.Option(help="Prompt tokens, likewise.")] = "512",
    new_tokens: Annotated[int, typer.Option(help="Tokens that each sequence writes.")] = 128,
    engine: Annotated[Optional[str], typer.Option(help="Software; what is usual on each device if not said.")] = None,
    tp: Annotated[int, typer.Option(help="Devices that share each model.")] = 1,
    best: Annotated[str, typer.Option(help=f"What the table of the best sorts by: {', '.join(AIMS)}.")] = "throughput",
    out: Annotated[Optional[Path], typer.Option(help="A .csv or .parquet file for all rows, in SI units.")] = None,
) -> None:
    """Predict every model on every device in every format, at every batch and context."""
    with border(False):
        if best not in AIMS:
            raise ValueError(f"Rows can be best in {', '.join(AIMS)} (got {best!r}).")
        degree = whole("tp", tp)
        shapes = _shared(_models(models), degree)
        work = Workload(numbers(batches, "batches"), numbers(contexts, "contexts"), whole("new tokens", new_tokens))
        formats = [precision_of(dtype, None if quant == "none" else quant) for dtype, quant in product(_names(dtypes), _names(quants))]
        groups = _groups(_devices(devices), formats, engine, degree)
        kept: list[dict[str, Any]] = []
        done, roomy, short = 0, False, False
        with _file(out) as write, Progress(console=ERR, transient=True, disable=not ERR.is_terminal) as bar:
            task = bar.add_task("predicting", total=len(shapes) * sum(map(len, groups)) * work.size)
            for block in sweep(shapes, groups, work):
                write(block)
                kept = kept if out else leaders([*kept, *peaks(block, AIMS[best])], AIMS[best])
                done += block.columns["fits"].size
                roomy, short = roomy or bool(block.columns["fits"].any()), short or bool(block.columns["in_context"].any())
                bar.update(task, completed=done)
        if out:
            OUT.print(f"{done:,} configurations are in {out}.", highlight=False, soft_wrap=True)
        else:
            _show(kept, AIMS[best], done, _refused(roomy, short))


def numbers(text: str, what: str) -> list[int]:
    """Whole numbers from words: 1,2,4 · 1:1024:x2 · 128:4096:128. Raises ValueError of one sentence."""
    found = dict.fromkeys(value for part in text.split(",") for value in _range(part.strip(), what))
    if len(found) > POINTS:
        raise ValueError(f"{what} are {len(found):,} numbers; at most {POINTS:,} are calculated at once.")
    return list(found)


def _range(part: str, what: str) -> Iterable[int]:
    first, *more = part.split(":")
    try:
        start, stop, step = int(first), int(more[0] if more else first), more[1] if len(more) > 1 else "1"
        times, by = step.startswith("x"), int(step.removeprefix("x"))
    except ValueError:
        start, stop, by, times = 0, 0, 0, False
    if len(more) > 2 or not 1 <= start <= stop <= MOST or by < 1 + times:
        raise ValueError(f"{part!r} in {what} is no range of numbers from 1 on; write 1,2,4 or 1:1024:x2 (times 2) or 8:64:8 (plus 8).")
    if not times and (stop - start) // by > POINTS:
        raise ValueError(f"{part!r} in {what} is more than {POINTS:,} numbers; take larger steps.")
    return _times(start, stop, by) if times else range(start, stop + 1, by)


def _times(value: int, stop: int, factor: int) -> Iterator[int]:
    while value <= stop:
        yield value
        value *= factor


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _models(text: str) -> list[ModelSpec]:
    """The models that write; of those named, the ones that only read are said to be left out."""
    if text.strip() == "all":
        return [spec for spec in (row.spec(random=True) for row in model_catalogue.rows().values()) if spec.head]
    found = [model_named(name) for name in _names(text)]
    for spec, remark in found:
        if remark or not spec.head:
            ERR.print(remark or f"Left out: {spec.name} is an encoder, which writes no tokens.", highlight=False, soft_wrap=True)
    writing = list({spec.reference: spec for spec, _ in found if spec.head}.values())
    if not writing:
        raise ValueError("No model that writes tokens was named; `python -m profiler models` lists the catalogue.")
    return writing


def _shared(shapes: list[ModelSpec], tensor: int) -> list[ModelSpec]:
    """The models whose heads so many devices can share; the others are said to be left out."""
    odd = [spec for spec in shapes if spec.heads % tensor]
    if len(odd) == len(shapes):
        raise ValueError(f"--tp {tensor} does not divide the {odd[0].heads} attention heads of {odd[0].name}; take another number.")
    if odd:
        names = odd[0].name if len(odd) == 1 else f"{len(odd)} models, {odd[0].name} among them"
        ERR.print(f"Left out: {names}, whose attention heads --tp {tensor} does not divide.", highlight=False, soft_wrap=True)
    return [spec for spec in shapes if not spec.heads % tensor]


def _devices(text: str) -> list[Any]:
    if text.strip() == "all":
        return [device for device in device_catalogue.rows().values() if device.peak]
    found = {device.id: device for device in map(device_named, _names(text))}
    if not found:
        raise ValueError("No device was named; `python -m profiler devices` lists the catalogue.")
    return list(found.values())


def _groups(devices: list[Any], formats: list[Precision], engine: str | None, tensor: int) -> list[list[Deployment]]:
    """Deployments that differ in their device alone, together."""
    found: dict[tuple, list[Deployment]] = {}
    for precision, device in product(dict.fromkeys(formats), devices):
        software = engine_of(engine, device, precision)
        placed = Deployment(device=device, devices=tensor, tensor=tensor, engine=software, precision=precision)
        found.setdefault((precision, software), []).append(placed)
    if not found:
        raise ValueError("No number format was named; try bfloat16.")
    return list(found.values())


def peaks(block: Block, aim: Aim) -> list[dict[str, Any]]:
    """The best row of each device among those that fit."""
    possible = block.columns["fits"] & block.columns["in_context"]
    value = np.where(possible, aim.sign * block.columns[aim.column], np.inf)
    value = np.where(np.isnan(value), np.inf, value).reshape(len(block.deployments), -1)
    at = value.argmin(axis=1)
    return [_row(block, i, int(cell)) | {"rank": float(value[i, cell])} for i, cell in enumerate(at) if np.isfinite(value[i, cell])]


def _row(block: Block, device: int, cell: int) -> dict[str, Any]:
    batch, prompt = divmod(cell, len(block.prompts))
    placed = block.deployments[device]
    numbers = {name: float(column[device, batch, prompt]) for name, column in block.columns.items()}
    where = {"model": block.model, "deployment": placed, "batch": int(block.batches[batch]), "prompt": int(block.prompts[prompt])}
    return where | numbers


def leaders(rows: list[dict[str, Any]], aim: Aim) -> list[dict[str, Any]]:
    """The best rows, one for each model, device and format."""
    best: dict[tuple, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["rank"]):
        best.setdefault((row["model"].reference, row["deployment"].device.id, row["deployment"].precision), row)
    return list(best.values())[:SHOWN]


def _refused(roomy: bool, short: bool) -> str:
    """Why there is no row to show, and what would help."""
    if not short:
        return "longer than its model was made for: take shorter --contexts or fewer --new-tokens"
    if not roomy:
        return "too large for its devices: take more of them (--tp), fewer bytes for a weight (--quants) or smaller --batches"
    return "too large for its devices, longer than its model was made for, or without what the rows are to be sorted by"


def _show(rows: list[dict[str, Any]], aim: Aim, count: int, refused: str) -> None:
    if not rows:
        raise ValueError(f"{'The one' if count == 1 else f'Each of the {count:,}'} configuration{'' if count == 1 else 's'} is {refused}.")
    OUT.print(f"Best of {count:,} configurations by {aim.title}; one row for each model, device and format.", highlight=False)
    table = Table(
        "model", "device", "weights", "software", "batch", "context", "first token", "token", "tok/s", "memory", "J/token", box=None
    )
    for row in rows:
        placed = row["deployment"]
        table.add_row(
            *(row["model"].reference, placed.device.id, placed.precision.weights, placed.engine, f"{row['batch']:,}", f"{row['prompt']:,}"),
            *(words(row["time_to_first_token"], "s"), words(row["time_per_token"], "s"), words(row["throughput"], "1")),
            *(words(row["memory"], "B"), words(row["energy_per_token"], "1")),
        )
    show_table(table)


@contextmanager
def _file(out: Path | None) -> Iterator[Callable[[Block], None]]:
    """What takes the blocks in: a writer that makes the file whole when all of them are there."""
    if out is None:
        yield lambda block: None
        return
    if out.suffix.lower() not in (".csv", ".parquet"):
        raise ValueError(f"{out} is neither a .csv nor a .parquet file.")
    if out.is_dir() or not out.parent.is_dir():
        raise ValueError(f"{out} cannot be written: {'it is a folder' if out.is_dir() else f'there is no folder {out.parent}'}.")
    from pyarrow import csv, parquet  # heavy: a fifth of a second that only a file needs

    part = out.with_name(out.name + ".part")
    writers: list[Any] = []

    def write(block: Block) -> None:
        table = arrow(block)
        if not writers:
            writers.append((csv.CSVWriter if out.suffix.lower() == ".csv" else parquet.ParquetWriter)(part, table.schema))
        writers[0].write_table(table)

    try:
        yield write
        writers[0].close()
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)


def arrow(block: Block) -> Any:
    """A block as a table of one row for each configuration: seconds, bytes, joules."""
    import pyarrow as pa  # heavy: a fifth of a second that only a file needs

    shape, count = block.shape, block.columns["fits"].size
    first = block.deployments[0]
    same = {
        "model": block.model.reference,
        "engine": first.engine,
        "weights": first.precision.weights,
        "kv": first.precision.kv,
        "compute": first.precision.compute,
        "devices": first.devices,
        "new_tokens": block.new,
    }
    names = pa.array([placed.device.id for placed in block.deployments]).take(pa.array(np.repeat(np.arange(shape[0]), shape[1] * shape[2])))
    axes = {
        "device": names,
        "batch": _spread(block.batches[None, :, None].astype(np.int64), shape),
        "prompt_tokens": _spread(block.prompts[None, None, :].astype(np.int64), shape),
    }
    columns = {name: _spread(column, shape) for name, column in block.columns.items()}
    return pa.table({**{name: pa.repeat(value, count) for name, value in same.items()}, **axes, **columns})


def _spread(values: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    return np.ascontiguousarray(np.broadcast_to(values, shape)).reshape(-1)
