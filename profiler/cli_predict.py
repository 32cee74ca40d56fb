"""The terminal's command that predicts one model on one device, and the list of devices it knows."""

from dataclasses import asdict
from typing import Annotated, Any, Optional

import typer
from rich.table import Table

from profiler.catalog import devices as catalogue
from profiler.cli_answer import PARTS, reading, show, times
from profiler.cli_border import Json, border, print_json
from profiler.cli_here import again, here
from profiler.cli_setups import HERE, command, deployed, device_named, engine_of, model_named, precision_of, show_table, whole
from profiler.spec.deployment import Deployment
from profiler.spec.engines import ENGINES
from profiler.spec.formats import FORMATS
from profiler.spec.model import ModelSpec
from profiler.spec.units import words
from profiler.theory.cost import Op
from profiler.theory.estimate import Estimate, Timed, estimate, problems
from profiler.theory.plan import decode_step, prefill_step
from profiler.theory.rates import arithmetic
from profiler.theory.serving import serve
from profiler.theory.step import active_parameters, parameters

GROUPS = (2, 4, 8, 16, 32, 64)  # devices that are tried where one does not hold a model


def predict(
    model: Annotated[str, typer.Argument(help="Catalogue name, hub id, folder, config.json, .gguf file, or random:NAME.")],
    device: Annotated[str, typer.Argument(help="Name of a device (`python -m profiler devices`), or here.")],
    devices: Annotated[Optional[int], typer.Option(help="How many of them.")] = None,
    tp: Annotated[Optional[int], typer.Option(help="Tensor parallelism: devices that share every layer.")] = None,
    pp: Annotated[Optional[int], typer.Option(help="Pipeline parallelism: groups that share the layers out.")] = None,
    ep: Annotated[Optional[int], typer.Option(help="Expert parallelism: devices over which a mixture's experts are spread.")] = None,
    engine: Annotated[Optional[str], typer.Option(help="Software, as vllm or llama.cpp; the usual one if not said.")] = None,
    dtype: Annotated[Optional[str], typer.Option(help="bfloat16 (if not said), float16 or float32: arithmetic and plain weights.")] = None,
    quant: Annotated[Optional[str], typer.Option(help="Format of the weights, as q4_k_m, fp8, int4 or awq.")] = None,
    kv: Annotated[Optional[str], typer.Option(help="Format of the KV cache.")] = None,
    prompt_tokens: Annotated[int, typer.Option(help="Tokens the model reads first.")] = 512,
    new_tokens: Annotated[int, typer.Option(help="Tokens the model writes.")] = 128,
    batch: Annotated[int, typer.Option(help="Sequences side by side, on each copy of the model.")] = 1,
    concurrency: Annotated[Optional[int], typer.Option(help="Requests at a time when it serves many; as many as fit, if not said.")] = None,
    as_json: Json = False,
) -> None:
    """Predict a model on a device: times with intervals, what they are spent on, memory, energy."""
    with border(as_json):
        spec, remark = model_named(model)
        work = {"batch": whole("batch", batch), "prompt": whole("prompt tokens", prompt_tokens), "new": whole("new tokens", new_tokens)}
        degrees = {"tensor": tp, "pipeline": pp, "expert": ep}
        if device.strip().lower() == HERE:
            options = {"devices": devices, "tp": tp, "pp": pp, "ep": ep, "engine": engine, "quant": quant, "kv": kv}
            found = here(spec, dtype, work, remark, options)
            found["command"] = again(model, found)
        else:
            chosen, format = device_named(device), dtype or "bfloat16"
            precision = precision_of(format, quant, kv)
            placed, faults = deployed(spec, chosen, engine_of(engine, chosen, precision), precision, devices, degrees)
            most = None if concurrency is None else whole("concurrency", concurrency)
            found = answer(spec, placed, work, faults, remark, most)
            found["command"] = _again(model, placed, work, {"dtype": format, "quant": quant, "kv": kv, "concurrency": most})
        if as_json:
            print_json(found)
        else:
            show(found)


def answer(
    model: ModelSpec, placed: Deployment, work: dict[str, int], faults: list[str], remark: str = "", concurrency: int | None = None
) -> dict[str, Any]:
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
        "spent": {"prefill": _spent(found.prefill)} | ({"decode": _spent(found.decode)} if model.head else {}),
        "origin": found.origin,
        "memory": _memory(found, placed),
        **({"serving": asdict(serve(model, placed, work["prompt"], work["new"], concurrency))} if model.head else {}),
        "energy_per_token": None if found.energy is None or not model.head else float(found.energy),
        "operators": {phase: [_operator(op) for op in ops] for phase, ops in _operators(model, placed, work).items()},
        "problems": [*faults, *told],
        "notes": [note for note in (remark, *_notes(model, placed, work, found)) if note],
    }


def _times(found: Estimate, work: dict[str, int], replicas: int, *, writes: bool) -> dict[str, Any]:
    """Times and rates with their intervals."""
    if writes:
        return times(found.prefill, found.decode, work["new"], float(found.rate), float(found.throughput))
    return reading(found.prefill, work["batch"] * work["prompt"] * replicas)


def _spent(timed: Timed) -> dict[str, float]:
    return {name: float(getattr(timed.spent, name)) for name in PARTS}


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
        notes.append(f"The devices are {placed.replicas:,} groups, each with a batch of {work['batch']:,} of its own.")
    if not found.fits and device.link and placed.devices == 1:
        larger = [size for size in GROUPS if model.heads % size == 0]
        tried = ((size, placed.model_copy(update={"devices": size, "tensor": size})) for size in larger)
        enough = next((size for size, group in tried if estimate(model, group, **work).fits), None)
        notes += [f"{enough} of them hold it (--devices {enough} --tp {enough})."] if enough else []
    return notes


def _title(model: ModelSpec, placed: Deployment, work: dict[str, int]) -> str:
    count = f"{placed.devices:,} × " if placed.devices > 1 else ""
    degrees = [f"{name} parallel {size}" for name in ("tensor", "pipeline", "expert") if (size := getattr(placed, name)) > 1]
    tokens = f"{work['prompt']:,} prompt" + (f" + {work['new']:,} new" if model.head else "") + " tokens"
    parts = [FORMATS[placed.precision.weights].title, ENGINES[placed.engine].title, *degrees, f"batch {work['batch']:,}", tokens]
    return f"{model.name} on {count}{placed.device.title}: {', '.join(parts)}"


def _again(model: str, placed: Deployment, work: dict[str, int], said: dict[str, Any]) -> str:
    """The command that repeats a prediction, with what was not said filled in."""
    degrees = {"pp": placed.pipeline, "ep": placed.expert}
    more = {name: size for name, size in degrees.items() if size > 1}
    split = {"devices": placed.devices, "tp": placed.tensor, **more} if placed.devices > 1 else {}
    options = {**split, "engine": placed.engine, **{name: value for name, value in said.items() if value}}
    options |= {"prompt-tokens": work["prompt"], "new-tokens": work["new"], "batch": work["batch"]}
    return command(["predict", model, placed.device.id, *(word for name, value in options.items() for word in (f"--{name}", value))])


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
