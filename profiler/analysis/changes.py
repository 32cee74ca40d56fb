"""Changes of one resource, each with what it would do to a step that is limited by one thing alone.

The same table serves the proof of a verdict (change one resource, measure, see whether the verdict foretold the effect)
and the levers (what would help, and by how much). A factor is a ratio of times, given as a range where theory gives one:
below 1 is faster. The effect on a real step is the sum over the waterfall's parts, each with its own factor.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from profiler.analysis.moment import ceilings_now, cost_of
from profiler.analysis.waterfall import Waterfall
from profiler.record.run import Run
from profiler.spec.machine import Ceilings
from profiler.spec.methods import METHODS
from profiler.spec.run import BYTES, RunSpec
from profiler.theory.cost import Cost
from profiler.theory.predict import costs, predict

Range = tuple[float, float]
Limit = str  # compute, bandwidth, kernels, framework
SAME: Range = (1.0, 1.0)
NEARLY: Range = (1.0, 1.15)  # a neighbour on another core shares the last cache and the clock
FUSED: Range = (0.0, 0.7)  # compiling leaves at most 70 % of what passes between operators, at best nothing
PAGES: Range = (1.0, 1.6)  # without huge pages: measured 1.05 to 1.6 in reads of main memory (see docs/architecture.md)


@dataclass(frozen=True)
class Change:
    """One resource changed: the spec it leads to, and its factor for each limit; None where theory says nothing."""

    name: str
    title: str
    why: str
    spec: RunSpec
    factors: dict[Limit, Range | None]
    against: RunSpec | None = None  # what it is compared with; None: the run itself
    only_confirms: bool = False  # an effect proves the limit, but its absence disproves nothing
    lever: bool = False  # could make the model faster, and is not only there to learn from
    proves: bool = True  # part of a proof; False where another change of the table asks the same

    def effect(self, fall: Waterfall) -> Range | None:
        """The predicted ratio of times for a step with this waterfall; None where a part's factor is unknown."""
        low = high = 0.0
        for limit, seconds in shares(fall).items():
            factor = self._factor(limit)
            if factor is None:
                return None
            low, high = low + seconds * factor[0], high + seconds * factor[1]
        return low, high

    def _factor(self, limit: Limit) -> Range | None:
        if limit == "waiting":
            return SAME
        if limit != "untold":
            return self.factors[limit]
        kernels, framework = self.factors["kernels"], self.factors["framework"]
        both = [*(kernels or ()), *(framework or ())]
        return (min(both), max(both)) if kernels and framework else None


def shares(fall: Waterfall) -> dict[Limit, float]:
    """Share of the step's time by what limits it; they sum to 1."""
    told = {kind: fall.of(kind) / fall.measured for kind in ("kernels", "framework", "waiting", "untold")}
    return {fall.binding: fall.ideal / fall.measured} | {kind: share for kind, share in told.items() if share}


def changed(spec: RunSpec, *, work: dict[str, Any] | None = None, setup: dict[str, Any] | None = None) -> RunSpec:
    """The spec with some fields of its work or set-up replaced."""
    return spec.model_copy(update={"work": spec.work.model_copy(update=work or {}), "setup": spec.setup.model_copy(update=setup or {})})


def changes(run: Run, phase: str) -> list[Change]:
    """All changes that can be made to a run, those that need no ceilings of another kind."""
    roofs = ceilings_now(run)
    return [change for make in TABLE for change in make(run, phase, roofs)] if roofs else []


