"""Many requests at once: one at a time, in static batches, and continuously; each way an ordinary run.

All requests are there at the beginning and the lengths of their answers are known, so the schedule is known before anything runs: who
writes in which row, at which call of the model, and which rows write what nobody reads. Only the seconds are measured.
"""

import heapq
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any

from profiler.analysis.duration import expected
from profiler.analysis.experiment import BUSY, Experiment
from profiler.analysis.findings import GAIN, Finding, nothing
from profiler.analysis.recipes import Conditions, Plan
from profiler.analysis.trust import foreign_load
from profiler.record.events import Request, Served
from profiler.record.run import Run
from profiler.spec.machine import Ceilings
from profiler.spec.methods import with_method
from profiler.spec.run import RunSpec
from profiler.spec.units import number, words
from profiler.spec.work import Generate, Requests, lengths
from profiler.theory.memory import predict_memory
from profiler.theory.predict import predict

COUNT, SLOTS = {False: 16, True: 48}, {False: 4, True: 8}  # by thorough
PROMPT, NEW = 64, 32  # tokens
LONGER = 4  # times as long as a point of other labs: every request is answered once
MOST = 0.9  # of the requests, where it is told after how long most of them were answered
LLAMACPP = "gguf-q8"  # the method of compression that is llama.cpp with its usual 8 bits


def plan(c: Conditions) -> Plan:
    """One at a time, static and continuous, in transformers and, where it can be, in llama.cpp; the others with their reason."""
    assert c.model
    why, out, kept = c.refused.get(LLAMACPP, "").rstrip("."), [], []
    setups = [c.setup] if why else [c.setup, with_method(c.setup, LLAMACPP)]
    usual = Requests(count=COUNT[c.thorough], slots=SLOTS[c.thorough], prompt_tokens=PROMPT, new_tokens=NEW)
    if PROMPT + max(lengths(usual)) > c.model.context:
        raise ValueError(f"{c.model.name} takes {c.model.context} tokens, too few for these requests; choose a model with more context.")
    works = [usual.model_copy(update=changes) for changes in ({"slots": 1}, {}, {"batching": "continuous"})]
    for spec in [RunSpec(model=c.model, work=work, setup=setup) for setup in setups for work in works]:
        need, time = predict_memory(as_generate(spec)).peak, expected(spec, c.roofs)
        if need > c.room:
            out.append(f"{name_of(spec)} would need {words(need, 'B')} of memory, {words(c.room, 'B')} are free")
        elif time > LONGER * c.patience:
            out.append(f"{name_of(spec)} would take about {words(time, 's')}, longer than one run may")
        else:
            kept.append(spec)
    return Plan(tuple(kept), (*out, f"llama.cpp ({why})") if why else tuple(out))


def as_generate(spec: RunSpec) -> RunSpec:
    """The steps of such a run, as theory and memory know them: all rows at once, an answer of middle length."""
    work = work_of(spec)
    known = Generate(batch=min(work.slots, work.count), prompt_tokens=work.prompt_tokens, new_tokens=work.new_tokens, trace=False)
    return spec.model_copy(update={"work": known})


def work_of(spec: RunSpec) -> Requests:
    """The work of a run that is known to answer requests."""
    assert isinstance(spec.work, Requests)
    return spec.work


def begins(work: Requests) -> list[int]:
    """The call of the model at which each request's prompt is read: one call, which makes the first token.

    Exact where all prompts of a call fit into it.
    """
    wanted, found = lengths(work), []
    if work.batching == "continuous":
        free = [0] * work.slots
        for length in wanted:
            found.append(heapq.heappop(free))
            heapq.heappush(free, found[-1] + length)
        return found
    at = 0
    for first in range(0, len(wanted), work.slots):
        batch = wanted[first : first + work.slots]
        found += [at] * len(batch)
        at += max(batch)
    return found


def steps(work: Requests) -> int:
    """Calls of the model until all requests are answered."""
    return max(begin + length for begin, length in zip(begins(work), lengths(work)))


