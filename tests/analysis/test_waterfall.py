import pytest

from profiler.analysis.moment import cost_of
from profiler.analysis.verdict import verdict
from profiler.analysis.waterfall import waterfall
from tests.builders import ceilings, generate_run


def read_for(seconds) -> float:
    """Bandwidth at which decode's bytes take `seconds`."""
    return cost_of(generate_run(), "decode").bytes / seconds


def run(measured, need, kernels, **more):
    """A run whose decode takes `measured` where physics needs `need` and the kernels alone take `kernels`."""
    rate = read_for(need)
    return generate_run(decode=(measured,) * 96, linear_decode=kernels, roofs=ceilings(read=rate), canary=(rate,) * 4, **more)


def test_the_parts_sum_to_what_was_measured():
    """Physics 10 ms, kernels 30 ms, measured 50 ms: 10 + 20 + 20."""
    fall = waterfall(run(0.05, 0.01, 0.03), "decode")

    assert [part.seconds for part in fall.parts] == pytest.approx([0.01, 0.02, 0.02])
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
    shaky = generate_run(linear_decode=0.032, roofs=ceilings(read=rate), canary=(rate, rate / 2, rate, rate / 2))

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


def test_fused_experts_leave_one_part_untold():
    """Where the lone kernels do not stand for the model, kernels and framework are one part."""
    fall = waterfall(run(0.05, 0.01, 0.02, facts={"linear_covered": 0.3}), "decode")

    assert [part.name for part in fall.parts] == ["physics needs", "kernels and framework"]
    assert sum(part.seconds for part in fall.parts) == pytest.approx(0.05)


def test_kernels_slower_alone_than_within_the_whole_are_disbelieved():
    """When the lone kernels took twice the whole step, the machine was slower then: no firm verdict, no negative part."""
    odd = run(0.05, 0.01, 0.10)

    assert [part.name for part in waterfall(odd, "decode").parts] == ["physics needs", "kernels and framework"]
    assert verdict(odd, "decode").kind == "inconclusive"
    assert "slower then" in verdict(odd, "decode").sentence


@pytest.mark.parametrize(("need", "kernels"), [(0.01, 0.052), (0.01, 0.009)])
def test_no_part_is_less_than_nothing_within_noise(need, kernels):
    """Small contradictions between the three measurements are noise: parts stay at zero or more, and sum to the median."""
    fall = waterfall(run(0.05, need, kernels), "decode")

    assert min(part.seconds for part in fall.parts) >= 0
    assert sum(part.seconds for part in fall.parts) == pytest.approx(0.05)
