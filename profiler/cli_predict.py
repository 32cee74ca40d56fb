"""The terminal's command that predicts one model on one device, and the list of devices it knows."""

from dataclasses import asdict
from typing import Annotated, Any, Optional

import typer
from rich.markup import escape
from rich.table import Table

from profiler.catalog import devices as catalogue
from profiler.cli_border import Json, border, print_json
from profiler.cli_setups import command, deployed, device_named, engine_of, line, model_named, precision_of, show_table, whole
from profiler.spec.deployment import Deployment
from profiler.spec.engines import ENGINES
from profiler.spec.formats import FORMATS
from profiler.spec.model import ModelSpec
from profiler.spec.units import words
from profiler.theory.cost import Op
from profiler.theory.estimate import Estimate, Timed, estimate, problems
from profiler.theory.plan import decode_step, prefill_step
from profiler.theory.rates import arithmetic
from profiler.theory.step import active_parameters, parameters

ORIGINS = {
    "measured here": "from measurements on this machine",
    "calibrated": "the constants are fitted to measurements of this software on devices of this family",
    "transferred": "nobody measured this software on such devices; the constants are those of its relatives",
    "data sheet": "from the data sheet alone",
}
PARTS = {"compute": "calculating", "memory": "moving bytes", "overhead": "starting operators", "communication": "between devices"}
GROUPS = (2, 4, 8, 16, 32, 64)  # devices that are tried where one does not hold a model


def predict(
    model: Annotated[str, typer.Argument(help="Catalogue name, hub id, folder, config.json, .gguf file, or random:NAME.")],
    device: Annotated[str, typer.Argument(help="Name of a device (`python -m profiler devices`), or here.")],
    devices: Annotated[Optional[int], typer.Option(help="How many of them.")] = None,
    tp: Annotated[Optional[int], typer.Option(help="Tensor parallelism: devices that share every layer.")] = None,
    pp: Annotated[Optional[int], typer.Option(help="Pipeline parallelism: groups that share the layers out.")] = None,
    ep: Annotated[Optional[int], typer.Option(help="Expert parallelism: devices over which a mixture's experts are spread.")] = None,
    engine: Annotated[Optional[str], typer.Option(help="Software, as vllm or llama.cpp; the usual one if not said.")] = None,
    dtype: Annotated[str, typer.Option(help="bfloat16, float16 or float32: arithmetic, and weights that are not quantized.")] = "bfloat16",
    quant: Annotated[Optional[str], typer.Option(help="Format of the weights, as q4_k_m, fp8, int4 or awq.")] = None,
    kv: Annotated[Optional[str], typer.Option(help="Format of the KV cache.")] = None,
    prompt_tokens: Annotated[int, typer.Option(help="Tokens the model reads first.")] = 512,
    new_tokens: Annotated[int, typer.Option(help="Tokens the model writes.")] = 128,
    batch: Annotated[int, typer.Option(help="Sequences side by side, on each copy of the model.")] = 1,
    as_json: Json = False,
) -> None:
    """Predict a model on a device: times with intervals, what they are spent on, memory, energy."""
    with border(as_json):
        spec, remark = model_named(model)
        chosen = device_named(device)
        precision = precision_of(dtype, quant, kv)
        software = engine_of(engine, chosen, precision)
        placed, faults = deployed(spec, chosen, software, precision, devices, {"tensor": tp, "pipeline": pp, "expert": ep})
        work = {"batch": whole("batch", batch), "prompt": whole("prompt tokens", prompt_tokens), "new": whole("new tokens", new_tokens)}
        found = answer(spec, placed, work, faults, remark)
        said = {"quant": quant, "kv": kv, "tp": tp and placed.tensor, "pp": pp and placed.pipeline, "ep": ep and placed.expert}
        found["command"] = _again(model, placed, work, dtype, said)
        if as_json:
            print_json(found)
        else:
            show(found)


