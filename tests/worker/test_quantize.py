"""Quantized weights: what rounding does to them, what their kernels compute, what they take, and what the trace says of them."""

import pytest
import torch
from torch import nn

from profiler.catalog.config import from_hf_config
from profiler.spec.formats import FORMATS
from profiler.spec.methods import METHODS
from profiler.spec.run import Setup
from profiler.spec.work import Generate
from profiler.worker import shapes
from profiler.worker.counting import count
from profiler.worker.decoding import Decoding
from profiler.worker.prompt import prompt_ids
from profiler.worker.quantize import WAYS, quantize, rounded, stored_bytes
from profiler.worker.quantize_modules import FEW, Int4Groups, Int8Dynamic, Int8Rows, RowsEmbedding
from profiler.worker.quantize_rounding import GROUP, groups, rows
from profiler.worker.trace import trace

TINY = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 256,
    "max_position_embeddings": 128,
    "tie_word_embeddings": True,
    "pad_token_id": 0,
    "eos_token_id": 0,
    "bos_token_id": 0,
}
OWN = {"int8-rows": "bfloat16", "int4-rows-g32": "bfloat16", "int8-fbgemm": "float32"}
FREE = {"aten::to", "aten::view", "aten::reshape", "aten::empty", "aten::lift_fresh"}  # that a trace cannot place, and that do nothing
COSINE = {"int8-rows": 0.999, "int4-rows-g32": 0.98, "int8-fbgemm": 0.998}  # of logits with those of the unquantized model


def built(dtype="bfloat16", **changes):
    """A small random model."""
    spec = from_hf_config(TINY | changes, name="tiny", reference="tiny", origin="random")
    return shapes.build(spec, Setup(dtype=dtype), 0).eval().requires_grad_(False)


def logits(model, tokens=12):
    with torch.inference_mode():
        return model(torch.arange(1, tokens + 1)[None]).logits.float()


def linear(inputs=64, outputs=48, dtype=torch.bfloat16, bias=True):
    torch.manual_seed(1)
    return nn.Linear(inputs, outputs, bias=bias, dtype=dtype).requires_grad_(False)


def call_sums(model, tokens):
    """(FLOPs, bytes of weights) of the calls in linear layers and the lm_head."""
    with torch.inference_mode():
        calls = count(model, lambda: None, lambda: model(torch.ones(1, tokens, dtype=torch.long), use_cache=False))
    mine = [call for call in calls if call.group in ("attention projections", "MLP", "lm_head")]
    return sum(call.flops for call in mine), sum(call.weights for call in mine), {call.group for call in mine}


# --- rounding


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_int8_is_at_most_half_a_step_away(dtype):
    """Every weight, however large its row is beside others; a row of zeros stays one."""
    weight = (torch.randn(40, 96) * torch.logspace(-3, 1, 40)[:, None]).to(dtype)
    weight[7] = 0
    levels, scales = rows(weight)
    off = (levels.float() * scales.float()[:, None] - weight.float()).abs()

    assert (off <= 0.5 * scales.float()[:, None] * (1 + 1e-6)).all()
    assert not off[7].any()
    assert levels.abs().max() == 127


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_int4_is_at_most_half_a_step_away(dtype):
    """Every weight of every group, scales and zero points as the kernel holds them."""
    weight = (torch.randn(16, 4 * GROUP) * 0.05 + 0.02).to(dtype)
    levels, scales, zeros = groups(weight, GROUP)
    wide = (levels - 8).view(16, 4, GROUP) * scales.float()[..., None] + zeros.float()[..., None]
    off = (wide - weight.float().view(16, 4, GROUP)).abs()

    assert (off <= 0.5 * scales.float()[..., None] * (1 + 1e-5)).all()
    assert levels.min() == 0
    assert levels.max() == 15


def test_a_group_far_from_zero_is_off_by_the_rounding_of_its_zero_point_at_most():
    """Where all weights of a group are alike, the 16-bit zero point is what limits them."""
    weight = (1 + 1e-2 * torch.rand(8, GROUP)).to(torch.bfloat16)

    assert ((rounded(weight, "int4-rows-g32") - weight).abs() <= weight.abs() * 2**-7).all()