def _threads(run: Run, phase: str, roofs: Ceilings) -> Iterator[Change]:
    spec = run.spec
    counts = {1, spec.setup.threads // 2} - {0, spec.setup.threads}
    for count in sorted(counts & roofs.scaling.keys()):
        factors = _scaled(roofs, phase, spec.setup.threads, count)
        title = f"{count} thread{'s' if count > 1 else ''} instead of {spec.setup.threads}"
        yield Change("threads", title, "Fewer cores: less arithmetic, and less bandwidth where one core cannot take it all.",
                     changed(spec, setup={"threads": count}), factors)  # fmt: skip


def _scaled(roofs: Ceilings, phase: str, many: int, few: int) -> dict[Limit, Range | None]:
    """Factors of going from many threads to few, by what these reach here."""
    if many not in roofs.scaling:
        return {"compute": None, "bandwidth": None, "kernels": None, "framework": SAME}
    before, after = roofs.scaling[many], roofs.scaling[few]
    library = before.matvec / after.matvec if phase == "decode" else before.matmul / after.matmul
    return {
        "compute": _exactly(before.matmul / after.matmul),
        "bandwidth": _exactly(before.read / after.read),
        "kernels": _exactly(library),
        "framework": SAME,
    }


def _exactly(factor: float) -> Range:
    return factor, factor


def _batch(run: Run, phase: str, roofs: Ceilings) -> Iterator[Change]:
    rows = run.spec.generate.batch
    for times in (2, 4, 8):
        wider = changed(run.spec, work={"batch": rows * times})
        before, after = cost_of(run, phase), _cost(wider, phase)
        flops, moved = after.flops / before.flops, after.bytes / before.bytes
        library = _slower(roofs, rows, rows * times) if phase == "decode" else flops
        factors: dict[Limit, Range | None] = {
            "compute": _exactly(flops),
            "bandwidth": _exactly(max(moved, library or 0.0)),  # reading as before, unless the library's kernel is slower
            "kernels": _exactly(library) if library else None,
            "framework": SAME,
        }
        title = f"Batch {rows * times} instead of {rows}"
        why = f"{times} times the arithmetic for the same weights: a step that waits for memory or Python hardly slows."
        if phase == "decode" and library and library > 1.1:
            why += f" But the library's product of {rows * times} rows takes {library:.2f} times that of {rows} here."
        yield Change("batch", title, why, wider, factors, lever=times == 4)


def _slower(roofs: Ceilings, few: int, many: int) -> float | None:
    """How much longer the library's product takes with many rows than with few; None where it was not measured."""
    before, after = roofs.rows_rate(few), roofs.rows_rate(many)
    return before / after if before and after else None


def _dtype(run: Run, phase: str, roofs: Ceilings) -> Iterator[Change]:
    old = run.spec.setup.dtype
    if not run.spec.setup.plain:
        return
    new = "bfloat16" if BYTES[old] > 2 else "float32"
    if {old, new} - roofs.matmul.keys() or {old, new} - roofs.matvec.keys():
        return
    bytes_ = BYTES[new] / BYTES[old]
    library = bytes_ * roofs.matvec[old] / roofs.matvec[new] if phase == "decode" else roofs.matmul[old] / roofs.matmul[new]
    factors: dict[Limit, Range | None] = {
        "compute": _exactly(roofs.peak_in(old) / roofs.peak_in(new)),
        "bandwidth": _exactly(max(bytes_, library) if phase == "decode" else bytes_),  # no faster than the library's kernel
        "kernels": _exactly(library),
        "framework": SAME,
    }
    half = "Half" if bytes_ < 1 else "Twice"
    why = f"{half} the bytes, and another kernel: by its speed here alone, the library's part changes to {library:.2f} of its time."
    yield Change("dtype", f"{new} instead of {old}", why, changed(run.spec, setup={"dtype": new}), factors, lever=True)


def _weights(run: Run, phase: str, roofs: Ceilings) -> Iterator[Change]:
    """Quantized weights, by the rate of the packed product here: decode only, since that of many rows was not measured."""
    setup = run.spec.setup
    for name in ("int8", "int4"):
        row = METHODS[name]
        packed = row.changes["quantization"]
        if (
            phase != "decode"
            or not setup.plain
            or packed not in roofs.packed
            or setup.dtype not in row.compute
            or setup.dtype not in roofs.matvec
        ):
            continue
        spec = changed(run.spec, setup=row.changes)
        bytes_ = _cost(spec, phase).weights / _cost(run.spec, phase).weights
        library = bytes_ * roofs.matvec[setup.dtype] / roofs.packed[packed]
        factors: dict[Limit, Range | None] = {
            "compute": SAME,
            "bandwidth": _exactly(max(bytes_, library)),
            "kernels": _exactly(library),
            "framework": SAME,
        }
        why = f"{bytes_:.2f} of the bytes of weights, and a kernel of its own: {library:.2f} of the time here. What it costs in quality: "
        yield Change("weights", f"{row.title}", why + "page Compression.", spec, factors, lever=True, proves=False)


def _layout(run: Run, phase: str, roofs: Ceilings) -> Iterator[Change]:
    if not run.spec.setup.plain:
        return
    if run.spec.setup.layout == "rows" and run.spec.setup.device == "cpu":
        factors: dict[Limit, Range | None] = {"compute": SAME, "bandwidth": SAME, "kernels": (0.0, 0.9), "framework": SAME}
        why = "The same product by the library's other kernel: if it is faster, the kernel was the limit."
        spec = changed(run.spec, setup={"layout": "columns"})
        yield Change("kernel", "Weights stored by columns", why, spec, factors, only_confirms=True, lever=True)


def _compile(run: Run, phase: str, roofs: Ceilings) -> Iterator[Change]:
    if not run.spec.setup.compile and run.spec.setup.plain:
        factors: dict[Limit, Range | None] = {"compute": SAME, "bandwidth": SAME, "kernels": SAME, "framework": FUSED}
        yield Change("compile", "Compiled layers", "Fewer, larger operators: less Python and dispatch between them.",
                     changed(run.spec, setup={"compile": True}), factors, only_confirms=True, lever=True)  # fmt: skip


def _pages(run: Run, phase: str, roofs: Ceilings) -> Iterator[Change]:
    spec, available = run.spec, run.started and run.started.hardware.huge_pages in ("madvise", "always")
    if spec.setup.huge_pages and spec.setup.device == "cpu" and available:
        factors: dict[Limit, Range | None] = {"compute": SAME, "bandwidth": PAGES, "kernels": PAGES, "framework": SAME}
        yield Change("huge pages", "Without huge pages", "More address look-ups: only reading memory can become slower.",
                     changed(spec, setup={"huge_pages": False}), factors)  # fmt: skip


def _hogs(run: Run, phase: str, roofs: Ceilings) -> Iterator[Change]:
    """A neighbour on the last core, against the same run with that core idle."""
    threads, cores = run.spec.setup.threads, run.started.hardware.cores if run.started else 0
    few = min(threads, cores - 1)
    if run.spec.setup.hog != "none":
        yield _without_hog(run, roofs)
        return
    if run.spec.setup.device != "cpu" or few < 1 or few not in roofs.scaling:
        return
    alone = changed(run.spec, setup={"threads": few})
    low, high = _squeezed(roofs, few, cores)
    library = roofs.scaling[few].matvec / roofs.scaling[few].read if phase == "decode" else 0.0
    memory: dict[Limit, Range | None] = {
        "compute": NEARLY,
        "bandwidth": (low, high),
        "kernels": (max(1.0, low * library), max(NEARLY[1], high)),
        "framework": NEARLY,
    }
    compute: dict[Limit, Range | None] = dict.fromkeys(memory, NEARLY)
    for kind, factors, why in (
        ("memory", memory, "A program on the core beside takes bandwidth: only who needs bandwidth slows."),
        ("compute", compute, "A program on the core beside calculates: nobody should slow. A control."),
    ):
        title = f"Beside a {kind} hog, {few} thread{'s' if few > 1 else ''}"
        yield Change(f"{kind} hog", title, why, changed(alone, setup={"hog": kind}), factors, alone if few < threads else None)


def _without_hog(run: Run, roofs: Ceilings) -> Change:
    """The same run alone: the canaries beside the hog, against the ceilings without it, tell what it takes."""
    assert run.ceilings
    left = min(roofs.dram / run.ceilings.dram, 1.0)
    factors: dict[Limit, Range | None] = {
        "compute": (1 / NEARLY[1], 1.0),
        "bandwidth": (left, (1 + left) / 2),
        "kernels": (left, 1.0),
        "framework": (1 / NEARLY[1], 1.0),
    }
    why = "The neighbour took bandwidth or shared caches: without it, who needs bandwidth is faster."
    return Change("no hog", "Without the neighbour", why, changed(run.spec, setup={"hog": "none"}), factors)


def _squeezed(roofs: Ceilings, few: int, cores: int) -> Range:
    """How much slower a few cores read beside a hog: at most an equal share each, at best half-way to it."""
    if cores not in roofs.scaling:  # measured with fewer threads than cores: all that is known is that there is one reader more
        return 1.15, (few + 1) / few
    fair = max(roofs.scaling[few].read / (roofs.scaling[cores].read * few / cores), 1.0)
    return 1 + (fair - 1) / 2, fair


TABLE: tuple[Callable[[Run, str, Ceilings], Iterator[Change]], ...] = (_threads, _hogs, _batch, _dtype, _weights, _layout, _compile, _pages)


def _cost(spec: RunSpec, phase: str) -> Cost:
    return costs(spec)[phase]


def bound_after(change: Change, run: Run, phase: str) -> float | None:
    """Seconds that physics needs after a change, on this run's ceilings; None where the new number format was not measured."""
    roofs = ceilings_now(run)
    if roofs is None or change.spec.setup.dtype not in roofs.matmul:
        return None
    return predict(change.spec, roofs.model_copy(update={"dtype": change.spec.setup.dtype}))[phase].time
