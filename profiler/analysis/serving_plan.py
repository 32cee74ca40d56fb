"""A load test before it runs: what page and terminal ask for, refused early where it cannot be."""

from profiler.spec.address import server_address
from profiler.spec.machine import Hardware
from profiler.spec.model import ModelSpec
from profiler.spec.run import RunSpec, Setup
from profiler.spec.work import Generate, LoadTest
from profiler.theory.memory import check

FASTEST, MOST = 1000.0, 20_000  # requests/s, and requests at one rate: more is beyond a test from one process
EXPECTED = 6  # rates that a search usually takes
START = 12.0  # seconds until the first request, and of single ones


def asked(work: LoadTest, model: ModelSpec | None, setup: Setup, hardware: Hardware, available: float) -> RunSpec:
    """The run to do: its address in full, its engine named. `available`: bytes of free memory.

    Raises ValueError, of one sentence, for an address that is not allowed, rates that make no sense, and a model that has no room.
    """
    _check_rates(work)
    if work.url:
        return RunSpec(work=work.model_copy(update={"url": server_address(work.url)}), setup=Setup(threads=setup.threads))
    if model is None:
        raise ValueError("A server's address or a model to start one with is needed for a load test.")
    setup = setup.model_copy(update={"engine": "llama.cpp"})
    spec = RunSpec(model=model, work=work, setup=setup)
    alike = Generate(batch=work.slots, prompt_tokens=work.prompt_tokens, new_tokens=work.new_tokens)
    check(spec.model_copy(update={"work": alike}), hardware, available)
    return spec


def _check_rates(work: LoadTest) -> None:
    for rate in work.rates:
        if not 0 < rate <= FASTEST:
            raise ValueError(f"A rate of {rate:g} requests/s cannot be tested; choose rates above 0 and up to {FASTEST:g}.")
        if rate * work.seconds > MOST:
            raise ValueError(
                f"{rate:g} requests/s for {work.seconds:g} s are {rate * work.seconds:,.0f} requests, and {MOST:,} are the most; "
                "choose fewer seconds or a lower rate."
            )


def expected(work: LoadTest) -> float:
    """Seconds that a load test will take, roughly."""
    return START + (len(work.rates) or EXPECTED) * 1.2 * work.seconds
