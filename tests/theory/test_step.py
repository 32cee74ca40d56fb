import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM

from profiler.catalog import models
from profiler.catalog.config import from_hf_config
from profiler.spec.formats import Precision
from profiler.theory.attention import visible_pairs
from profiler.theory.cache import kv_per_token
from profiler.theory.cost import Cost, total
from profiler.theory.step import decode, forward, prefill, step_cost

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


@pytest.mark.parametrize("name", ["smollm2-135m", "gpt2", "qwen3-0.6b", "gemma-2-2b", "phi-3-mini", "mixtral-8x7b", "olmoe-1b-7b"])
def test_linear_flops_equal_torchs_own_count(name):
    """The matrix products of a forward pass agree with torch's flop counter on the meta device, within 0.5 %."""
    row = models.rows()[name]
    config = AutoConfig.for_model(**{**row.config, **({"num_hidden_layers": 2} if "num_hidden_layers" in row.config else {"n_layer": 2})})
    config._attn_implementation = "eager"
    if hasattr(config, "num_experts_per_tok"):
        config._experts_implementation = "batched_mm"  # torch's counter does not know the grouped product
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
        ids = torch.zeros(2, 32, dtype=torch.long)
        with FlopCounterMode(display=False) as counter:
            model(ids, logits_to_keep=1)
    spec = from_hf_config(
        {**row.config, **{k: 2 for k in ("num_hidden_layers", "n_layer") if k in row.config}}, name=name, reference=name, origin="random"
    )
    ours = sum(op.cost.flops for op in forward(spec, 2, 32, 0, BF16) if op.name != "attention")
    square = 4 * 2 * spec.layers * spec.heads * spec.head_dim * 32 * 32  # torch counts the masked half, too
    rope = 2 * 2 * 32 * spec.head_dim / 2 if not spec.positions else 0  # positions × frequencies, as a product

    assert counter.get_total_flops() == pytest.approx(ours + square + rope, rel=5e-3)


def test_a_window_limits_what_a_query_sees():
    """Closed form of the visible pairs equals counting them."""
    for tokens, context, window in [(5, 0, None), (5, 3, None), (7, 0, 3), (7, 2, 4), (1, 10, 4), (4, 0, 100)]:
        counted = sum(min(context + i + 1, window or 10**9) for i in range(tokens))

        assert visible_pairs(tokens, context, window) == counted


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


def test_kv_bytes_per_token():
    """Llama-3.1-8B in bfloat16: 2 × 32 layers × 8 heads × 128 × 2 bytes."""
    assert kv_per_token(llama_3_8b(), BF16) == 131_072
