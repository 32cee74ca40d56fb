"""Engines and choices side by side: who wins, who is wrong, and when a longer start has paid off."""

import pytest

from profiler.analysis.answers import Answer
from profiler.analysis.labs import LABS, command, conclude, planned
from profiler.analysis.libraries import fastest, racers, wrong_of
from profiler.analysis.libraries_table import brief, table, values
from profiler.analysis.libraries_words import advice, batches
from profiler.spec.libraries import CHOICES, ENGINES, LIBRARIES, LOOPS
from profiler.spec.run import RunSpec, Setup
from tests.builders import ceilings
from tests.experiments import conditions
from tests.raced import CHOICES as OUTCOMES
from tests.raced import race

BF16 = Setup(dtype="bfloat16", threads=2)


@pytest.mark.parametrize("table", [LIBRARIES, LOOPS], ids=["engines", "choices"])
def test_every_row_is_a_set_up_that_is_found_again(table):
    """A row applied to a set-up has its own name, whatever the number format; the baseline is among them."""
    for setup in (BF16, Setup(threads=2)):
        assert [table.name_of(table.applied(setup, name)) for name in table.rows] == list(table.rows)
    assert table.baseline in table.rows


def test_the_quick_race_has_eight_engines():
    """Eager first, then those of the preset: in transformers, compiled, and three other runtimes."""
    specs = planned(LABS["libraries"], conditions(setup=BF16, methods=LIBRARIES.quick)).specs

    assert [LIBRARIES.name_of(spec.setup) for spec in specs] == ["eager", *LIBRARIES.quick]
    assert len(specs) == 8
    assert {spec.setup.engine for spec in specs} == {"transformers", "onnxruntime", "openvino", "llama.cpp"}
    assert all(spec.generate.check for spec in specs)
    assert [bool(spec.generate.batches) for spec in specs] == [not spec.setup.compile for spec in specs]


def test_an_engine_that_is_wrong_does_not_win():
    """The fastest of those that agree; the other is named as wrong, in the finding and in the table."""
    made = race()
    found = conclude(LABS["libraries"], made)

    assert fastest(racers(made)).one.name == "llamacpp-q8"
    assert found.title == "llama.cpp, Q8_0 writes 5.0 times as fast as transformers, eager; 5 of 6 engines say the same"
    assert "Wrong, and no winner however fast: OpenVINO, Q8_0; its logits are 90.0 % of their spread away" in found.sentence
    assert [row["engine"] for row in table(made) if row["×"] == "wrong"] == ["OpenVINO, Q8_0"]
    assert sum(bool(wrong_of(run)) for run in made.runs) == 1


def test_a_longer_start_pays_off_after_the_tokens_that_win_it_back():
    """Twenty seconds of compiling against ten milliseconds a token are two thousand tokens."""
    found = {racer.one.name: racer for racer in racers(race())}

    assert found["compiled"].pays_off == pytest.approx(2000)
    assert found["llamacpp"].pays_off is None  # it starts as fast
    assert "20.0 s of compiling pay off after 2,000 tokens" in conclude(LABS["libraries"], race()).sentence


def test_disturbed_engines_are_not_ranked_silently():
    """Other programs were busy meanwhile: then there is no conclusion."""
    assert not conclude(LABS["libraries"], race(foreign=1.0)).conclusive


def test_advice_follows_what_matters():
    """For one answer alone, prompt and tokens; for many, the largest throughput at any batch; how busy a day is."""
    found = racers(race())
    alone, many = advice(found, 1e6, "latency"), advice(found, 1e6, "throughput")

    assert alone.title == "Take llama.cpp, Q8_0: an answer of 200 tokens is there after 1.90 s"
    assert many.title == "Take llama.cpp, Q8_0, 4 at once: 200 tok/s"
    assert "1,000,000 tokens a day keep this machine busy for 1.4 hours" in many.sentence or "83" in many.sentence
    assert "more than one such machine writes: it takes 5.8 of them" in advice(found, 1e8, "throughput").sentence
    assert advice([], 1e6, "latency") is None


def test_batches_are_told_of_those_that_are_right():
    """The wrong engine's 300 tokens/s are not the most."""
    assert batches(racers(race())) == "llama.cpp, Q8_0 writes most, 200 tok/s with 4 at once"


