"""How much a model lost: averages of correlated differences, and what is garbage."""

from math import exp, sqrt

import numpy as np
import pytest

from profiler.analysis.quality import Quality, average, quality
from profiler.analysis.report import report
from tests.builders import generate_run
from tests.compressed import comparison, scored


def test_an_average_knows_its_error():
    """1, 3, 1, 3, …: mean 2; independent values, so the error is the deviation over the root of their number."""
    found = average([1.0, 3.0] * 50)

    assert found.value == 2
    assert found.error == pytest.approx(np.std([1.0, 3.0] * 50, ddof=1) / 10)
    assert found.interval == pytest.approx((2 - 1.96 * found.error, 2 + 1.96 * found.error))


def test_windows_that_differ_widen_the_error():
    """Four windows of 256 with means 0, 0, 1, 1: the error is theirs, not that of 1,024 independent places."""
    found = average([0.0] * 512 + [1.0] * 512)

    assert found.error >= sqrt(1 / 3) / 2


def test_nine_of_ten_intervals_hold_the_truth():
    """Differences that are correlated from place to place, and by window: the interval is honest."""
    random, hits = np.random.default_rng(0), 0
    for _ in range(300):
        noise = random.normal(0, 1, 4096)
        series = [noise[0]]
        for step in noise[1:]:
            series.append(0.4 * series[-1] + step)
        hits += abs(average(series).value) <= 1.96 * average(series).error
    assert hits >= 270


def test_the_loss_is_the_ratio_of_perplexities():
    """0.1 nats more at each token: perplexity rises by e^0.1 − 1."""
    found = Quality(scored(0.1))

    assert found.loss == pytest.approx(exp(0.1) - 1)
    assert found.loss_interval[0] < found.loss < found.loss_interval[1]
    assert found.perplexity / exp(np.mean(found.scored.reference)) == pytest.approx(exp(0.1))
    assert found.divergence.value == pytest.approx(0.08)
    assert (found.questions, found.right, found.reference_right) == (60, pytest.approx(0.7), pytest.approx(0.8))


def test_a_score_is_told_in_one_sentence():
    """For a run's page and the terminal; garbage is said there as well."""
    assert "1,024 tokens" in Quality(scored(0.1)).sentence
    assert "+11 % against the uncompressed model in float32" in Quality(scored(0.1)).sentence
    assert "garbage" in Quality(scored(4.0)).sentence
    assert report(comparison().runs[1])["quality"]["tokens"] == 1024


def test_garbage_is_named():
    """No numbers, or worse than somebody who only knows how often each word comes."""
    assert "no numbers at 7 of 1,024" in Quality(scored(0.1, broken=7)).garbage
    assert "worse than guessing" in Quality(scored(4.0)).garbage
    assert Quality(scored(0.1)).garbage == ""


def test_what_rounding_hides_is_no_loss():
    """An interval that reaches into the floor is the same; garbage never is."""
    found = Quality(scored(0.002))

    assert not Quality(scored(0.05)).same(0.002)
    assert found.same(found.loss + 0.001)
    assert not Quality(scored(0.0, broken=1)).same(1.0)


def test_a_run_without_a_score_has_no_quality():
    """Random weights, or nobody asked."""
    assert quality(generate_run()) is None
