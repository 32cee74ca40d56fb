import pytest

from profiler.catalog import devices, models
from profiler.spec.deployment import Deployment
from profiler.spec.formats import Precision
from profiler.theory.inference_memory import inference_memory, resident
from profiler.theory.step import parameters

A100 = devices.rows()["a100-sxm-80gb"]


def llama():
    return models.rows()["llama-2-7b"].spec()


def held(quant="bfloat16", engine="eager", **changes):
    split = {name: changes.pop(name) for name in ("tensor", "pipeline", "devices") if name in changes}
    return inference_memory(llama(), Deployment(device=A100, engine=engine, precision=Precision.of(quant), **split), **changes)


def test_weights_are_the_parameters_in_their_format():
    """Two bytes each in bfloat16."""
    assert resident(llama(), Precision.of("bfloat16")).total == 2 * parameters(llama())


def test_a_quantization_leaves_the_embedding():
    """NF4 packs the matrices, and the table stays in 16 bits."""
    found = resident(llama(), Precision.of("bnb.nf4"))

    assert found.embedding == 2 * 32_000 * 4096
    assert found.layers < 0.3 * resident(llama(), Precision.of("bfloat16")).layers


def test_the_cache_grows_with_the_length():
    """Half a megabyte for each token and sequence of Llama-2-7B."""
    assert held(batch=2, prompt=500, new=500).kv == pytest.approx(2 * 1000 * 524_288, rel=2e-3)


def test_layers_are_split_and_ends_are_not():
    """Of 8 devices each holds four layers; the fullest one the embedding and the head too."""
    whole, part = held(), held(devices=8, pipeline=8)
    ends = 2 * 2 * 32_000 * 4096

    assert part.weights - ends == pytest.approx((whole.weights - ends) / 8, rel=1e-3)


def test_wide_weights_are_cast_for_narrow_arithmetic():
    """Autocast keeps 16-bit copies of float32 weights."""
    mixed = Deployment(device=A100, engine="eager", precision=Precision(weights="float32", kv="bfloat16", compute="bfloat16"))

    assert inference_memory(llama(), mixed).copies == pytest.approx(2 * (parameters(llama()) - 32_000 * 4096), rel=1e-3)


def test_packing_on_the_device_leaves_holes():
    """More than a model in 16 bits leaves."""
    packed, plain = held("int4wo-64", "compiled"), held(engine="compiled")

    assert packed.software > plain.software
    assert packed.allocated < plain.allocated


def test_the_driver_counts_more_than_the_allocator():
    """By its context."""
    assert held().total > held().allocated
