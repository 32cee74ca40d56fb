"""Methods of compression side by side: one ordinary run for each, the uncompressed model first, all judged against it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from math import exp, hypot, log

from profiler.analysis.experiment import BUSY, Experiment
from profiler.analysis.fleet import front
from profiler.analysis.memory import split
from profiler.analysis.moment import ideal
from profiler.analysis.quality import Quality, quality
from profiler.analysis.recipes import Conditions, Plan, possible
from profiler.analysis.trust import foreign_load
from profiler.analysis.waterfall import measured_step
from profiler.record.run import Run
from profiler.spec.formats import FORMATS
from profiler.spec.machine import Ceilings
from profiler.spec.measurement import Measurement
from profiler.spec.methods import BASELINE, COMPRESSION, METHODS, Table, method_of, with_method
from profiler.spec.run import RunSpec
from profiler.spec.work import Generate
from profiler.theory.compressed import Forecast, forecast
from profiler.theory.local import expected
from profiler.theory.predict import predict
from profiler.theory.weights import weight_bytes

SCORED = {False: 1024, True: 4096}  # tokens of held-back text, by thorough
LONGER = 4  # times as long as a point of other labs: a model is compressed, and scored beside the whole one
NARROW = 6.0  # bits of a weight below which one speaks of 4 bits and fewer
Ratio = tuple[float, float, float]  # middle, low, high


def methods(c: Conditions) -> Plan:
    """One run a method, the uncompressed model first; what cannot run here is left out with its reason."""
    assert c.model
    return compared(c, COMPRESSION, lambda name: _spec(c, name))


def compared(c: Conditions, table: Table, spec_of: Callable[[str], RunSpec]) -> Plan:
    """The baseline and all chosen rows of a table that can run. Raises ValueError where none can."""
    asked = c.methods or (() if c.refused else table.quick)
    names = [name for name in table.choices if name in asked and name not in c.refused]
    out = [f"{table.rows[name].title} ({_inside(why)})" for name, why in c.refused.items()]
    if not names:
        raise ValueError(f"None of the chosen {table.key} can run here: {'; '.join(out)}. Choose others.")
    specs = [spec_of(name) for name in (table.baseline, *names)]
    plan = possible(c, specs, lambda spec: title_of(spec, table), LONGER * c.patience)
    whole = (
        table.name_of(plan.specs[0].setup, c.setup.threads) == table.baseline if plan.specs else False
    )  # without it there is nothing to compare with
    return Plan(plan.specs if whole else (), (*plan.left_out, *out), tuple(spec_of(name) for name in c.refused))


def _inside(reason: str) -> str:
    """A sentence as a part of another one."""
    return reason[:1].lower() + reason[1:].rstrip(".")


def _spec(c: Conditions, name: str) -> RunSpec:
    assert c.model
    scored = SCORED[c.thorough] if c.model.trained else 0
    work = Generate(prompt_tokens=128, new_tokens=32, seconds=c.seconds, quality=scored, text=c.text if scored else "")
    return RunSpec(model=c.model, work=work, setup=with_method(c.setup, name))


def title_of(spec: RunSpec, table: Table = COMPRESSION) -> str:
    """How a run's method is called."""
    name = table.name_of(spec.setup)
    return table.rows[name].title if name else spec.setup.extras.removeprefix(" · ")


def by_method(spec: RunSpec) -> tuple[float, str]:
    """The method's place in the list, and its title."""
    name = method_of(spec.setup)
    return float(list(METHODS).index(name) if name else len(METHODS)), title_of(spec)


