"""What a run will take here: each law by hand, then whole models."""

import pytest

from profiler.catalog.models import find
from profiler.spec.run import RunSpec, Setup
from profiler.spec.work import Generate
from profiler.theory.library import FAULT, PAGE, Library
from profiler.theory.local import expected
from tests.builders import SPEC, ceilings, kernels


def library(roofs=None, **changes) -> Library:
    held = roofs or ceilings(few_rows={2: 9e9, 32: 5e9}, matvec={"float32": 20e9, "bfloat16": 15e9})
    return Library(held, kernels(**changes))


def foreseen(name="smollm2-135m", roofs=None, setup=None, probes=None, **work):
    spec = RunSpec(model=find(name).spec(random=True), work=Generate(**work), setup=Setup(**({"threads": 2} | (setup or {}))))
    return expected(spec, (roofs or ceilings()).model_copy(update={"kernels": probes or kernels()}))


def test_one_row_takes_its_bytes_and_an_end_for_each_output():
    """The matrix behind the narrow rate, 768 columns, is foretold at that very rate; a wide one at the wide rate."""
    lines = 10_000

    assert library().product(1, 768 * lines, lines, 0) == pytest.approx(4 * 768 * lines / 10e9)
    assert library().product(1, 768 * lines, 0, 0) == pytest.approx(4 * 768 * lines / 20e9)


def test_each_call_has_a_price():
    """Ten small products cost nine calls more than one large one."""
    held = library(call={1: 2e-6, 4: 5e-6})

    assert held.product(1, 1e6, 0, 10) - held.product(1, 1e6, 0, 1) == pytest.approx(18e-6)
    assert held.product(4, 1e6, 0, 10) - held.product(4, 1e6, 0, 1) == pytest.approx(45e-6)


def test_rows_between_two_measured_numbers_are_in_proportion():
    """80 rows lie half-way between 32 and 128; 896 as far beyond 512 as that is beyond 128."""
    held = library()

    assert held.product(80, 0.25e9, 0, 0) == pytest.approx((1 / 5 + 1 / 2) / 2)
    assert held.product(896, 0.25e9, 0, 0) == pytest.approx(2 / 0.5 - 1 / 2)


def test_weights_that_lie_across_have_rates_of_their_own():
    """One row at the rate across; a prompt slower by what 128 rows lose."""
    held = library()

    assert held.product(1, 0.25e9, 100, 0, across=True) == pytest.approx(1 / 20)
    assert held.product(512, 0.25e9, 0, 0, across=True) == pytest.approx(2 * held.product(512, 0.25e9, 0, 0))


def test_a_cut_row_is_as_fast_as_a_whole_one_where_the_library_has_a_kernel():
    """The lm_head of a prompt is a product of one row."""
    assert library().cut(1, 50_000, 768) == library().product(1, 50_000 * 768, 50_000, 1)


def test_a_cut_row_without_a_kernel_slows_down_with_the_lines():
    """A power law through the two probes; each prompt of a batch is cut by itself."""
    held = library(cut={4096: 4e9, 65536: 1e9}, cut_aligned=4e9)

    assert held.cut(1, 65536, 768) == pytest.approx(4 * 65536 * 768 / 1e9)
    assert held.cut(1, 16384, 768) == pytest.approx(4 * 16384 * 768 / 2e9)
    assert held.cut(4, 65536, 768) == pytest.approx(4 * held.cut(1, 65536, 768))


def test_columns_that_share_the_sets_of_a_cache_are_slower():
    """2,048 columns take what their probe took more; 2,304, a multiple of 256 only, an eighth of that."""
    held = library(cut={4096: 1e9, 65536: 1e9}, cut_aligned=0.5e9)
    bytes_ = 4 * 4096 * 2048

    assert held.cut(1, 4096, 2048) == pytest.approx(bytes_ / 0.5e9)
    assert held.cut(1, 4096, 2304) == pytest.approx(4 * 4096 * 2304 * (1 + 1 / 8) / 1e9)


def test_attention_is_faster_for_long_prompts():
    """Between the two measured lengths by a power law, beyond them as the longest."""
    held = library()

    assert held.prompt(1.0, 128) == pytest.approx(2 * held.prompt(1.0, 512))
    assert held.prompt(1.0, 512) == held.prompt(1.0, 4096)


def test_fresh_memory_costs_a_fault_for_each_page():
    """In dispatches of the machine at hand."""
    assert library().fresh(10 * PAGE) == pytest.approx(10 * FAULT * 5e-6)


@pytest.mark.parametrize("name", ["smollm2-135m", "gpt2", "pythia-160m", "gemma-3-270m", "llama-3.2-1b", "granite-3.0-1b-a400m"])
def test_every_phase_has_an_interval_and_never_beats_physics(name):
    """Low ≤ time ≤ high, all of them at least the bound; the parts add up."""
    for found in foreseen(name).values():
        assert found.least <= found.low < found.time < found.high
        assert sum(found.parts.values()) == pytest.approx(found.time)
        assert found.origin == "measured here"


def test_decode_of_a_large_model_is_mostly_products():
    """A model of a billion parameters leaves the framework a small part."""
    parts = foreseen("llama-3.2-1b")["decode"].parts

    assert parts["mlp"] + parts["lm_head"] + parts["qkv"] + parts["attention_out"] > 0.8 * sum(parts.values())


def test_a_slower_dispatch_slows_the_framework_alone():
    """Twice the time of a tiny operator is twice the framework."""
    slow, fast = (foreseen(roofs=ceilings(dispatch=seconds))["decode"].parts for seconds in (10e-6, 5e-6))

    assert slow["framework"] == pytest.approx(2 * fast["framework"])
    assert slow["mlp"] == fast["mlp"]


def test_a_mixture_reads_the_experts_that_are_hit():
    """A batch of sixteen takes longer for its experts than one sequence, but not sixteen times."""
    one, many = (foreseen("granite-3.0-1b-a400m", batch=batch)["decode"].parts["experts"] for batch in (1, 16))

    assert 2 * one < many < 16 * one


def test_what_runs_other_kernels_is_not_foretold():
    """Compiled, guessing ahead, with another attention, beside a hog, recurrent layers, or no probes: only the bound is known."""
    for setup in ({"compile": True}, {"attention": "flash_attention_2"}, {"hog": "memory"}, {"speculation": {"guesser": "prompt-lookup"}}):
        assert foreseen(setup=setup) == {}
    assert foreseen("mamba2-130m") == {}
    assert expected(SPEC, ceilings()) == {}