@pytest.mark.parametrize("name", ["int8-rows", "int8-fbgemm", "int4-rows-g32", "int4"])
def test_rounded_weights_keep_shape_and_dtype_and_round_to_themselves(name):
    """A second time changes next to nothing: the weights lie on the grid."""
    weight = torch.randn(24, 256)
    once = rounded(weight, name)

    assert once.shape == weight.shape
    assert once.dtype == weight.dtype
    assert 0 < (once - weight).abs().max() < 0.5
    assert (rounded(once, name) - once).abs().max() < 1e-5


def test_weights_that_no_group_fits_stay_as_they_are():
    """As they do in a quantized model."""
    weight = torch.randn(8, 40)

    assert rounded(weight, "int4-rows-g32") is weight
    assert rounded(weight, "int4") is weight


def test_an_unknown_rounding_names_those_that_are_known():
    """In one sentence."""
    with pytest.raises(ValueError, match="choose one of int8-rows"):
        rounded(torch.ones(2, 2), "q4_0")


# --- layers


@pytest.mark.parametrize("count", [1, FEW, FEW + 1, 40])
def test_int8_rows_multiplies_the_rounded_weights(count):
    """Few rows by the kernel, many by widening: both what a plain layer with those weights gives, within 16-bit rounding."""
    layer, inputs = linear(), torch.randn(2, count, 64, dtype=torch.bfloat16)[:1]
    wanted = nn.functional.linear(inputs.float(), rounded(layer.weight.float(), "int8-rows"), layer.bias.float())

    torch.testing.assert_close(Int8Rows(layer)(inputs).float(), wanted, rtol=0.02, atol=0.02)


def test_many_rows_widen_block_by_block(monkeypatch):
    """The blocks are put together in order."""
    monkeypatch.setattr("profiler.worker.quantize_modules.BLOCK", 64 * 10)
    layer, inputs = Int8Rows(linear()), torch.randn(20, 64, dtype=torch.bfloat16)
    each = torch.cat([layer(row[None]) for row in inputs])

    torch.testing.assert_close(layer(inputs), each, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("inputs", "outputs"), [(64, 48), (96, 16), (32, 80), (576, 192)])
def test_4_bits_are_packed_exactly(dtype, inputs, outputs):
    """The kernel, asked for each input alone, tells the levels that went in: bit for bit in bfloat16's own rounding."""
    layer = linear(inputs, outputs, dtype, bias=False)
    levels, scales, zeros = groups(layer.weight, GROUP)
    steps = (levels - 8).view(outputs, -1, GROUP) * scales.float()[..., None] + zeros.float()[..., None]
    told = Int4Groups(layer)(torch.eye(inputs, dtype=dtype))

    assert torch.equal(told, steps.view(outputs, inputs).t().to(dtype))


@pytest.mark.parametrize("count", [1, 15])
def test_fbgemm_multiplies_integers(count):
    """Each row within half a step of its own activations' 8 bits (7 without VNNI), however large the others are; zeros give the bias."""
    layer = linear(dtype=torch.float32)
    inputs = torch.randn(1, count, 64) * torch.logspace(-3, 3, count)[:, None] + 1
    wanted = nn.functional.linear(inputs, rounded(layer.weight, "int8-fbgemm"), layer.bias)
    narrow = Int8Dynamic(layer)
    step = (inputs.amax(-1).clamp(min=0) - inputs.amin(-1).clamp(max=0)) / (127 if narrow.seven_bits else 255)

    assert ((narrow(inputs) - wanted).abs() <= 0.51 * step[..., None] * layer.weight.abs().sum(1) + 1e-5 * wanted.abs()).all()
    torch.testing.assert_close(narrow(torch.zeros(count, 64)), layer.bias.expand(count, -1))


# --- models


@pytest.mark.parametrize("name", OWN)
def test_a_quantized_model_answers_nearly_the_same(name):
    """Logits point where they did; one row and many rows agree."""
    wanted, model = logits(built(OWN[name])), built(OWN[name])
    quantize(model, name)
    told = logits(model)
    with torch.inference_mode():
        steps = Decoding(model, torch.arange(1, 9)[None], Setup())
        steps.prefill()
        for token in range(9, 13):
            steps.token = torch.tensor([[token]])
            steps.step()
            last = model(torch.arange(1, token + 1)[None]).logits[:, -1:].argmax(-1)
            assert steps.token == last

    assert torch.cosine_similarity(told, wanted, dim=-1).min() > COSINE[name]


