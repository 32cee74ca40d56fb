"""Engines side by side, and choices of the loop: one ordinary run for each, the baseline first, all answers checked."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from profiler.analysis.answers import Answer, answer
from profiler.analysis.compression import Variant, compared, title_of, variants
from profiler.analysis.experiment import Experiment, Place
from profiler.analysis.moment import ceilings_now
from profiler.analysis.recipes import Conditions, Plan
from profiler.analysis.waterfall import Waterfall, waterfall
from profiler.record.events import Point
from profiler.record.run import Run
from profiler.spec.libraries import ENGINES, LIBRARIES, LOOPS
from profiler.spec.machine import Ceilings
from profiler.spec.methods import Table
from profiler.spec.run import RunSpec
from profiler.spec.work import Generate

PROMPT, NEW = 128, 64  # tokens
BATCHES = {False: (4,), True: (2, 4, 8, 16)}  # beside the run's own, by thorough


def engines(c: Conditions) -> Plan:
    """One run an engine, eager transformers first; with throughput by batch."""
    return compared(c, LIBRARIES, lambda name: _spec(c, LIBRARIES, name, _batches(c, name)))


def _batches(c: Conditions, name: str) -> tuple[int, ...]:
    """A whole step is compiled once for each batch, which takes longer than all else; quick experiments go without."""
    once = ENGINES[name].changes.get("cache") == "static" and "compile" in ENGINES[name].changes
    return () if once and not c.thorough else BATCHES[c.thorough]


def choices(c: Conditions) -> Plan:
    """One run a choice, the usual loop first."""
    return compared(c, LOOPS, lambda name: _spec(c, LOOPS, name, ()))


def _spec(c: Conditions, table: Table, name: str, batches: tuple[int, ...]) -> RunSpec:
    assert c.model
    work = Generate(prompt_tokens=PROMPT, new_tokens=NEW, seconds=c.seconds, check=True, batches=batches)
    return RunSpec(model=c.model, work=work, setup=table.applied(c.setup, name))


def placed(table: Table) -> Place:
    """Where a run of a table stands: the number of its row, and its title."""
    order = list(table.rows)

    def place(spec: RunSpec) -> tuple[float, str]:
        name = table.name_of(spec.setup)
        return float(order.index(name) if name else len(order)), title_of(spec, table)

    return place


@dataclass(frozen=True)
class Racer:
    """One engine or choice as it was measured."""

    one: Variant
    roofs: Ceilings | None = None  # the same for all that are compared

    @property
    def run(self) -> Run:
        """Its run."""
        return self.one.run

    @property
    def first(self) -> bool:
        """Whether it is the baseline."""
        return self.one.base is None

    @cached_property
    def answer(self) -> Answer | None:
        """How its answer compares with the reference; None where that was not asked for."""
        return answer(self.run)

    @property
    def wrong(self) -> bool:
        """Whether it says something else than the model."""
        return self.answer is not None and not self.answer.agrees

    @cached_property
    def fall(self) -> Waterfall | None:
        """Where a token's time goes."""
        return waterfall(self.run, "decode", roofs=self.roofs)

    @property
    def throughput(self) -> dict[int, float]:
        """Sequences at once → tokens/s, the run's own batch included."""
        found = {int(event.x): event.value for event in self.run.of(Point) if event.curve == "throughput"}
        return {self.run.spec.generate.batch: self.one.rate} | found

    def seconds(self, *names: str) -> float:
        """Sum of what these metrics took once; 0 where they were not told."""
        return sum(found.median for name in names if (found := self.run.measured(name)))

    @property
    def start(self) -> float:
        """Seconds from an empty process to the first question: loading and compiling."""
        return self.seconds("load_time", "compile_time")

    @property
    def once(self) -> float:
        """Seconds for a file that is kept: converting and quantizing."""
        return self.seconds("compress_time")

    @property
    def pays_off(self) -> float | None:
        """New tokens after which what it takes longer to start is won back; None where it never is, or where it starts as fast."""
        base = self.one.base
        if base is None or base.seconds <= self.one.seconds:
            return None
        more = self.start + self.once - Racer(base).start
        return more / (base.seconds - self.one.seconds) if more > 0 else None

    def day(self, tokens: float, requests: float) -> float:
        """Seconds for so many new tokens in so many requests, one after another."""
        prompt = self.one.prefill.median if self.one.prefill else 0.0
        return tokens * self.one.seconds / self.run.spec.generate.batch + requests * prompt


def racers(experiment: Experiment, table: Table = LIBRARIES) -> list[Racer]:
    """All that were measured, in the order they were asked for."""
    found = variants(experiment, table)
    roofs = common([one.run for one in found])
    return [Racer(one, roofs) for one in found]


def common(runs: list[Run]) -> Ceilings | None:
    """The roofs that all are drawn against: as they stood during the run whose bandwidth was the median one.

    Each run has its own moment, and this machine's bandwidth can halve in between; equal bytes shall need equal time.
    """
    stood = sorted((roofs for run in runs if (roofs := ceilings_now(run))), key=lambda roofs: roofs.dram)
    return stood[len(stood) // 2] if stood else None


def fastest(found: list[Racer], key: Callable[[Racer], float] = lambda racer: racer.one.rate) -> Racer | None:
    """The best of those whose answers are right; by decode speed where nothing else is said."""
    return max((racer for racer in found if not racer.wrong), key=key, default=None)


def wrong_of(run: Run) -> str:
    """Why a run's answers are wrong; empty where they are right, or not known."""
    found = answer(run)
    return found.wrong if found else ""
