"""Quantized weights among the levers, by the rate of the packed product."""

import pytest

from profiler.analysis.changes import changes
from profiler.analysis.levers import levers
from profiler.analysis.proof import proving
from profiler.analysis.verdict import verdict
from profiler.spec.methods import with_method
from profiler.spec.run import Setup
from tests.builders import SPEC, ceilings, generate_run

HALF = SPEC.model_copy(update={"setup": Setup(threads=2, dtype="bfloat16")})


def measured(packed, setup=HALF.setup):
    roofs = ceilings(dtype="bfloat16", packed=packed)
    return generate_run(spec=HALF.model_copy(update={"setup": setup}), roofs=roofs)


def weights(run):
    return {change.spec.setup.quantization: change for change in changes(run, "decode") if change.name == "weights"}


def test_quantized_weights_change_the_kernels_by_bytes_and_rate():
    """Half the bytes at the plain product's rate (15 GB/s) take half the time, at half that rate as long as before."""
    same, slow = (weights(measured({"int8-rows": rate}))["int8-rows"].factors["kernels"] for rate in (15e9, 7.5e9))

    assert same == pytest.approx((0.5, 0.5), rel=0.01)
    assert slow == pytest.approx((1.0, 1.0), rel=0.01)


def test_a_packed_product_that_was_not_measured_is_no_lever():
    """Nothing is foretold of an unknown kernel."""
    assert weights(measured({})) == {}


def test_what_is_quantized_is_not_quantized_again():
    """A compressed run has no such levers, nor those that are for plain linear layers."""
    names = {change.name for change in changes(measured({"int8-rows": 15e9}, with_method(HALF.setup, "int8")), "decode")}

    assert not names & {"weights", "dtype", "kernel", "compile"}


def test_quantizing_is_offered_but_not_part_of_a_proof():
    """The proof has a change of bytes and kernel already: the number format."""
    run = measured({"int4-rows-g32": 15e9})
    found = verdict(run, "decode")

    assert "weights" not in {change.name for change in proving(run, "decode")}
    assert found
    assert "int4-rows-g32" in {lever.spec.setup.quantization for lever in levers(run, found)}