def answer(model: ModelSpec, placed: Deployment, work: dict[str, int], faults: list[str], remark: str = "") -> dict[str, Any]:
    """Everything that can be said of a deployment, as JSON has it."""
    if not model.head:
        work = work | {"new": 1}
    found = estimate(model, placed, **work)
    told = found.problems if model.head else problems(model, placed, float(found.memory), work["prompt"])
    return {
        "title": _title(model, placed, work),
        "model": {
            "reference": model.reference,
            "name": model.name,
            "family": model.family,
            "parameters": parameters(model),
            "active_parameters": active_parameters(model),
            "layers": model.layers,
            "context": model.context,
        },
        "device": placed.device.model_dump(),
        "setup": placed.model_dump(exclude={"device"}) | {"replicas": placed.replicas, "arithmetic": arithmetic(placed)} | work,
        **_times(found, work, placed.replicas, writes=model.head),
        "origin": found.origin,
        "memory": _memory(found, placed),
        "energy_per_token": None if found.energy is None or not model.head else float(found.energy),
        "operators": {phase: [_operator(op) for op in ops] for phase, ops in _operators(model, placed, work).items()},
        "problems": [*faults, *told],
        "notes": [note for note in (remark, *_notes(model, placed, work, found)) if note],
    }


def _times(found: Estimate, work: dict[str, int], replicas: int, *, writes: bool) -> dict[str, Any]:
    """Times in s and rates in tokens/s, each with the interval that four of five measurements fall into."""
    first, each = found.prefill, found.decode
    ends = ("time", "low", "high")
    whole_answer = {end: float(getattr(first, end) + work["new"] * getattr(each, end)) for end in ends}
    spent = {"prefill": first, "decode": each} if writes else {"prefill": first}
    rates = {
        "time_per_token": _interval({end: float(getattr(each, end)) for end in ends}),
        "time_of_answer": _interval(whole_answer),
        "tokens_per_second": _rate(float(found.rate), {end: float(getattr(each, end)) for end in ends}),
        "throughput": _rate(float(found.throughput), whole_answer),
    }
    reading = {"reading_rate": _rate(work["batch"] * work["prompt"] / float(first.time) * replicas, _ends(first))}
    return {
        "time_to_first_token": _interval(_ends(first)),
        **(rates if writes else reading),
        "spent": {phase: {name: float(getattr(timed.spent, name)) for name in PARTS} for phase, timed in spent.items()},
    }


def _ends(timed: Timed) -> dict[str, float]:
    return {"time": float(timed.time), "low": float(timed.low), "high": float(timed.high)}


def _interval(ends: dict[str, float]) -> dict[str, float]:
    return {"value": ends["time"], "low": ends["low"], "high": ends["high"]}


def _rate(value: float, ends: dict[str, float]) -> dict[str, float]:
    """A rate whose interval is that of the time behind it."""
    return {"value": value, "low": value * ends["time"] / ends["high"], "high": value * ends["time"] / ends["low"]}


def _memory(found: Estimate, placed: Deployment) -> dict[str, Any]:
    """Bytes on each device, by purpose."""
    total, held = float(found.memory), {"weights": float(found.weights), "kv_cache": float(found.cache)}
    rest = {"activations_and_software": total - sum(held.values())}
    return held | rest | {"total": total, "capacity": placed.device.memory, "fits": bool(found.fits)}


def _operators(model: ModelSpec, placed: Deployment, work: dict[str, int]) -> dict[str, list[Op]]:
    batch, prompt, new = (float(value) for value in work.values())
    steps = {"prefill": prefill_step(model, placed, batch, prompt)}
    if model.head:
        steps["decode"] = decode_step(model, placed, batch, prompt + new / 2)
    return {phase: step.ops for phase, step in steps.items()}


def _operator(op: Op) -> dict[str, Any]:
    return {"name": op.name, "kind": op.kind, "count": op.count, **asdict(op.cost)}


def _notes(model: ModelSpec, placed: Deployment, work: dict[str, int], found: Estimate) -> list[str]:
    """What a reader should know about how the numbers came about."""
    notes, format, device = [], arithmetic(placed), placed.device
    if model.assumed:
        notes.append(f"{model.family} models are not known here and are counted as if built like Llama.")
    if not model.head:
        notes.append(f"{model.name} is an encoder: it reads texts and writes none.")
    if format != placed.precision.arithmetic:
        notes.append(f"{device.title} has no known {placed.precision.arithmetic} arithmetic, so products are taken to be in {format}.")
    if placed.replicas > 1:
        notes.append(f"The devices hold {placed.replicas} copies of the model, each with a batch of {work['batch']} of its own.")
    if not found.fits and device.link and placed.devices == 1:
        larger = [size for size in GROUPS if model.heads % size == 0]
        tried = ((size, placed.model_copy(update={"devices": size, "tensor": size})) for size in larger)
        enough = next((size for size, group in tried if estimate(model, group, **work).fits), None)
        notes += [f"{enough} of them hold it (--devices {enough} --tp {enough})."] if enough else []
    return notes


