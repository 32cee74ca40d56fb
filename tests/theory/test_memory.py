import pytest

from profiler.analysis.changes import changed
from profiler.catalog.models import rows
from profiler.spec.machine import Gpu
from profiler.theory.cost import Cost
from profiler.theory.memory import check, predict_memory
from profiler.theory.predict import bound, predict
from tests.builders import MACHINE, SPEC, ceilings

ROOM = 8e9


def refusal(**changes) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the sentence is what is tested
        check(changed(SPEC, **changes), MACHINE, ROOM)
    return str(caught.value)


def test_what_fits_is_let_through():
    """The default run fits."""
    check(SPEC, MACHINE, ROOM)


def test_weights_and_cache_are_exact():
    """SmolLM2-135M in float32: 4 bytes a parameter; 2 × 30 × 3 × 64 × 4 bytes a token."""
    memory = predict_memory(SPEC)

    assert memory.weights == 134_515_008 * 4
    assert memory.kv == 2 * 30 * 3 * 64 * 4 * 160


def test_too_large_is_refused_with_the_numbers():
    """Need and room stand in the sentence."""
    said = refusal(work={"batch": 2000})

    assert "8.00 GB" in said
    assert "KV cache" in said


def test_beyond_the_context_is_refused():
    """8,192 tokens are SmolLM2's limit."""
    assert "8192" in refusal(work={"prompt_tokens": 8190})


@pytest.mark.parametrize(("id", "kind"), [("bert-base", "an encoder;"), ("t5-small", "an encoder-decoder;")])
def test_what_does_not_generate_is_refused(id, kind):
    """Encoders and encoder-decoders can be predicted, but not measured; one sentence says so."""
    with pytest.raises(ValueError, match=kind):
        check(SPEC.model_copy(update={"model": rows()[id].spec()}), MACHINE, ROOM)


def test_what_transformers_cannot_build_is_refused():
    """A family without a class there can be predicted, but not measured."""
    model = SPEC.model.model_copy(update={"family": "baichuan", "buildable": False})

    with pytest.raises(ValueError, match="no class for baichuan"):
        check(SPEC.model_copy(update={"model": model}), MACHINE, ROOM)


def test_a_missing_device_is_refused():
    """What there is, is named."""
    assert "it has cpu" in refusal(setup={"device": "cuda:0"})
    assert "mps" in refusal(setup={"device": "mps"})


def test_a_gpu_has_its_own_memory():
    """A device with room takes what main memory would not."""
    machine = MACHINE.model_copy(update={"gpus": (Gpu(device="cuda:0", name="Test", memory=80_000_000_000),)})

    check(changed(SPEC, work={"batch": 2000}, setup={"device": "cuda:0"}), machine, ROOM)


def test_more_threads_than_cores_are_refused():
    """Two cores run at most two threads."""
    assert "1 to 2" in refusal(setup={"threads": 3})


def test_the_larger_roof_binds():
    """max(FLOPs ÷ peak, bytes ÷ bandwidth)."""
    roofs = ceilings(read=10e9, peak=100e9)

    assert bound(Cost(flops=1e9, weights=1e9), roofs).time == pytest.approx(0.1)
    assert bound(Cost(flops=1e9, weights=1e9), roofs).binding == "bandwidth"
    assert bound(Cost(flops=1e11, weights=1e9), roofs).time == pytest.approx(1.0)


def test_a_small_working_set_is_read_from_the_cache():
    """What fits into the cache is read at the cache's rate."""
    roofs = ceilings(read=10e9)

    assert bound(Cost(weights=1e6), roofs).bandwidth == pytest.approx(1e6 / 40e9)


def test_prediction_has_both_phases():
    """Prefill and decode each have a bound."""
    assert set(predict(SPEC, ceilings())) == {"prefill", "decode"}


def test_a_narrow_format_is_never_below_float32s_roof():
    """Naive bfloat16 kernels do not lower the roof: the numbers could be widened and multiplied in float32."""
    slow = ceilings(dtype="bfloat16", matmul={"bfloat16": 1e9, "float32": 150e9})
    fast = ceilings(dtype="bfloat16", matmul={"bfloat16": 400e9, "float32": 150e9})

    assert slow.peak == 150e9
    assert fast.peak == 400e9
