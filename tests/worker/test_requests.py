"""Many requests at once: whatever shares a batch with a request, its answer is the one it gets alone."""

import pytest
import torch

from profiler.analysis import batching
from profiler.spec.speculation import Speculation
from profiler.spec.work import Requests
from profiler.worker import requests
from profiler.worker.prompt import prompt_ids
from profiler.worker.requests import Answers, lengths, refuse, static
from tests.builders import ceilings
from tests.worker.reading import Heard, job, reader

WORK = Requests(count=7, slots=3, prompt_tokens=12, new_tokens=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return reader(tmp_path_factory.mktemp("models") / "reader")


def asked(model, cache, batching="static", engine="transformers", **changes):
    work = WORK.model_copy(update={"batching": batching} | changes)
    return job(model, work, cache, engine=engine).model_copy(update={"ceilings": ceilings()})


def loaded(asked):
    """(engine, prompts, lengths) of a job."""
    wanted = lengths(asked.spec.work)
    known = requests.as_generate(asked, max(wanted))
    engine = requests.ENGINES[asked.spec.setup.engine](known, Heard())
    prompts = prompt_ids(known.spec.generate.model_copy(update={"batch": len(wanted)}), engine.vocab, engine.tokenizer)
    return engine, prompts, wanted


def alone(engine, prompts, wanted):
    """Each request's greedy tokens where nothing else runs."""
    found = []
    for prompt, length in zip(prompts, wanted):
        steps = engine.decoding(prompt[None])
        steps.prefill()
        steps.timed_steps(length - 1)
        found.append([int(token) for token in steps.said])
    return found


@pytest.mark.parametrize("count", [1, 2, 7, 16, 48])
@pytest.mark.parametrize("new", [6, 32, 200])
def test_lengths_average_what_was_asked_and_differ_by_a_factor_of_eight(count, new):
    """Their sum is exact, the longest is at most eight times the shortest but for rounding, and the seed decides their order alone."""
    work = Requests(count=count, new_tokens=new)
    found, other = lengths(work), lengths(work.model_copy(update={"seed": 1}))

    assert sum(found) == count * new
    assert max(found) <= 8 * (min(found) + 1)
    assert count < 7 or max(found) >= 4 * min(found)
    assert lengths(work) == found
    assert abs(sum(other) - sum(found)) == 0
    assert count < 7 or other != found


class Noted:
    """An engine whose decodings note the tokens of all their rows, batch by batch."""

    def __init__(self, engine):
        self.engine, self.rows = engine, []

    def decoding(self, prompt):
        self.steps = self.engine.decoding(prompt)
        self.rows.append([])
        return self

    def timed_prefill(self):
        self._note(self.steps.timed_prefill)
        return 1.0

    def timed_steps(self, count):
        for _ in range(count):
            self._note(lambda: self.steps.timed_steps(1))
        return [1.0] * count

    def _note(self, step):
        step()
        self.rows[-1].append(self.steps.token[:, 0].tolist())


def test_static_batches_answer_as_each_request_alone(folder, tmp_path):
    """Every row of every batch says what it says alone, and the steps after its end are counted as wasted."""
    with torch.inference_mode():
        engine, prompts, wanted = loaded(asked(folder, tmp_path))
        expected, noted = alone(engine, prompts, wanted), Noted(engine)
        found, rows = static(noted, WORK.slots, prompts, wanted), noted.rows
    said = [list(row) for batch in rows for row in zip(*batch)]

    assert [row[:length] for row, length in zip(said, wanted)] == expected
    assert found.wasted == sum(len(row) - length for row, length in zip(said, wanted)) > 0
    assert found.row_steps == sum(len(row) - 1 for row in said)
    assert found.calls == sum(len(batch) for batch in rows) == batching.steps(WORK)


@pytest.mark.parametrize("engine", ["transformers", "llama.cpp"])
def test_continuous_batching_answers_as_each_request_alone(folder, tmp_path, engine):
    """In float32 the tokens are the same, in as few calls as the schedule foretells."""
    if engine == "llama.cpp":
        pytest.importorskip("cyllama", reason="llama.cpp's binding is not installed")
    told = asked(folder, tmp_path, "continuous", engine)
    with torch.inference_mode():
        loaded_, prompts, wanted = loaded(told)
        with requests.way_of(loaded_, told.spec.work, max(wanted)) as answer:
            found, again = answer(prompts, wanted), answer(prompts, wanted)
        expected = alone(loaded_, prompts, wanted)

    assert found.said == again.said == expected
    assert found.calls == again.calls == batching.steps(told.spec.work)
    assert [request.tokens for request in found.requests] == wanted
    assert all(len(request.gaps) == request.tokens - 1 for request in found.requests)
    assert found.seconds == pytest.approx(max(request.end for request in found.requests))


def test_a_prompt_longer_than_a_call_is_read_in_chunks(folder, tmp_path, monkeypatch):
    """With room for eight tokens in a call, prompts of twelve take two, and the answers stay the same."""
    pytest.importorskip("cyllama", reason="llama.cpp's binding is not installed")
    told = asked(folder, tmp_path, "continuous", "llama.cpp")
    engine, prompts, wanted = loaded(told)
    whole = requests.continuous(engine, WORK.slots, prompts, wanted)
    monkeypatch.setattr(requests, "CHUNK", 8)
    parts = requests.continuous(engine, WORK.slots, prompts, wanted)

    assert parts.said == whole.said
    assert parts.calls > whole.calls


@pytest.mark.parametrize("model", ["reader", "random"])
@pytest.mark.parametrize("way", ["static", "continuous"])
def test_a_run_tells_every_request(folder, tmp_path, model, way):
    """One event with all of them, in their order, due at the beginning; facts that add up. Random weights are served as well."""
    told = Heard()
    done = requests.run(asked(f"random:{folder}" if model == "random" else folder, tmp_path, way), told)
    (served,), wanted = told.of("served"), lengths(WORK)
    phases = [(phase.name, phase.timed) for phase in told.of("phase")]

    assert served.rate == 0
    assert [request.tokens for request in served.requests] == wanted
    assert all(request.due == 0 < request.first <= request.end <= served.seconds * 1.001 for request in served.requests)
    assert done.facts["useful_tokens"] == sum(wanted)
    assert done.facts["row_steps"] == sum(wanted) - len(wanted) + done.facts["wasted_rows"]
    assert (done.facts["wasted_rows"] > 0) == (way == "static")
    assert done.facts["weight_bytes"] > 0
    assert phases[-2:] == [("warm-up", False), ("serve", True)]
    assert len(told.of("ceilings")) == 1


def test_one_at_a_time_wastes_nothing():
    """With one slot a batch ends when its answer does."""

    class Steps:
        def timed_prefill(self):
            return 2.0

        def timed_steps(self, count):
            return [0.5] * count

    class Engine:
        def decoding(self, prompt):
            return Steps()

    found = static(Engine(), 1, torch.zeros(3, 4), [1, 3, 2])
    pair = static(Engine(), 2, torch.zeros(3, 4), [1, 3, 2])

    assert [(request.first, request.end) for request in found.requests] == [(2, 2), (4, 5), (7, 7.5)]
    assert (found.wasted, found.calls, found.seconds) == (0, 6, 7.5)
    assert [(request.first, request.end) for request in pair.requests] == [(2, 2), (2, 3), (5, 5.5)]
    assert (pair.wasted, pair.calls, pair.row_steps) == (2, 5, 5)
    assert isinstance(pair, Answers)


@pytest.mark.parametrize(
    ("changes", "setup", "why"),
    [
        ({"prompt_tokens": 510}, {}, "shorten them"),
        ({}, {"speculation": Speculation(guesser="prompt-lookup")}, "leave speculation out"),
        ({"batching": "continuous"}, {"engine": "onnxruntime"}, "static batches only here"),
        ({"batching": "continuous"}, {"kv": "int8-kv"}, "paged cache of its own"),
        ({"batching": "continuous"}, {"chunk": 8}, "paged cache of its own"),
    ],
)
def test_what_cannot_be_batched_is_refused_in_one_sentence(folder, tmp_path, changes, setup, why):
    """Before anything is loaded."""
    with pytest.raises(ValueError, match=why):
        refuse(job(folder, WORK.model_copy(update=changes), tmp_path, **setup), 12)
