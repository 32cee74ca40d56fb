"""An open-loop load test of a server: the task `load-test`.

Requests arrive at random moments (a Poisson process: the time from one to the next is exponential) and are sent at once, whoever still
waits for an answer. Someone who waited for answers would slow down with the server, and never see it drown.
"""

import asyncio
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from profiler.record.events import Finished, Job, Request, Served
from profiler.spec.address import server_address
from profiler.spec.work import Generate, LoadTest
from profiler.worker import gguf_file
from profiler.worker.channel import Channel
from profiler.worker.completions import Prompt, Talk, ask, client, first_model, talk
from profiler.worker.engines.llamacpp import CACHES, FLASH, PADDING, PLAIN_CACHES, refuse
from profiler.worker.loading import source_of, tokenizer_of
from profiler.worker.made import scratch_folder
from profiler.worker.server import Settings, refuse_missing, started, with_placeholders
from profiler.worker.texts import calibration, halves

ALONE = 3  # requests one after another, to know an idle server
FIRST = 0.25  # of what one request after another would make: the first rate
FASTER, MUCH_FASTER = 2.0, 4.0  # from one rate to the next; the larger step while nobody notices the others
UNNOTICED = 1.2  # times the idle server's latency
RATES, CLOSER = 7, 2  # rates at most, and of them between the last good and the first bad one
CLOSE = 1.25  # ratio of these two that needs no rate between them
DROWNED = 5.0  # times the idle server's first token
BEHIND = 0.25  # of the arrivals' time that the last answer may come later than on an idle server
MOST = 5000  # requests at one rate: more is no search any more
WORDS_A_TOKEN = 0.75  # of English text
TEXT = 50_000  # tokens of text that prompts are cut from
PAUSE = 0.5  # seconds between two rates: given-up answers leave the server
Prompts = Callable[[int], Prompt]  # number of a request → its prompt


def run(job: Job, channel: Channel) -> Finished:
    """One `Served` a rate, as soon as it is over; before them those of single requests on the idle server (rate 0).

    Raises ValueError of one sentence for an address that is not allowed, a server that is not there, and one that stops answering.
    """
    work = job.spec.work
    assert isinstance(work, LoadTest)
    if hasattr(process := psutil.Process(), "cpu_affinity"):  # macOS has none
        process.cpu_affinity([])  # OpenMP has bound this thread to a core, which the server needs, too
    if work.url:
        wanted = Talk(server_address(work.url), work.served, work.new_tokens, patience=work.patience)
        return asyncio.run(_measured(wanted, text_prompts(work), work, channel))
    with _server(job, work, channel) as (wanted, prompts):
        return asyncio.run(_measured(wanted, prompts, work, channel))


