"""What fits: the largest batch and the longest context by the accounting of profiler.theory.memory, found by bisection."""

from collections.abc import Callable

import numpy as np

from profiler.spec.run import RunSpec
from profiler.spec.work import Generate
from profiler.theory.memory import Memory, predict_memory

MOST = 4096  # sequences: as many as a run may have
ANSWER = 32  # tokens of a context that are written, not read


def largest(fits: Callable[[int], bool], top: int) -> int:
    """The largest count up to `top` that fits, when all smaller ones do; 0 if not even one."""
    low, high = 0, top + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def with_context(spec: RunSpec, context: int, batch: int | None = None) -> RunSpec:
    """The same run with so many tokens of context in all, at least 3, the last ones written; maybe with another batch."""
    new = max(2, min(ANSWER, context // 2))
    work = Generate(batch=batch or spec.generate.batch, prompt_tokens=max(context - new, 1), new_tokens=new)
    return spec.model_copy(update={"work": work})


def largest_batch(spec: RunSpec, room: float) -> int:
    """Sequences side by side that fit into `room` bytes at this context; 0 if not even one."""
    return largest(lambda batch: predict_memory(_batched(spec, batch)).total <= room, MOST)


def _batched(spec: RunSpec, batch: int) -> RunSpec:
    return spec.model_copy(update={"work": spec.generate.model_copy(update={"batch": batch})})


def longest_context(spec: RunSpec, room: float) -> int:
    """Tokens of context that fit into `room` bytes at this batch, up to what the model was made for; 0 if none do."""
    assert spec.model
    return largest(lambda tokens: predict_memory(with_context(spec, max(tokens, 3))).total <= room, spec.model.context)


def frontier(spec: RunSpec, room: float) -> tuple[list[int], list[int]]:
    """Contexts, and the largest batch at each."""
    assert spec.model
    contexts = np.unique(np.geomspace(min(64, spec.model.context), spec.model.context, 40).round().astype(int)).tolist()
    return contexts, [largest_batch(with_context(spec, context), room) for context in contexts]


def purposes(memory: Memory) -> dict[str, float]:
    """Bytes by purpose, as all figures name them."""
    return {"weights": memory.weights, "KV cache": memory.kv, "activations": memory.activations, "libraries": memory.runtime}
