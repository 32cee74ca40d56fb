"""What an experiment found: a title, and one sentence made of the measured numbers. It says what the points carry, no more."""

from dataclasses import dataclass, field
from math import isfinite

from profiler.analysis.experiment import Experiment, Landed, by_batch, by_bytes, by_context, steady
from profiler.analysis.fits import Line, line, reached_at
from profiler.analysis.moment import cost_of
from profiler.analysis.verdict import BEYOND
from profiler.spec.formats import Precision
from profiler.spec.machine import Ceilings
from profiler.spec.model import ModelSpec
from profiler.spec.units import number, words
from profiler.theory.cache import kv_per_token
from profiler.theory.predict import bound
from profiler.theory.step import step_cost

TOO_FEW = "Too few points were measured to say anything; run it again."
GAIN = 1.1  # less than this many times the tokens is no gain worth a word


@dataclass(frozen=True)
class Finding:
    """`numbers` are the same in SI units, for whoever reads JSON."""

    title: str
    sentence: str
    conclusive: bool = True
    numbers: dict[str, float] = field(default_factory=dict)


def nothing() -> Finding:
    """Not enough was measured."""
    return Finding("Inconclusive: too few points", TOO_FEW, conclusive=False)


def crossing(model: ModelSpec, prompt: int, new: int, dtype: str, roofs: Ceilings) -> float | None:
    """Batch at which arithmetic takes as long as reading, by bisection; None if reading is longer at any batch.

    The weights are read once for all sequences, but each brings a KV cache of its own: with a long context more batch never gets there.
    """

    def arithmetic_is_longer(batch: float) -> bool:
        least = bound(step_cost(model, batch, prompt, new, Precision.of(dtype))["decode"], roofs)
        return least.compute >= least.bandwidth

    low, high = 1.0, 1e5
    if not arithmetic_is_longer(high):
        return None
    while high / low > 1.001:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if arithmetic_is_longer(middle) else (middle, high)
    return high


def batch(experiment: Experiment) -> Finding:
    """Batch sweep: what more sequences at once cost and bring."""
    points = experiment.landed(by_batch)
    if len(points) < 2:
        return nothing()
    first, last, best = points[0], points[-1], max(points, key=lambda point: point.tokens)
    longer, gain = best.seconds / first.seconds, best.tokens / first.tokens
    doubled = reached_at([p.x for p in points], [p.seconds for p in points], 2 * first.seconds)
    numbers = {"best_batch": best.x, "gain": gain, "longer": longer}
    title = f"Batch {best.x:g} makes {number(gain, 2)} times the tokens per second of batch {first.x:g}"
    if gain < GAIN:
        title = f"More than batch {first.x:g} gains nothing here"
    sentence = (
        f"From batch {first.x:g} to {last.x:g} a step took {number(last.seconds / first.seconds, 2)} times as long "
        f"({words(first.seconds, 's')} to {words(last.seconds, 's')}) and made {last.x / first.x:g} times the tokens. "
    )
    if isfinite(doubled):
        numbers["doubled_at"] = doubled
        measured = f"measured, it had doubled at batch {doubled:.0f}"
    else:
        measured = "measured, it had not doubled by then"
    return Finding(title, sentence + _physics(first, numbers, measured) + _ends(first, last), numbers=numbers)


def _physics(first: Landed, numbers: dict[str, float], measured: str) -> str:
    spec, roofs = first.run.spec, first.run.ceilings
    if roofs is None or spec.model is None:
        return f"{measured.capitalize()}. "
    at = crossing(spec.model, spec.generate.prompt_tokens, spec.generate.new_tokens, spec.setup.dtype, roofs)
    if at is None:
        return f"By physics, reading stays longer than arithmetic at any batch; {measured}. "
    numbers["crossing"] = at
    return f"Physics puts the crossing from memory to arithmetic at batch {at:.0f}, twice the time near batch {2 * at:.0f}; {measured}. "


def _ends(first: Landed, last: Landed) -> str:
    """How far both ends are from physics, and what the library's own product at batch 1 explains of it."""
    told = [_end(point, point.least) for point in (first, last) if point.least]
    roofs, dtype = first.run.ceilings, first.run.spec.setup.dtype
    if told and roofs and first.x == 1 and dtype in roofs.matvec:
        alone = cost_of(first.run, "decode").weights / roofs.matvec[dtype]
        told[0] += (
            f" (the library's matrix-vector product reads {words(roofs.matvec[dtype], 'B/s')} of the machine's "
            f"{words(roofs.dram, 'B/s')}: that alone makes {words(alone, 's')})"
        )
    sentence = "; ".join(told)
    return f"{sentence[:1].upper()}{sentence[1:]}." if told else ""


