"""Pruning of small real modules: which weights and parts go, and what is left."""

import pytest
import torch
from torch import nn
from transformers import AutoTokenizer
from transformers.pytorch_utils import Conv1D

from profiler.catalog.config import from_hf_config
from profiler.catalog.models import rows
from profiler.spec.compression import Pruning, after
from profiler.spec.formats import Precision
from profiler.spec.model import ModelSpec
from profiler.spec.run import Setup
from profiler.spec.work import Generate
from profiler.theory.cache import kv_per_token
from profiler.theory.step import parameters
from profiler.worker import importance, shapes
from profiler.worker.decoding import Decoding
from profiler.worker.importance import best, contributions, on_its_way
from profiler.worker.loading import open_model
from profiler.worker.prompt import prompt_ids
from profiler.worker.prune import prune, zero_least
from profiler.worker.reshape import decoder_layers
from profiler.worker.texts import held_back

SMALL = {
    "num_hidden_layers": 4,
    "vocab_size": 512,
    "hidden_size": 96,
    "intermediate_size": 160,
    "num_attention_heads": 6,
    "num_key_value_heads": 3,
    "head_dim": 16,
    "pad_token_id": 0,
}
# families that name their sizes otherwise, or have other ones
OTHERS = {
    "gpt2": {"n_layer": 4, "n_embd": 96, "n_head": 6, "vocab_size": 512},
    "opt-125m": {
        "num_hidden_layers": 4,
        "hidden_size": 96,
        "word_embed_proj_dim": 96,
        "ffn_dim": 160,
        "num_attention_heads": 6,
        "vocab_size": 512,
    },
    "bloom-560m": {"n_layer": 4, "hidden_size": 96, "n_head": 6, "vocab_size": 512, "pad_token_id": 0},
    "mamba-130m": {"num_hidden_layers": 4, "hidden_size": 96, "intermediate_size": 192, "state_size": 4, "vocab_size": 512},
    "phi-3-mini": SMALL,
    "mixtral-8x7b": SMALL,
}
IDS = torch.arange(24).view(2, 12) * 7


@pytest.fixture(autouse=True)
def short_text(request, monkeypatch):
    """What is tested here holds for any text; only the trained model needs the whole one."""
    if "slow" not in request.keywords:
        monkeypatch.setattr(importance, "SEQUENCES", 2)
        monkeypatch.setattr(importance, "TOKENS", 32)
        monkeypatch.setattr("profiler.worker.prune.release_memory", lambda: None)  # a fifth of a second each time


def spec(name: str, **changes) -> ModelSpec:
    config = {key: value for key, value in rows()[name].config.items() if key != "layer_types"}
    return from_hf_config(config | OTHERS.get(name, SMALL) | changes, name=name, reference=name, origin="random")


def built(name="smollm2-135m", **changes):
    """A small model of a family with random weights, no two layers alike."""
    return varied(shapes.build(spec(name, **changes), Setup(), 0))


