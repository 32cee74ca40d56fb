from dataclasses import replace

import pytest

from profiler.analysis.moment import ceilings_now, cost_of
from profiler.analysis.verdict import beaten, verdict
from profiler.analysis.waterfall import needed_by_part, waterfall
from profiler.record.events import Traced
from tests.builders import ceilings, generate_run, op, traced


def with_trace(whole, trace):
    """The run with another trace of that phase."""
    return replace(
        whole, events=tuple(trace if isinstance(event, Traced) and event.phase == trace.phase else event for event in whole.events)
    )


def read_for(seconds) -> float:
    """Bandwidth at which decode's bytes take `seconds`."""
    return cost_of(generate_run(), "decode").bytes / seconds


def run(measured, need, kernels, **more):
    """A run whose decode takes `measured` where physics needs `need` and the kernels alone take `kernels`."""
    rate = read_for(need)
    return generate_run(decode=(measured,) * 96, kernels_decode=kernels, roofs=ceilings(read=rate), canary=(rate,) * 4, **more)


def test_the_parts_sum_to_what_was_measured():
    """Physics 10 ms, kernels 30 ms, measured 50 ms: 10 + 20 + 20."""
    fall = waterfall(run(0.05, 0.01, 0.03), "decode")

    assert [part.seconds for part in fall.parts] == pytest.approx([0.01, 0.02, 0.02, 0.0])
    assert sum(part.seconds for part in fall.parts) == pytest.approx(fall.measured)


def test_slower_canaries_lower_the_roof():
    """When the canary reads half as fast as the ceilings say, physics needs twice the time."""
    rate = read_for(0.01)
    slow = generate_run(roofs=ceilings(read=rate), canary=(rate / 2,) * 4)

    assert waterfall(slow, "decode").ideal == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("measured", "need", "kernels", "kind"),
    [
        (0.05, 0.04, 0.045, "bandwidth-bound"),
        (0.05, 0.01, 0.04, "kernel-bound"),
        (0.05, 0.01, 0.015, "overhead-bound"),
        (0.05, 0.10, 0.05, "impossible"),
    ],
)
def test_the_verdict_names_the_largest_part(measured, need, kernels, kind):
    """Planted cases get the verdict that was planted, with its numbers."""
    found = verdict(run(measured, need, kernels), "decode")

    assert found.kind == kind
    assert "50.0 ms" in found.sentence


def test_a_large_prefill_is_compute_bound():
    """Prefill at 85 % of the measured peak."""
    flops = cost_of(generate_run(), "prefill").flops
    roofs = ceilings(read=1e12, peak=flops / 0.34)

    found = verdict(generate_run(prefill=(0.4,) * 3, roofs=roofs, canary=(1e12,) * 4, product=roofs.peak), "prefill")

    assert found.kind == "compute-bound"


def test_a_changing_machine_gives_no_verdict():
    """When the canaries' quartiles disagree on the kind, the answer is none, and says both."""
    rate = read_for(0.01)
    shaky = generate_run(kernels_decode=0.032, roofs=ceilings(read=rate), canary=(rate, rate / 2, rate, rate / 2))

    found = verdict(shaky, "decode")

    assert found.kind == "inconclusive"
    assert "overhead-bound" in found.sentence
    assert "kernel-bound" in found.sentence


def test_busy_neighbours_veto_the_verdict():
    """0.6 cores of foreign work: no answer."""
    assert verdict(run(0.05, 0.01, 0.04, foreign=0.6), "decode").kind == "inconclusive"


def test_swapping_is_capacity_bound():
    """Pages moved to disk while the clock ran decide everything."""
    assert verdict(run(0.05, 0.01, 0.04, facts={"swapped": 5e9}), "decode").kind == "capacity-bound"


def test_without_a_trace_one_part_is_untold():
    """Kernels and framework are one part, the verdict says why, and the parts still sum."""
    whole = run(0.05, 0.01, 0.03)
    bare = replace(whole, events=tuple(event for event in whole.events if not isinstance(event, Traced)))
    fall = waterfall(bare, "decode")

    assert [part.kind for part in fall.parts] == ["physics", "untold"]
    assert sum(part.seconds for part in fall.parts) == pytest.approx(0.05)
    assert verdict(bare, "decode").kind == "inconclusive"
    assert "no operator trace" in verdict(bare, "decode").sentence


def test_tracing_itself_is_in_no_part():
    """A trace that took twice as long as the untraced step is scaled: the parts sum to the untraced median."""
    slow = with_trace(run(0.05, 0.01, 0.03), traced("decode", 0.1, 0.06))

    assert [part.seconds for part in waterfall(slow, "decode").parts] == pytest.approx([0.01, 0.02, 0.02, 0.0])


def test_dispatch_inside_operators_is_framework():
    """1,000 calls of at least 10 µs each: 10 of their 30 ms are dispatch, not kernel."""
    rows = [op(seconds=0.03, count=1000)]
    fall = waterfall(with_trace(run(0.05, 0.01, 0.03), traced("decode", 0.05, 0.03, floor=1e-5, rows=rows)), "decode")

    assert fall.of("kernels") == pytest.approx(0.01)
    assert fall.of("framework") == pytest.approx(0.03)


def test_waiting_is_what_the_rounds_saw():
    """The thread had no processor for a tenth of the time: 5 of 50 ms; the rest is scaled to the other 45."""
    fall = waterfall(run(0.05, 0.01, 0.03, waiting=0.1), "decode")

    assert fall.of("waiting") == pytest.approx(0.005)
    assert fall.of("kernels") == pytest.approx(0.9 * 0.03 - 0.01)
    assert sum(part.seconds for part in fall.parts) == pytest.approx(0.05)


def test_mostly_waiting_is_no_answer():
    """Half the time without a processor: measure on a quieter machine."""
    found = verdict(run(0.05, 0.01, 0.03, waiting=0.5), "decode")

    assert found.kind == "inconclusive"
    assert "no processor" in found.sentence


def test_kernels_are_told_by_part_of_the_model():
    """Attention outside its bytes, the MLP at its roof: the excess is attention's; parts under 2 % are drawn together."""
    made = run(0.05, 0.01, 0.03)
    least = needed_by_part(made, "decode", ceilings_now(made))
    rows = [op("MLP", seconds=least["MLP"]), op("attention", seconds=0.02), op("sampling", seconds=0.0005)]
    fall = waterfall(with_trace(run(0.05, 0.01, 0.03), traced("decode", 0.05, 0, rows=rows)), "decode")

    assert [part.name for part in fall.parts] == ["physics needs", "attention", "other parts", "framework", "waiting"]
    assert sum(part.seconds for part in fall.parts) == pytest.approx(0.05)
    assert fall.part("attention") > 30 * fall.part("other parts")


@pytest.mark.parametrize(("need", "kernels"), [(0.01, 0.052), (0.01, 0.009)])
def test_no_part_is_less_than_nothing_within_noise(need, kernels):
    """Small contradictions between the three measurements are noise: parts stay at zero or more, and sum to the median."""
    fall = waterfall(run(0.05, need, kernels), "decode")

    assert min(part.seconds for part in fall.parts) >= 0
    assert sum(part.seconds for part in fall.parts) == pytest.approx(0.05)


def test_a_run_that_beats_its_ceilings_says_so():
    """Faster than physics allows in one phase: the ceilings are to be measured again."""
    assert beaten(run(0.05, 0.10, 0.05))
    assert not beaten(run(0.05, 0.01, 0.03))