@dataclass(frozen=True)
class Variant:
    """One method as it was measured; `base` is the uncompressed model, None of that model itself or where it is lost."""

    run: Run
    steps: Measurement  # seconds of a decode step
    base: "Variant | None" = None
    table: Table = COMPRESSION
    threads: int = 0  # of the baseline, as it was asked for

    @cached_property
    def name(self) -> str:
        """The method's key; empty for a set-up that is no row of the table."""
        return self.table.name_of(self.run.spec.setup, self.threads)

    @property
    def label(self) -> str:
        """A short name for figures."""
        return label(self.name)

    @property
    def title(self) -> str:
        """In words."""
        return self.table.rows[self.name].title if self.name else title_of(self.run.spec, self.table)

    @property
    def kind(self) -> str:
        """Of the method."""
        return self.table.rows[self.name].kind if self.name else "weights"

    @property
    def seconds(self) -> float:
        """Of a decode step, the median."""
        return self.steps.median

    @property
    def rate(self) -> float:
        """New tokens/s."""
        return self.run.spec.generate.batch / self.seconds

    @property
    def rate_interval(self) -> tuple[float, float]:
        """95 % confidence interval of the tokens/s."""
        low, high = self.steps.interval
        return self.run.spec.generate.batch / high, self.run.spec.generate.batch / low

    @cached_property
    def prefill(self) -> Measurement | None:
        """Seconds of reading the prompt."""
        return measured_step(self.run, "prefill")

    @cached_property
    def quality(self) -> Quality | None:
        """How good its answers are; None where that is not defined."""
        return quality(self.run)

    def fact(self, name: str) -> float | None:
        """A count that the worker told at the end: weight_bytes, file_bytes."""
        return getattr(self.run.ended, "facts", {}).get(name)

    @property
    def weights(self) -> float:
        """Bytes of the weights as they are held in memory; counted where the run does not tell."""
        return self.fact("weight_bytes") or weight_bytes(self.run.spec.shape, self.run.spec.setup.precision)

    @property
    def peak(self) -> float | None:
        """Bytes of the whole process at its highest, while it generated."""
        held = split(self.run)
        return held.peak if held else None

    @property
    def disturbed(self) -> bool:
        """Whether other programs took a good part of a core meanwhile."""
        return (foreign_load(self.run) or 0.0) > BUSY

    @property
    def calm(self) -> bool:
        """Whether neither this run nor the uncompressed one was disturbed."""
        return not self.disturbed and not (self.base and self.base.disturbed)

    @cached_property
    def gain(self) -> Ratio | None:
        """Times as fast as the uncompressed model; the interval is that of both medians and of the machine's drift. None without one."""
        return _ratio(self.base.steps, self.steps, drift(self.base.run, self.run, "decode")) if self.base else None

    @cached_property
    def prefill_gain(self) -> Ratio | None:
        """The same for reading the prompt."""
        if self.base is None or self.base.prefill is None or self.prefill is None:
            return None
        return _ratio(self.base.prefill, self.prefill, drift(self.base.run, self.run, "prefill"))

    @property
    def faster(self) -> bool:
        """Whether it is faster for certain; a measurement beside busy programs is not."""
        return self.gain is not None and self.gain[1] > 1 and self.calm

    @property
    def narrow(self) -> bool:
        """Whether its weights have about 4 bits or fewer."""
        format = self.run.spec.setup.quantization
        return bool(format) and FORMATS[format].bits < NARROW

    @property
    def floor(self) -> float:
        """Share of perplexity that cannot be told from the number format's own rounding: the uncompressed model's whole interval."""
        judged = (self.base or self).quality
        return max(abs(end) for end in judged.loss_interval) if judged else 0.0

    @property
    def same(self) -> bool:
        """Whether no loss of quality can be told."""
        return self.quality is not None and self.quality.same(self.floor)


def _ratio(before: Measurement, now: Measurement, drifted: float) -> Ratio:
    """Ratio of two medians; the relative errors add as squares."""
    reach = hypot(drifted, *(log(max(high, 1e-12) / max(low, 1e-12)) / 2 for low, high in (before.interval, now.interval)))
    middle = before.median / now.median
    return middle, middle / exp(reach), middle * exp(reach)


