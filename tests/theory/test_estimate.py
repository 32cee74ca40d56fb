"""The whole answer for one set-up: times with intervals, memory, energy, and what is impossible about it."""

from itertools import product
from time import perf_counter

import numpy as np
import pytest

from profiler.catalog import devices, models
from profiler.spec.formats import Precision
from profiler.theory.estimate import estimate, origin
from profiler.theory.inference_memory import inference_memory
from tests.paper import DENSE, DEVICE, MIXTURE, device, placed

H100 = devices.rows()["h100-sxm"]
KNOWN = placed(engine="tensorrt-llm", on=H100)
NEAR = placed(engine="openvino", on=H100)
FAR = placed(engine="openvino", on=device(family="intel-unified"))


def spec(name):
    return models.find(name).spec()


def width(timed):
    return timed.high / timed.low


@pytest.mark.parametrize("deployment", [KNOWN, NEAR, FAR], ids=["calibrated", "transferred", "data sheet"])
def test_an_interval_contains_its_time(deployment):
    """In both phases, whatever it is made of."""
    found = estimate(spec("llama-2-7b"), deployment)

    for timed in (found.prefill, found.decode):
        assert 0 < timed.low < timed.time < timed.high
        assert timed.time == timed.spent.total


def test_the_less_was_measured_the_wider_is_the_interval():
    """This engine on this family; one of the two; neither."""
    found = [estimate(spec("llama-2-7b"), deployment) for deployment in (KNOWN, NEAR, FAR)]

    assert [each.origin for each in found] == ["calibrated", "transferred", "data sheet"]
    assert width(found[0].prefill) < width(found[1].prefill) < width(found[2].prefill)
    assert width(found[0].decode) < width(found[1].decode) < width(found[2].decode)


def test_an_engine_that_is_known_elsewhere_is_transferred():
    """As is an unknown engine on a family that is known."""
    assert origin(placed(engine="tensorrt-llm", on=device(family="intel-unified"))) == "transferred"
    assert origin(placed(engine="openvino", on=device(family="apple"))) == "transferred"


PLACES = [
    placed(on=H100),
    placed(engine="eager", on=H100, weights="nf4"),
    placed(engine="llama.cpp", weights="q4_k_m", on=devices.rows()["rtx-4090"]),
    placed(on=H100, devices=4, tensor=4),
    placed(on=H100, devices=4, pipeline=4),
    placed(on=H100, weights="float8", devices=8, expert=8),
    placed(engine="compiled", on=devices.rows()["mi300x"]),
]


@pytest.mark.parametrize("name", ["llama-2-7b", "mixtral-8x7b", "deepseek-v3", "gemma-2-9b", "mamba2-2.7b", "t5-base", "bert-base"])
def test_the_parts_of_what_is_spent_are_the_total(name):
    """Calculating, memory, overhead, communication, for every architecture and split."""
    for deployment in PLACES:
        found = estimate(spec(name), deployment, 4, 300, 100)
        for timed in (found.prefill, found.decode):
            parts = (timed.spent.compute, timed.spent.memory, timed.spent.overhead, timed.spent.communication)
            assert sum(parts) == pytest.approx(timed.time, rel=1e-12)
            assert min(parts) >= -1e-12 * timed.time


def test_rates_follow_from_the_times():
    """Of two replicas, eight sequences each: a step's tokens over its time, and all tokens over prompt and steps."""
    found = estimate(spec("llama-2-7b"), placed(on=H100, devices=4, tensor=2), 8, 512, 128)

    assert found.rate == pytest.approx(2 * 8 / found.decode.time)
    assert found.throughput == pytest.approx(2 * 8 * 128 / (found.prefill.time + 128 * found.decode.time))


def test_an_encoder_writes_no_tokens():
    """Its decode takes no time, and its rate is nothing."""
    found = estimate(spec("bert-base"), placed(on=H100))

    assert (found.decode.time, found.decode.low, found.decode.high, found.rate) == (0, 0, 0, 0)
    assert found.prefill.time > 0


