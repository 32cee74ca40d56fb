"""The kinds of work that a run can do, one frozen value each. `task` names the worker's function."""

import random
from typing import Annotated, Literal

from pydantic import Field

from profiler.spec.frozen import Frozen


class Generate(Frozen):
    """Prefill a prompt, then generate tokens one by one with a KV cache, several times over."""

    task: Literal["generate"] = "generate"
    batch: int = Field(default=1, ge=1, le=4096)
    prompt_tokens: int = Field(default=128, ge=1, le=10_000_000)
    new_tokens: int = Field(default=32, ge=2, le=1_000_000)
    seconds: float = Field(default=10.0, gt=0, le=3600)  # stop adding rounds after this much timed work
    seed: int = 0
    trace: bool = True  # after the timed rounds, run once more under a profiler to tell the operators apart
    quality: int = Field(default=0, ge=0, le=1_000_000)  # tokens of held-back text to be scored at the end; 0: none
    text: str = ""  # a file of text to score instead of the documentation that is installed here
    check: bool = False  # in the end, compare the greedy tokens and their logits with the uncompressed model's in float32
    batches: tuple[int, ...] = ()  # in the end, also measure the throughput of so many sequences at once


class MeasureCeilings(Frozen):
    """What the machine can do: bandwidth, matrix products, dispatch.

    quick: what one run is judged by. full: the same with patience, and the curves that the page Machine draws.
    memory, matmul: one of these curves alone.
    """

    task: Literal["ceilings"] = "ceilings"
    scope: Literal["quick", "full", "memory", "matmul"] = "quick"


class Sensitivity(Frozen):
    """How much quality is lost if one part of one layer alone is quantized, for every layer and part."""

    task: Literal["sensitivity"] = "sensitivity"
    tokens: int = Field(default=512, ge=16, le=1_000_000)  # of held-back text
    text: str = ""


class Write(Frozen):
    """Answer a prompt in words, streaming."""

    task: Literal["write"] = "write"
    prompt: str = Field(min_length=1, max_length=20_000)
    new_tokens: int = Field(default=64, ge=1, le=4096)


class Requests(Frozen):
    """Answer many requests of different lengths that are all there at the beginning, some of them at once.

    static: a batch ends when its longest answer does, then the next one begins. continuous: an answer that ends makes room for the
    next request at once.
    """

    task: Literal["requests"] = "requests"
    batching: Literal["static", "continuous"] = "static"
    count: int = Field(default=16, ge=1, le=10_000)
    slots: int = Field(default=4, ge=1, le=256)  # answers that are written at once
    prompt_tokens: int = Field(default=64, ge=1, le=1_000_000)
    new_tokens: int = Field(default=32, ge=2, le=100_000)  # of an answer, on average; they differ by a factor of eight
    seed: int = 0


SPREAD = 8  # times as long as the shortest of many answers is the longest, at most


def lengths(work: Requests) -> list[int]:
    """Tokens of each answer: evenly spread on a logarithmic scale over a factor of eight, `new_tokens` on average, in a seeded order."""
    shares = [SPREAD ** ((place + 0.5) / work.count) for place in range(work.count)]
    random.Random(work.seed).shuffle(shares)
    scale, told, found = work.new_tokens * work.count / sum(shares), 0.0, []
    for share in shares:  # rounded so that nothing adds up
        found.append(max(round(told + share * scale) - round(told), 1))
        told += share * scale
    return found


class LoadTest(Frozen):
    """Send requests to a server that speaks OpenAI's protocol, at random moments and without waiting for answers (Poisson arrivals)."""

    task: Literal["load-test"] = "load-test"
    url: str = ""  # of the server, up to and including /v1; empty: llama.cpp's server is started for the model
    served: str = ""  # the model's name there; empty: the first one that the server lists
    rates: tuple[float, ...] = ()  # requests/s, one after another; empty: from few to more than it can take
    seconds: float = Field(default=15.0, gt=0, le=3600)  # of arrivals at each rate
    prompt_tokens: int = Field(default=64, ge=1, le=1_000_000)  # about so many: the server has the tokenizer
    new_tokens: int = Field(default=32, ge=2, le=100_000)
    slots: int = Field(default=4, ge=1, le=256)  # of a server that is started here: answers that are written at once
    patience: float = Field(default=30.0, gt=0, le=3600)  # seconds without a token after which a request is given up
    seed: int = 0


class FetchModel(Frozen):
    """Bring the default model into the cache."""

    task: Literal["fetch"] = "fetch"


Work = Annotated[Generate | MeasureCeilings | FetchModel | Sensitivity | Write | Requests | LoadTest, Field(discriminator="task")]
WITH_MODEL = (Generate, Sensitivity, Write, Requests)
