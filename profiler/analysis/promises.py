"""What theory says an experiment will find, as one title, before anything is measured."""

from profiler.analysis.experiment import by_bytes
from profiler.analysis.findings import crossing
from profiler.spec.machine import Ceilings
from profiler.spec.run import RunSpec
from profiler.spec.units import words
from profiler.theory.cache import kv_per_token
from profiler.theory.predict import predict

Roofs = dict[str, Ceilings]  # by number format


def crossing_of(specs: list[RunSpec], roofs: Roofs) -> float | None:
    """Batch at which arithmetic takes as long as reading; None where it never does, or nothing is known."""
    spec = specs[0]
    known = roofs.get(spec.setup.dtype)
    if known is None or spec.model is None:
        return None
    return crossing(spec.model, spec.generate.prompt_tokens, spec.generate.new_tokens, spec.setup.dtype, known)


def batch(specs: list[RunSpec], roofs: Roofs) -> str:
    """Where arithmetic takes over."""
    at = crossing_of(specs, roofs)
    if at is None:
        return "Predicted: reading memory sets the pace at any batch"
    return f"Predicted: more sequences cost almost nothing until batch {at:.0f}, where arithmetic takes over"


def model_bytes(specs: list[RunSpec], roofs: Roofs) -> str:
    """Time for each further GB."""
    told = {}
    for spec in specs:
        if known := roofs.get(spec.setup.dtype):
            told[spec.setup.dtype] = predict(spec, known)["decode"].time / by_bytes(spec)[0] * 1e9
    each = ", ".join(f"{words(seconds, 's')} in {dtype}" for dtype, seconds in told.items())
    return f"Predicted: every GB of model adds {each} to each token"


def context(specs: list[RunSpec], roofs: Roofs) -> str:
    """Time for 1,000 tokens of context."""
    told = []
    for batch in dict.fromkeys(spec.generate.batch for spec in specs):
        spec = specs[0]
        assert spec.model
        added = 1000 * batch * kv_per_token(spec.model, spec.setup.precision)
        told.append(f"{words(added / roofs[spec.setup.dtype].dram, 's')} at batch {batch}")
    return f"Predicted: each 1,000 tokens of context add {', '.join(told)}"


def staircase(specs: list[RunSpec], roofs: Roofs) -> str:
    """What is known of both ends."""
    known = next(iter(roofs.values()))
    fast, slow = known.read[min(known.read)], known.dram
    return f"On record: {words(fast, 'B/s')} from a cache, {words(slow, 'B/s')} from main memory"


def matmul(specs: list[RunSpec], roofs: Roofs) -> str:
    """What is known of the best products."""
    known = next(iter(roofs.values()))
    return "On record: " + ", ".join(f"{words(rate, 'FLOP/s')} in {dtype}" for dtype, rate in known.matmul.items())