def test_a_replica_divides_its_weights_over_its_devices():
    """Two devices hold a little more than half each."""
    one, two = (estimate(spec("llama-2-7b"), placed(on=H100, devices=ways, tensor=ways)) for ways in (1, 2))

    assert 0.5 <= two.weights / one.weights < 0.53
    assert two.cache == pytest.approx(one.cache / 2)


def test_memory_is_weights_cache_and_what_software_adds():
    """What the memory model says, and more than the two alone."""
    found = estimate(spec("llama-2-7b"), KNOWN, 4, 512, 128)

    assert found.memory == inference_memory(spec("llama-2-7b"), KNOWN, 4, 512, 128).total > found.weights + found.cache
    assert found.fits


def test_more_power_is_more_energy_and_no_limit_is_none():
    """In proportion; where nobody says the limit, nothing is made up."""
    power = {limit: estimate(DENSE, placed(on=device(power=limit))).energy for limit in (250.0, 500.0, None)}

    assert power[500.0] == pytest.approx(2 * power[250.0])
    assert power[None] is None


def test_energy_lies_between_idle_and_the_limit():
    """Of 500 W for the whole time of 128 tokens."""
    found = estimate(DENSE, placed())
    most = 500 * (found.prefill.time + 128 * found.decode.time) / 128

    assert 0.3 * most < found.energy < most


def test_what_is_possible_has_no_problems():
    """An everyday set-up."""
    assert estimate(spec("llama-2-7b"), KNOWN).problems == ()


def test_what_does_not_fit_is_told_with_its_numbers():
    """What it needs on each device, and what there is; the times are those of a device with room."""
    found = estimate(DENSE, placed(on=device(memory=2e8)))

    assert not found.fits
    assert found.decode.time == estimate(DENSE, placed()).decode.time
    assert len(found.problems) == 1
    assert found.problems[0].startswith("It needs ")
    assert found.problems[0].endswith(" on each device; Paper 1 has 200 MB.")


@pytest.mark.parametrize(
    ("model", "split", "lengths", "said"),
    [
        (DENSE, {"devices": 3, "tensor": 3}, (512, 128), "Tensor parallelism of 3 does not divide the 10 attention heads of Paper."),
        (DENSE, {"devices": 12, "pipeline": 12}, (512, 128), "12 pipeline stages are more than the 10 layers of Paper."),
        (DENSE, {"devices": 4, "expert": 4}, (512, 128), "Paper has no experts that could be spread over 4 devices."),
        (DENSE, {}, (4000, 128), "4,128 tokens are more than the 4,096 that Paper was made for."),
        (MIXTURE, {"devices": 7, "tensor": 7}, (512, 128), "Tensor parallelism of 7 does not divide the 10 attention heads of Paper."),
    ],
)
def test_problems_are_named_with_their_numbers(model, split, lengths, said):
    """Heads, layers, experts, lengths; and the times are there all the same."""
    found = estimate(model, placed(**split), 1, *lengths)

    assert found.problems == (said,)
    assert found.prefill.time > 0
    assert found.decode.time > 0


def test_every_problem_is_named():
    """Not the first alone."""
    assert len(estimate(DENSE, placed(on=device(memory=1e7), devices=36, tensor=3, pipeline=12, expert=2), 1, 5000, 10).problems) == 5


