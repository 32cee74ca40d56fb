"""The load test against a server whose times and faults are known."""

import io
import random
import socket
import statistics

import psutil
import pytest

from profiler.analysis.serving import Serving
from profiler.catalog.resolve import resolve
from profiler.record.events import EVENT, Finished, Job, Request, Served
from profiler.record.paths import cache_folder
from profiler.record.run import fold
from profiler.spec.run import RunSpec, Setup
from profiler.spec.work import LoadTest
from profiler.worker import load_test
from profiler.worker.channel import Channel
from profiler.worker.load_test import Alone, arrivals, drowned, id_prompts, text_prompts
from tests.builders import MACHINE
from tests.fake_openai import fake_openai

SETUP = Setup(engine="llama.cpp", threads=2)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Nothing that was given up lingers in the fake server."""
    monkeypatch.setattr(load_test, "PAUSE", 0.05)


def load(url, model=None, **work) -> Serving:
    """A load test of that server, as the store would have it."""
    usual = {"seconds": 0.3, "patience": 5.0, "new_tokens": 4, "prompt_tokens": 8}
    spec = RunSpec(model=model, work=LoadTest(url=url, **(usual | work)), setup=SETUP)
    stream = io.StringIO()
    ended = load_test.run(Job(spec=spec, hardware=MACHINE, ceilings=None, cache=str(cache_folder()), warm=False), Channel(stream))
    events = [EVENT.validate_json(line) for line in stream.getvalue().splitlines()]
    return Serving(fold("test", spec, "finished", 0.0, [*events, ended]))


def test_arrivals_are_a_poisson_process_that_the_seed_repeats():
    """The mean gap is one over the rate, and its deviation is as large as its mean; another seed, or rate, has other moments."""
    moments = arrivals(50.0, 100.0, seed=1)
    gaps = [after - before for before, after in zip(moments, moments[1:])]

    assert moments == arrivals(50.0, 100.0, seed=1) != arrivals(50.0, 100.0, seed=2)
    assert moments[0] == 0.0
    assert moments[-1] < 100.0
    assert statistics.mean(gaps) == pytest.approx(1 / 50, rel=0.05)
    assert statistics.stdev(gaps) == pytest.approx(1 / 50, rel=0.07)


def test_prompts_are_english_of_about_the_length_and_all_different():
    """Three words for four tokens; the same request gets the same prompt again."""
    prompt = text_prompts(LoadTest(prompt_tokens=80))
    starts = {prompt(number)[:20] for number in range(200)}

    assert len(prompt(3).split()) == 60
    assert prompt(3) == prompt(3)
    assert len(starts) > 190


def test_prompts_in_token_ids_have_exactly_their_length():
    """Also where they are longer than the text that they are cut from."""
    ids = random.Random(0).choices(range(100), k=50)

    assert len(id_prompts(ids, LoadTest(prompt_tokens=7))(1)) == 7
    assert len(id_prompts(ids, LoadTest(prompt_tokens=120))(1)) == 120


def test_requests_are_sent_without_waiting_for_answers():
    """Twenty requests/s at a server that takes 0.3 s for an answer: all of them are there before the first is over."""
    with fake_openai(token=0.15, tokens=2) as server:
        (point,) = load(server.url, rates=(20.0,), seconds=0.25).points

    sent = len(arrivals(20.0, 0.25, seed=0))
    assert point.sent == len(point.answers) == sent > 3
    assert max(request.due for request in point.answers) < min(request.end for request in point.answers)


def test_the_idle_server_comes_first_and_a_rate_is_told_when_it_is_over():
    """Single requests have the rate 0; first tokens, gaps, and the server's own count of tokens are recorded."""
    with fake_openai(token=0.02, tokens=3) as server:
        serving = load(server.url, rates=(5.0, 10.0))
    served = serving.run.of(Served)

    assert [one.rate for one in served] == [0.0, 0.0, 0.0, 5.0, 10.0]
    assert all(len(request.gaps) == 2 and request.tokens == 6 for one in served for request in one.requests)
    assert all(request.first - request.due > 0.015 for one in served for request in one.requests)
    assert serving.run.ended.facts["requests"] == sum(len(one.requests) for one in served)
    assert [phase.name for phase in serving.run.phases] == ["warm-up", "serve", "serve", "serve"]


def test_pieces_are_tokens_where_the_server_does_not_count():
    """A piece with text is one."""
    with fake_openai(usage=False, tokens=3) as server:
        assert load(server.url, rates=(5.0,)).alone.tokens == 3


def test_rates_are_found_from_idle_to_drowned():
    """A server with two slots and 40 ms an answer is drowned by more than 50 requests/s; the search ends beyond and closes in."""
    with fake_openai(slots=2, token=0.02, tokens=2) as server:
        serving = load(server.url, seconds=0.6, patience=2.0)
    rates = [one.rate for one in serving.run.of(Served) if one.rate]

    assert 3 <= len(rates) <= load_test.RATES
    assert rates[0] == pytest.approx(0.25 / serving.alone.latency, rel=0.1)
    assert max(rates) > 30
    assert rates[-1] < max(rates)


