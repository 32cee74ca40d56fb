"""Sensitivity: one part at a time is rounded, judged, and put back."""

import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from profiler.spec.work import Sensitivity
from profiler.worker import sensitivity
from profiler.worker.loading import open_model
from profiler.worker.sensitivity import HEAD, Layers, head_format, on_grid
from profiler.worker.texts import held_back
from tests.worker.reading import VOCABULARY, Heard, job, reader, tokenizer

LAYERS = 3


def coarse(weight, name):
    """Few levels, so that every part loses something that can be seen."""
    step = weight.abs().max() / 4
    return (weight / step).round() * step


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def folder(request, tmp_path_factory):
    return reader(tmp_path_factory.mktemp("models") / "reader", layers=LAYERS, tied=request.param)


@pytest.fixture
def layers(folder, monkeypatch):
    """A model that was heard once, on one window of text and a second one."""
    monkeypatch.setattr(sensitivity, "rounded", coarse)
    given = job(folder, Sensitivity(), folder)
    model = open_model(folder, "reader", given.spec.setup).eval().requires_grad_(False)
    with torch.inference_mode():
        yield Layers(model, held_back(tokenizer(), 128, window=64)[0], "int4-rows-g32", torch.float32)


def test_every_part_of_every_layer_is_a_point(folder, tmp_path, monkeypatch):
    """Attention and MLP of each layer and the lm_head behind them; last, all at once, and the share that is done grows to one."""
    monkeypatch.setattr(sensitivity, "rounded", coarse)
    told = Heard()
    done = sensitivity.run(job(folder, Sensitivity(tokens=64), tmp_path, dtype="bfloat16"), told)
    points = told.of("point")
    shares = [step.done for step in told.of("step")]

    wanted = [(part, layer) for layer in range(LAYERS) for part in ("attention", "MLP")]
    assert [(point.series, point.x) for point in points] == [*wanted, (HEAD, LAYERS)]
    assert all(point.curve == "sensitivity" and point.value > 0 for point in points)
    assert done.facts["tokens"] == 64
    assert done.facts["everything"] > max(point.value for point in points) / 2
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)


def test_sparing_layers_changes_nothing(layers):
    """The layers before the changed one need not run again: with and without, in each window, the divergence is the same."""
    for layer, _, linears in layers.parts():
        assert layers.divergence(linears, since=layer) == pytest.approx(layers.divergence(linears, since=0), rel=1e-4)


def test_the_model_is_put_back_exactly(layers):
    """After all, and after a failure on the way, every weight is the very tensor it was, and the model answers as before."""
    before = dict(layers.model.named_parameters())
    for layer, _, linears in layers.parts():
        layers.divergence(linears, since=layer)
    with pytest.raises(RuntimeError, match="on the way"), layers._rounded(linears), layers._spared(0, 2):
        raise RuntimeError("on the way")

    assert all(parameter is before[name] for name, parameter in layers.model.named_parameters())
    assert layers.divergence([], since=0) < 1e-6
    assert not any("forward" in vars(layer) for layer in layers.stack)


def test_rounding_to_itself_costs_nothing(layers, monkeypatch):
    """Weights that rounding leaves alone: no divergence anywhere."""
    monkeypatch.setattr(sensitivity, "rounded", lambda weight, name: weight.clone())

    assert max(layers.divergence(linears, since=layer) for layer, _, linears in layers.parts()) < 1e-6


def test_the_embedding_keeps_its_weight(layers):
    """Where the lm_head is the embedding, rounding it leaves the embedding alone."""
    *_, (_, part, (head,)) = layers.parts()
    embedding = layers.model.get_input_embeddings()
    before, shared = embedding.weight.clone(), head.weight is embedding.weight
    with layers._rounded([head]):
        assert part == HEAD
        assert torch.equal(embedding.weight, before)
        assert not shared or torch.equal(head.weight, coarse(before, ""))
    assert (head.weight is embedding.weight) == shared


def test_gpt2_has_a_map_too(tmp_path, monkeypatch):
    """GPT-2 keeps its matrices the other way round: they are rounded as linear layers are, and put back."""
    shapes = []
    monkeypatch.setattr(sensitivity, "rounded", lambda weight, name: shapes.append(tuple(weight.shape)) or coarse(weight, name))
    config = GPT2Config(n_layer=2, n_embd=32, n_head=2, vocab_size=VOCABULARY, n_positions=64, initializer_range=0.3)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    tokenizer().save_pretrained(tmp_path / "gpt2")
    told = Heard()
    sensitivity.run(job(tmp_path / "gpt2", Sensitivity(tokens=32), tmp_path), told)

    assert [(point.series, point.x) for point in told.of("point")][:3] == [("attention", 0), ("MLP", 0), ("attention", 1)]
    assert all(point.value > 0 for point in told.of("point"))
    assert {(96, 32), (32, 32), (128, 32), (32, 128)} <= set(shapes)  # (outputs, inputs)


def test_weights_of_four_bits_are_seen():
    """Weights that were quantized before are on a grid, fresh ones are not."""
    fresh, old = nn.Linear(64, 32, bias=False), nn.Linear(64, 32, bias=False)
    torch.manual_seed(0)
    with torch.no_grad():
        fresh.weight.normal_()
        old.weight.copy_(torch.randint(16, (32, 64)) * 0.3 - 2.1)

    assert on_grid([fresh]) == 0
    assert on_grid([old]) == 1
    assert on_grid([fresh, old]) == 0.5
    assert on_grid([nn.Linear(5, 5)]) == 0


def test_weights_are_rounded_in_the_runs_own_dtype(layers, monkeypatch):
    """Scales are kept in the set-up's dtype, though the answers are compared in float32."""
    seen = []
    monkeypatch.setattr(sensitivity, "rounded", lambda weight, name: seen.append(weight.dtype) or weight)
    layers.dtype = torch.bfloat16
    (_, _, linears), *_ = layers.parts()
    with layers._rounded(linears):
        assert {linear.weight.dtype for linear in linears} == {torch.float32}

    assert set(seen) == {torch.bfloat16}


def test_the_head_is_rounded_as_its_format_says(layers, monkeypatch):
    """4 bits keep the lm_head in int8; a format that leaves it alone has no point for it."""
    asked = []
    monkeypatch.setattr(sensitivity, "rounded", lambda weight, name: asked.append(name) or weight.clone())
    parts = list(layers.parts())
    for layer, _, linears in parts[-2:]:
        layers.divergence(linears, since=layer)
    layers.name = "int4"

    assert asked[-1] == "int8-rows"
    assert set(asked[:-1]) == {"int4-rows-g32"}
    assert head_format("int8-rows") == "int8-rows"
    assert [part for _, part, _ in layers.parts()] == [part for _, part, _ in parts[:-1]]


def test_a_format_without_rounding_is_refused(folder, tmp_path):
    """Before the model is loaded."""
    told = Heard()

    with pytest.raises(ValueError, match="cannot be rounded"):
        sensitivity.run(job(folder, Sensitivity(), tmp_path, quantization="nvfp4"), told)
    assert not told.stream.getvalue()


@pytest.mark.parametrize(("kind", "why"), [("random", "random weights"), ("mute", "no tokenizer")])
def test_without_quality_there_is_no_sensitivity(tmp_path, kind, why):
    """Random weights, or no tokenizer: one sentence."""
    folder = reader(tmp_path / "reader", reads=kind != "mute")
    model = f"random:{folder}" if kind == "random" else folder

    with pytest.raises(ValueError, match=why):
        sensitivity.run(job(model, Sensitivity(), tmp_path), Heard())
