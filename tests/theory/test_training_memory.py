import pytest

from profiler.catalog import devices, models
from profiler.spec.training import TrainSetup
from profiler.theory.memory_rates import PRIORS, calibrated
from profiler.theory.step import parameters
from profiler.theory.training_memory import largest_micro_batch, training_memory


def llama():
    return models.rows()["llama-2-7b"].spec()


def held(**changes):
    return training_memory(llama(), TrainSetup(**({"devices": 8, "micro_batch": 1, "zero": 0, "trainer": "deepspeed"} | changes)))


def states(found) -> float:
    return (found.weights + found.gradients + found.optimizer) / parameters(llama())


@pytest.mark.parametrize(("zero", "bytes"), [(0, 16), (1, 4 + 12 / 8), (2, 2 + 16 / 8), (3, 16 / 8)])
def test_states_are_those_of_zero(zero, bytes):
    """16 bytes a parameter; stages 1, 2, 3 shard the optimizer, the gradients (summed in float32), the weights (one wide copy)."""
    assert states(held(zero=zero)) == pytest.approx(bytes, rel=1e-6)


def test_narrow_states_take_half():
    """All in bfloat16: weights, gradients and two moments, 8 bytes."""
    assert states(held(pure=True)) == pytest.approx(8)


@pytest.mark.parametrize(("optimizer", "bytes"), [("adamw-8bit", 2.03), ("adamw-4bit", 1.06), ("sgd", 0.0)])
def test_optimizers_keep_what_they_keep(optimizer, bytes):
    """Beside weights and gradients of 2 bytes each."""
    assert states(held(pure=True, optimizer=optimizer)) == pytest.approx(4 + bytes)


def test_tensor_and_pipeline_parallelism_divide_states():
    """Four devices hold a quarter each."""
    assert states(held(tensor=2, pipeline=2, global_batch=8)) == pytest.approx(16 / 4)


def test_recompute_keeps_the_layers_inputs():
    """And one layer; half is between."""
    none, half, full = (held(recompute=what).activations for what in ("none", "half", "full"))

    assert full < 0.15 * none
    assert half == pytest.approx((none + full) / 2)


def test_scores_grow_with_the_square():
    """Where they are written out."""
    short, long = (held(sequence=length, attention="scores").activations for length in (2048, 4096))

    assert long > 3 * short


def test_a_pipelines_first_stage_holds_all_micro_batches_in_flight():
    """P of them, of 1/p of the layers each."""
    assert held(pipeline=4, global_batch=64).activations == pytest.approx(held().activations)


def test_low_rank_adapters_hold_frozen_weights_once():
    """Without gradients or states to speak of."""
    found = held(devices=1, method="lora")

    assert found.weights == pytest.approx(2 * parameters(llama()), rel=1e-3)
    assert found.gradients == 0
    assert found.optimizer < 0.01 * found.weights


def test_quantized_frozen_weights_are_small():
    """NF4: 4.5 bits of the matrices in the blocks."""
    assert held(devices=1, method="lora", base="nf4").weights == pytest.approx(4.0e9, rel=0.05)


def test_the_largest_micro_batch_fits_and_twice_as_much_does_not():
    """As a planner would choose it."""
    device, setup = devices.rows()["a100-sxm-80gb"], TrainSetup(devices=8, trainer="fsdp")
    size = largest_micro_batch(llama(), device, setup)
    needed = [training_memory(llama(), setup.model_copy(update={"micro_batch": many})).total for many in (size, 2 * size)]

    assert needed[0] <= device.memory < needed[1]


def test_constants_stay_where_physics_puts_them():
    """Within a factor of their starting points."""
    found = calibrated()

    assert all(1 / 2.5 < found[name] / value < 2.5 for name, (value, _) in PRIORS.items())