@contextmanager
def _server(job: Job, work: LoadTest, channel: Channel) -> Iterator[tuple[Talk, Prompts]]:
    """llama.cpp's server with the job's model, started here, and prompts in its token ids."""
    spec, setup, cache = job.spec.model, job.spec.setup, Path(job.cache)
    assert spec
    refuse_missing()
    like = Generate(batch=work.slots, prompt_tokens=work.prompt_tokens, new_tokens=work.new_tokens, seed=work.seed)
    alike = job.model_copy(update={"spec": job.spec.model_copy(update={"work": like})})  # what the engine is asked for
    refuse(alike)
    source = source_of(spec, cache, channel)
    tokenizer = None if source is None else tokenizer_of(source)
    ids = calibration(tokenizer, max(TEXT, work.prompt_tokens)).tolist() if tokenizer else _random_ids(spec.vocab, work)
    with scratch_folder(cache / "gguf") as scratch:
        file = gguf_file.ready(alike, source, scratch, channel)
        channel.enter("load", note="Starting llama.cpp's server")
        began = time.perf_counter()
        settings = Settings(
            file=str(with_placeholders(file, scratch / "served.gguf")),
            slots=work.slots,
            tokens=-(-(work.prompt_tokens + work.new_tokens) // PADDING) * PADDING,
            threads=setup.threads,
            cache=int((PLAIN_CACHES | CACHES)[setup.kv or setup.dtype]),
            flash=FLASH[setup.attention],
        )
        with started(settings, scratch / "server.log") as address:
            channel.measured("load_time", time.perf_counter() - began)
            wanted = Talk(f"{address}/v1", spec.name, work.new_tokens, key=settings.key, patience=work.patience)
            yield wanted, id_prompts(ids, work)


def _random_ids(vocab: int, work: LoadTest) -> list[int]:
    """Token ids of a text that nobody can read."""
    return random.Random(work.seed).choices(range(vocab), k=max(TEXT, work.prompt_tokens))


def text_prompts(work: LoadTest) -> Prompts:
    """English prompts of about so many tokens: each begins elsewhere, so that no kept prefix answers it."""
    words = halves()[0].split()
    count = max(round(WORDS_A_TOKEN * work.prompt_tokens), 1)
    return lambda number: " ".join(_cut(words, count, work.seed, number))


def id_prompts(ids: list[int], work: LoadTest) -> Prompts:
    """The same in token ids, of exactly so many."""
    return lambda number: _cut(ids, work.prompt_tokens, work.seed, number)


def _cut(text: list, count: int, seed: int, number: int) -> list:
    """`count` pieces from a place that seed and number choose; after the end, the text begins anew."""
    start = random.Random(f"{seed} prompt {number}").randrange(len(text))
    return [text[place % len(text)] for place in range(start, start + count)]


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Moments of a Poisson process within so many seconds, the first one at 0; other rates have other ones."""
    source = random.Random(f"{seed} arrivals {rate!r}")
    moments = [0.0]
    while (next := moments[-1] + source.expovariate(rate)) < seconds:
        moments.append(next)
    return moments


async def _measured(wanted: Talk, prompts: Prompts, work: LoadTest, channel: Channel) -> Finished:
    """Everything that is asked of the server."""
    async with client(work.patience) as http:
        channel.enter("warm-up", note="First words with the server")
        served = wanted.served or await first_model(http, wanted.url, wanted.key)
        form = await talk(http, Talk(**(vars(wanted) | {"served": served})), prompts(0))
        bench = Bench(http, form, prompts, work, channel)
        alone = await bench.alone()
        if work.rates:
            for place, rate in enumerate(work.rates):
                await bench.at(rate, (len(work.rates) - place) * (work.seconds + alone.latency))
        else:
            await search(bench, alone)
    return Finished(at=time.time(), facts={"requests": float(bench.sent), "late": bench.late, "alone": alone.latency})


@dataclass(frozen=True)
class Alone:
    """Seconds of one request on an idle server, medians."""

    first: float
    latency: float


@dataclass
class Bench:
    """The server under test, and what was sent so far."""

    http: httpx.AsyncClient
    form: Talk
    prompts: Prompts
    work: LoadTest
    channel: Channel
    sent: int = 0
    late: float = 0.0  # seconds by which a request left after its moment, at worst: more than a little, and this program was too slow

    async def alone(self) -> Alone:
        """The idle server. Raises ValueError where it does not answer."""
        self.channel.enter("serve", note="One request at a time")
        answers: list[Request] = []
        for _ in range(ALONE):
            answer = await self._ask(0.0, time.monotonic())
            self._tell(0.0, [answer])
            answers += [answer] if answer.outcome == "answered" else []
        if not answers:
            raise ValueError(f"The server at {self.form.url} did not answer a single request ({answer.note}); try it by hand first.")
        return Alone(statistics.median(one.first or 0.0 for one in answers), statistics.median(one.end or 0.0 for one in answers))

    async def at(self, rate: float, left: float) -> Served:
        """Requests at one rate, requests/s; the answers are waited for as long as patience allows."""
        self.channel.enter("serve", left=left, note=f"{rate:.3g} requests/s")
        moments, origin = arrivals(rate, self.work.seconds, self.work.seed), time.monotonic()
        tasks = []
        for moment in moments:
            await asyncio.sleep(max(origin + moment - time.monotonic(), 0.0))
            self.late = max(self.late, time.monotonic() - origin - moment)
            tasks.append(asyncio.create_task(self._ask(moment, origin)))
        _, waiting = await asyncio.wait(tasks, timeout=self.work.seconds - moments[-1] + self.work.patience)
        for task in waiting:
            task.cancel()
        served = self._tell(rate, list(await asyncio.gather(*tasks)))
        if any(request.outcome != "answered" for request in served.requests):
            await self._recovered(rate)
        await asyncio.sleep(PAUSE)
        return served

    async def _recovered(self, rate: float) -> None:
        """Wait until the server answers somebody, so that the next rate begins on an idle one. Raises ValueError where it never does."""
        for _ in range(ALONE):
            await asyncio.sleep(PAUSE)
            answer = await self._ask(0.0, time.monotonic())
            if answer.outcome == "answered":
                return
        raise ValueError(f"Since {rate:.3g} requests/s the server at {self.form.url} answers nobody ({answer.note}); start it anew.")

    async def _ask(self, due: float, origin: float) -> Request:
        self.sent += 1
        return await ask(self.http, self.form, self.prompts(self.sent), due, origin)

    def _tell(self, rate: float, requests: list[Request]) -> Served:
        seconds = max((request.end or request.due for request in requests), default=0.0)
        served = Served(at=time.time(), rate=rate, seconds=seconds, requests=tuple(requests))
        self.channel.emit(served)
        return served


async def search(bench: Bench, alone: Alone) -> None:
    """From a rate that leaves the server idle most of the time up to one that drowns it, then closer to where that begins."""
    rate, good, bad, closer = FIRST / alone.latency, 0.0, 0.0, 0
    for done in range(RATES):
        if rate * bench.work.seconds > MOST:
            return
        served = await bench.at(rate, (RATES - 1 - min(done, RATES - 2)) * (bench.work.seconds + 2 * alone.latency))
        if drowned(served, alone, bench.work.seconds):
            bad = rate
        else:
            good = rate
        if not bad:
            rate *= MUCH_FASTER if _latency(served) < UNNOTICED * alone.latency else FASTER
        elif not good:
            rate /= FASTER
        elif closer < CLOSER and bad / good > CLOSE:
            rate, closer = (good * bad) ** 0.5, closer + 1
        else:
            return


def _latency(served: Served) -> float:
    return statistics.median(request.end - request.due for request in served.requests if request.end is not None)


def drowned(served: Served, alone: Alone, seconds: float) -> bool:
    """Whether a rate is clearly more than the server takes: it failed, first tokens wait long, or the answers end far too late.

    The finer judgement is `profiler.analysis.serving`'s; this one only says where to look next.
    """
    answers = [request for request in served.requests if request.outcome == "answered" and request.first is not None]
    if len(answers) < len(served.requests):
        return True
    wait = statistics.median((request.first or 0.0) - request.due for request in answers)
    waits_long = wait > DROWNED * alone.first and wait > alone.latency / 2
    return waits_long or served.seconds - served.requests[-1].due - alone.latency > BEHIND * seconds