@pytest.mark.parametrize("deployment", PLACES, ids=range(len(PLACES)))
@pytest.mark.parametrize("name", ["llama-2-7b", "mixtral-8x7b", "deepseek-v3", "gemma-2-9b", "mamba2-2.7b", "t5-base"])
def test_arrays_give_what_scalars_give(deployment, name):
    """Batch, prompt and new tokens on three axes, element by element."""
    batch, prompt, new = np.array([1, 24])[:, None, None], np.array([64, 9000])[None, :, None], np.array([10, 500])
    many = estimate(spec(name), deployment, batch, prompt, new)
    columns = [many.prefill.time, many.decode.low, many.rate, many.throughput, many.memory, many.cache, many.energy]

    for (i, b), (j, p), (k, n) in product(enumerate((1, 24)), enumerate((64, 9000)), enumerate((10, 500))):
        one = estimate(spec(name), deployment, b, p, n)
        alone = [one.prefill.time, one.decode.low, one.rate, one.throughput, one.memory, one.cache, one.energy]
        assert [np.broadcast_to(column, (2, 2, 2))[i, j, k] for column in columns] == pytest.approx(alone, rel=1e-12)
        assert np.broadcast_to(many.fits, (2, 2, 2))[i, j, k] == one.fits


def test_fewer_bits_are_faster_and_smaller():
    """Decode of 16, 8 and 4 bits, in every engine that reads them."""
    for engine in ("vllm", "llama.cpp", "tensorrt-llm", "mlx"):
        found = [estimate(spec("llama-2-7b"), placed(name, engine, H100)) for name in ("bfloat16", "int8", "int4")]
        assert found[0].decode.time > found[1].decode.time > found[2].decode.time, engine
        assert found[0].memory > found[1].memory > found[2].memory, engine


def test_a_longer_prompt_or_a_larger_batch_never_takes_less():
    """Time and memory, in both phases."""
    for name in ("llama-2-7b", "mixtral-8x7b", "deepseek-v3"):
        for batch, prompt in ((np.array([1, 2, 3, 8, 64, 65, 500]), 512), (4, np.array([1, 16, 100, 512, 513, 2000, 8192, 8193, 30_000]))):
            found = estimate(spec(name), KNOWN, batch, prompt, 64)
            for column in (found.prefill.time, found.decode.time, found.memory):
                assert np.all(np.diff(column) >= 0), name


def test_a_faster_device_is_faster():
    """Twice the bandwidth quickens decode, twice the units quicken prefill, neither more than twice."""
    plain = estimate(spec("llama-2-7b"), placed())
    wide = estimate(spec("llama-2-7b"), placed(on=device(bandwidth=2e12)))
    strong = estimate(spec("llama-2-7b"), placed(on=device(peak={name: 2 * rate for name, rate in DEVICE.peak.items()})), 8, 1024)

    assert 1.5 < plain.decode.time / wide.decode.time <= 2
    assert 1.2 < estimate(spec("llama-2-7b"), placed(), 8, 1024).prefill.time / strong.prefill.time <= 2


def test_every_device_answers():
    """All of the catalogue, with a format and an engine of its kind: finite times, some memory."""
    for each in devices.rows().values():
        found = estimate(DENSE, placed(on=each).model_copy(update={"precision": Precision.of("float16")}))
        assert 0 < found.decode.time < found.prefill.time * 10 < 1e3, each.id
        assert found.memory > found.weights > 0, each.id


def test_a_whole_estimate_takes_under_a_few_milliseconds():
    """Warm, with everything; the benchmark has the real figure."""
    model = spec("llama-2-7b")
    estimate(model, KNOWN)
    times = []
    for batch in range(1, 21):
        start = perf_counter()
        estimate(model, KNOWN, batch)
        times.append(perf_counter() - start)

    assert sorted(times)[10] < 4e-3


def test_an_engine_that_does_not_run_there_is_a_problem():
    """TensorRT-LLM is NVIDIA's, MLX is Apple's; the times are said all the same."""
    apple, h100 = devices.rows()["m2-ultra-76"], devices.rows()["h100-sxm"]

    for engine, elsewhere in (("tensorrt-llm", apple), ("mlx", h100)):
        found = estimate(DENSE, placed(engine=engine, on=elsewhere))
        assert any("does not run on" in problem for problem in found.problems)
        assert found.decode.time > 0
    assert not estimate(DENSE, placed(engine="tensorrt-llm", on=h100)).problems
