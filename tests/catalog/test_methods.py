"""Which methods of compression can run where, and what is said about the others."""

import pytest

from profiler.catalog import methods as catalogue
from profiler.catalog.methods import possible, unavailable
from profiler.catalog.models import find
from profiler.spec.machine import Gpu
from profiler.spec.methods import METHODS, method_named, method_of, with_method
from profiler.spec.run import RunSpec, Setup
from tests.builders import MACHINE

TRAINED = find("smollm2-135m").spec()
SETUP = Setup(threads=2, dtype="bfloat16")


@pytest.fixture
def everything(monkeypatch):
    """A machine on which all packages are installed."""
    monkeypatch.setattr(catalogue, "find_spec", lambda name: True)


def test_every_method_has_a_name_that_finds_it_again():
    """A set-up tells which method made it."""
    assert [method_of(with_method(SETUP, name)) for name in METHODS] == list(METHODS)


def test_a_set_up_that_is_no_method_has_no_name():
    """Another share of pruning is no row."""
    assert method_of(SETUP.model_copy(update={"quantization": "nf4", "kv": "int8-kv"})) == ""


def test_a_name_that_is_none_is_refused_with_all_names():
    """The sentence lists what there is."""
    with pytest.raises(ValueError, match="no method 'q4'; there are none, int8"):
        method_named("q4")


def test_a_processor_runs_all_but_the_methods_for_gpus(everything):
    """With all packages there, only torchao and bitsandbytes are left out."""
    assert set(METHODS) - set(possible(SETUP, TRAINED, MACHINE)) == {"ao-int8", "ao-int4", "ao-float8", "bnb-int8", "bnb-nf4"}


def test_a_gpu_runs_its_own_methods(everything):
    """On cuda the packed formats of processors are refused, torchao's are not."""
    machine = MACHINE.model_copy(update={"gpus": (Gpu(device="cuda:0", name="H100", memory=80_000_000_000),)})
    found = possible(SETUP.model_copy(update={"device": "cuda:0"}), TRAINED, machine)

    assert {"ao-int4", "bnb-nf4", "wanda-24"} <= set(found)
    assert not {"int8", "gguf-q4", "ort-int4"} & set(found)


def test_a_missing_package_is_named_with_the_command_that_brings_it(monkeypatch):
    """The reason ends with what to type."""
    monkeypatch.setattr(catalogue, "find_spec", lambda name: None)

    assert unavailable("gguf-q4", SETUP, TRAINED, MACHINE).endswith("pip install cyllama")


def test_a_kernel_for_sixteen_bits_says_so():
    """float32 activations would take the naive path."""
    assert "choose that number format" in unavailable("int8", Setup(threads=2, dtype="float32"), TRAINED, MACHINE)


def test_which_weights_matter_is_no_question_for_random_ones():
    """Wanda is refused, structure is not: its speed is that of a trained model."""
    random = find("smollm2-135m").spec(random=True)

    assert "random" in unavailable("wanda", SETUP, random, MACHINE)
    assert unavailable("channels", SETUP, random, MACHINE) == ""


def test_a_family_that_another_engine_does_not_read_is_named(everything):
    """GPT-2 stays with transformers."""
    assert "gpt2" in unavailable("gguf-q4", SETUP, find("gpt2").spec(), MACHINE)


def test_weights_by_columns_are_not_quantized():
    """The layout is of plain linear layers."""
    with pytest.raises(ValueError, match="leave the layout at rows"):
        with_method(SETUP.model_copy(update={"layout": "columns"}), "int8")


def test_a_run_repeats_from_its_own_command():
    """Whatever a method changes stands in the command line."""
    for name in METHODS:
        command = RunSpec(model=TRAINED, setup=with_method(SETUP, name)).command
        for field, word in (("engine", "--engine"), ("quantization", "--quantization"), ("kv", "--kv"), ("pruning", "--prune")):
            assert (word in command) == (field in METHODS[name].changes)