def drift(before: Run, now: Run, phase: str) -> float:
    """How much the machine itself changed a phase between two runs, as a logarithm: the larger effect of what both canaries saw.

    Arithmetic is in all of a step. Memory's bandwidth is in the share of it that physics gives to moving bytes: on a machine whose
    bandwidth halved between two runs, steps that spent a fifth of their time on it did not become slower (measured here). Canaries of
    other threads cannot be compared.
    """
    if before.spec.setup.threads != now.spec.setup.threads:
        return 0.0
    changes = {name: _change(before.measured(name), now.measured(name)) for name in ("canary_read", "canary_matmul")}
    return max(changes["canary_read"] * max(_moving(before, phase), _moving(now, phase)), changes["canary_matmul"])


def _change(early: Measurement | None, late: Measurement | None) -> float:
    return abs(log(late.median / early.median)) if early and late else 0.0


def _moving(run: Run, phase: str) -> float:
    """Share of a step's time that physics gives to moving bytes."""
    need, steps = ideal(run, phase), measured_step(run, phase)
    return min(need.bandwidth / steps.median, 1.0) if need and steps else 1.0


def label(name: str) -> str:
    """A short name for figures."""
    return "uncompressed" if name == BASELINE else name or "own"


def variants(experiment: Experiment, table: Table = COMPRESSION) -> list[Variant]:
    """All that were measured, in the order they were asked for; each knows the baseline."""
    threads = experiment.specs[0].setup.threads if experiment.runs else 0
    found = [Variant(run, steps, None, table, threads) for run in experiment.finished if (steps := measured_step(run, "decode"))]
    base = next((one for one in found if one.name == table.baseline), None)
    return [one if one is base else replace(one, base=base) for one in found]


def best(found: list[Variant], most: float = 0.02) -> Variant | None:
    """The fastest one that loses at most a share `most` of perplexity; of random weights the fastest. None where none is faster."""
    scored = any(one.quality for one in found)
    good = [one for one in found if one.faster and (not scored or _good(one, most))]
    return max(good, key=lambda one: one.rate, default=None)


def _good(one: Variant, most: float) -> bool:
    return one.quality is not None and not one.quality.garbage and (one.same or one.quality.loss <= most)


def undominated(found: list[Variant]) -> list[Variant]:
    """Those that no other one beats both in speed and in quality, from the best quality to the fastest; garbage is none of them.

    Losses that cannot be told from rounding are equal.
    """
    judged = [(one, 0.0 if one.same else one.quality.loss) for one in found if one.quality and not one.quality.garbage]
    return [judged[at][0] for at in front([(loss, one.rate) for one, loss in judged])]


@dataclass(frozen=True)
class Aim:
    """Where a run should land."""

    spec: RunSpec
    forecast: Forecast
    rate: float | None  # tokens/s; None where the kernels are not known
    most: float  # tokens/s that physics allows
    table: Table = COMPRESSION
    threads: int = 0  # of the baseline

    @property
    def name(self) -> str:
        """The method's key."""
        return self.table.name_of(self.spec.setup, self.threads)

    @property
    def label(self) -> str:
        """A short name for figures."""
        return label(self.name)


def aims(specs: list[RunSpec], roofs: dict[str, Ceilings], processor: str = "", table: Table = COMPRESSION) -> list[Aim]:
    """The prediction for each run, on the roofs of the baseline's number format; none where these are not known."""
    threads = specs[0].setup.threads if specs else 0
    base = next((spec for spec in specs if table.name_of(spec.setup, threads) == table.baseline), None)
    known = roofs.get(base.setup.dtype) if base else None
    if base is None or known is None or base.setup.dtype not in known.matmul:
        return []
    usual, least = expected(base, known), predict(base, known)["decode"].time
    found = []
    for spec in specs:
        said, batch = forecast(spec, base, known, processor), spec.generate.batch
        rate = batch / usual["decode"].time * said.expected if usual and said.expected else None
        found.append(Aim(spec, said, rate, batch / least * said.physics, table, threads))
    return found