def test_each_choice_is_told_by_what_it_changes():
    """Decode of a loop without cache, the first token of a kept prefix and of chunks, guesses with their share."""
    found = conclude(LABS["choices"], race("choices"))

    assert found.title == "With a kept prefix, reading the prompt is 4.0 times as fast"
    assert "Without a KV cache, a token takes 10 times as long." in found.sentence
    assert "With a kept prefix (96 of 128 tokens), the first token takes 25 % of the time." in found.sentence
    assert "With prompt in chunks (32 tokens), the first token takes 1.5 times as long." in found.sentence
    assert "60 % of the guesses are right and a pass makes 2.5 tokens" in found.sentence


def test_guesses_share_the_bytes_of_one_pass():
    """Physics of a token is that of a pass by the tokens that it made; so a guessing run is not faster than physics."""
    found = {racer.one.name: racer for racer in racers(race("choices"), LOOPS)}

    assert found["lookup"].fall.ideal == pytest.approx(found["usual"].fall.ideal * 40 / 100)


def test_rows_are_told_in_words_and_as_values():
    """The terminal has fewer columns; JSON has the waterfall, the answer and the throughput."""
    made = race()

    assert [row["engine"] for row in brief(made)] == [row["engine"] for row in table(made)]
    told = values(made)
    assert [row["name"] for row in told] == [LIBRARIES.name_of(run.spec.setup) for run in made.runs]
    assert told[0]["throughput"] == {1: 25.0, 4: 70.0}
    assert sum(told[0]["waterfall"].values()) == pytest.approx(0.04)
    assert {row["name"]: row["answer"]["agrees"] for row in told}["openvino-q8"] is False


@pytest.mark.parametrize(
    ("answer", "agrees", "told"),
    [
        (Answer(64, 64, 0.0, 0.02, 0.05), True, "all 64 tokens"),
        (Answer(3, 64, 0.01, 0.02, 0.05), True, "3 tokens, then a tie"),
        (Answer(3, 64, 0.1, 0.02, 0.05), True, "3 tokens, then a near tie"),
        (Answer(3, 64, 0.5, 0.02, 0.05), False, "wrong"),
        (Answer(64, 64, 0.0, 0.2, 0.05), False, "wrong"),
    ],
)
def test_rounding_excuses_ties_and_nothing_else(answer, agrees, told):
    """Tokens may part where both are as likely; logits may differ by what the number format makes of them."""
    assert answer.agrees == agrees
    assert answer.told.startswith(told)


def test_the_command_repeats_the_choice():
    """Each table has an option of its own name."""
    assert "--engines sdpa,llamacpp" in command(LABS["libraries"], conditions(methods=("sdpa", "llamacpp")))
    assert "--choices no-cache" in command(LABS["choices"], conditions(methods=("no-cache",)))


@pytest.mark.parametrize(
    ("table", "name", "words"),
    [
        (LIBRARIES, "compiled", "--compile --attention sdpa --cache static"),
        (LIBRARIES, "autotuned", "--compile-mode max-autotune"),
        (LOOPS, "lookup", "--speculation prompt-lookup:4"),
        (LOOPS, "self-draft", "--speculation self-int4:4"),
        (LOOPS, "unpinned", "--no-pinned"),
        (LOOPS, "prefix", "--prefix 96"),
        (LOOPS, "chunked", "--chunk 32"),
        (LOOPS, "jemalloc", "--allocator jemalloc"),
    ],
)
def test_each_set_up_has_its_command(table, name, words):
    """The command of a run has what is unusual about it."""
    spec = planned(LABS["choices"], conditions(methods=("no-cache",))).specs[0]

    assert words in RunSpec(model=spec.model, work=spec.work, setup=table.applied(BF16, name)).command


def test_a_static_cache_joins_nothing():
    """Forecasts by this machine's kernels: without a cache a token takes what a prompt does, and a static one copies nothing."""
    from profiler.theory.local import expected

    base = planned(LABS["choices"], conditions(methods=("no-cache",))).specs[0]
    assert expected(base, ceilings()) == {}
    assert set(CHOICES) & set(ENGINES) == {"static"}


def test_with_one_thread_the_baseline_is_still_the_baseline():
    """The row of one thread is none of its own then."""
    made = race("choices", {name: OUTCOMES[name] for name in ("usual", "no-cache")}, setup=Setup(dtype="bfloat16", threads=1))

    assert [racer.one.name for racer in racers(made, LOOPS)] == ["usual", "no-cache"]
    assert LOOPS.name_of(Setup(threads=1)) == "one-thread"