def _end(point: Landed, least: float) -> str:
    if least > BEYOND * point.seconds:
        return f"at batch {point.x:g} the step was faster than the ceilings allow, so these are wrong: measure them again"
    return f"at batch {point.x:g} physics asks for {words(least / point.seconds, '%')} of the time"


def model_bytes(experiment: Experiment) -> Finding:
    """Decode time against bytes read, one line for each number format."""
    points = experiment.landed(by_bytes)
    fits = {dtype: fit for dtype in dict.fromkeys(p.series for p in points) if (fit := _fit(points, dtype))}
    if not fits:
        return nothing()
    told = [
        _bandwidth(dtype, fit, steady([p for p in points if p.series == dtype]), experiment.roofs.get(dtype)) for dtype, fit in fits.items()
    ]
    sure = {dtype: fit for dtype, fit in fits.items() if fit.conclusive and fit.slope > 0}
    if not sure:
        return Finding("Inconclusive: these points do not tell a bandwidth", " ".join(told), conclusive=False)
    rates = ", ".join(f"{words(1 / fit.slope, 'B/s')} in {dtype}" for dtype, fit in sure.items())
    numbers = {f"bandwidth_{dtype}": 1 / fit.slope for dtype, fit in sure.items()} | {
        f"fixed_{dtype}": fit.intercept for dtype, fit in sure.items()
    }
    return Finding(f"Decode time grows with the bytes of the model, at {rates}", " ".join(told), numbers=numbers)


def _fit(points: list[Landed], series: str) -> Line | None:
    chosen = steady([point for point in points if point.series == series])
    return line([point.x for point in chosen], [point.seconds for point in chosen])


def _bandwidth(dtype: str, fit: Line, points: list[Landed], roofs: Ceilings | None) -> str:
    low, high = (max(end, 0.0) * 1e9 for end in fit.slope_interval)
    if not fit.conclusive or fit.slope <= 0:
        why = "two points make no interval" if fit.count < 3 else f"{words(low, 's')} to {words(high, 's')} for each further GB"
        return f"In {dtype}, {fit.count} models do not tell a bandwidth: {why}."
    said = (
        f"In {dtype}, over {fit.count} models from {words(points[0].x, 'B')} to {words(points[-1].x, 'B')} read per token, each further "
        f"GB took {words(fit.slope * 1e9, 's')} ({words(low, 's')} to {words(high, 's')}): an effective {words(1 / fit.slope, 'B/s')}"
    )
    if roofs:
        said += f", where this machine reads {words(roofs.dram, 'B/s')}"
        if dtype in roofs.matvec:
            said += f" and the library's matrix-vector product reaches {words(roofs.matvec[dtype], 'B/s')}"
    return f"{said}. {_fixed(fit)}"


def _fixed(fit: Line) -> str:
    """What does not shrink with the model."""
    low, high = fit.intercept_interval
    if low <= 0 <= high:
        return "What each token costs beside the bytes cannot be told from zero."
    if high < 0:
        return "The line meets zero bytes below zero time: larger models are slower per byte than small ones."
    return f"{words(fit.intercept, 's')} ({words(max(low, 0), 's')} to {words(high, 's')}) per token do not shrink with the model."


def context(experiment: Experiment) -> Finding:
    """Decode time against tokens in the cache, one line for each batch."""
    points = experiment.landed(by_context)
    told, sure, numbers = [], [], {}
    for series in dict.fromkeys(point.series for point in points):
        chosen, fit = [point for point in points if point.series == series], _fit(points, series)
        if fit is None:
            continue
        told.append(_growth(steady(chosen), fit))
        if fit.conclusive and fit.slope > 0:
            sure.append(f"{words(1000 * fit.slope, 's')} at {series}")
            numbers[f"growth_{series.replace(' ', '_')}"] = 1000 * fit.slope
    if not told:
        return nothing()
    if not sure:
        return Finding("Inconclusive: the growth with context drowns in the noise", " ".join(told), conclusive=False)
    return Finding(f"Each 1,000 tokens of context add {', '.join(sure)} to every step", " ".join(told), numbers=numbers)


