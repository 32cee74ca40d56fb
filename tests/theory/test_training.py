import csv
from dataclasses import fields
from time import perf_counter

import numpy as np
import pytest

from profiler.catalog import devices, models
from profiler.spec.training import TrainSetup
from profiler.theory.sharding import Work, completed, divided
from profiler.theory.training import predict_training, step_time
from profiler.theory.training_rates import PRIORS, REACHED, calibrated, generation, rates
from profiler.validation.fit_training import TABLE
from profiler.validation.stack import stacked

H100 = devices.rows()["h100-sxm"]


def llama():
    return models.rows()["llama-2-7b"].spec()


def setup(**changes):
    return TrainSetup(
        **({"devices": 64, "micro_batch": 1, "global_batch": 512, "sequence": 4096, "trainer": "megatron", "zero": 1} | changes)
    )


def predict(**changes):
    return predict_training(llama(), H100, setup(**changes))


def test_parts_are_the_whole():
    """Computation, exposed traffic, bubble, optimizer and overhead sum to the step."""
    found = predict(tensor=2, pipeline=4).parts

    assert found.total == pytest.approx(found.compute + found.communication + found.bubble + found.optimizer + found.overhead)


def test_a_pipelines_bubble_is_stages_less_one_by_micro_batches():
    """(p − 1) ÷ m of the busy time, and a third of that in three pieces."""
    one, three = predict(pipeline=8), predict(pipeline=8, interleave=2)
    busy = one.parts.compute + one.parts.communication

    assert one.parts.bubble / busy == pytest.approx(7 / 64, rel=0.02)
    assert three.parts.bubble == pytest.approx(one.parts.bubble / 2, rel=0.02)


def test_recompute_costs_a_forward_pass():
    """A third more at most."""
    assert 1.2 < predict(recompute="full").parts.compute / predict().parts.compute < 1.35


def test_frozen_weights_save_a_third():
    """No gradients of weights: two products instead of three."""
    assert predict(method="lora", zero=0).parts.compute / predict().parts.compute == pytest.approx(2 / 3, abs=0.08)


def test_utilisation_is_achieved_by_peak():
    """Both conventions; counting all pairs gives more."""
    found = predict()

    assert found.utilisation() == found.achieved() / 989e12
    assert found.utilisation(causal=True) < found.utilisation() < 0.65


def test_eight_bits_are_faster_than_sixteen():
    """But not twice as fast: attention, the head and casts stay."""
    assert 1.1 < predict(compute="float8").tokens_per_device / predict().tokens_per_device < 1.9


def test_an_unknown_micro_batch_is_the_largest_that_fits():
    """A larger one needs more memory than the device has."""
    found = predict_training(llama(), H100, setup(micro_batch=None, zero=3, trainer="fsdp"))

    assert found.setup.micro_batch > 1
    assert found.memory.total < H100.memory


def test_one_thing_known_is_transferred_nothing_known_is_the_data_sheet():
    """The interval widens with what the fit has not seen."""
    seen = predict().interval
    near = predict_training(llama(), devices.rows()["mi300x"], setup()).interval
    far = predict_training(llama(), devices.rows()["rtx-4090"], setup(trainer="unsloth")).interval

    assert [each.origin for each in (seen, near, far)] == ["calibrated", "transferred", "data sheet"]
    assert seen.high < near.high < far.high


def test_constants_are_shares_of_what_the_data_sheet_says():
    """Efficiencies lie between 0 and 1, and all constants within three spreads of their physical starting points."""
    found = calibrated()

    assert all(0 < found[name] < 1 for name in ("matrix", "attention", "bandwidth", "narrow", "optimizer", "link", "network", "overlap"))
    assert all(abs(np.log(found[name] / value)) < 3 * spread for name, (value, spread) in PRIORS.items())


def test_many_set_ups_are_one_stack():
    """Arrays give what single predictions give."""
    each = [completed(setup(tensor=tensor, pipeline=pipeline)) for tensor in (1, 2, 8) for pipeline in (1, 4)]
    works, reached = [divided(llama(), one) for one in each], [rates(H100, one) for one in each]

    together = step_time(stacked(works), stacked(reached)).total
    assert together == pytest.approx([step_time(work, rate).total for work, rate in zip(works, reached)])


def test_a_prediction_takes_about_a_millisecond():
    """Warm, memory included."""
    predict()
    start = perf_counter()
    for _ in range(20):
        predict(tensor=2)
    assert (perf_counter() - start) / 20 < 5e-3


def test_a_hundred_thousand_set_ups_take_seconds():
    """The arithmetic of a step, once the work is counted."""
    two = stacked([divided(llama(), completed(setup()))] * 2)
    many = Work(**{field.name: np.repeat(getattr(two, field.name)[..., :1], 100_000, axis=-1) for field in fields(Work)})
    start = perf_counter()

    assert len(step_time(many, rates(H100, setup())).total) == 100_000
    assert perf_counter() - start < 3


def test_reached_shares_are_those_of_the_published_products():
    """The mean of a generation's largest measured product, of the data sheet's peak; a TPU's is not in the table."""
    found: dict[str, list[float]] = {}
    for row in csv.DictReader((TABLE.with_name("microbench.csv")).read_text("utf-8").splitlines()):
        device = devices.find(row["hardware"]) if row["source_id"] == "mamf" and row["dtype"] == "bf16" else None
        if device:
            found.setdefault(generation(device), []).append(float(row["value"]) * 1e12 / device.peak["bfloat16"])

    assert {name: pytest.approx(sum(each) / len(each), abs=0.02) for name, each in found.items()} == {
        name: share for name, share in REACHED.items() if name != "tpu"
    }