def varied(model):
    """All weights and biases at random, large enough that every part of a layer says something."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        parameter.data.normal_(1.0 if parameter.dim() == 1 else 0.0, 0.1)
    return model.eval().requires_grad_(False)


def pruned(model, word: str, tokenizer=None):
    prune(model, tokenizer, Setup(pruning=Pruning.parse(word)))
    return model


def matrices(model) -> list[nn.Linear]:
    return [module for module in decoder_layers(model).modules() if isinstance(module, nn.Linear)]


def logits(model) -> torch.Tensor:
    with torch.inference_mode():
        return model(input_ids=IDS, use_cache=False).logits


def said(model, steps=5) -> list[int]:
    """What the model continues two prompts with, greedily, with its cache."""
    with torch.inference_mode():
        decoding = Decoding(model, IDS, Setup())
        decoding.prefill()
        decoding.timed_steps(steps)
    return [int(token) for token in decoding.said]


# --- single weights


@pytest.mark.parametrize("share", [0.5, 0.3, 0.77])
def test_magnitude_zeroes_the_smallest_of_each_matrix(share):
    """Exactly the nearest whole number of weights to the share, none of them larger than one that stays; nothing outside the layers."""
    model, untouched = built(), built()
    pruned(model, f"magnitude:{share}")

    for new, old in zip(matrices(model), matrices(untouched)):
        gone = new.weight == 0
        assert int(gone.sum()) == round(share * gone.numel())
        assert old.weight[gone].abs().max() <= old.weight[~gone].abs().min()
    assert torch.equal(model.get_input_embeddings().weight, untouched.get_input_embeddings().weight)


@pytest.mark.parametrize("share", [0.5, 0.3])
def test_wanda_zeroes_as_many_in_each_row(share):
    """Every output loses exactly the nearest whole number of weights to the share."""
    for matrix in matrices(pruned(built(), f"wanda:{share}")):
        assert ((matrix.weight == 0).sum(dim=1) == round(share * matrix.in_features)).all()


def test_equal_weights_go_in_exact_numbers_too():
    """Of weights that are all the same, half go, not all."""
    matrix = nn.Linear(6, 8, bias=False)
    matrix.weight.data.fill_(0.25)
    with torch.no_grad():
        zero_least(matrix, Pruning.parse("magnitude:0.5"))

    assert int((matrix.weight == 0).sum()) == 24


def test_wandas_scores_by_hand():
    """Inputs of norm 5, 1, 1 and 0.5: scores 5, 2, 3, 2.2 and 2.5, 3, 2, 4, of which the lower two of each row go."""
    matrix = nn.Linear(4, 2, bias=False)
    matrix.weight.data = torch.tensor([[1.0, -2.0, 3.0, 4.4], [0.5, 3.0, -2.0, 8.0]])
    inputs = torch.tensor([[[3.0, 0.0, 1.0, 0.3], [4.0, -1.0, 0.0, 0.4]]])
    with torch.no_grad():
        zero_least(matrix, Pruning.parse("wanda:0.5"), inputs)

    assert torch.equal(matrix.weight, torch.tensor([[1.0, 0.0, 3.0, 0.0], [0.0, 3.0, 0.0, 8.0]]))


def test_wanda_keeps_a_small_weight_of_a_large_input():
    """Magnitude takes the smallest weight, Wanda the one that adds least; its output is then nearer to the old one."""
    inputs = torch.randn(64, 32, generator=torch.Generator().manual_seed(0)) * torch.logspace(-2, 2, 32)
    weight = torch.randn(16, 32, generator=torch.Generator().manual_seed(1)) / torch.logspace(-1, 1, 32)
    errors = {}
    for method, seen in (("magnitude", None), ("wanda", inputs)):
        matrix = nn.Linear(32, 16, bias=False)
        matrix.weight.data = weight.clone()
        with torch.no_grad():
            zero_least(matrix, Pruning(method=method, share=0.5), seen)
        errors[method] = (inputs @ (matrix.weight - weight).T).norm()
        kept_last = int((matrix.weight[:, -1] != 0).sum())
        assert kept_last == 16 if method == "wanda" else kept_last < 8

    assert errors["wanda"] < 0.2 * errors["magnitude"]


@pytest.mark.parametrize("method", ["magnitude", "wanda"])
@pytest.mark.parametrize("name", ["smollm2-135m", "gpt2"])
def test_two_of_every_four_neighbours_go(method, name):
    """Each group of four weights of one output loses exactly two, in GPT-2's layout of matrices too."""
    model = pruned(built(name), f"{method}:2:4")
    weights = [
        module.weight.T if isinstance(module, Conv1D) else module.weight
        for module in decoder_layers(model).modules()
        if isinstance(module, nn.Linear | Conv1D)
    ]

    assert len(weights) == 4 * (4 if name == "gpt2" else 7)
    for weight in weights:
        assert ((weight.reshape(-1, 4) == 0).sum(dim=1) == 2).all()


def test_a_width_that_is_no_multiple_of_four_has_no_such_pattern():
    """It is refused before anything is changed."""
    model = built(intermediate_size=162)

    with pytest.raises(ValueError, match="162 inputs"):
        pruned(model, "wanda:2:4")
    assert all((matrix.weight != 0).all() for matrix in matrices(model))


