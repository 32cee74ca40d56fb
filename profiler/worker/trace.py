"""The operator trace: a separate pass of each phase, never the timed one.

Times come from torch's profiler in its cheapest form, over several passes; on a processor an operator takes from its call
to its return, and what lies between operators is measured as such. On an accelerator an operator takes as long as its
kernels, and the rest of the wall time is idle. Places, FLOPs and bytes come from one more pass under a hook
(profiler.worker.counting); the two are matched by the order of calls.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile, record_function

from profiler.record.events import OpRow, Traced
from profiler.spec.run import Setup
from profiler.worker.counting import Call, count
from profiler.worker.decoding import Decoding
from profiler.worker.device import keep_memory, synchronize

BUDGET = 2.0  # seconds of traced passes of one phase, at most, in one attempt
ATTEMPTS = 3
AGREES = 1.03  # a trace that takes at most so many times the untraced median is undisturbed
TOWARDS = 1.0  # seconds of untraced steps towards the middle of the answer, where the median step is
TINY = 200  # tiny operators, for the dispatch floor
AHEAD = 12  # operators that may be skipped in search of the one that was counted
PASS, FLOOR = "need-for-speed pass", "need-for-speed floor"
Phase = Literal["prefill", "decode"]
PASSES: dict[Phase, int] = {"prefill": 2, "decode": 3}  # reading a trace takes longer than making it


@dataclass(frozen=True)
class Timed:
    """One operator as the profiler saw it: its name and those of what it called, and its seconds over the passes."""

    names: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Timing:
    """All operators of one pass, the wall time, and what is outside operators; each the median over the passes."""

    ops: list[Timed]
    wall: float
    between: float
    floor: float
    passes: int


def unsupported(setup: Setup) -> str:
    """Why there can be no trace, in one sentence; empty where there can."""
    if setup.device == "mps":
        return "torch's profiler does not see the kernels of this device, so only whole steps are timed."
    if setup.speculation:
        return "A pass that checks guesses makes several tokens, so its operators are not those of one token."
    return "Compiled code is one operator to the profiler, so only whole steps are timed." if setup.compile else ""


def trace(decoding: Decoding, prompt: int, new: int, usual: dict[Phase, float]) -> Iterator[Traced]:
    """Traces of a prefill, and of a decode step as near to the middle of the answer as a second allows.

    `prompt` and `new` are tokens; `usual` is what each phase took untraced, in seconds.
    """
    yield _phase(decoding, "prefill", 0, usual["prefill"], PASSES["prefill"])
    decoding.prefill()
    seconds, step = 0.0, 1
    while step < new // 2 and seconds < TOWARDS:
        seconds += decoding.timed_steps(1)[0]
        step += 1
    yield _phase(decoding, "decode", prompt + step - 1, usual["decode"], max(1, min(PASSES["decode"], (new - step - 1) // ATTEMPTS)))


def _phase(decoding: Decoding, phase: Phase, context: int, usual: float, passes: int) -> Traced:
    """One phase, timed and then counted; each decode step leaves a token in the cache."""
    steps = 0

    def work() -> None:
        nonlocal steps
        steps += 1
        decoding.step() if phase == "decode" else decoding.prefill()

    timing = timed(work, max(1, min(passes, int(BUDGET / usual))), decoding.device, usual)
    calls = count(decoding.model, lambda: decoding.cache, work)
    rows, layers = table(timing.ops, calls)
    return Traced(
        at=time.time(),
        phase=phase,
        context=context + steps - 1 if phase == "decode" else 0,
        rows=tuple(rows),
        layers=layers,
        wall=timing.wall,
        between=timing.between,
        floor=timing.floor,
        passes=timing.passes,
    )


def timed(work: Callable[[], None], passes: int, device: str, usual: float) -> Timing:
    """The undisturbed one of a few traces of `work`.

    The profiler's own first buffers push the model's small ones to fresh memory, which costs page faults; after one or two
    traces the heap has settled, if it may keep what it has. Only the fastest is read: that takes longer than tracing.
    """
    keep_memory()
    best: tuple[float, profile] | None = None
    for _ in range(ATTEMPTS):
        wall, recorded = _record(work, passes, device)
        if best is None or wall < best[0]:
            best = wall, recorded
        if wall < AGREES * usual:
            break
    assert best
    cuda, events = device.startswith("cuda"), best[1].events()
    seen = [event for event in events if event.name == PASS and event.cpu_parent is None]
    floor = next(event for event in events if event.name == FLOOR)
    return digest([(_seconds(one, False), _children(one, cuda)) for one in seen], 0.0 if cuda else _floor(floor))


def _record(work: Callable[[], None], passes: int, device: str) -> tuple[float, profile]:
    """(median seconds of a pass, the trace) of some passes, and of some tiny operators after them."""
    tiny, walls = torch.zeros(1, device=device), []
    accelerator = [ProfilerActivity.CUDA] if device.startswith("cuda") else []
    with profile(activities=[ProfilerActivity.CPU, *accelerator]) as recorded:
        for _ in range(passes):
            began = time.perf_counter()
            with record_function(PASS):
                work()
                synchronize(device)
            walls.append(time.perf_counter() - began)
        with record_function(FLOOR):
            for _ in range(TINY):
                tiny.add(1)
        synchronize(device)
    return float(np.median(walls)), recorded


def digest(passes: list[tuple[float, list[Timed]]], floor: float) -> Timing:
    """Medians over the passes that called the same operators as most did; each pass is (wall seconds, its operators)."""
    lengths = [len(ops) for _, ops in passes]
    usual = max(set(lengths), key=lengths.count)
    alike = [(wall, ops) for wall, ops in passes if len(ops) == usual]
    seconds = np.median([[op.seconds for op in ops] for _, ops in alike], axis=0)
    between = float(np.median([wall - sum(op.seconds for op in ops) for wall, ops in alike]))
    ops = [replace(op, seconds=float(value)) for op, value in zip(alike[0][1], seconds)]
    return Timing(ops, float(seconds.sum()) + between, between, floor, len(alike))


def _children(event: FunctionEvent, cuda: bool) -> list[Timed]:
    """The operators that were called directly, in their order."""
    ordered = sorted(event.cpu_children, key=lambda child: child.time_range.start)
    return [Timed(tuple(_names(child)), _seconds(child, cuda)) for child in ordered if "::" in child.name]


def _names(event: FunctionEvent) -> Iterator[str]:
    yield event.name
    for child in sorted(event.cpu_children, key=lambda child: child.time_range.start):
        yield from _names(child)


def _seconds(event: FunctionEvent, cuda: bool) -> float:
    return (event.device_time_total if cuda else event.time_range.elapsed_us()) / 1e6


def _floor(event: FunctionEvent) -> float:
    return float(np.median([_seconds(child, False) for child in event.cpu_children]))


def table(ops: list[Timed], calls: list[Call]) -> tuple[list[OpRow], dict[str, tuple[float, ...]]]:
    """One row for each kind of call at each place, layers added up; and each group's seconds by layer."""
    rows: dict[tuple[str, str, str], OpRow] = {}
    layers: dict[str, dict[int, float]] = {}
    for op, mine in zip(ops, matched(ops, calls)):
        row = _row(op, mine)
        key = row.group, row.module, row.op
        rows[key] = _sum(rows[key], row) if key in rows else row
        if mine and mine[0].layer is not None:
            by_layer = layers.setdefault(row.group, {})
            by_layer[mine[0].layer] = by_layer.get(mine[0].layer, 0.0) + op.seconds
    ordered = sorted(rows.values(), key=lambda row: -row.seconds)
    return ordered, {name: tuple(held.get(index, 0.0) for index in range(max(held) + 1)) for name, held in layers.items()}


