"""One model on many devices: what fits, what is fastest, what it costs, and what would change."""

from dataclasses import replace

import numpy as np
import pytest

from profiler.analysis.fleet import (
    OWN,
    USUAL,
    Stack,
    Workload,
    choice,
    commands,
    deployment,
    finding,
    fleet,
    front,
    obstacles,
    peak,
    shortlist,
    standing,
    usual,
)
from profiler.analysis.what_if import MOST, at, doubled, grid, lengths, most, sentence
from profiler.catalog import devices, models
from profiler.spec.engines import ENGINES
from profiler.spec.formats import Precision

WORK = Workload(batch=1, prompt=512, new=256)
SOME = ("h100-sxm", "rtx-4090", "m2-8", "t4", "epyc-9654")


def device(id: str):
    return devices.rows()[id]


def model(name: str):
    row = models.find(name)
    assert row
    return row.spec()


def some(name="llama-3.1-8b", stack=Stack(), work=WORK, prices=None, ids=SOME):  # noqa: B008 - frozen values
    return fleet(model(name), [device(id) for id in ids], stack, work, prices)


def test_devices_that_hold_the_model_come_first_the_fastest_on_top():
    """Fitting before too small; by time per token among those that fit."""
    found = some()
    fits = [one.fits for one in found]
    times = [one.estimate.decode.time for one in found if one.fits]

    assert fits == sorted(fits, reverse=True)
    assert len(set(fits)) == 2
    assert times == sorted(times)
    assert found[0].device.id == "h100-sxm"


def test_what_is_spare_or_missing_is_capacity_less_need():
    """16 GB of weights leave most of an H100 free, and are more than a T4 has; two T4s hold them."""
    by = {one.device.id: one for one in some()}

    assert by["h100-sxm"].spare == pytest.approx(device("h100-sxm").memory - by["h100-sxm"].estimate.memory)
    assert by["t4"].spare < 0
    assert by["t4"].needed == 2
    assert by["h100-sxm"].needed == 1


def test_so_many_devices_as_are_needed_do_hold_it():
    """Spread over the number that a single device asks for, the model fits."""
    alone = choice(model("llama-3.1-70b"), device("h100-sxm"), Stack(), WORK)
    together = choice(model("llama-3.1-70b"), device("h100-sxm"), Stack(devices=2), WORK)

    assert alone.needed == 2
    assert not alone.fits
    assert together.fits


def test_a_million_tokens_cost_the_hours_that_they_take():
    """Price an hour × devices × 10⁶ tokens ÷ tokens an hour; nothing where no price is known."""
    by = {one.device.id: one for one in some(prices={"h100-sxm": 3.6})}
    one = by["h100-sxm"]

    assert one.cost == pytest.approx(3.6 / 3600 * 1e6 / one.estimate.throughput)
    assert by["rtx-4090"].cost is None
    two = choice(model("llama-3.1-8b"), device("h100-sxm"), Stack(devices=2, split="copies"), WORK, 3.6)
    assert two.cost == pytest.approx(one.cost)


def test_every_family_has_its_usual_engine_and_several_devices_share_as_it_does():
    """An engine that splits layers makes a pipeline, another one splits tensors, copies share nothing."""
    assert set(USUAL) == {one.family for one in devices.rows().values()}
    assert set(USUAL.values()) <= set(ENGINES)
    assert deployment(device("rtx-4090"), Stack(devices=4)).pipeline == 4
    assert deployment(device("h100-sxm"), Stack(devices=4)).tensor == 4
    assert deployment(device("h100-sxm"), Stack(devices=4, split="layers")).pipeline == 4
    assert deployment(device("h100-sxm"), Stack(devices=4, split="copies")).replicas == 4
    assert deployment(device("h100-sxm"), Stack(engine="eager")).engine == "eager"


def test_a_format_of_one_software_is_read_by_it():
    """GGUF means llama.cpp, on a data-centre GPU too; other formats leave each device its usual engine."""
    assert usual(device("h100-sxm"), Precision.of("q4_k_m")) == "llama.cpp"
    assert usual(device("h100-sxm"), Precision.of("awq")) == "vllm"


