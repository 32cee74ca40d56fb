"""Changes, levers and proofs, with exact numbers."""

from dataclasses import replace

import pytest

from profiler.analysis.changes import changed, changes, shares
from profiler.analysis.levers import levers
from profiler.analysis.moment import cost_of
from profiler.analysis.proof import gain_of, judge, name_of, plan, proof, provable, quick, told
from profiler.analysis.verdict import verdict
from profiler.analysis.waterfall import waterfall
from profiler.figures.proof import proof_figure
from profiler.record.events import Probed
from tests.builders import ceilings, generate_run


def decode_run(need=0.01, kernels=0.045, measured=0.05):
    """A run whose decode takes `measured`, `kernels` of it inside kernels, where physics needs `need`."""
    rate = cost_of(generate_run(), "decode").bytes / need
    return generate_run(decode=(measured,) * 96, kernels_decode=kernels, roofs=ceilings(read=rate), canary=(rate,) * 4)


def change(run, name, phase="decode"):
    return next(each for each in changes(run, phase) if each.name == name)


def effect(run, name, phase="decode"):
    return change(run, name, phase).effect(waterfall(run, phase))


def test_shares_are_the_waterfalls():
    """10 of 50 ms are bandwidth, 35 kernels, 5 framework."""
    assert shares(waterfall(decode_run(), "decode")) == pytest.approx({"bandwidth": 0.2, "kernels": 0.7, "framework": 0.1})


def test_half_the_bytes_by_another_kernel():
    """bfloat16: half the bytes at 5/6 of float32's matrix-vector rate here: 0.6 of the time, also for what only reads; 0.9 × 0.6 + 0.1."""
    assert effect(decode_run(), "dtype") == pytest.approx((0.64, 0.64))


def test_one_thread_is_foretold_by_what_one_thread_reaches():
    """Reading falls to 90 %, the matrix-vector product does not fall at all: 0.2 ÷ 0.9 + 0.7 + 0.1."""
    assert effect(decode_run(), "threads") == pytest.approx((0.2 / 0.9 + 0.8,) * 2)


def test_a_wider_batch_is_foretold_by_the_library_s_product_of_a_few_rows():
    """Two rows at 5/6 of one row's rate: kernels take 1.2 times as long. A batch whose rows were not measured: no forecast."""
    assert effect(decode_run(), "batch") == pytest.approx((0.9 * 1.2 + 0.1,) * 2)
    unknown = decode_run()
    roofs = unknown.ceilings.model_copy(update={"few_rows": {}})
    probed = [event.model_copy(update={"ceilings": roofs}) if isinstance(event, Probed) else event for event in unknown.events]
    assert effect(replace(unknown, events=tuple(probed)), "batch") is None


def test_a_memory_hog_takes_a_share_of_the_bandwidth():
    """One thread reads at 90 % of both; beside a hog at most at half: up to 1.8 times as long, if only bandwidth counts."""
    assert effect(decode_run(need=0.05, kernels=0.05), "memory hog")[1] == pytest.approx(1.8)
    assert effect(decode_run(need=0.05, kernels=0.05), "compute hog")[1] < 1.2


@pytest.mark.parametrize(
    ("predicted", "rival", "measured", "noise", "answer"),
    [
        ((0.5, 0.5), 1.0, 0.55, (0.52, 0.58), "confirms"),
        ((0.5, 0.5), 1.0, 0.95, (0.90, 1.00), "refutes"),
        ((0.5, 0.5), 1.0, 0.70, (0.60, 0.80), "open"),  # the border, √0.5, lies within the noise
        ((1.0, 1.0), 4.0, 1.20, (1.10, 1.30), "confirms"),
        ((1.0, 1.0), 4.0, 3.90, (3.50, 4.20), "refutes"),
        ((1.0, 1.1), 1.15, 1.10, (1.09, 1.11), "says little"),  # forecasts too near each other
        ((0.5, 0.5), 1.0, 0.20, (0.19, 0.21), "larger"),  # the effect is there, but far larger than foretold
        (None, 1.0, 1.0, (0.9, 1.1), "says little"),
        ((0.5, 0.5), None, 0.5, (0.4, 0.6), "says little"),
    ],
)
def test_what_is_measured_decides_between_two_forecasts(predicted, rival, measured, noise, answer):
    """Nearer to the verdict's forecast, nearer to its rival's, or not to be told."""
    assert judge(predicted, rival, measured, noise) == answer


