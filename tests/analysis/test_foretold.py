"""Predicted against measured, after a run."""

from dataclasses import replace

import pytest

from profiler.analysis.foretold import foretold, span
from profiler.theory.local import expected
from tests.builders import SPEC, ceilings, generate_run, kernels

ROOFS = ceilings(kernels=kernels())
FORESEEN = expected(SPEC, ROOFS)["decode"]


def after(ratio: float):
    return foretold(generate_run(decode=(FORESEEN.time * ratio,) * 96, roofs=ROOFS), "decode")


def test_a_run_is_held_against_its_own_ceilings():
    """The prediction is that of the ceilings which the run itself measured."""
    assert after(1.0).expected == FORESEEN
    assert after(1.0).ratio == pytest.approx(1)


@pytest.mark.parametrize(
    ("ratio", "said"), [(1.07, "7 % slower than predicted."), (0.95, "5 % faster than predicted."), (1.0, "as predicted.")]
)
def test_the_sentence_says_how_far_and_which_way(ratio, said):
    """Slower or faster, in percent, in words and not in colours."""
    assert after(ratio).sentence.endswith(said)
    assert after(ratio).sentence.startswith("Predicted")


def test_an_interval_names_its_unit_once():
    """Both ends in milliseconds, or each with its own."""
    assert span(replace(FORESEEN, low=0.0352, high=0.0481)) == "35.2 to 48.1 ms"
    assert span(replace(FORESEEN, low=0.9, high=1.2)) == "900 ms to 1.20 s"


def test_a_surprise_is_called_one():
    """Twice the predicted time lies outside the interval."""
    assert not after(2.0).inside
    assert "outside the predicted interval" in after(2.0).sentence


def test_without_probes_nothing_is_foretold():
    """Records of earlier ceilings have no prediction to be held against."""
    assert foretold(generate_run(), "decode") is None
