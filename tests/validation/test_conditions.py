"""What a row says of its conditions, as numbers."""

import pytest

from profiler.validation.conditions import DATASETS, UNSTATED, batch, beams, lengths, number, split


def row(**cells):
    return {"phase": "decode", "batch": "", "prompt_len": "", "gen_len": "", "parallelism": ""} | cells


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("128", 128),
        (" 1,024 ", 1024),
        ("2k", 2048),
        ("1.5k", 1536),
        ("mean 145.9", 145.9),
        ("~512", 512),
        ("about 300 tokens", 300),
        ("512 tok", 512),
        ("0", 0),
    ],
)
def test_a_stated_number_is_read(text, found):
    """Alone, as a mean, with a unit, in thousands of 1,024."""
    assert number(text) == found


@pytest.mark.parametrize("text", ["", "ShareGPT", "128-256", "max 128", "varied", "-1"])
def test_names_and_ranges_are_no_numbers(text):
    """Nothing is made up of them."""
    assert number(text) is None


def test_stated_lengths_are_taken():
    """Read and written."""
    assert lengths(row(prompt_len="1024", gen_len="128")) == (1024, 128)


@pytest.mark.parametrize(
    ("prompt", "new", "found"),
    [
        ("CNN-DailyMail (max 1919)", "max 128, beam search 4; tok/s counts final tokens only", (870, 69)),
        ("OpenOrca (max 1024)", "mean 290.1", (294, 290.1)),
        ("OpenOrca/GSM8K/MBXP mix", "mean 145.9", (370, 145.9)),
        ("ShareGPT", "ShareGPT", (161, 338)),
        ("Alpaca", "", (19, 58)),
    ],
)
def test_a_data_set_has_its_own_lengths(prompt, new, found):
    """The mixture that begins like another one is not taken for it; what is stated beside the name counts."""
    assert lengths(row(phase="end-to-end", prompt_len=prompt, gen_len=new)) == found


def test_data_sets_are_of_texts_that_are_read_and_written():
    """None has a length of nothing."""
    assert all(told.prompt > 0 and told.new > 0 for told in DATASETS.values())


def test_lengths_that_nobody_states_are_a_short_chat():
    """Or one of both, where the other is stated."""
    assert lengths(row()) == UNSTATED
    assert lengths(row(prompt_len="5")) == (5, UNSTATED.new)
    assert lengths(row(gen_len="200")) == (UNSTATED.prompt, 200)


def test_a_prefill_writes_nothing():
    """Whatever the row says of new tokens."""
    assert lengths(row(phase="prefill", prompt_len="512", gen_len="128")) == (512, 0)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1", 1),
        ("1280", 1280),
        ("concurrency 32", 32),
        ("batch=8", 8),
        ("32 users", 32),
        ("64 concurrent requests", 64),
        ("8 sequences", 8),
        ("0", 1),
        ("", None),
        ("submitter-tuned", None),
        ("16384-token max", None),
    ],
)
def test_sequences_at_a_time_are_read_or_left_to_the_engine(text, found):
    """At least one; a limit in tokens is no batch."""
    assert batch(row(batch=text)) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [("max 128, beam search 4; tok/s counts final tokens only", 4), ("beam width 8", 8), ("beam 2", 2), ("128", 1), ("", 1)],
)
def test_the_width_of_a_beam_search_is_read(text, found):
    """One where there is none."""
    assert beams(row(gen_len=text)) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("TP8", {"tensor": 8}),
        ("TP4 PP2", {"tensor": 4, "pipeline": 2}),
        ("tp=4, pp=2", {"tensor": 4, "pipeline": 2}),
        ("EP32 DP32", {"expert": 32, "data": 32}),
        ("TP24 cores", {"tensor": 24}),
        ("layer-split (llama.cpp default)", {}),
        ("submitter choice (usually several TP groups)", {}),
        ("", {}),
    ],
)
def test_degrees_of_parallelism_are_read(text, found):
    """However they are spelled; words without a number are none."""
    assert split(row(parallelism=text)) == found
