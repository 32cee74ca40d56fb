"""What a load test means, on queues whose truth is known."""

import json

import pytest

from profiler.analysis.serving import Point, Serving, percentile
from profiler.analysis.serving_plan import asked, expected
from profiler.analysis.serving_words import finding, rows, told
from profiler.record.events import Request, Served
from profiler.spec.address import server_address
from profiler.spec.run import Setup
from profiler.spec.work import LoadTest
from tests.builders import MACHINE, SPEC
from tests.served import TOKENS, load_run, queue


def test_percentiles_by_hand():
    """By linear interpolation between the samples: of 1 to 20, the median lies at 10.5 and p90 at 18.1."""
    samples = [float(value) for value in range(1, 21)]

    assert percentile(samples, 50) == pytest.approx(10.5)
    assert percentile(samples, 90) == pytest.approx(18.1)


@pytest.mark.parametrize(("rank", "needs"), [(50, 1), (90, 20), (99, 200)])
def test_a_percentile_that_the_samples_cannot_carry_is_not_told(rank, needs):
    """One in ten needs twenty samples, one in a hundred two hundred."""
    assert percentile([1.0] * (needs - 1), rank) is None
    assert percentile([1.0] * needs, rank) == 1.0


@pytest.mark.parametrize(("slots", "service"), [(1, 0.2), (4, 1.0), (8, 0.5)])
def test_saturation_is_near_slots_over_service_time(slots, service):
    """A queue with c slots and service time S takes c/S requests/s, and no more; 15 % below that it keeps up."""
    limit = slots / service
    shares = (0.25, 0.5, 0.7, 0.85, 1.2, 1.5, 3.0)
    serving = Serving(load_run([share * limit for share in shares], seconds=300 / limit, slots=slots, service=service))

    assert 0.7 * limit <= serving.saturation.rate <= 1.0 * limit
    assert [point.keeps_up for point in serving.points][:3] == [True] * 3
    assert not any(point.keeps_up for point in serving.points[4:])


@pytest.mark.parametrize("share", [0.5, 1.5, 3.0])
def test_completed_is_what_was_offered_or_what_the_server_can_do(share):
    """Below the limit of 4 answers/s as many come as were asked for, above it four."""
    point = Point(queue(4 * share, 100.0, 4, 1.0), 100.0, None)

    assert point.completed == pytest.approx(min(4 * share, 4.0), rel=0.12)
    assert point.tokens == pytest.approx(TOKENS * point.completed)


def test_a_queue_that_grows_is_known_by_its_slope():
    """At twice the limit each second of arrivals adds one of waiting; below the limit there is a steady state."""
    growing, steady = Point(queue(8.0, 60.0, 4, 1.0), 60.0, None), Point(queue(2.0, 60.0, 4, 1.0), 60.0, None)

    assert growing.growth == pytest.approx(1.0, abs=0.25)
    assert growing.queue_grew
    assert not steady.queue_grew


def test_seconds_are_counted_from_a_requests_moment():
    """Waiting for the first token, gaps and the whole answer of one request by hand."""
    request = Request(due=1.0, first=3.0, gaps=(0.5, 0.25), tokens=3)
    point = Point(Served(at=0, rate=1.0, seconds=3.75, requests=(request,)), 10.0, None)

    assert (point.first, point.between, point.latency) == ([2.0], [0.5, 0.25], [2.75])
    assert point.goodput(within=1.9) == 0.0
    assert point.goodput(within=2.0) == point.completed == pytest.approx(1 / 11)


def test_the_finding_tells_the_border_and_what_lies_beyond():
    """Rates, tokens/s, the wait, and the idle server beside it."""
    found = finding(Serving(load_run()))

    assert found.title.startswith("It keeps up with 3.0 requests/s (")
    assert "at 6.0 requests/s, half of the first tokens came after" in found.sentence
    assert "(on the idle server after 100 ms)" in found.sentence
    assert "One request after another would make 32.0 tok/s; answering several at once made up to 4" in found.sentence
    assert found.numbers["saturation"] == 3.0
    assert found.conclusive


def test_failures_are_told_with_counts_and_the_servers_words():
    """In sentence and table; a rate with failures is not kept up with."""
    serving = Serving(load_run(lost=[(2.0, "refused", 3, "503: busy"), (3.0, "refused", 5, "503: busy"), (3.0, "stalled", 2, "no token")]))
    row = next(row for row in rows(serving) if row["offered (req/s)"] == "3.00")

    assert serving.saturation.rate == 1.0
    assert "3 were refused (“503: busy”)" in finding(serving).sentence
    assert (row["refused"], row["stalled"], row["broken"], row["keeps up"]) == ("3", "2", "0", "no")


