import pytest

from profiler.catalog import models
from profiler.spec.formats import Precision
from profiler.theory.backward import model_flops, training_ops
from profiler.theory.cost import total
from profiler.theory.step import active_parameters, forward, parameters

BF16 = Precision()


def of(id: str):
    return models.rows()[id].spec()


def flops(recompute: str, kind: str | None = None) -> float:
    return sum(op.cost.flops for op in training_ops(of("llama-2-7b"), 2, 4096, BF16, recompute) if kind in (None, op.kind))


def test_backward_takes_twice_the_products_of_forward():
    """And attention that keeps no scores two and a half times."""
    ahead = forward(of("llama-2-7b"), 2, 4096, 0, BF16, "all")

    assert flops("none", "linear") == 3 * sum(op.cost.flops for op in ahead if op.kind == "linear")
    assert flops("none", "attention") == 3.5 * sum(op.cost.flops for op in ahead if op.kind == "attention")


def test_recompute_runs_forward_again():
    """Full: everything but the head; selective: attention alone."""
    ahead = forward(of("llama-2-7b"), 2, 4096, 0, BF16, "all")
    head = next(op.cost.flops for op in ahead if op.name == "lm_head")

    assert flops("full") - flops("none") == pytest.approx(total(ahead).flops - head)
    assert flops("selective") - flops("none") == pytest.approx(sum(op.cost.flops for op in ahead if op.kind == "attention"))


def test_parameters_are_told_once():
    """By the forward operations."""
    assert sum(op.parameters for op in training_ops(of("llama-2-7b"), 1, 8, BF16)) == parameters(of("llama-2-7b"))


def test_the_optimizer_moves_bytes_of_every_parameter():
    """Adam in mixed precision: 30 bytes each, unless something else is said."""
    ops = training_ops(of("gpt2"), 1, 8, BF16, optimizer=20.0)

    assert ops[-1].cost.bytes == 20 * parameters(of("gpt2"))


def test_model_flops_are_six_a_parameter_and_attention():
    """Llama-2-7B at 4,096 tokens: 6·N without the embedding's table, and 12·L·d·s for all pairs, half of it for causal ones."""
    model = of("llama-2-7b")
    products = 6 * (parameters(model) - 32_000 * 4096)
    pairs = 12 * 32 * 4096 * 4096

    assert model_flops(model, 4096, causal=False) == pytest.approx(products + pairs, rel=1e-4)
    assert model_flops(model, 4096) == pytest.approx(products + pairs / 2, rel=1e-3)


def test_only_active_experts_count():
    """Mixtral trains 12.9 of its 46.7 billion parameters on a token."""
    model = of("mixtral-8x7b")

    assert active_parameters(model) == pytest.approx(12.88e9, rel=1e-3)
    assert model_flops(model, 16) == pytest.approx(6 * (active_parameters(model) - 32_000 * 4096), rel=1e-3)
