import numpy as np
import pytest

from profiler.spec.measurement import Measurement


def test_the_median_is_the_middle_sample():
    """Outliers do not move the median."""
    assert Measurement([1, 2, 3, 4, 100]).median == 3


def test_independent_samples_count_in_full():
    """White noise of 2,000 samples is worth nearly 2,000."""
    noise = np.random.default_rng(0).normal(size=2000)

    assert Measurement(noise).effective_count > 1800


def test_correlated_samples_count_less():
    """An AR(1) process with ρ = 0.7 is worth (1 − ρ)/(1 + ρ) = 18 % of its samples."""
    rng, values = np.random.default_rng(0), [0.0]
    for _ in range(4000):
        values.append(0.7 * values[-1] + rng.normal())

    assert Measurement(values).effective_count / len(values) == pytest.approx(0.3 / 1.7, rel=0.2)


def test_the_interval_covers_the_true_median():
    """Of 400 repetitions of 50 samples, about 95 % have the true median in their interval."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(400):
        low, high = Measurement(rng.normal(size=50)).interval
        hits += low <= 0 <= high

    assert 0.91 <= hits / 400 <= 0.99


def test_a_percentile_needs_samples_in_its_tail():
    """p90 is None below 64 effective samples, p99 below 662."""
    noise = np.random.default_rng(0).normal(size=100)

    assert Measurement(noise[:40]).percentile(90) is None
    assert Measurement(noise).percentile(90) == pytest.approx(np.percentile(noise, 90))
    assert Measurement(noise).percentile(99) is None


def test_outliers_are_counted_not_dropped():
    """One sample far out is an outlier, and is still among the samples."""
    measured = Measurement([1.0, 1.01, 0.99, 1.02, 0.98, 9.0])

    assert measured.outliers == 1
    assert len(measured) == 6


def test_equal_samples_have_no_spread():
    """A constant has spread 0 and an interval of width 0."""
    measured = Measurement([2.0] * 10)

    assert measured.spread == 0
    assert measured.interval == (2.0, 2.0)
