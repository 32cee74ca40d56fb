"""Load tests made by a queue whose times are known: some slots, first come first served, each answer a fixed time."""

import random

from profiler.record.events import Finished, Request, Served, Started
from profiler.record.run import Run, fold
from profiler.spec.run import RunSpec, Setup
from profiler.spec.work import LoadTest
from tests.builders import MACHINE, SPEC

TOKENS = 32  # of an answer


def queue(rate: float, seconds: float, slots: int, service: float, seed: int = 0) -> Served:
    """Poisson arrivals at a server of `slots`, each busy `service` seconds with an answer; its first token comes after a tenth."""
    source, free, requests, due = random.Random(f"{seed} {rate}"), [0.0] * slots, [], 0.0
    while due < seconds:
        slot = min(range(slots), key=free.__getitem__)
        begin = max(due, free[slot])
        free[slot] = begin + service
        gaps = (0.9 * service / (TOKENS - 1),) * (TOKENS - 1)
        requests.append(Request(due=due, first=begin + 0.1 * service, gaps=gaps, tokens=TOKENS))
        due += source.expovariate(rate)
    return Served(at=0.0, rate=rate, seconds=max(request.end or 0.0 for request in requests), requests=tuple(requests))


def alone(service: float) -> Served:
    """A single request on the idle server."""
    return Served(at=0.0, rate=0.0, seconds=service, requests=queue(1.0, 1e-9, 1, service).requests)


def failing(served: Served, outcome, count: int, note: str) -> Served:
    """The same where the first so many requests got no answer."""
    lost = tuple(Request(due=one.due, first=None, outcome=outcome, note=note) for one in served.requests[:count])
    return served.model_copy(update={"requests": lost + served.requests[count:]})


def load_run(rates=(1.0, 2.0, 3.0, 6.0), seconds=60.0, slots=4, service=1.0, lost=(), status="finished", url="", facts=None) -> Run:
    """A whole load test of that queue; `lost`: (rate, outcome, count, note) of requests that fail."""
    served = [queue(rate, seconds, slots, service) for rate in rates]
    for rate, outcome, count, note in lost:
        served = [failing(one, outcome, count, note) if one.rate == rate else one for one in served]
    work = LoadTest(url=url, rates=rates, seconds=seconds)
    setup = Setup(threads=2, engine="llama.cpp", quantization="q8_0") if not url else Setup(threads=2)
    spec = RunSpec(model=None if url else SPEC.model, work=work, setup=setup)
    events = [Started(at=0, hardware=MACHINE, versions={}, warm=True), alone(service), *served]
    last = [Finished(at=99.0, facts=facts or {"late": 0.001})] if status == "finished" else []
    return fold("load", spec, status, 0.0, [*events, *last])
