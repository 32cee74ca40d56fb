"""How many requests fit at a time, and what comes of them."""

import pytest

from profiler.catalog import devices, models
from profiler.theory.cache import kv_bytes
from profiler.theory.estimate import estimate
from profiler.theory.inference_memory import inference_memory
from profiler.theory.plan import decode_step, prefill_step
from profiler.theory.rates import rates
from profiler.theory.serving import LARGEST, SLACK, batch_steps, largest_batch, lifetime, serve
from profiler.theory.timing import step_seconds
from profiler.theory.weights import weight_bytes
from tests.paper import DENSE, device, placed

SMALL = device(memory=1e9)
H100 = devices.rows()["h100-sxm"]


def llama():
    return models.rows()["llama-2-7b"].spec()


def test_the_largest_batch_by_hand():
    """Of 900 MB, weights take 268.042; a request of 1,000 tokens keeps 8 MB: 78 fit."""
    assert weight_bytes(DENSE, placed().precision) == 2 * (10 * (11.4e6 + 2000) + 2 * 10e6 + 1000)
    assert kv_bytes(DENSE, 1000, placed().precision) == 8e6
    assert largest_batch(DENSE, placed(on=SMALL), 1000) == 78


@pytest.mark.parametrize("length", [300, 1000, 4000])
@pytest.mark.parametrize(("weights", "ways"), [("bfloat16", 1), ("bfloat16", 2), ("int4", 1)])
def test_the_largest_batch_fits_and_one_more_does_not(length, weights, ways):
    """Into nine tenths of the memory of the fullest device, whose lm_head and embedding stand whole and whose cache is a part."""
    deployment = placed(weights, on=SMALL, devices=ways, tensor=ways)
    batch, room = largest_batch(DENSE, deployment, length), SMALL.memory * SLACK

    def need(sequences):
        held = inference_memory(DENSE, deployment, 1, 1, 1).weights
        return held + sequences * kv_bytes(DENSE, length, deployment.precision) / min(ways, DENSE.kv_heads)

    assert 1 < batch < LARGEST
    assert need(batch) <= room < need(batch + 1)


def test_a_batch_has_a_limit_and_is_at_least_one():
    """Short requests are 1,024 at most; a model that does not fit is still asked for one."""
    assert largest_batch(DENSE, placed(), 10) == LARGEST
    assert largest_batch(DENSE, placed(on=device(memory=1e8)), 1000) == 1


def test_a_narrow_cache_holds_twice_as_many():
    """Float8 instead of 16 bits."""
    plain = placed(on=SMALL)
    narrow = plain.model_copy(update={"precision": plain.precision.model_copy(update={"kv": "float8"})})

    assert largest_batch(DENSE, narrow, 1000) == 157


@pytest.mark.parametrize(("name", "ways"), [("llama-2-7b", 1), ("llama-3-8b", 2), ("llama-3-70b", 4)])
def test_the_largest_batch_is_one_of_which_the_estimate_says_that_it_fits(name, ways):
    """Activations and software find room in what is left."""
    model, deployment = models.find(name).spec(), placed(on=H100, devices=ways, tensor=ways)
    batch = largest_batch(model, deployment, 4096)

    assert estimate(model, deployment, batch, 3072, 1024).fits
    assert not estimate(model, deployment, 1.25 * batch, 3072, 1024).fits


def test_the_life_of_a_batch_is_its_prompts_and_its_steps():
    """One pass over all prompts, then 100 steps at the mean length."""
    (once, reading), (often, writing) = batch_steps(DENSE, placed(), 8, 500, 100)

    assert (once, often) == (1, 100)
    assert reading == prefill_step(DENSE, placed(), 8, 500)
    assert writing == decode_step(DENSE, placed(), 8, 550, 500)
    reached = rates(placed(), {})
    whole = step_seconds(reading, reached) + 100 * step_seconds(writing, reached)
    assert lifetime(reading, writing, 100, reached) == pytest.approx(whole / 0.85)


def test_beams_are_rows_of_the_decode_steps_alone():
    """A prompt is read once, four beams are written."""
    (_, reading), (_, writing) = batch_steps(DENSE, placed(), 8, 500, 100, 4)

    assert reading == prefill_step(DENSE, placed(), 8, 500)
    assert writing == decode_step(DENSE, placed(), 32, 550, 500)


def test_throughput_is_new_tokens_over_the_life_of_a_batch():
    """And the time between two tokens of a request is its batch over the throughput."""
    found = serve(llama(), placed(on=H100), 512, 128, concurrency=16)
    (_, reading), (_, writing) = batch_steps(llama(), placed(on=H100), 16, 512, 128)

    assert found.batch == 16
    assert found.throughput == pytest.approx(16 * 128 / lifetime(reading, writing, 128, rates(placed(on=H100))))
    assert found.per_token == pytest.approx(16 / found.throughput)


def test_at_maximum_load_the_largest_batch_runs():
    """More at a time than fit are no more than fit."""
    most = serve(llama(), placed(on=H100), 1024, 1024)

    assert most.batch == largest_batch(llama(), placed(on=H100), 2048)
    assert serve(llama(), placed(on=H100), 1024, 1024, concurrency=100_000) == most
    assert serve(llama(), placed(on=H100), 1024, 1024, concurrency=0).batch == 1


@pytest.mark.parametrize("split", [{}, {"devices": 4, "tensor": 4}, {"devices": 4, "tensor": 2}])
def test_fewer_at_a_time_are_slower_together_and_faster_each(split):
    """Throughput grows with concurrency, and so does the time between two tokens."""
    found = [serve(llama(), placed(on=H100, **split), 512, 256, concurrency) for concurrency in (1, 4, 16, 48, None)]

    assert [each.throughput for each in found] == sorted(each.throughput for each in found)
    assert [each.per_token for each in found] == sorted(each.per_token for each in found)
    assert found[-1].throughput > 5 * found[0].throughput


def test_replicas_multiply_throughput_and_leave_a_request_as_it_is():
    """Four devices with a copy each."""
    one, four = (serve(llama(), placed(on=H100, devices=count), 512, 128, 16) for count in (1, 4))

    assert four.throughput == pytest.approx(4 * one.throughput)
    assert (four.first, four.per_token, four.batch) == (one.first, one.per_token, one.batch)


def test_the_first_token_waits_for_its_own_prompt_and_the_step_that_runs():
    """Not for a whole batch of prompts."""
    deployment = placed(on=H100)
    found = serve(llama(), deployment, 1024, 128, 32)
    alone = step_seconds(prefill_step(llama(), deployment, 1.0, 1024), rates(deployment))

    assert alone < found.first < alone + found.per_token


def test_a_latent_cache_stands_whole_on_each_device():
    """DeepSeek-V3's cache is not divided by tensor parallelism: what fits by our count fits by the estimate's."""
    deepseek, h200 = models.rows()["deepseek-v3"].spec(), devices.rows()["h200-sxm"]
    deployment = placed("float8", on=h200, devices=8, tensor=8, engine="sglang")
    batch = largest_batch(deepseek, deployment, 40_960)

    assert 1 <= batch < 60
    assert estimate(deepseek, deployment, batch, 40_832, 128).memory < 1.1 * h200.memory


def test_stages_of_a_pipeline_are_never_better_than_devices_of_their_own():
    """Four stages with 64 requests give no more than four devices with 16 each."""
    four = serve(llama(), placed(on=H100, devices=4, pipeline=4, engine="vllm"), 4096, 8, 64)
    one = serve(llama(), placed(on=H100, engine="vllm"), 4096, 8, 16)

    assert four.throughput <= 4.001 * one.throughput
