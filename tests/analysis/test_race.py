"""The race as values: who arrives when, and what is said about it."""

from dataclasses import replace

import pytest

from profiler.analysis.experiment import Experiment
from profiler.analysis.race import LONGEST, Lane, finding, heard, lanes, placed, standing
from tests.builders import generate_run
from tests.races import ENGINES, WORDS, WRONG, race, raced, titled, wrong


def lane(title: str, first: float, gap: float, tokens: int = 32, **changes) -> Lane:
    """A lane whose tokens come evenly."""
    times = tuple(first + gap * number for number in range(tokens))
    return Lane(**({"id": title, "title": title, "goal": 32, "times": times} | changes))


def one(*runs) -> list[Lane]:
    return lanes(Experiment("lab-engines-x", runs), titled)


def test_times_run_from_the_prompt_through_all_blocks():
    """The first token is there when the prompt is read; each block goes on where the one before ended."""
    (found,) = one(raced(0, 0.5, 0.25, tokens=12))

    assert found.times == pytest.approx([0.5 + 0.25 * number for number in range(12)])
    assert found.first == 0.5
    assert found.last == pytest.approx(3.25)
    assert found.rate == pytest.approx(4.0)
    assert found.complete


def test_only_the_first_round_is_raced():
    """Later rounds add no token, whatever the run's builder tells of them."""
    (found,) = one(generate_run(decode=(0.05,) * 93, prefill=(0.4, 9.0, 9.0)))

    assert len(found.times) == 32
    assert found.last == pytest.approx(0.4 + 31 * 0.05)


def test_texts_belong_to_tokens():
    """As long as the times; none where the worker had no tokenizer."""
    told, mute = one(raced(0, 0.1, 0.01, WORDS), raced(1, 0.1, 0.01))

    assert told.texts == WORDS[:32]
    assert mute.texts == ()


def test_a_block_without_texts_leaves_the_others_in_place():
    """Its tokens read as nothing, and the ones after it keep their times."""
    run = raced(0, 0.1, 0.01, WORDS)
    events = list(run.events)
    middle = next(place for place, event in enumerate(events) if event.kind == "step" and event.name == "decode")
    events[middle] = events[middle].model_copy(update={"texts": ()})
    (found,) = one(replace(run, events=tuple(events)))

    assert len(found.texts) == len(found.times)
    assert found.texts[1:12] == ("",) * 10 + WORDS[11:12]


def test_a_lane_knows_how_far_its_run_is():
    """Queued, preparing, writing, written while later rounds go on, failed with its reason, cancelled."""
    waits, prepares, writes, written, failed, ended = one(
        raced(0, 0, 0, status="queued"),
        raced(1, 0, 0, told=0, status="running"),
        raced(2, 0.1, 0.01, told=11, status="running"),
        raced(3, 0.1, 0.01, status="running", rounds=2),
        raced(4, 0.1, 0.01, told=5, status="failed"),
        raced(5, 0.1, 0.01, told=5, status="cancelled"),
    )

    assert [found.status for found in (waits, prepares, writes, written, failed, ended)] == ["queued", *["running"] * 3, *["failed"] * 2]
    assert (waits.first, waits.rate, prepares.doing) == (None, None, "warm-up")
    assert (len(writes.times), writes.goal, writes.complete) == (11, 32, False)
    assert written.complete
    assert not failed.complete
    assert failed.reason.startswith("The memory")
    assert ended.reason.startswith("Cancelled. The memory")


def test_fewer_steps_than_tokens_are_complete_once_the_round_is_over():
    """Where some tokens were guessed, a step writes several."""
    assert one(raced(0, 0.1, 0.01, told=20))[0].complete
    assert not one(raced(0, 0.1, 0.01, told=20, status="running"))[0].complete
    assert one(raced(0, 0.1, 0.01, told=20, status="running", rounds=2))[0].complete


def test_a_race_has_an_end():
    """Of a very long answer the first tokens are raced."""
    (found,) = one(raced(0, 0.1, 0.001, tokens=LONGEST + 500))

    assert len(found.times) == found.goal == LONGEST


def test_the_order_is_that_of_arrival():
    """Not of the speed after the first token; a wrong one and one on its way take no place."""
    late = lane("quick after a long prompt", 2.0, 0.01)
    early = lane("slow after a short prompt", 0.1, 0.04)
    found = placed([late, early, lane("wrong", 0.01, 0.01, wrong="No."), lane("on its way", 0.1, 0.01, 9, status="running")])

    assert [one.title for one in found] == [early.title, late.title]


def test_the_finding_compares_first_and_last():
    """At the winner's arrival: so many tokens against so many."""
    assert finding([lane("eager", 0.2, 0.1), lane("llama.cpp", 0.1, 0.03)]) == "llama.cpp wrote 32 tokens while eager wrote 9"
    slow = lane("eager", 2.0, 0.1)
    assert finding([slow, lane("llama.cpp", 0.1, 0.03)]) == "llama.cpp wrote 32 tokens while eager was still reading the prompt"


@pytest.mark.parametrize(
    ("all", "said"),
    [
        ([], ""),
        ([lane("a", 0.1, 0.1, 0, status="queued")], ""),
        ([lane("a", 0.69, 0.01)], "a wrote 32 tokens in 1.00 s"),
        ([lane("a", 0.69, 0.01), lane("b", 0.70, 0.01)], "both wrote 32 tokens in about 1.00 s"),
        ([lane("a", 0.69, 0.01), lane("b", 0, 0, 0, status="queued")], "So far a wrote 32 tokens in 1.00 s"),
        ([lane("a", 0.1, 0.1, 5, status="failed")], "Nobody arrived"),
        ([lane("a", 0.1, 0.1, wrong="No.")], "Nobody arrived with right answers"),
    ],
)
def test_the_finding_of_few_lanes(all, said):
    """None, one, two alike, some to come, none that arrived."""
    assert finding(all) == said


def test_who_was_early_but_wrong_is_named():
    """The winner is the first with right answers."""
    assert finding(lanes(race(), titled, wrong)) == (
        "llama.cpp wrote 32 tokens while transformers, eager attention without a cache wrote 7; "
        "ONNX Runtime came earlier, but with wrong answers"
    )


def test_the_standing_tells_every_lane():
    """Places first, then those without, each with its reason."""
    said = standing(lanes(race(), titled, wrong))

    assert said.startswith("1. llama.cpp: 32 tokens in 616 ms, 62.5 tok/s, the first after 120 ms; 2. OpenVINO")
    assert f"ONNX Runtime: wrong answers, no place. {WRONG}" in said
    assert all(title in said for title in ENGINES)


def test_the_standing_of_a_race_on_its_way():
    """Who writes, who waits, who failed."""
    said = standing(lanes(race(live=True, stage=1), titled, wrong))

    assert "CTranslate2: 10 tokens in 376 ms, 41.7 tok/s, the first after 160 ms, so far" in said
    assert "ONNX Runtime: no result. The memory does not suffice" in said
    assert said.endswith("transformers, eager attention without a cache: waits")


def test_news_is_a_token_that_was_not_there():
    """What a live panel looks at before it draws again."""
    assert heard(race(live=True, stage=2)) == heard(race(live=True, stage=1)) + 10
