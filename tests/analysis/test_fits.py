from math import inf, isnan

import pytest

from profiler.analysis.fits import line, reached_at


def test_points_on_a_line_give_that_line():
    """Slope and intercept are exact, and certain."""
    fit = line([1, 2, 4, 8], [3 + 2 * x for x in (1, 2, 4, 8)])

    assert (fit.slope, fit.intercept) == (pytest.approx(2), pytest.approx(3))
    assert fit.slope_reach == pytest.approx(0, abs=1e-9)
    assert fit.at(10) == pytest.approx(23)
    assert fit.conclusive


def test_bytes_and_seconds_fit_as_well():
    """Billions on one axis and thousandths on the other do not spoil the arithmetic: 30 GB/s and 2 ms."""
    sizes = [0.3e9, 0.7e9, 2.2e9]
    fit = line(sizes, [0.002 + size / 30e9 for size in sizes])

    assert 1 / fit.slope == pytest.approx(30e9)
    assert fit.intercept == pytest.approx(0.002)


def test_the_interval_is_students():
    """Relative residuals ±10 % on a constant: slope 0 within its interval, so it carries no conclusion."""
    fit = line([1, 2, 3, 4], [1.0, 1.1, 1.0, 1.1])

    low, high = fit.slope_interval
    assert low < 0 < high
    assert not fit.conclusive


def test_two_points_make_a_line_without_an_interval():
    """Nothing is left to tell how sure it is."""
    fit = line([1, 2], [1, 2])

    assert fit.slope == pytest.approx(1)
    assert fit.slope_reach == inf
    assert not fit.conclusive


def test_equal_positions_make_no_line():
    """One place on the axis, or none, has no slope."""
    assert line([2, 2, 2], [1, 2, 3]) is None
    assert line([], []) is None


def test_a_rising_curve_reaches_its_goal_between_two_points():
    """From 1 at 1 to 4 at 16, on logarithmic axes: 2 at 4."""
    assert reached_at([1, 16], [1, 4], 2) == pytest.approx(4)
    assert isnan(reached_at([1, 2, 4], [1, 1.1, 1.2], 2))