def test_the_same_is_predicted_from_a_terminal():
    """One command for the device, one for all; a device of one's own has no name there."""
    spec = model("llama-3.1-8b")
    one = choice(spec, device("h100-sxm"), Stack(precision=Precision.of("awq"), devices=2), WORK)
    single, everything = commands(spec, one)

    assert single.startswith(
        "python -m profiler predict llama-3.1-8b h100-sxm --devices 2 --tp 2 --engine vllm --dtype bfloat16 --quant int4"
    )
    assert single.endswith("--prompt-tokens 512 --new-tokens 256 --batch 1")
    assert everything.startswith("python -m profiler sweep --models llama-3.1-8b --devices all --dtypes bfloat16 --quants int4 ")
    mine = choice(spec, device("h100-sxm").model_copy(update={"id": OWN}), Stack(), WORK)
    assert len(commands(spec, mine)) == 1


def test_what_is_impossible_is_said_once_with_its_numbers():
    """Three devices cannot share 32 heads; a lack of memory is not a problem of the set-up."""
    found = obstacles(some(stack=Stack(devices=3, split="tensor")))

    assert list(found.values()) == [5]
    assert all("3 does not divide the 32" in problem for problem in found)
    assert obstacles(some()) == {}


def test_the_front_keeps_whoever_is_beaten_by_none():
    """Less of the first, more of the second; a tie goes to the faster."""
    assert front([(1, 5), (2, 4), (3, 9), (3, 8), (0.5, 1)]) == [4, 0, 2]
    assert front([]) == []


def test_the_shortlist_has_one_of_each_family_and_the_own_device():
    """Different answers side by side; all of them hold the model."""
    own = device("t4").model_copy(update={"id": OWN, "title": "mine"})
    found = fleet(model("llama-3.1-8b"), [*devices.rows().values(), own], Stack(precision=Precision.of("q4_k_m")), WORK)
    short = shortlist(found, 5)
    others = [one.device.family for one in short if not one.own]

    assert len(others) == len(set(others)) == 5
    assert [one.device.title for one in short if one.own] == ["mine"]
    assert all(one.fits for one in short)
    assert found.index(short[0]) == 0


def test_the_finding_counts_names_and_times():
    """How many hold it, which is the fastest, at what; where none does, how many would."""
    assert finding(model("llama-3.1-8b"), some()).startswith("3 of 5 devices hold Llama-3.1 8B; the fastest is the H100 SXM 80 GB, at ")
    nowhere = finding(model("deepseek-v3"), some("deepseek-v3"))
    assert nowhere.startswith("No device holds DeepSeek-V3 671B, which needs 1.34 TB")
    assert nowhere.endswith("would")
    many = finding(model("deepseek-v3"), fleet(model("deepseek-v3"), [device("t4")], Stack(), Workload(batch=2000)))
    assert many.startswith("No device holds DeepSeek-V3 671B with 2,000 sequences, which needs ")


def test_a_phase_stands_under_its_roof_at_its_counted_intensity():
    """Decode reads about two bytes for two operations in bfloat16; nothing is above the paper roof."""
    one = some()[0]
    prefill, decode = standing(model("llama-3.1-8b"), one)

    assert decode.intensity == pytest.approx(1.0, rel=0.05)
    assert prefill.intensity > 100 * decode.intensity
    for point in (prefill, decode):
        assert point.rate < min(point.intensity * one.device.bandwidth, peak(one.deployment))


@pytest.mark.parametrize("format", ["bfloat16", "q4_k_m"])
@pytest.mark.parametrize("id", ["rtx-3080-12gb", "rtx-2070", "i7-13700k"])
def test_the_roof_is_of_the_products_that_the_software_makes(id, format):
    """llama.cpp sums 16-bit products in 16 bits on graphics cards, and multiplies packed weights in int8."""
    stack = Stack(Precision.of(format))
    one = choice(model("llama-3.1-8b"), device(id), stack, WORK)
    for point in standing(model("llama-3.1-8b"), one):
        assert point.rate < min(point.intensity * one.device.bandwidth, peak(one.deployment))