@pytest.mark.parametrize("name", OWN)
def test_stored_bytes_are_what_the_format_says(name):
    """Linear layers at the width of FORMATS and at most 16 bytes for each output, a tied table once in the head's width; norms stay."""
    model = built(OWN[name])
    layers = sum(module.weight.numel() for module in model.model.modules() if isinstance(module, nn.Linear))
    outputs = sum(module.out_features for module in model.modules() if isinstance(module, nn.Linear))
    norms = sum(parameter.nbytes for parameter in model.parameters() if parameter.dim() == 1)
    table = model.lm_head.weight.numel()
    quantize(model, name)
    row = FORMATS[name]
    embedding = table * 4 if name == "int8-fbgemm" else 0  # what FBGEMM packs cannot be looked up
    wanted = layers * row.bits / 8 + table * row.head_bits / 8 + embedding + norms

    assert wanted <= stored_bytes(model) <= wanted + 16 * outputs
    assert isinstance(model.get_input_embeddings(), RowsEmbedding) == (name != "int8-fbgemm")


def test_a_tied_table_is_held_once():
    """The embedding looks up in the very storage that the lm_head multiplies, and gives its rounded rows."""
    model = built()
    wanted = rounded(model.lm_head.weight.float(), "int8-rows")[:5]
    quantize(model, "int8-rows")
    table = model.get_input_embeddings()

    assert table.weight.data_ptr() == model.lm_head.weight.data_ptr()
    torch.testing.assert_close(table(torch.arange(5)).float(), wanted, rtol=0.01, atol=1e-3)


def test_an_untied_table_stays():
    """Nobody said that an embedding of its own be quantized."""
    model = built(tie_word_embeddings=False)
    quantize(model, "int8-rows")

    assert type(model.get_input_embeddings()) is nn.Embedding
    assert isinstance(model.lm_head, Int8Rows)


def test_a_scaled_embedding_keeps_its_factor():
    """Gemma multiplies what it looks up."""
    head = {"head_dim": 16, "layer_types": ["full_attention"] * 2}
    model, plain = (built(model_type="gemma3_text", **head) for _ in range(2))
    quantize(model, "int8-rows")

    assert isinstance(model.get_input_embeddings(), RowsEmbedding)
    looked, wanted = (each.get_input_embeddings()(torch.arange(64)).float() for each in (model, plain))
    assert torch.cosine_similarity(looked, wanted, dim=-1).min() > 0.999
    assert (looked.norm(dim=-1) / wanted.norm(dim=-1) - 1).abs().max() < 0.01  # the factor would be 8


