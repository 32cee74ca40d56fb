"""Two answers side by side, and what compression does elsewhere and did to others."""

import pytest

from profiler.analysis.compression_table import table
from profiler.analysis.duel import Side, outcome, plan, shared
from profiler.analysis.elsewhere import compressed, formats, sentence, title
from profiler.analysis.experiment import Experiment
from profiler.analysis.fleet import Workload
from profiler.catalog import devices, models
from profiler.catalog.quality import tables
from profiler.spec.run import Setup
from tests.builders import SPEC
from tests.compressed import spoken

BF16 = Setup(threads=2, dtype="bfloat16")


def duel(left="the sky is blue", right="the sky is high up", fast=0.01):
    specs = plan(SPEC.model, BF16, "Why?", ("none", "int4"), 16)
    return Side(spoken(specs[0], left, 0.02)), Side(spoken(specs[1], right, fast))


def test_a_side_tells_its_speed_without_the_prompt():
    """The first piece is the prompt's reading: 200 ms, then 50 tokens/s."""
    left, _ = duel()

    assert left.first == pytest.approx(0.2)
    assert left.rate == pytest.approx(50)
    assert left.told == "50.0 tok/s · first token after 200 ms · 4 tokens"


def test_a_duel_is_told_in_one_line():
    """Speed, and how far both are the same."""
    assert outcome(*duel()) == "2.0 times as fast with int4 weights, groups of 32 as uncompressed; the first 3 words are the same"
    assert outcome(*duel(right="no idea at all")).endswith("they differ from the first word on")
    assert outcome(*duel(right="the sky is blue", fast=0.02)) == "Both are as fast; both wrote the same 4 words"
    assert shared("", "a") == 0


def test_a_duel_needs_words_and_a_trained_model():
    """Two sentences."""
    with pytest.raises(ValueError, match="prompt is empty"):
        plan(SPEC.model, BF16, "  ", ("none", "int4"), 16)
    with pytest.raises(ValueError, match="random weights"):
        plan(models.rows()["smollm2-135m"].spec(random=True), BF16, "Why?", ("none", "int4"), 16)


def test_on_another_device_fewer_bits_are_faster_and_fit():
    """Llama 3.1 8B on a graphics card: 4 bits between two and four times 16 bits."""
    device, model = devices.find("rtx-4090"), models.rows()["llama-3.1-8b"].spec()
    found = compressed(model, device, Workload(1, 512, 128))
    by_format = {one.format: one for one in found}

    assert [one.format for one in found] == list(formats(device))
    assert found[0].gain == 1
    assert 2 < by_format["q4_k_m"].gain < 4
    assert "Q4_K_M would be" in title(found)
    assert "All of them fit" in sentence(found)


def test_what_fits_only_compressed_says_so():
    """Llama 3.1 70B on 80 GB: 16 bits do not fit; on a card nothing does."""
    big = models.rows()["llama-3.1-70b"].spec()

    assert title(compressed(big, devices.find("h100 sxm"), Workload(1, 512, 128))).startswith("Only compressed does it fit")
    assert title(compressed(big, devices.find("rtx-4090"), Workload(1, 512, 128))).startswith("No format fits")


def test_published_tables_have_sources_and_one_baseline():
    """Every table names its source and a row that the others are compared with; Q4_K_M costs 2.8 % on Llama-3-8B."""
    for found in tables().values():
        assert found.source
        assert found.rise(found.score(found.baseline)) == 0
    small = tables()["llama-3-8b"]
    assert small.rise(small.score("q4_K_M")) == pytest.approx(0.0279, abs=1e-4)
    assert small.score("q4_K_M").divergence == 0.031273
    assert [score.bits for score in small.lossy] == sorted((score.bits for score in small.lossy), reverse=True)


def test_an_empty_experiment_is_no_table():
    """Nothing landed yet."""
    assert table(Experiment("lab-compression-x", ())) == []