def _growth(points: list[Landed], fit: Line) -> str:
    first, last = points[0], points[-1]
    spec, roofs = first.run.spec, first.run.ceilings
    assert spec.model
    added = 1000.0 * spec.generate.batch * kv_per_token(spec.model, spec.setup.precision)
    need = f"; to read their {words(added, 'B')} of KV cache takes {words(added / roofs.dram, 's')}" if roofs else ""
    low, high = (1000 * end for end in fit.slope_interval)
    if not fit.conclusive or fit.slope <= 0:
        return f"At {first.series}, {fit.count} points do not tell the growth{need}."
    share = (last.seconds - first.seconds) / first.seconds
    return (
        f"At {first.series}, each 1,000 tokens added {words(1000 * fit.slope, 's')} ({words(low, 's')} to {words(high, 's')}){need}. "
        f"From {first.x:,.0f} to {last.x:,.0f} tokens a step became {words(share, '%')} longer."
    )


def staircase(experiment: Experiment) -> Finding:
    """Reading by working set: from a core's first cache down to main memory."""
    found = experiment.points("read")
    ends = {
        series: (max(pairs, key=lambda pair: pair[1]), pairs[-1])
        for series, (x, rates) in found.items()
        if len(pairs := sorted(zip(x, rates))) > 1
    }
    if not ends:
        return nothing()
    series, ((small, fast), (large, slow)) = next(reversed(ends.items()))
    times = fast / slow
    alone = next(iter(ends.values()))
    said = (
        f"With {series}, {words(small, 'B')} for each core were read again and again at {words(fast, 'B/s')}, {words(large, 'B')} at "
        f"{words(slow, 'B/s')}: a model that fits into the caches could decode up to {number(times, 2)} times as fast as one that does not."
    )
    if len(ends) > 1:
        said += (
            f" Against {next(iter(ends))}, the first cache gained {number(fast / alone[0][1], 2)} times, main memory "
            f"{number(slow / alone[1][1], 2)} times: cores bring caches of their own, and share the memory."
        )
    title = f"Main memory is {number(times, 2)} times as slow as a core's first cache"
    return Finding(title, said, numbers={"cache": fast, "memory": slow, "times": times})


def matmul(experiment: Experiment) -> Finding:
    """Products by size: the best of each number format, what more threads bring, what small products lose."""
    curves = experiment.points("matmul")
    bests = {series: max(zip(rates, x)) for series, (x, rates) in curves.items()}
    if not bests:
        return nothing()
    formats: dict[str, str] = {}  # number format → its fastest series
    for series in sorted(bests, key=lambda series: -bests[series][0]):
        formats.setdefault(_format(series), series)
    top = next(iter(formats.values()))
    rate, size = bests[top]
    told = ", ".join(f"{_operations(bests[series][0], name)} in {name}" for name, series in formats.items())
    said = f"The best products reached {told}. "
    alone, together = min((series for series in bests if _format(series) == _format(top)), key=lambda series: bests[series][0]), top
    if alone != together:
        said += f"In {_format(top)}, {_last(together)} gained {number(rate / bests[alone][0], 2)} times over {_last(alone)}. "
    small_size, small = min(zip(*curves[top]))
    if small < rate:
        said += f"With {small_size:,.0f} rows instead of {size:,.0f}, the same reached {words(small / rate, '%')} of it. "
    slow = [name for name, series in formats.items() if "float32" in formats and bests[series][0] < bests[formats["float32"]][0]]
    if narrow := [name for name in slow if name in ("bfloat16", "float16", "int8")]:
        said += f"{' and '.join(narrow)}, though narrower, is slower than float32: the library has no fast kernel for it here."
    return Finding(
        f"Matrix products reach {_operations(rate, _format(top))}, in {_format(top)}", said.strip(), numbers={"best": rate, "rows": size}
    )


def _format(series: str) -> str:
    """What a series of products measures, without the threads."""
    return series.rpartition(" · ")[0] or series


def _last(series: str) -> str:
    return series.rpartition(" · ")[2]


def _operations(rate: float, name: str) -> str:
    """Integers are no floating-point operations."""
    return words(rate, "OP/s" if name.endswith("int8") else "FLOP/s")
