"""What to try next: changes of the spec that could help against a verdict, each with what physics allows for it."""

from dataclasses import dataclass
from typing import Any

from profiler.analysis.verdict import Verdict
from profiler.record.run import Run
from profiler.spec.run import BYTES, RunSpec
from profiler.theory.predict import predict


@dataclass(frozen=True)
class Lever:
    """One change: the spec it leads to, and why."""

    title: str
    why: str
    spec: RunSpec


def changed(spec: RunSpec, *, work: dict[str, Any] | None = None, setup: dict[str, Any] | None = None) -> RunSpec:
    """The spec with some fields of its work or set-up replaced."""
    return spec.model_copy(update={"work": spec.work.model_copy(update=work or {}), "setup": spec.setup.model_copy(update=setup or {})})


def levers(run: Run, found: Verdict) -> list[Lever]:
    """Up to three changes worth measuring, the most promising first."""
    spec, kind = run.spec, found.kind
    narrow = BYTES[spec.setup.dtype] > 2
    table = [
        (narrow and kind in ("bandwidth-bound", "kernel-bound", "capacity-bound"), _dtype(spec, "bfloat16")),
        (not narrow and kind in ("kernel-bound", "compute-bound"), _dtype(spec, "float32")),
        (found.phase == "decode" and kind not in ("capacity-bound", "compute-bound"), _batch(run)),
        (spec.setup.threads > 1, _threads(spec)),
        (spec.setup.huge_pages and kind in ("bandwidth-bound", "kernel-bound") and spec.setup.device == "cpu", _pages(spec)),
    ]
    return [lever for applies, lever in table if applies][:3]


def _dtype(spec: RunSpec, dtype: str) -> Lever:
    why = (
        "Half the bytes to read per token; faster if the library has a good kernel for it."
        if dtype != "float32"
        else "Twice the bytes, but often the better kernel on a processor without 16-bit arithmetic."
    )
    return Lever(f"Measure in {dtype}", why, changed(spec, setup={"dtype": dtype}))


def _batch(run: Run) -> Lever:
    spec, times = run.spec, 4
    wider = changed(spec, work={"batch": spec.generate.batch * times})
    why = "The weights are read once for all sequences of a batch."
    if run.ceilings:
        slower = predict(wider, run.ceilings)["decode"].time / predict(spec, run.ceilings)["decode"].time
        why += f" By physics a step takes {slower:.2f} × as long and makes {times} × the tokens."
    return Lever(f"Measure with batch {wider.generate.batch}", why, wider)


def _threads(spec: RunSpec) -> Lever:
    return Lever(
        "Measure with 1 thread",
        "If one thread is nearly as fast, the second one waits for memory or for the first.",
        changed(spec, setup={"threads": 1}),
    )


def _pages(spec: RunSpec) -> Lever:
    return Lever(
        "Measure without huge pages", "Shows what address translation costs on this machine.", changed(spec, setup={"huge_pages": False})
    )