def test_a_change_is_seen_by_what_comes_after_it():
    """The text reaches each matrix through those before it as they are already changed, in one pass."""
    model, seen = built(), []
    mlp = decoder_layers(model)[0].mlp

    def silence(_) -> None:
        mlp.up_proj.weight.data.zero_()

    on_its_way(model, IDS, {mlp.up_proj: silence, mlp.down_proj: seen.append})

    assert len(seen) == 1
    assert seen[0].shape == (2, 12, 160)
    assert not seen[0].any()


def test_a_matrix_that_the_text_never_reaches_is_told():
    """Nothing is guessed of what it is for."""
    with pytest.raises(ValueError, match="1 of the 1 matrices"):
        on_its_way(built(), IDS, {nn.Linear(2, 2): lambda _: None})


def test_a_tokenizer_means_real_text(monkeypatch):
    """Several sequences of the calibration text with a tokenizer, random ids of the vocabulary without one."""
    monkeypatch.setattr(importance, "calibration", lambda tokenizer, count: torch.full((count,), tokenizer))
    model = built()

    assert torch.equal(importance.text(model, 3), torch.full((2, 32), 3))
    assert importance.text(model, None).unique().numel() > 32


# --- parts


def test_a_parts_contribution_is_the_norm_of_what_it_adds():
    """The closed form over two small matrices equals the product of that part alone."""
    inputs, weight = torch.randn(2, 5, 12), torch.randn(7, 12)
    direct = [(inputs[..., 4 * part : 4 * part + 4] @ weight[:, 4 * part : 4 * part + 4].T).norm() for part in range(3)]

    assert torch.allclose(contributions(inputs, weight, 3), torch.stack(direct), rtol=1e-4)


FAMILIES = ["smollm2-135m", "qwen2.5-0.5b", "qwen3-0.6b", "mistral-7b", "gemma-2b"]


@pytest.mark.parametrize("word", ["heads:0.33", "channels:0.25", "layers:0.5"])
@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_left_has_the_shape_that_was_foretold(name, word):
    """Parameters equal the closed form exactly, and two sequences decode with a cache of exactly the foretold size."""
    whole = spec(name)
    model, wanted = pruned(built(name), word), after(whole, Pruning.parse(word))
    with torch.inference_mode():
        decoding = Decoding(model, prompt_ids(Generate(batch=2, prompt_tokens=5), 512, None), Setup())
        decoding.prefill()
        decoding.timed_steps(3)

    assert sum(parameter.numel() for parameter in model.parameters()) == parameters(wanted) < parameters(whole)
    assert decoding.cache_bytes == kv_per_token(wanted, Precision.of("float32")) * 2 * 8
    assert all(matrix.weight.shape == (matrix.out_features, matrix.in_features) for matrix in matrices(model))


@pytest.mark.parametrize("word", ["heads:0.33", "channels:0.25", "layers:0.5"])
def test_the_configuration_tells_what_is_left(word):
    """A model built anew from the configuration takes the weights and says the same."""
    model = pruned(built(), word)
    again = type(model)(model.config).eval()
    again.load_state_dict(model.state_dict())

    assert torch.equal(logits(again), logits(model))


def test_dead_heads_are_found_and_nothing_changes():
    """In each layer another group of heads is not listened to; it is the one that goes, keys and values with it."""
    model = built("qwen2.5-0.5b")
    for place, layer in enumerate(decoder_layers(model)):
        layer.self_attn.o_proj.weight.data[:, 32 * (place % 3) : 32 * (place % 3) + 32] = 0
    before = logits(model)
    pruned(model, "heads:0.33")

    assert decoder_layers(model)[0].self_attn.k_proj.bias.shape == (32,)
    assert torch.allclose(logits(model), before, atol=1e-5)


def test_dead_channels_are_found_and_nothing_changes():
    """Channels that the down-projection ignores go first."""
    model = built()
    for place, layer in enumerate(decoder_layers(model)):
        layer.mlp.down_proj.weight.data[:, place : place + 32] = 0
    before = logits(model)
    pruned(model, "channels:0.2")

    assert decoder_layers(model)[0].mlp.up_proj.weight.shape == (128, 96)
    assert torch.allclose(logits(model), before, atol=1e-5)