def test_a_better_kernel_proves_but_its_absence_does_not_disprove():
    """No effect of another kernel leaves the question open."""
    assert judge((0.3, 0.9), 1.0, 0.6, (0.55, 0.65), only_confirms=True) == "confirms"
    assert judge((0.3, 0.9), 1.0, 1.0, (0.99, 1.01), only_confirms=True) == "open"


def test_the_plan_measures_the_baseline_between_the_changes():
    """Baseline first, last, and after every third change; each change once; what does not fit is left out."""
    run = decode_run()
    planned = plan(run, lambda spec: spec.generate.batch < 8)
    base = quick(run.spec)
    at = [index for index, spec in enumerate(planned) if spec == base]

    assert at[0] == 0
    assert at[-1] == len(planned) - 1
    assert max(after - before for before, after in zip(at, at[1:])) <= 4
    assert len({spec.model_dump_json() for spec in planned if spec != base}) == len(planned) - len(at)
    assert all(spec.generate.batch < 8 and not spec.generate.trace for spec in planned)


def measured_parts(run, ratios: dict[str, float], noise=0.01):
    """The runs of a proof in which each change took its ratio of the baseline."""
    parts = []
    wanted = [(quick(each.spec), ratios.get(each.name, 1.0)) for each in changes(run, "decode")]
    for index, spec in enumerate(plan(run, lambda spec: True)):
        seconds = 0.05 * next((ratio for planned, ratio in wanted if planned == spec), 1.0)
        steps = tuple(seconds * (1 + noise * ((step % 3) - 1)) for step in range(96))
        parts.append(replace(generate_run(decode=steps, spec=spec), id=f"part-{index}"))
    return parts


def test_a_verdict_that_foretells_is_confirmed():
    """Kernel-bound: another number format's kernel is faster as foretold, a better kernel exists, compiling does nothing."""
    run = decode_run()
    assert verdict(run, "decode").kind == "kernel-bound"
    found = proof(run, "decode", measured_parts(run, {"dtype": 0.64, "kernel": 0.6, "batch": 1.9}))

    assert found.outcome == "confirmed"
    assert {trial.change.name: trial.answer for trial in found.trials}["dtype"] == "confirms"
    assert found.done
    assert "kernel-bound" in found.sentence


def test_a_verdict_that_does_not_is_not_proved():
    """A narrower format changes nothing and one thread takes twice as long as two: both refute it, and the outcome is no proof."""
    run = decode_run()
    found = proof(run, "decode", measured_parts(run, {"dtype": 1.0, "threads": 2.0, "compute hog": 2.0}))

    assert found.outcome in ("refuted", "mixed")
    assert found.count("refutes") >= 2
    assert "Proved" not in found.sentence


def test_what_a_proof_measured_stands_with_the_lever():
    """Batch 4 took 1.9 times as long in the proof: 4 ÷ 1.9 times the tokens per second."""
    run = decode_run()
    found = proof(run, "decode", measured_parts(run, {"batch": 1.9}))
    wide = next(each for each in changes(run, "decode") if each.title == "Batch 4 instead of 1")

    assert gain_of(found, wide.spec) == pytest.approx(4 / 1.9, rel=0.01)
    assert gain_of(None, wide.spec) is None