@pytest.mark.parametrize(
    ("fault", "outcome", "note"),
    [
        ("503", "refused", "503: too many people here"),
        ("500", "error", "500: too many people here"),
        ("stall", "stalled", "no token for 0.3 s"),
        ("break", "error", "the stream broke off"),
        ("garbage", "error", "an answer that cannot be read"),
        ("empty", "error", "the answer was empty"),
    ],
)
def test_what_fails_is_counted_with_the_servers_words(fault, outcome, note):
    """Every third request of a rate; the others are answered."""
    with fake_openai(fault=lambda number: fault if number > 4 and number % 3 == 0 else "") as server:
        (point,) = load(server.url, rates=(30.0,), patience=0.3).points

    assert point.outcomes[outcome] == point.failed == len([n for n in range(4, 4 + point.sent) if n > 4 and n % 3 == 0])
    assert next(iter(point.notes)).startswith(note)
    assert not point.keeps_up


def test_a_server_that_only_chats_is_chatted_with():
    """And one that takes nothing beyond OpenAI's protocol is asked for no more."""
    with fake_openai(chat=True, extras=False) as server:
        serving = load(server.url, rates=(5.0,))

    assert serving.points[0].keeps_up
    assert server.paths[-1] == "/v1/chat/completions"
    assert server.asked[-1]["messages"][0]["content"]
    assert "ignore_eos" not in server.asked[-1]
    assert server.asked[-1]["model"] == "fake-model"


def test_nobody_at_the_address_is_one_sentence():
    """Before anything is measured."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with pytest.raises(ValueError, match=f"Nothing answers at http://127.0.0.1:{port}/v1 .*; start the server"):
        load(f"http://127.0.0.1:{port}/v1")


def test_a_stranger_is_not_asked():
    """Also where a run of somebody else's store says so."""
    with pytest.raises(ValueError, match="Only servers on this machine"):
        load("http://example.com/v1")


@pytest.mark.parametrize(
    ("fault", "said"), [("500", "answers no request: 500: too many people"), ("stall", "no whole answer within 0.3 s")]
)
def test_a_server_that_answers_nobody_fails_the_run_with_its_words(fault, said):
    """From the first request on."""
    with fake_openai(fault=lambda number: fault) as server, pytest.raises(ValueError, match=said):
        load(server.url, patience=0.3)


def test_a_server_that_dies_under_load_fails_the_run():
    """It answered alone, and then nobody any more; the sentence says since when."""
    with (
        fake_openai(fault=lambda number: "500" if number > 5 else "") as server,
        pytest.raises(ValueError, match=r"Since 20 requests/s .* nobody"),
    ):
        load(server.url, rates=(20.0, 30.0))


def served(waits, latency=0.1, rate=10.0, **more) -> Served:
    """Requests a tenth of a second apart, which wait so long for their first token."""
    requests = [Request(due=0.1 * n, first=0.1 * n + wait, gaps=(latency - 0.02,), tokens=2, **more) for n, wait in enumerate(waits)]
    return Served(at=0, rate=rate, seconds=max(request.end for request in requests), requests=tuple(requests))


def test_the_search_knows_a_drowned_server():
    """First tokens that wait five times as long as alone and half an answer, a last answer far too late, or any failure."""
    alone = Alone(first=0.02, latency=0.1)

    assert not drowned(served([0.02] * 10), alone, seconds=1.0)
    assert not drowned(served([0.04] * 10), alone, seconds=1.0)
    assert drowned(served([0.2] * 10), alone, seconds=1.0)
    assert drowned(served([0.02] * 9 + [0.5]), alone, seconds=1.0)
    assert drowned(served([0.02] * 10, outcome="refused"), alone, seconds=1.0)


def test_llama_cpps_server_is_started_for_a_model(tiny_folder):
    """It answers several at once, token by token, to prompts in token ids; its process ends with the test."""
    pytest.importorskip("cyllama", reason="llama.cpp's binding makes the file")
    pytest.importorskip("xllamacpp", reason="llama.cpp's server")
    before = set(psutil.Process().children(recursive=True))
    serving = load("", resolve(str(tiny_folder)), rates=(10.0,), prompt_tokens=20, new_tokens=5, slots=2)
    answers = serving.points[0].answers

    assert serving.points[0].failed == 0
    assert all(request.tokens == 5 and len(request.gaps) == 4 for request in answers)
    assert set(psutil.Process().children(recursive=True)) <= before


def test_without_the_server_it_is_said_what_to_install(tiny_folder, monkeypatch):
    """In one sentence."""
    monkeypatch.setattr("profiler.worker.server.find_spec", lambda name: None)

    with pytest.raises(ValueError, match="pip install xllamacpp"):
        load("", resolve(str(tiny_folder)))


def test_the_task_is_known():
    """Under the name that a spec has."""
    from profiler.worker.tasks import TASKS

    assert TASKS[LoadTest().task] is load_test.run
    assert Finished(at=0.0).kind == "finished"
