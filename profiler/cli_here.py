"""A prediction for this machine, from what was measured on it: its ceilings and the kernels of its library."""

from typing import Any

from profiler.catalog.machine import available_memory, devices, native_dtype, this_machine
from profiler.cli_answer import times
from profiler.cli_setups import HERE, command
from profiler.record.jobs import Jobs
from profiler.record.store import Store
from profiler.spec.model import ModelSpec
from profiler.spec.run import RunSpec, Setup
from profiler.spec.units import words
from profiler.spec.work import Generate
from profiler.theory.local import Expected, expected
from profiler.theory.memory import capacity, check, predict_memory
from profiler.theory.predict import predict
from profiler.theory.step import parameters


def here(model: ModelSpec, dtype: str | None, work: dict[str, int], remark: str, elsewhere: dict[str, Any]) -> dict[str, Any]:
    """Everything that can be said of a run on this machine. Raises ValueError before its ceilings were measured."""
    useless = [f"--{name}" for name, value in elsewhere.items() if value is not None]
    if useless:
        raise ValueError(f"This machine is predicted as `run` measures it, so {', '.join(useless)} cannot be chosen here.")
    machine, device = this_machine(), devices()[0]
    setup = Setup.model_validate({"device": device, "threads": machine.cores, "dtype": dtype or native_dtype(device)})
    asked = Generate(batch=work["batch"], prompt_tokens=work["prompt"], new_tokens=work["new"])
    spec = RunSpec(model=model, work=asked, setup=setup)
    ceilings = Jobs(Store(), machine).ceilings(spec)
    if ceilings is None:
        wanted = command(["ceilings", "--dtype", setup.dtype])
        raise ValueError(f"This machine was not measured yet in {setup.dtype}; `{wanted}` takes about a minute.")
    found, least = expected(spec, ceilings), {phase: bound.time for phase, bound in predict(spec, ceilings).items()}
    floor = f"Physics needs {words(least['prefill'], 's')} until the first token and {words(least['decode'], 's')} per token at least."
    unknown = "" if found else "The kernels of this model were not measured here, so nothing but that bound is known."
    return {
        "title": spec.title,
        "model": {"reference": model.reference, "name": model.name, "family": model.family, "parameters": parameters(model)},
        "device": machine.model_dump(),
        "setup": setup.model_dump() | {"devices": 1} | work,
        **_times(found, work),
        "least": least,
        "spent": {phase: each.parts for phase, each in found.items()},
        "origin": "measured here",
        "memory": _memory(spec),
        "energy_per_token": None,
        "problems": _problems(spec),
        "notes": [note for note in (remark, floor, unknown) if note],
    }


def _times(found: dict[str, Expected], work: dict[str, int]) -> dict[str, Any]:
    if not found:
        return {}
    first, each = found["prefill"], found["decode"]
    rate, whole = work["batch"] / each.time, first.time + work["new"] * each.time
    return times(first, each, work["new"], rate, work["batch"] * work["new"] / whole)


def _memory(spec: RunSpec) -> dict[str, Any]:
    """Bytes by purpose, and what is free."""
    held, room = predict_memory(spec), capacity(this_machine(), spec.setup.device, available_memory())
    parts = {"weights": held.weights, "kv_cache": held.kv, "activations_and_software": held.activations + held.runtime}
    return parts | {"total": held.total, "capacity": room, "fits": held.total <= room}


def _problems(spec: RunSpec) -> list[str]:
    try:
        check(spec, this_machine(), available_memory())
    except ValueError as problem:
        return [str(problem)]
    return []


def again(model: str, found: dict[str, Any]) -> str:
    """The command that repeats a prediction for this machine."""
    setup = found["setup"]
    options = {"dtype": setup["dtype"], "prompt-tokens": setup["prompt"], "new-tokens": setup["new"], "batch": setup["batch"]}
    return command(["predict", model, HERE, *(word for name, value in options.items() for word in (f"--{name}", value))])
