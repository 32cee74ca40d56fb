"""The time of a step on rates made by hand: 1 TFLOP/s, 1 GB/s, and nothing else that costs time unless it is said."""

from dataclasses import replace
from itertools import product
from math import inf

import numpy as np
import pytest

from profiler.theory.cost import Cost, Op
from profiler.theory.rates import Rates
from profiler.theory.timing import Step, device_seconds, kernels, soft, spent, step_seconds

FREE = Rates(
    matrix=1e12,
    attention=5e11,
    bandwidth=1e9,
    cache=5e8,
    unpack=inf,
    operator=0.0,
    host=0.0,
    step=0.0,
    scores=0.0,
    hop=0.0,
    traffic=1.0,
    tile=0.0,
    serving=1.0,
)
EQUAL = 2**0.25


def seconds(op, head_dim=100.0, **changes):
    return step_seconds(Step([op], head_dim), replace(FREE, **changes))


def linear(flops=0.0, weights=0.0, rows=1.0, count=1.0, activations=0.0):
    return Op("product", Cost(flops, weights, 0.0, activations), "linear", count, rows)


def attending(flops=0.0, kv=0.0):
    return Op("attention", Cost(flops, 0.0, kv), "attention")


def test_an_operator_takes_the_longer_of_calculating_and_moving():
    """Two seconds of either kind, and next to nothing of the other, are two seconds."""
    assert seconds(linear(flops=2e12, weights=1e8)) == pytest.approx(2, rel=1e-4)
    assert seconds(linear(flops=1e11, weights=2e9)) == pytest.approx(2, rel=1e-4)


def test_where_both_are_equal_the_corner_is_rounded():
    """19 % longer than either."""
    assert seconds(linear(flops=1e12, weights=1e9)) == pytest.approx(EQUAL)
    assert pytest.approx(1.189, abs=1e-3) == EQUAL


def test_a_rounded_corner_is_never_shorter_than_either_nor_longer_than_both():
    """And does not depend on the order."""
    for one, two in product((0.0, 1e-9, 0.3, 1.0, 7.0), repeat=2):
        assert max(one, two) <= soft(one, two) * (1 + 1e-12)
        assert soft(one, two) <= one + two + 1e-15
        assert soft(one, two) == soft(two, one)


def test_operators_follow_one_another():
    """A second of calculating and a second of moving, in two operators, are two seconds."""
    assert step_seconds(Step([linear(flops=1e12), linear(weights=1e9)]), FREE) == pytest.approx(2)


def test_a_cache_is_read_at_its_own_rate():
    """1 GB at 0.5 GB/s."""
    assert seconds(attending(kv=1e9)) == pytest.approx(2)
    assert device_seconds(attending(flops=1e12), FREE, 100.0) == (2.0, 0.0)


def test_scores_are_moved_where_attention_writes_them_out():
    """Of 400 GFLOP with heads of 100 there are a billion scores: at 12 bytes each, 12 s on the bus; a fused kernel moves none."""
    assert seconds(attending(flops=4e11), scores=12.0) == pytest.approx(12, rel=1e-3)
    assert seconds(attending(flops=4e11), scores=0.0) == pytest.approx(0.8)


def test_packed_weights_are_widened_beside_moving():
    """A GB moved in a second and widened in a second, not calculated: the corner again."""
    assert seconds(linear(weights=1e9), unpack=1e9) == pytest.approx(EQUAL)
    assert seconds(linear(weights=1e9), unpack=1e8) == pytest.approx(10, rel=1e-3)


def test_activations_cross_the_bus_several_times():
    """Half a GB, twice."""
    assert seconds(linear(activations=5e8), traffic=2.0) == pytest.approx(1)


def test_a_few_rows_are_padded_and_one_is_not():
    """With a tile of 64: one row costs one, two cost 2 + 64 · ½, a thousand about a thousand and 64."""
    each = [seconds(linear(flops=rows * 1e9, rows=rows), tile=64.0) * 1e3 for rows in (1.0, 2.0, 1000.0)]

    assert each == pytest.approx([1, 2 + 32, 1000 + 64 * 0.999])


