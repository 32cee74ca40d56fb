import csv

import pytest

from profiler.theory.training_rates import calibrated
from profiler.validation import training_words as words
from profiler.validation.fit_training import TABLE, Table, crossed, median, samples
from profiler.validation.training import case_of, predict_row


def rows():
    return list(csv.DictReader(TABLE.read_text("utf-8").splitlines()))


def row(source: str, **changes):
    return next(each for each in rows() if each["source_id"] == source) | changes


def mean(found, of) -> float:
    by = {}
    for sample, error in zip(of, found):
        by.setdefault(sample.source, []).append(error)
    return sum(map(median, by.values())) / len(by)


def test_the_published_steps_are_met():
    """Every row is covered, and the mean over sources of the median error stays where it was reached."""
    found, missed = samples()

    assert not missed
    assert mean(Table(found).errors(calibrated()), found) < 6.5


@pytest.mark.slow
def test_sources_that_the_fit_has_not_seen_are_met():
    """Each source is left out once."""
    found, _ = samples()
    outside = crossed(found)

    assert mean([outside[sample.row] for sample in found], found) < 11


def test_the_measured_value_is_never_read():
    """Nor utilisation or FLOP/s beside it."""
    for given in rows()[::20]:
        assert predict_row(
            given | {"value": "1e9", "mfu_pct": "1", "tflops_per_dev": "1", "flag": "", "row_id": "?", "source_id": "?"}
        ) == (predict_row(given))


def test_metrics_of_one_step_agree():
    """Tokens a second, in total and by device; seconds and milliseconds; FLOP/s and utilisation."""
    per, total = (predict_row(row("llm-foundry", metric=metric)) for metric in ("tokens_per_s_per_gpu", "tokens_per_s_total"))
    seconds = predict_row(row("llm-foundry", metric="iteration_time", unit="s"))
    achieved = predict_row(row("llm-foundry", metric="tflops_per_device", unit="TFLOP/s/GPU"))

    assert total == pytest.approx(512 * per)
    assert seconds == pytest.approx(4096 * 2048 / total)
    assert predict_row(row("llm-foundry", metric="ms_per_iter", unit="ms")) == pytest.approx(1000 * seconds)
    assert predict_row(row("llm-foundry", metric="mfu", unit="%")) == pytest.approx(achieved / 9.89)


def test_a_convention_that_changed_is_followed():
    """MaxText counts causal pairs once since 2025."""
    assert predict_row(row("maxtext", date="2025-06")) < predict_row(row("maxtext", date="2024-06")) * 1.2


def test_a_split_that_nobody_states_is_the_fastest_that_fits():
    """GPT-3 on 96 devices with nothing but TP+PP+DP."""
    setup = case_of([each for each in rows() if each["source_id"] == "megatron-lm"][2]).setup

    assert setup.tensor * setup.pipeline >= 8
    assert setup.devices == 96


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("TP8 PP8 interleave3", {"tensor": 8, "pipeline": 8, "interleave": 3}),
        ("TP=4, PP=8, CP=2, VP=5", {"tensor": 4, "pipeline": 8, "context": 2, "interleave": 5}),
        ("TP1 PP2 EP8", {"tensor": 1, "pipeline": 2, "expert": 8}),
        ("FULL_SHARD", {}),
    ],
)
def test_degrees_of_parallelism_are_read(text, degrees):
    """However they are spelled."""
    assert words.degrees(text) == degrees


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("amp_fp8", ("float8", False)),
        ("bf16-true", ("bfloat16", True)),
        ("NVFP4", ("float4", False)),
        ("fp16", ("float16", False)),
        ("TF32", ("tf32", False)),
        ("", ("bfloat16", False)),
    ],
)
def test_precision_is_read(text, found):
    """The format of the products, and whether there is a float32 copy."""
    assert words.compute(text) == found


@pytest.mark.parametrize(
    ("text", "trainer", "found"),
    [
        ("True", "composer", "full"),
        ("False", "composer", "none"),
        ("seq-parallel + selective recompute", "megatron", "attention"),
        ("selective op", "torchtitan", "half"),
        ("", "maxtext", "full"),
        ("none", "maxtext", "none"),
    ],
)
def test_recompute_is_read(text, trainer, found):
    """A word about checkpointing; nothing said is the trainer's default."""
    assert words.recompute(text, trainer) == found


@pytest.mark.parametrize(("text", "number"), [("0.5M tok", 244), ("4096", 4096), ("1M tokens", 488), ("", None), ("varied", None)])
def test_batches_are_sequences(text, number):
    """Tokens are divided by the sequence's length."""
    assert words.sequences(text, 2048) == number


def test_unknown_names_are_told():
    """A device without a row; a model without a row or a size."""
    with pytest.raises(ValueError, match="unknown device 'Abacus'"):
        predict_row(row("llm-foundry", hardware="Abacus"))
    with pytest.raises(ValueError, match="unknown model 'zzz'"):
        predict_row(row("llm-foundry", model="zzz", params_b=""))


def test_a_model_is_known_by_its_size_alone():
    """An unknown name with 13 billion parameters trains like another of that size."""
    known, unknown = (predict_row(row("llm-foundry", model=name, params_b="12.85")) for name in ("MPT-13b", "Somebody's 13B"))

    assert unknown == pytest.approx(known, rel=0.1)
