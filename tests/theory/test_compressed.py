"""What compression is foretold to bring, on roofs with round numbers."""

import pytest

from profiler.catalog.models import find
from profiler.spec.methods import with_method
from profiler.spec.run import RunSpec, Setup
from profiler.spec.work import Generate
from profiler.theory.compressed import forecast
from profiler.theory.memory import predict_memory
from profiler.theory.weights import weight_bytes
from tests.builders import ceilings, kernels

BASE = RunSpec(model=find("smollm2-135m").spec(), work=Generate(), setup=Setup(threads=2, dtype="bfloat16"))


def roofs(**changes):
    return ceilings(dtype="bfloat16", kernels=kernels(), few_rows={2: 9e9, 32: 5e9}, **changes)


def compressed(name, roofs_=None):
    spec = BASE.model_copy(update={"setup": with_method(BASE.setup, name)})
    return forecast(spec, BASE, roofs_ or roofs())


def test_physics_gains_what_the_bytes_lose():
    """Decode is bound by bytes, so that int8 gains nearly two, a fifth of the layers out nearly its share of the weights."""
    assert compressed("int8").physics == pytest.approx(2.0, abs=0.08)
    assert compressed("layers").physics == pytest.approx(134.5 / 113.3, abs=0.01)


def test_zeros_gain_nothing():
    """A dense matrix with zeros has as many bytes and the same kernels."""
    found = compressed("wanda")

    assert (found.physics, found.expected) == (1.0, 1.0)


def test_a_packed_product_is_foretold_by_its_own_rate():
    """Twice the rate of packed weights makes the step faster; a rate that loses more than the bytes gain makes it slower."""
    slow, fast = (compressed("int8", roofs(packed={"int8-rows": rate})).expected for rate in (2e9, 40e9))

    assert slow < 1 < fast
    assert compressed("int8", roofs(packed={"int8-rows": 40e9})).origin == "measured here"


def test_a_packed_product_without_a_probe_is_left_to_physics():
    """No kernel was measured, so that only the bound is known."""
    found = compressed("int8")

    assert (found.expected, found.origin) == (None, "physics")


def test_another_engine_is_foretold_by_published_measurements():
    """llama.cpp in 4 bits on this machine's roofs: faster than transformers, with an interval, and no faster than physics by much."""
    found = compressed("gguf-q4", roofs(packed={}))

    assert found.low < found.expected < found.high
    assert found.expected > 1
    assert found.origin in ("calibrated", "transferred")


def test_compressing_needs_room_for_the_whole_model_for_a_while():
    """What is held afterwards is smaller; while the clock stands, the uncompressed weights are there as well."""
    plain = predict_memory(BASE)
    small = predict_memory(BASE.model_copy(update={"setup": with_method(BASE.setup, "int8")}))

    assert plain.passing == 0
    assert small.weights == pytest.approx(plain.weights / 2, rel=0.01)
    assert small.weights + small.passing == pytest.approx(plain.weights)


def test_quality_needs_room_for_its_reference():
    """The uncompressed model is loaded once more, in float32."""
    scored = BASE.model_copy(update={"work": Generate(quality=1024)})

    assert predict_memory(scored).passing == pytest.approx(2 * predict_memory(BASE).weights)


def test_a_table_that_a_kernel_packs_is_held_twice():
    """FBGEMM's lm_head cannot be looked up, so that 28.3 million numbers are there in float32 as well."""
    once, twice = (weight_bytes(BASE.shape, with_method(BASE.setup, name).precision) for name in ("int8", "int8-dynamic"))

    assert twice - once == pytest.approx(4 * 28.3e6, rel=0.01)


def test_a_tied_table_is_held_once_in_eight_bits():
    """134.5 million weights in int8 take as many bytes, norms in 16 bits aside."""
    assert weight_bytes(BASE.shape, with_method(BASE.setup, "int8").precision) == pytest.approx(134.5e6, rel=0.001)