def test_more_rows_never_take_less_time():
    """Padding shrinks slower than work grows."""
    times = [seconds(linear(flops=rows * 1e9, rows=float(rows)), tile=64.0) for rows in range(1, 500)]

    assert all(np.diff(times) > 0)


@pytest.mark.parametrize(("kind", "started"), [("linear", 1), ("vector", 1), ("attention", 2), ("experts", 2), ("scan", 4)])
def test_each_operator_starts_its_kernels(kind, started):
    """Of ten layers with 3 µs from one to the next."""
    op = Op("op", Cost(), kind, 10)

    assert kernels(op) == 10 * started
    assert seconds(op, operator=3e-6) == pytest.approx(10 * started * 3e-6)


def test_a_host_that_is_slower_than_its_device_sets_the_pace():
    """A thousand operators of 1 µs, each started in 100 µs, take 0.1 s; started together, a millisecond."""
    op = linear(weights=1e6, count=1000.0)

    assert seconds(op, host=100e-6) == pytest.approx(0.1)
    assert seconds(op) == pytest.approx(1e-3)


def test_what_comes_once_a_step_and_what_passes_between_devices_is_added():
    """A second of work, 100 µs once, four collectives of 8 µs, 1 ms on the links."""
    step = Step([linear(weights=1e9)], hops=4, exchanged=1e-3)

    assert step_seconds(step, replace(FREE, step=100e-6, hop=8e-6)) == pytest.approx(1 + 100e-6 + 32e-6 + 1e-3)
    assert step_seconds(replace(step, once=0.0), replace(FREE, step=100e-6, hop=8e-6)) == pytest.approx(1 + 32e-6 + 1e-3)


def test_an_exchange_beside_the_work_costs_what_sticks_out():
    """A tenth of the work's time is hidden, ten times as long is what the step takes."""
    work = [linear(weights=1e9)]

    assert step_seconds(Step(work, overlapped=0.1), FREE) == pytest.approx(1, rel=1e-4)
    assert step_seconds(Step(work, overlapped=10.0), FREE) == pytest.approx(10, rel=1e-4)


STEP = Step(
    [linear(flops=3e12, weights=1e9, rows=8.0, count=20.0), attending(1e11, 2e9), Op("norms", Cost(0, 1e6, 0, 1e8), "vector", 40)],
    100.0,
    hops=12,
    exchanged=0.05,
    overlapped=2.0,
)
COSTLY = replace(FREE, operator=1e-3, host=5e-2, step=0.2, scores=12.0, hop=1e-3, traffic=2.0, tile=64.0, unpack=2e9)


@pytest.mark.parametrize("rates", [FREE, COSTLY])
def test_the_parts_of_what_is_spent_are_the_total(rates):
    """And the total is the step's time; no part is negative."""
    found = spent(STEP, rates)
    parts = (found.compute, found.memory, found.overhead, found.communication)

    assert sum(parts) == pytest.approx(found.total)
    assert found.total == pytest.approx(step_seconds(STEP, rates))
    assert min(parts) >= -1e-12


def test_an_operators_time_is_spent_on_its_longer_part():
    """Of two operators, one calculates for a second and one moves for three."""
    found = spent(Step([linear(flops=1e12, weights=1e3), linear(flops=1e3, weights=3e9)]), replace(FREE, step=0.5, hop=0.25))

    assert (found.compute, found.memory, found.overhead, found.communication) == pytest.approx((1, 3, 0.5, 0))


def test_arrays_give_what_scalars_give():
    """Element by element, on arrays of costs and of rates."""
    flops, rates = np.array([1e9, 1e12, 5e13]), np.array([1e11, 1e12])

    def step(work):
        return Step([linear(work, 1e9, rows=8.0)], hops=2)

    many = spent(step(flops[None, :]), replace(COSTLY, matrix=rates[:, None]))
    each = [[spent(step(float(work)), replace(COSTLY, matrix=float(rate))) for work in flops] for rate in rates]

    for name in ("compute", "memory", "overhead", "communication", "total"):
        assert getattr(many, name) == pytest.approx(np.array([[getattr(one, name) for one in row] for row in each]), rel=1e-12, abs=1e-15)