def _title(model: ModelSpec, placed: Deployment, work: dict[str, int]) -> str:
    count = f"{placed.devices} × " if placed.devices > 1 else ""
    degrees = [f"{name} parallel {size}" for name in ("tensor", "pipeline", "expert") if (size := getattr(placed, name)) > 1]
    tokens = f"{work['prompt']:,} prompt" + (f" + {work['new']:,} new" if model.head else "") + " tokens"
    parts = [FORMATS[placed.precision.weights].title, ENGINES[placed.engine].title, *degrees, f"batch {work['batch']}", tokens]
    return f"{model.name} on {count}{placed.device.title}: {', '.join(parts)}"


def _again(model: str, placed: Deployment, work: dict[str, int], dtype: str, said: dict[str, Any]) -> str:
    """The command that repeats a prediction, with what was not said filled in."""
    degrees = {"devices": placed.devices, "tp": placed.tensor, "pp": placed.pipeline, "ep": placed.expert}
    options = {name: size for name, size in degrees.items() if size > 1 or said.get(name)} | {"engine": placed.engine, "dtype": dtype}
    options |= {name: said[name] for name in ("quant", "kv") if said[name]}
    options |= {"prompt-tokens": work["prompt"], "new-tokens": work["new"], "batch": work["batch"]}
    return command(["predict", model, placed.device.id, *(word for name, value in options.items() for word in (f"--{name}", value))])


def show(found: dict[str, Any]) -> None:
    """A prediction as a person reads it."""
    line(f"[bold]{escape(found['title'])}[/bold]")
    for problem in found["problems"]:
        line(f"[red]impossible: {escape(problem)}[/]")
    names = {
        "time_to_first_token": ("time to first token" if "time_per_token" in found else "time to read", "s"),
        "time_per_token": ("time per token", "s"),
        "time_of_answer": ("whole answer", "s"),
        "tokens_per_second": ("tokens/s while writing", "tok/s"),
        "throughput": ("tokens/s, prompt included", "tok/s"),
        "reading_rate": ("tokens read/s", "tok/s"),
    }
    table = Table("", "predicted", "4 of 5 measurements are within", box=None)
    for name, (title, unit) in names.items():
        if one := found.get(name):
            table.add_row(title, words(one["value"], unit), f"{words(one['low'], unit)} – {words(one['high'], unit)}")
    show_table(table)
    line(f"[dim]{found['origin']}: {ORIGINS.get(found['origin'], '')}[/dim]")
    for phase, parts in found["spent"].items():
        whole = sum(parts.values())
        shares = ", ".join(f"{PARTS[name]} {words(part / whole, '%')}" for name, part in parts.items() if part >= whole / 1000)
        line(f"[bold]{phase}[/bold] {words(whole, 's')}: {shares}.")
    held = found["memory"]
    parts = ", ".join(f"{name.replace('_', ' ')} {words(held[name], 'B')}" for name in ("weights", "kv_cache", "activations_and_software"))
    room = "fits" if held["fits"] else "does not fit"
    each = " on each device" if found["setup"]["devices"] > 1 else ""
    line(f"[bold]memory[/bold] {words(held['total'], 'B')} of {words(held['capacity'], 'B')}{each}, {room}: {parts}.")
    if found["energy_per_token"] is not None:
        line(f"[bold]energy[/bold] about {words(found['energy_per_token'], 'J')} per new token, prompt included.")
    for note in found["notes"]:
        line(f"[yellow]note: {escape(note)}[/]")
    line(f"Again: [bold]{escape(found['command'])}[/bold]")


def devices(as_json: Json = False) -> None:
    """List the devices that predictions know."""
    rows = catalogue.rows().values()
    if as_json:
        return print_json({"devices": [row.model_dump() for row in rows]})
    table = Table("id", "name", "memory", "bandwidth", "bfloat16", "year", box=None)
    for row in rows:
        peak = row.peak.get("bfloat16", row.peak.get("float16"))
        table.add_row(row.id, row.title, words(row.memory, "B"), words(row.bandwidth, "B/s"), words(peak, "FLOP/s"), str(row.year or "–"))
    show_table(table)