def test_drift_of_the_baseline_is_noise():
    """A baseline of 50 ms before a change of 31 ms, and of 31 ms after it: nothing is decided."""
    run, base = decode_run(), quick(decode_run().spec)
    parts = measured_parts(run, {"dtype": 0.62})
    at = next(index for index, part in enumerate(parts) if part.spec.setup.dtype == "bfloat16")
    fast = generate_run(decode=(0.031,) * 96, spec=base).events
    drifting = [replace(part, events=fast) if part.spec == base and index > at else part for index, part in enumerate(parts)]

    trials = {trial.change.name: trial for trial in proof(run, "decode", drifting).trials}
    assert trials["dtype"].noise == pytest.approx((0.62, 1.0), rel=0.03)
    assert trials["dtype"].answer == "open"


def test_a_proof_under_way_waits():
    """Before anything was measured every trial waits or is not run, and the figure can be drawn."""
    run = decode_run()
    parts = [replace(part, status="queued", events=()) for part in measured_parts(run, {})]
    found = proof(run, "decode", parts)

    assert not found.done
    assert {trial.answer for trial in found.trials} == {"waiting"}
    assert proof_figure(found).layout.xaxis.type == "log"
    assert {trial.answer for trial in proof(run, "decode", []).trials} == {"not run"}


def test_the_proof_is_plain_json():
    """Every trial with what was foretold, measured and answered."""
    run = decode_run()
    held = told(proof(run, "decode", measured_parts(run, {"dtype": 0.62})))

    assert held["outcome"] in ("confirmed", "refuted", "mixed", "open")
    assert {"name", "predicted", "rival", "measured", "noise", "answer", "command"} <= held["trials"][0].keys()
    assert told(None) is None


def test_no_verdict_no_proof():
    """An inconclusive verdict is nothing to prove."""
    busy = generate_run(foreign=0.9)

    assert not provable(busy)
    assert proof(busy, "decode", []) is None
    assert provable(decode_run())
    assert name_of(decode_run()) == "proof-run"


def test_levers_are_ranked_by_what_they_bring():
    """Kernel-bound float32: a narrower format brings 1 ÷ 0.64; physics allows five times, twice that with half the bytes."""
    run = decode_run()
    offered = levers(run, verdict(run, "decode"))
    by_title = {lever.title: lever for lever in offered}

    assert by_title["bfloat16 instead of float32"].gain == pytest.approx((1 / 0.64, 1 / 0.64))
    assert by_title["bfloat16 instead of float32"].limit == pytest.approx(10, rel=0.01)
    assert by_title["Batch 4 instead of 1"].gain == pytest.approx((4 / (0.9 * 2 + 0.1),) * 2)
    middles = [(lever.gain[0] * lever.gain[1]) ** 0.5 for lever in offered if lever.gain]
    assert middles == sorted(middles, reverse=True)


def test_a_lever_that_brings_nothing_is_none():
    """A prefill that is compute-bound gains nothing from a wider batch."""
    flops = cost_of(generate_run(), "prefill").flops
    roofs = ceilings(read=1e12, peak=flops / 0.34)
    run = generate_run(prefill=(0.4,) * 3, kernels_prefill=0.4, roofs=roofs, canary=(1e12,) * 4, product=roofs.peak)

    assert verdict(run, "prefill").kind == "compute-bound"
    assert not [lever for lever in levers(run, verdict(run, "prefill")) if lever.title.startswith("Batch")]


def test_a_run_beside_a_hog_is_proved_by_taking_it_away():
    """The canaries beside the hog read half as fast as the ceilings: without it, what only reads takes half the time at best."""
    spec = changed(generate_run().spec, setup={"hog": "memory"})
    rate = cost_of(generate_run(), "decode").bytes / 0.025
    run = generate_run(decode=(0.05,) * 96, kernels_decode=0.05, roofs=ceilings(read=rate), canary=(rate / 2,) * 4, spec=spec)

    assert change(run, "no hog").spec.setup.hog == "none"
    assert effect(run, "no hog") == pytest.approx((0.5, 0.75))
    assert not [each for each in changes(run, "decode") if each.name.endswith(" hog") and each.name != "no hog"]
