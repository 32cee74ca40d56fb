import numpy as np
import pytest

from profiler.catalog import models
from profiler.spec.formats import Precision
from profiler.theory.cost import Cost, total
from profiler.theory.step import decode, prefill, step_cost

BF16 = Precision.of("bfloat16")


def llama_3_8b():
    return models.rows()["llama-3.1-8b"].spec()


@pytest.mark.parametrize(
    ("batch", "prompt", "prefill_tera", "decode_giga", "kv"),
    [
        (1, 1024, 14.570, 15.55, 0.134e9),
        (16, 1024, 233.113, 248.74, 2.147e9),
        (1, 2048, 29.688, 16.08, 0.268e9),
        (16, 2048, 475.006, 257.33, 4.295e9),
    ],
)
def test_llama_3_8b_equals_the_published_counts(batch, prompt, prefill_tera, decode_giga, kv):
    """Reference counts of Llama-3-8B in bfloat16: causal prefill with last-token logits, one decode step, cache read."""
    first, step = (
        total(prefill(llama_3_8b(), batch, prompt, BF16)),
        total(decode(llama_3_8b(), batch, prompt, BF16)),
    )
    weights = sum(op.cost.weights for op in decode(llama_3_8b(), batch, prompt, BF16) if op.kind == "linear")

    assert first.flops / 1e12 == pytest.approx(prefill_tera, rel=1e-3)
    assert step.flops / 1e9 == pytest.approx(decode_giga, rel=1e-3)
    assert weights == pytest.approx(15.009e9, rel=1e-4)
    assert step.kv == pytest.approx(kv, rel=5e-3)


def test_experts_are_touched_as_often_as_chance_says():
    """Mixtral reads 2, 5.5, 7.9 and 8 of its 8 experts at 1, 4, 16 and 64 tokens."""
    mixtral = models.rows()["mixtral-8x7b"].spec()
    one = 3 * mixtral.hidden * mixtral.ffn * mixtral.layers * 2

    read = [next(op for op in decode(mixtral, batch, 100, BF16) if op.name == "experts").cost.weights / one for batch in (1, 4, 16, 64)]

    assert read == pytest.approx([2.0, 5.47, 7.92, 8.0], abs=0.01)


def test_formulas_take_arrays():
    """A sweep over batches is the same code as one batch."""
    batches = np.array([1, 2, 8])
    swept = step_cost(llama_3_8b(), batches, 128, 32, BF16)["decode"].bytes

    assert swept == pytest.approx([step_cost(llama_3_8b(), int(b), 128, 32, BF16)["decode"].bytes for b in batches])


def test_cost_is_an_algebra():
    """Costs add and scale field by field."""
    one = Cost(1, 2, 3, 4)

    assert one + one == one * 2
    assert one.bytes == 9
