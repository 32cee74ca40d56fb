"""A KV cache in int8: what it holds, what attention is given, and which models have one."""

import pytest
import torch

from profiler.catalog.config import from_hf_config
from profiler.spec.formats import Precision
from profiler.spec.run import Setup
from profiler.spec.work import Generate
from profiler.theory import step
from profiler.theory.cache import kv_per_token
from profiler.theory.parts import by_part
from profiler.worker import shapes
from profiler.worker.counting import count
from profiler.worker.decoding import Decoding
from profiler.worker.kv_cache import NarrowWindow, made, narrow, widened
from profiler.worker.prompt import prompt_ids

TINY = {
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 300,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
}


def decoding(kv="int8-kv", dtype="bfloat16", batch=1, **changes):
    """A small random model with a prompt of 12 tokens, and its spec; heads have 64 channels."""
    spec = from_hf_config(TINY | changes, name="tiny", reference="tiny", origin="random")
    model = shapes.build(spec, Setup(dtype=dtype), 0).eval().requires_grad_(False)
    return Decoding(model, prompt_ids(Generate(batch=batch, prompt_tokens=12), 300, None), Setup(kv=kv)), spec


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_a_row_comes_back_within_half_a_step(dtype):
    """Each token and head by its own scale, however large its neighbours are."""
    states = (torch.randn(2, 3, 5, 64) * torch.logspace(-2, 2, 5)[:, None]).to(dtype)
    off = (widened(narrow(states), dtype).float() - states.float()).abs()
    step = states.float().abs().amax(-1, keepdim=True) / 127

    assert narrow(states).dtype == torch.int8
    assert (off <= 0.51 * step + (0 if dtype == torch.float32 else torch.finfo(dtype).eps * states.float().abs())).all()


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_the_cache_holds_what_the_closed_form_says(dtype):
    """8.25 bits for each number of keys and values, whatever the model computes in."""
    ready, spec = decoding(dtype=dtype, batch=3)
    with torch.inference_mode():
        ready.prefill()
        ready.timed_steps(4)

    assert ready.cache_bytes == kv_per_token(spec, Precision(weights=dtype, kv="int8-kv", compute=dtype)) * 3 * 16
    assert {layer.keys.dtype for layer in ready.cache.layers} == {torch.int8}


@pytest.mark.parametrize(
    "changes",
    [{}, {"model_type": "mistral", "sliding_window": 8}, {"model_type": "gpt2", "n_embd": 256, "n_layer": 2, "n_head": 4}],
)
def test_attention_sees_nearly_the_same(changes):
    """Token by token after a prefill, beyond a sliding window too: the logits of the plain cache within a per cent or so."""
    plain, narrow = decoding("", "float32", **changes)[0], decoding(dtype="float32", **changes)[0]
    with torch.inference_mode():
        outs = []
        for ready in (plain, narrow):
            cache = made(ready.model, ready.setup.kv)
            for part in (ready.prompt, *torch.arange(20, 28)[:, None, None]):
                out = ready.model(input_ids=part, use_cache=True, **{ready._cache_name: cache})
                cache = out[ready._cache_name]
            outs.append(out.logits)

    assert torch.cosine_similarity(*outs, dim=-1).min() > 0.999
    assert not torch.equal(*outs)


def test_a_window_keeps_its_latest_tokens_only():
    """As transformers' own cache does, in int8."""
    ready, _ = decoding(model_type="mistral", sliding_window=8)
    with torch.inference_mode():
        ready.prefill()
        ready.timed_steps(3)

    for layer in ready.cache.layers:
        assert isinstance(layer, NarrowWindow)
        assert layer.keys.shape == (1, 2, 7, 66)


def test_the_trace_counts_the_narrow_cache():
    """Attention of a decode step reads all of it, scales too, and no more than the closed form says."""
    ready, spec = decoding()
    with torch.inference_mode():
        ready.prefill()
        calls = count(ready.model, lambda: ready.cache, ready.step)
    precision = Precision(weights="bfloat16", kv="int8-kv", compute="bfloat16")

    assert sum(call.kv for call in calls if call.group == "attention") == by_part(step.decode(spec, 1, 12, precision))["attention"].kv


def test_no_format_leaves_the_cache_to_the_model():
    """Then it is made by transformers."""
    assert made(decoding()[0].model, "") is None


def test_other_formats_are_refused():
    """In one sentence, with those that there are."""
    with pytest.raises(ValueError, match="take int8-kv, or another engine"):
        made(decoding()[0].model, "q8_0")


def test_a_state_that_is_no_keys_and_values_is_refused():
    """Mamba has no KV cache."""
    ready, _ = decoding(model_type="mamba", state_size=4)
    with pytest.raises(ValueError, match="leave --kv away"):
        ready.prefill()
