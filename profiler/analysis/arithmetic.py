"""Where a model's arithmetic goes, operator by operator: counted, not measured (sources in profiler.theory.step)."""

from profiler.analysis.planner import largest
from profiler.spec.formats import Precision
from profiler.spec.model import ModelSpec
from profiler.theory.cost import Op
from profiler.theory.step import decode, prefill

FARTHEST = 10_000_000  # tokens
NAMES = {
    "qkv": "queries, keys, values",
    "attention_out": "attention's output",
    "attention": "attention itself",
    "mlp": "MLP",
    "lm_head": "choosing the next word",
}


def flops(ops: list[Op]) -> dict[str, float]:
    """FLOPs by operator, in plain words; those without arithmetic are absent."""
    found: dict[str, float] = {}
    for op in ops:
        if op.cost.flops:
            name = NAMES.get(op.name, op.name.replace("_", " "))
            found[name] = found.get(name, 0.0) + float(op.cost.flops)
    return found


def prompt_flops(model: ModelSpec, tokens: int) -> dict[str, float]:
    """FLOPs of reading a prompt of so many tokens."""
    return flops(prefill(model, 1, tokens, Precision()))


def token_flops(model: ModelSpec, context: int) -> dict[str, float]:
    """FLOPs of writing one token after so many."""
    return flops(decode(model, 1, context, Precision()))


def attention_share(counted: dict[str, float]) -> float:
    """Share of attention itself (scores and weighted sum), which alone grows with the square of the prompt."""
    return counted.get(NAMES["attention"], 0.0) / sum(counted.values())


def overtaking(model: ModelSpec) -> int | None:
    """Prompt length from which attention itself takes more arithmetic than everything else; None where it never does."""
    last = largest(lambda tokens: attention_share(prompt_flops(model, tokens)) <= 0.5, FARTHEST)
    return last + 1 if last < FARTHEST else None