def matched(ops: list[Timed], calls: list[Call]) -> list[list[Call]]:
    """For each timed operator the counted calls in it: calls come in the same order, some are known to one side only."""
    flat = [(name, index) for index, op in enumerate(ops) for name in op.names]
    found: list[list[Call]] = [[] for _ in ops]
    at, current = 0, 0
    for call in calls:
        here = _next(call.name, flat, at, current + AHEAD)
        if here is not None:
            current = flat[here][1]
            found[current].append(call)
            at = here + 1
    return found


def _next(name: str, flat: list[tuple[str, int]], at: int, last: int) -> int | None:
    """The next place of a name, in no later operator than `last`."""
    for place in range(at, len(flat)):
        if flat[place][1] > last:
            return None
        if flat[place][0] == name:
            return place
    return None


def _row(op: Timed, calls: list[Call]) -> OpRow:
    first = calls[0] if calls else None
    return OpRow(
        group=first.group if first else "untold",
        module=first.module if first else "",
        op=op.names[0],
        count=1,
        seconds=op.seconds,
        flops=sum(call.flops for call in calls),
        weights=sum(call.weights for call in calls),
        kv=sum(call.kv for call in calls),
        activations=sum(call.activations for call in calls),
        counted=any(call.counted for call in calls),
    )


def _sum(one: OpRow, other: OpRow) -> OpRow:
    numbers = ("count", "seconds", "flops", "weights", "kv", "activations")
    added = {name: getattr(one, name) + getattr(other, name) for name in numbers}
    return one.model_copy(update=added | {"counted": one.counted or other.counted})