@dataclass(frozen=True)
class Way:
    """One way of answering, as it was measured."""

    run: Run
    served: Served

    @property
    def work(self) -> Requests:
        """What was asked for."""
        return work_of(self.run.spec)

    @property
    def kind(self) -> str:
        """one, static or continuous."""
        return kind_of(self.work)

    @property
    def engine(self) -> str:
        """That ran the model."""
        return self.run.spec.setup.engine

    @property
    def requests(self) -> tuple[Request, ...]:
        """In the order they were given."""
        return self.served.requests

    @property
    def seconds(self) -> float:
        """Until the last answer was there."""
        return self.served.seconds

    @property
    def rate(self) -> float:
        """Tokens/s of answers that somebody asked for."""
        return sum(request.tokens for request in self.requests) / self.seconds

    @cached_property
    def ends(self) -> list[float]:
        """Seconds after which a request was answered, the earliest first."""
        return sorted(request.end for request in self.requests if request.end is not None)

    @property
    def mean(self) -> float:
        """Seconds after which a request was answered, on average."""
        return sum(self.ends) / len(self.ends)

    @property
    def most(self) -> float:
        """Seconds after which nine of ten were answered: these ones, not an estimate for others."""
        return self.ends[ceil(MOST * len(self.ends)) - 1]

    def fact(self, name: str) -> float:
        """A count that the worker told at the end: wasted_rows, row_steps, steps."""
        return getattr(self.run.ended, "facts", {}).get(name, 0.0)

    @property
    def wasted(self) -> float:
        """Share of the rows' steps that wrote what nobody reads."""
        return self.fact("wasted_rows") / max(self.fact("row_steps"), 1.0)

    @property
    def disturbed(self) -> bool:
        """Whether other programs took a good part of a core meanwhile."""
        return (foreign_load(self.run) or 0.0) > BUSY


def kind_of(work: Requests) -> str:
    """one, static or continuous."""
    return "one" if work.slots == 1 else work.batching


def name_of(spec: RunSpec) -> str:
    """How a way is called, its engine first."""
    work = work_of(spec)
    named = {"one": "one at a time", "static": f"static batches of {work.slots}", "continuous": f"continuous, {work.slots} at once"}
    return f"{spec.setup.engine}, {named[kind_of(work)]}"


def ways(experiment: Experiment) -> list[Way]:
    """All that were measured, in the order they were asked for."""
    found = [(run, run.of(Served)) for run in experiment.finished if isinstance(run.spec.work, Requests)]
    return [Way(run, served[-1]) for run, served in found if served and served[-1].requests]


def finding(experiment: Experiment) -> Finding:
    """What batches bring, and what continuous batching brings beyond; the title is of the fastest engine that had the machine alone."""
    found = ways(experiment)
    sides = {engine: {way.kind: way for way in found if way.engine == engine} for engine in dict.fromkeys(way.engine for way in found)}
    pairs = {engine: _pair(side) for engine, side in sides.items() if len(side) > 1}
    if not pairs:
        return nothing()
    calm = [engine for engine, pair in pairs.items() if not any(way.disturbed for way in pair)]
    best = max(calm or pairs, key=lambda engine: pairs[engine][1].rate)
    title = _title(*pairs[best], f" in {best}" if len(pairs) > 1 else "") if calm else "Inconclusive: other programs were busy meanwhile"
    lines = [_line(engine, sides[engine]) for engine in pairs]
    if busy := sum(way.disturbed for way in found):
        lines.append(f"Other programs were busy during {busy} of the {len(found)} runs: run it again on a quieter machine.")
    told = ("seconds", "rate", "mean", "wasted")  # in SI units
    numbers = {f"{way.engine} {way.kind} {name}": float(getattr(way, name)) for way in found for name in told}
    return Finding(title, "\n".join(lines), bool(calm), numbers)


def _pair(side: dict[str, Way]) -> tuple[Way, Way]:
    """The comparison that matters most of those that were measured: the simpler way, and the better one."""
    fast = side.get("continuous") or side["static"]
    return side["static"] if fast.kind == "continuous" and "static" in side else side["one"], fast