def test_one_that_keeps_up_with_all_or_none_is_said_so():
    """Neither is a border."""
    easy, hard = finding(Serving(load_run(rates=(1.0, 2.0)))), finding(Serving(load_run(rates=(8.0, 9.0))))

    assert easy.title.startswith("It keeps up with every rate that was tried, up to 2.0 requests/s")
    assert hard.title == "It does not even keep up with 8.0 requests/s"
    assert not easy.conclusive
    assert not hard.conclusive


def test_few_requests_and_late_sends_are_doubts():
    """Said in the sentence."""
    sentence = finding(Serving(load_run(seconds=5.0, facts={"late": 0.4}))).sentence

    assert "so the border is rough" in sentence
    assert "sent a request 400 ms late" in sentence


def test_a_test_that_has_just_begun_says_nothing():
    """No rate is over."""
    serving = Serving(load_run(rates=()))

    assert "no rate" in finding(serving).title
    assert rows(serving) == []


def test_the_numbers_are_json():
    """Without infinities; percentiles that are too sure are null."""
    plain = json.loads(json.dumps(told(Serving(load_run(rates=(1.0, 6.0), seconds=10.0))), allow_nan=False))

    assert plain["rates"][0]["first"]["p99"] is None
    assert plain["rates"][1]["queue_grew"]
    assert plain["alone"]["latency"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("localhost:8000", "http://localhost:8000/v1"),
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1"),
        ("https://[::1]:1/openai/v1", "https://[::1]:1/openai/v1"),
        ("127.200.3.4", "http://127.200.3.4/v1"),
    ],
)
def test_addresses_of_this_machine_are_made_whole(given, full):
    """With what a person leaves out."""
    assert server_address(given) == full


@pytest.mark.parametrize(
    "given",
    ["http://example.com/v1", "10.0.0.1:8000", "localhost.example.com", "http://127.0.0.1.nip.io/v1", "[::2]:80", "0.0.0.0:8000"],
)
def test_other_machines_are_refused_with_the_remedy(given):
    """Their name, and the variable that allows it."""
    with pytest.raises(ValueError, match=r"Only servers on this machine .* NEED_FOR_SPEED_SERVERS="):
        server_address(given)


@pytest.mark.parametrize(
    "given",
    ["", "ftp://localhost", "http://localhost@example.com", "localhost\\@example.com", "localhost:99999", "local host", "localhost?a=b"],
)
def test_what_is_no_address_is_refused(given):
    """Nothing that two programs could read in two ways."""
    with pytest.raises(ValueError, match="is no address of a server"):
        server_address(given)


def test_the_users_configuration_allows_more(monkeypatch):
    """Names, separated by commas; others stay refused."""
    monkeypatch.setenv("NEED_FOR_SPEED_SERVERS", "gpu-box, Other.local")

    assert server_address("http://gpu-box:8000") == "http://gpu-box:8000/v1"
    assert server_address("other.local/v1") == "http://other.local/v1"
    with pytest.raises(ValueError, match="Only servers"):
        server_address("gpu-box2")


@pytest.mark.parametrize(
    ("work", "said"),
    [
        ({"rates": (0.0,)}, "choose rates above 0"),
        ({"rates": (900.0,), "seconds": 3600.0}, "choose fewer seconds or a lower rate"),
        ({"url": "http://example.com"}, "Only servers on this machine"),
        ({"prompt_tokens": 9000}, "made for 8192 tokens"),
        ({}, "A server's address or a model"),
    ],
)
def test_what_cannot_be_tested_is_refused_early(work, said):
    """By page and terminal alike, in one sentence."""
    model = SPEC.model if "prompt_tokens" in work else None
    with pytest.raises(ValueError, match=said):
        asked(LoadTest(**work), model, Setup(threads=2), MACHINE, 8e9)


def test_what_is_asked_repeats_itself():
    """The engine is named, the address whole, and more rates take longer."""
    here = asked(LoadTest(), SPEC.model, Setup(threads=2, quantization="q4_0"), MACHINE, 8e9)
    there = asked(LoadTest(url="localhost:1"), SPEC.model, Setup(threads=2), MACHINE, 8e9)

    assert here.setup.engine == "llama.cpp"
    assert "--quantization q4_0" in here.command
    assert there.model is None
    assert there.command == "python -m profiler serve-bench http://localhost:1/v1"
    assert expected(LoadTest(rates=(1.0, 2.0))) < expected(LoadTest())


def test_one_late_answer_is_chance_unless_it_holds_up_everything():
    """Of four requests one was a little late: kept up with; very late: not."""

    def point(last):
        requests = [Request(due=float(n), first=n + 0.1, gaps=(end,), tokens=2) for n, end in enumerate((0.9, 0.9, 0.9, last))]
        return Point(Served(at=0, rate=1.0, seconds=9.0, requests=tuple(requests)), 4.0, None)

    assert point(2.5).keeps_up
    assert not point(8.0).keeps_up