def test_matrices_the_other_way_round_are_turned():
    """GPT-2's layers are quantized too, biases and all."""
    gpt2 = {"model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64, "tie_word_embeddings": True}
    model, plain = (built(**gpt2) for _ in range(2))
    quantize(model, "int4-rows-g32")

    assert sum(isinstance(module, Int4Groups) for module in model.modules()) == 8
    assert torch.cosine_similarity(logits(model), logits(plain), dim=-1).min() > 0.98


def test_a_layer_that_the_kernel_cannot_take_stays():
    """With 48 channels, down_proj alone has inputs that no group fits; all else is quantized."""
    model = built(intermediate_size=48)
    quantize(model, "int4-rows-g32")

    assert isinstance(model.model.layers[0].mlp.down_proj, nn.Linear)
    assert isinstance(model.model.layers[0].mlp.up_proj, Int4Groups)
    assert logits(model).isfinite().all()


@pytest.mark.parametrize("changes", [{"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2}, {"hidden_size": 40}])
def test_a_model_that_would_mostly_stay_as_it_is_is_refused(changes):
    """Experts in one tensor, or sizes that no kernel takes: said with the share, and nothing is changed."""
    model = built(**changes)
    with pytest.raises(ValueError, match=r"Only \d+% of the weights"):
        quantize(model, "int8-rows")

    assert isinstance(model.lm_head, nn.Linear)


# --- the trace


@pytest.mark.parametrize("tokens", [1, 16])
@pytest.mark.parametrize("name", OWN)
def test_the_trace_counts_packed_products(name, tokens):
    """As many FLOPs as unquantized layers have, in the same parts of the model; bytes of weights are what the layers hold."""
    plain, model = built(OWN[name]), built(OWN[name])
    flops, _, groups = call_sums(plain, tokens)
    quantize(model, name)
    norms = sum(parameter.nbytes for parameter in model.parameters() if parameter.dim() == 1)
    table = plain.lm_head.weight.numel() * 4 if name == "int8-fbgemm" else 0
    told, weights, places = call_sums(model, tokens)

    assert told == flops
    assert places == groups
    assert weights == pytest.approx(stored_bytes(model) - norms - table, rel=0.05)


@pytest.mark.parametrize("name", OWN)
def test_a_quantized_model_is_traced(name):
    """Both phases, every operator at its place."""
    model = built(OWN[name])
    quantize(model, name)
    with torch.inference_mode():
        ready = Decoding(model, prompt_ids(Generate(prompt_tokens=16), 256, None), Setup())
        ready.prefill()
        found = {traced.phase: traced for traced in trace(ready, 16, 8, {"prefill": 0.01, "decode": 0.005})}

    for traced in found.values():
        assert {"attention projections", "attention", "MLP", "norms", "embedding", "lm_head"} <= {row.group for row in traced.rows}
        assert {row.op for row in traced.rows if row.group == "untold"} <= FREE
    slack = 0.5 if name == "int8-fbgemm" else 0.03  # there a step reads one row of an embedding that is held in full
    assert sum(row.weights for row in found["decode"].rows) == pytest.approx(stored_bytes(model), rel=slack)


# --- what cannot be


def test_every_format_of_transformers_has_its_way():
    """What the table of methods offers for this engine can be made here, by name."""
    offered = {row.changes["quantization"] for row in METHODS.values() if "quantization" in row.changes and "engine" not in row.changes}

    assert offered == set(WAYS)
    assert set(WAYS) <= set(FORMATS)


@pytest.mark.parametrize(
    ("dtype", "name", "said"),
    [
        ("float32", "int8-rows", "add --dtype bfloat16"),
        ("bfloat16", "int8-fbgemm", "add --dtype float32"),
        ("bfloat16", "q4_0", "choose one of int8-rows, int4-rows-g32"),
        ("bfloat16", "int4", "compute capability 8"),
        ("bfloat16", "float8-ao", r"compute capability 8\.9"),
    ],
)
def test_what_cannot_be_is_said_before_anything_changes(dtype, name, said):
    """One sentence with the remedy."""
    model = built(dtype)
    with pytest.raises(ValueError, match=said):
        quantize(model, name)

    assert isinstance(model.model.layers[0].mlp.up_proj, nn.Linear)


@pytest.mark.parametrize(("name", "package"), [("int8", "torchao"), ("nf4", "bitsandbytes"), ("llm-int8", "bitsandbytes")])
def test_a_missing_package_is_named(name, package, monkeypatch):
    """With what to give to pip."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=f"pip install {package}"):
        quantize(built(), name)


# --- packages, where they are installed


@pytest.mark.parametrize(
    ("name", "package", "cosine"),
    [("int8", "torchao", 0.999), ("llm-int8", "bitsandbytes", 0.998), ("nf4", "bitsandbytes", 0.97)],
)
def test_packages_quantize_what_the_format_says(name, package, cosine):
    """On a processor, where these run as well: near the same logits, counted FLOPs, and fewer bytes."""
    pytest.importorskip(package)
    plain, model = built(), built()
    flops, _, places = call_sums(plain, 1)
    with torch.inference_mode():  # as in a run
        quantize(model, name)

    assert torch.cosine_similarity(logits(model), logits(plain), dim=-1).min() > cosine
    assert stored_bytes(model) < (0.75 if name == "llm-int8" else 0.65) * stored_bytes(plain)
    assert call_sums(model, 1)[0] == flops
    assert call_sums(model, 1)[2] == places