def _title(slow: Way, fast: Way, where: str) -> str:
    gain, name = slow.seconds / fast.seconds, "Continuous batching" if fast.kind == "continuous" else "Batching"
    other = "static batches" if slow.kind == "static" else "one at a time"
    times = f"{len(fast.requests)} requests in {words(fast.seconds, 's')}, {other} in {words(slow.seconds, 's')}{where}"
    if gain < GAIN:
        return f"{name} {'brings little' if gain > 1 / GAIN else 'is slower'} here: {times}"
    waste = f": {words(slow.wasted, '%')} of their rows wrote nothing" if slow.kind == "static" else ""
    return f"{name} answers {times}{waste}"


def _line(engine: str, side: dict[str, Way]) -> str:
    """All numbers of one engine, and how well the schedule foretold them."""
    names = {"one": "one at a time", "static": "in static batches", "continuous": "continuously"}
    each = [f"{words(way.seconds, 's')} {names[kind]} ({words(way.rate, 'tok/s')})" for kind, way in side.items()]
    said = (
        f"{engine} took {', '.join(each)}; on average a request was answered after {', '.join(words(w.mean, 's') for w in side.values())}."
    )
    one, static, continuous = (side.get(kind) for kind in names)
    if one and static:
        said += f" {static.work.slots} at once wrote {number(static.rate / one.rate)} times the tokens per second."
    if static and continuous:
        few, many = steps(continuous.work), steps(static.work)
        said += f" Continuous batching took {number(continuous.seconds / static.seconds)} times the time of static batches; "
        said += f"by the schedule, {few} calls of the model instead of {many}, it is {number(few / many)}."
    return said


def promise(specs: list[RunSpec], roofs: dict[str, Ceilings]) -> str:
    """What physics allows several at once, and what the schedule saves beyond: the lengths are known, so the calls are counted."""
    works = {kind_of(work_of(spec)): work_of(spec) for spec in specs}
    told, known = [], roofs.get(specs[0].setup.dtype)
    wide = next((spec for spec in specs if work_of(spec).slots > 1), None)
    if wide and known and wide.setup.dtype in known.matmul:
        many = as_generate(wide)
        one = many.model_copy(update={"work": many.generate.model_copy(update={"batch": 1})})
        gain = many.generate.batch * predict(one, known)["decode"].time / predict(many, known)["decode"].time
        told.append(f"{many.generate.batch} at once write up to {number(gain)} times the tokens of one at a time")
    if "static" in works and "continuous" in works:
        counts = steps(works["continuous"]), steps(works["static"])
        told.append("continuous batching needs {} calls of the model, static batches {}".format(*counts))
    return f"Predicted: {', and '.join(told) or 'one request after the other'}"


def table(experiment: Experiment) -> list[dict[str, str]]:
    """One row a way, in words."""
    return [
        row | {"its row wrote nothing": words(way.wasted, "%"), "calls": f"{way.fact('steps'):.0f}", "run": way.run.id}
        for way, row in zip(ways(experiment), brief(experiment))
    ]


def brief(experiment: Experiment) -> list[dict[str, str]]:
    """The same in as few columns as a terminal has room for."""
    return [
        {
            "way": name_of(way.run.spec) + (" (other programs were busy)" if way.disturbed else ""),
            "all answered": words(way.seconds, "s"),
            "output": words(way.rate, "tok/s"),
            "on average": words(way.mean, "s"),
            "nine of ten": words(way.most, "s"),
            "run": way.run.id,
        }
        for way in ways(experiment)
    ]


def values(experiment: Experiment) -> list[dict[str, Any]]:
    """The same as plain values in SI units, for JSON."""
    return [
        {"way": name_of(way.run.spec), "run": way.run.id, "ends": way.ends, "steps": way.fact("steps")}
        | {name: getattr(way, name) for name in ("engine", "kind", "seconds", "rate", "mean", "most", "wasted")}
        for way in ways(experiment)
    ]