def idle(layer) -> None:
    """Let a layer hand on what it is given."""
    layer.self_attn.o_proj.weight.data.zero_()
    layer.mlp.down_proj.weight.data.zero_()


def test_idle_layers_are_found_and_nothing_changes():
    """Layers that add nothing go first, the first one too; the others get new numbers, and their caches work."""
    model = built("qwen3-0.6b")
    for place in (0, 2):
        idle(decoder_layers(model)[place])
    before, words = logits(model), said(model)
    pruned(model, "layers:0.5")

    assert [layer.self_attn.layer_idx for layer in decoder_layers(model)] == [0, 1]
    assert (model.config.num_hidden_layers, len(model.config.layer_types)) == (2, 2)
    assert torch.equal(logits(model), before)
    assert said(model) == words


def test_a_shortened_model_equals_one_that_never_had_the_layers():
    """Continuing with the cache says what a fresh model of the remaining layers says."""
    model, fresh = built(), built(num_hidden_layers=2)
    rest = list(decoder_layers(model))
    pruned(model, "layers:0.5")
    stayed = [rest.index(layer) for layer in decoder_layers(model)]
    ends = {name: value for name, value in model.state_dict().items() if ".layers." not in name}
    for layer, place in zip(decoder_layers(fresh), stayed):
        layer.load_state_dict(rest[place].state_dict())
    fresh.load_state_dict(ends, strict=False)

    assert stayed == sorted(stayed)
    assert said(model) == said(fresh)
    assert torch.equal(logits(model), logits(fresh))


@pytest.mark.parametrize("name", OTHERS)
def test_layers_go_out_of_any_stack(name):
    """Whatever a family's layers are made of, half of them go, and what is left decodes and counts as foretold."""
    whole = spec(name)
    model = pruned(built(name), "layers:0.5")

    assert len(said(model)) == 6
    assert sum(p.numel() for p in model.parameters()) == parameters(after(whole, Pruning.parse("layers:0.5")))


@pytest.mark.parametrize(
    ("name", "word", "why"),
    [
        ("phi-3-mini", "heads:0.33", "no separate projections q, k, v and o"),
        ("phi-3-mini", "channels:0.25", "no separate projections gate, up and down"),
        ("olmo-2-1b", "heads:0.33", "hang together"),
        ("gpt2", "channels:0.25", "take out layers"),
        ("mixtral-8x7b", "wanda:0.5", "experts"),
        ("smollm2-135m", "layers:0.1", "larger share"),
    ],
)
def test_what_cannot_be_cut_is_refused_in_one_sentence(name, word, why):
    """The sentence says what is in the way, and what works instead; the model stays as it was."""
    model = built(name)
    before = logits(model)

    with pytest.raises(ValueError, match=why) as caught:
        pruned(model, word)
    assert str(caught.value).count(". ") == 0
    assert torch.equal(logits(model), before)


def test_channels_go_where_heads_cannot():
    """A norm across all heads is in the way of cutting heads, not of cutting channels."""
    model = pruned(built("olmo-2-1b"), "channels:0.25")

    assert model.config.intermediate_size == 128
    assert logits(model).isfinite().all()


def test_the_best_keep_their_order():
    """The highest scores by place, not by rank."""
    assert best(torch.tensor([0.1, 3.0, 0.2, 9.0, 1.0]), 3).tolist() == [1, 3, 4]


# --- the trained model


@pytest.mark.slow
def test_wanda_loses_far_less_than_magnitude(default_model):
    """On the trained model, half of the weights cost less than half as much of a held-back text's likelihood by Wanda."""
    tokenizer = AutoTokenizer.from_pretrained(default_model)
    windows, _ = held_back(tokenizer, 1024)

    def loss(word: str) -> float:
        model = open_model(default_model, "SmolLM2", Setup(dtype="bfloat16"))
        with torch.inference_mode():
            told = (pruned(model, word, tokenizer) if word else model)(windows, use_cache=False).logits[:, :-1].float()
        return float(nn.functional.cross_entropy(told.flatten(0, 1), windows[:, 1:].flatten()))

    whole = loss("")

    assert 0 < loss("wanda:0.5") - whole < 0.5 * (loss("magnitude:0.5") - whole)