def test_an_encoder_is_told_by_what_it_reads():
    """No energy per token, no decode on the roofline, texts per second; a text as long as it was made for is no problem."""
    one = some("bert-base")[0]

    assert not one.writes
    assert one.rate == pytest.approx(1 / one.estimate.prefill.time)
    assert one.energy is None
    assert one.estimate.problems == ()
    assert [point.phase for point in standing(model("bert-base"), one)] == ["prefill"]
    assert "per batch of texts" in finding(model("bert-base"), some("bert-base"))


def test_a_device_whose_arithmetic_nobody_tells_is_left_out():
    """No rate, no prediction."""
    assert some(ids=["gaudi"]) == []


def test_twice_the_bandwidth_helps_who_waits_for_it():
    """Decode of one sequence: bandwidth brings much, compute nearly nothing, the parts add up to the answer's time."""
    one = some()[0]
    base, bandwidth, compute, memory = doubled(model("llama-3.1-8b"), one)

    assert base.seconds == pytest.approx(one.estimate.prefill.time + 256 * one.estimate.decode.time)
    assert base.seconds / bandwidth.seconds > 1.5
    assert base.seconds / compute.seconds < 1.05
    assert memory.seconds == base.seconds
    assert memory.batch > 2 * base.batch
    assert "wice the bandwidth would bring 1." in sentence([base, bandwidth, compute, memory])
    assert f"{memory.batch:,} sequences at once instead of {base.batch:,}" in sentence([base, bandwidth, compute, memory])


def test_twice_the_link_is_looked_at_where_devices_exchange():
    """A single device has no use for it."""
    spec = model("llama-3.1-8b")

    assert "link" not in [one.name for one in doubled(spec, choice(spec, device("h100-sxm"), Stack(), WORK))]
    assert "link" in [one.name for one in doubled(spec, choice(spec, device("h100-sxm"), Stack(devices=2), WORK))]


def test_memory_that_is_twice_too_small_is_said_so():
    """Twice the memory of a T4 holds 8 billion parameters in 16 bits; twice that of a laptop does not hold 70 billion."""
    small, large = model("llama-3.1-8b"), model("llama-3.1-70b")

    assert "Twice the memory would hold it" in sentence(doubled(small, choice(small, device("t4"), Stack(), WORK)))
    assert "still not hold it" in sentence(doubled(large, choice(large, device("t4"), Stack(), WORK)))


def test_the_most_sequences_fit_and_one_more_does_not():
    """Exact, not on a grid; unlimited where a model keeps no cache that matters."""
    spec = model("llama-3.1-8b")
    one = choice(spec, device("rtx-4090"), Stack(), WORK)
    count = most(spec, one)

    assert choice(spec, device("rtx-4090"), Stack(), replace(WORK, batch=count)).fits
    assert not choice(spec, device("rtx-4090"), Stack(), replace(WORK, batch=count + 1)).fits
    assert most(model("bert-base"), some("bert-base")[0]) <= MOST


def test_the_grid_says_the_same_as_single_predictions():
    """Each cell is the estimate of its batch and context; what is larger in both does not fit where the smaller does not."""
    spec = model("llama-3.1-8b")
    view = grid(spec, choice(spec, device("rtx-4090"), Stack(), WORK))
    row, column = view.batches.index(4), view.contexts.index(2048)
    single = choice(spec, device("rtx-4090"), Stack(), Workload(4, 2048 - 256, 256))

    assert view.seconds[row, column] == pytest.approx(single.estimate.decode.time)
    assert view.memory[row, column] == pytest.approx(single.estimate.memory)
    assert view.fits.any()
    assert not view.fits.all()
    assert np.all(view.fits[1:] <= view.fits[:-1])
    assert np.all(view.fits[:, 1:] <= view.fits[:, :-1])
    assert at(view, WORK) == (1, 1024)


def test_contexts_end_where_the_model_does():
    """Powers of two, then the longest that it was made for."""
    assert lengths(model("llama-3.1-8b"))[-2:] == [65536, 131072]
    assert lengths(model("bert-base"))[-1] == 512
