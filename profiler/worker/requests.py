"""The task `requests`: answer many requests of different lengths, in static batches or continuously.

Static batches work with every engine: a batch is prefilled, then goes on until its longest answer is over, and the rows of shorter ones
write what nobody reads. Continuous batching (Yu et al. 2022, Orca) gives a row to the next request as soon as an answer is over; that
takes an engine whose sequences can have different ages: llama.cpp by a loop of ours, transformers by its own scheduler.

Of static batches the prefills and steps are summed: laying out the next batch is outside the clock. Of continuous batching the clock runs
through, scheduling included.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from transformers import GenerationConfig

from profiler.record.events import Finished, Job, Probed, Request, Served
from profiler.spec.work import Generate, Requests, lengths
from profiler.worker import ceilings
from profiler.worker.channel import Channel
from profiler.worker.engines import ENGINES, Engine, llamacpp, native
from profiler.worker.generate import quiet
from profiler.worker.prompt import prompt_ids

CHUNK = 512  # tokens of one call, prompts and answers together: what llama.cpp takes through its layers in one pass
PAGE = 32  # tokens of a page of transformers' cache
WARM = 3  # tokens of each answer of the warm-up
CONTINUOUS = ("llama.cpp", "transformers")


@dataclass
class Answers:
    """What became of the requests, in their order; times are seconds since the beginning."""

    requests: list[Request]
    seconds: float
    calls: int  # passes through the model
    wasted: int = 0  # steps of rows whose answer was over
    said: list[list[int]] = field(default_factory=list)  # token ids, where the way of answering has them

    @property
    def useful(self) -> int:
        """Tokens that somebody asked for."""
        return sum(request.tokens for request in self.requests)

    @property
    def row_steps(self) -> int:
        """Steps of all rows after their prompts, wasted ones included."""
        return self.useful - len(self.requests) + self.wasted


Way = Callable[[torch.Tensor, list[int]], Answers]  # prompts, int64 (count, tokens), and how long each answer is to be


@torch.inference_mode()
def run(job: Job, channel: Channel) -> Finished:
    """Answer all requests once, after a short warm-up. Raises ValueError of one sentence for what cannot be batched that way."""
    work, setup = job.spec.work, job.spec.setup
    assert isinstance(work, Requests)
    wanted = lengths(work)
    refuse(job, max(wanted))
    job = as_generate(job, max(wanted))
    engine = ENGINES[setup.engine](job, channel)
    _roofs(job, channel)
    prompts = prompt_ids(job.spec.generate.model_copy(update={"batch": work.count}), engine.vocab, engine.tokenizer)
    with way_of(engine, work, max(wanted)) as answer, quiet():
        channel.enter("warm-up")
        warm = answer(prompts[: work.slots], [min(WARM, length) for length in wanted[: work.slots]])
        channel.enter("serve", timed=True, left=_left(warm, wanted, work))
        found = answer(prompts, wanted)
    channel.emit(Served(at=time.time(), rate=0, seconds=found.seconds, requests=tuple(found.requests)))
    facts = {
        "useful_tokens": found.useful,
        "wasted_rows": found.wasted,
        "row_steps": found.row_steps,
        "steps": found.calls,
        "weight_bytes": engine.weight_bytes,
    }
    return Finished(at=time.time(), facts={name: float(value) for name, value in facts.items()})


def refuse(job: Job, longest: int) -> None:
    """Raise ValueError for what cannot be done, before anything is loaded."""
    spec, setup, work = job.spec.model, job.spec.setup, job.spec.work
    assert spec
    assert isinstance(work, Requests)
    if (need := work.prompt_tokens + longest) > spec.context:
        raise ValueError(f"A prompt and its answer make up to {need:,} tokens, and {spec.name} takes {spec.context:,}; shorten them.")
    if setup.speculation:
        raise ValueError("Many requests are answered one token at a time here; leave speculation out.")
    if work.batching == "static":
        return
    if setup.engine not in CONTINUOUS:
        raise ValueError(f"{setup.engine} has static batches only here; take {' or '.join(CONTINUOUS)} for continuous batching.")
    if setup.engine == "transformers" and (setup.kv or setup.compile or setup.chunk or setup.prefix or setup.cache != "dynamic"):
        raise ValueError(
            "transformers batches continuously with a paged cache of its own; leave out compiling and whatever is about caches."
        )


def as_generate(job: Job, longest: int) -> Job:
    """The job that an engine knows: as many sequences at once, each with room for the longest answer."""
    work = job.spec.work
    assert isinstance(work, Requests)
    rows = min(work.slots, work.count)
    known = Generate(batch=rows, prompt_tokens=work.prompt_tokens, new_tokens=max(longest, 2), seed=work.seed, trace=False)
    return job.model_copy(update={"spec": job.spec.model_copy(update={"work": known})})


def _roofs(job: Job, channel: Channel) -> None:
    """Tell the ceilings that the prediction is made on: kept ones, else measured now."""
    found = job.ceilings
    if found is None:
        channel.enter("ceilings")
        found = ceilings.measure(job, channel, ceilings.Canary(job.spec.setup, job.hardware.cache))
    channel.emit(Probed(at=time.time(), ceilings=found, kept=job.ceilings is not None))


def _left(warm: Answers, wanted: list[int], work: Requests) -> float:
    """Seconds that all requests will take, by those of the warm-up."""
    first = max((request.first or 0.0) for request in warm.requests)
    step = (warm.seconds - first) / max(warm.calls - 1, 1)
    return (len(wanted) * first + sum(wanted) * step) / work.slots


@contextmanager
def way_of(engine: Engine, work: Requests, longest: int) -> Iterator[Way]:
    """How an engine answers requests; whatever it holds for that is given back in the end."""
    if work.batching == "static":
        yield partial(static, engine, work.slots)
    elif isinstance(engine, llamacpp.LlamaCpp):
        yield partial(continuous, engine, work.slots)
    else:
        assert isinstance(engine, native.Native)
        with paged(engine.model, work.slots, work.prompt_tokens + longest) as manager:
            yield partial(scheduled, manager)


def static(engine: Engine, slots: int, prompts: torch.Tensor, wanted: list[int]) -> Answers:
    """Batches of `slots` requests, one after another, each as long as its longest answer."""
    found = Answers([], 0.0, 0)
    for first in range(0, len(wanted), slots):
        batch = wanted[first : first + slots]
        steps, longest = engine.decoding(prompts[first : first + slots]), max(batch)
        prefill = steps.timed_prefill()
        gaps = steps.timed_steps(longest - 1) if longest > 1 else []
        at = found.seconds + prefill
        found.requests += [Request(due=0, first=at, gaps=tuple(gaps[: length - 1]), tokens=length) for length in batch]
        found.seconds = at + sum(gaps)
        found.calls += longest
        found.wasted += sum(longest - length for length in batch)
    return found


def continuous(engine: llamacpp.LlamaCpp, slots: int, prompts: torch.Tensor, wanted: list[int]) -> Answers:
    """llama.cpp with `slots` sequences of one context, each given to the next request as soon as its answer is over."""
    rows = Rows(engine, slots, prompts.tolist(), wanted)
    began, calls = time.perf_counter(), 0
    while rows.step():
        calls += 1
    times = [[at - began for at in row] for row in rows.times]
    return Answers([_request(at) for at in times], max(at[-1] for at in times), calls, said=rows.said)


class Rows:
    """The sequences of a context of llama.cpp. A step is one call: a token of each answer, and of new prompts what there is room for."""

    def __init__(self, engine: llamacpp.LlamaCpp, slots: int, prompts: list[list[int]], wanted: list[int]):
        llama = llamacpp.binding()
        self.prompts, self.wanted = prompts, wanted
        self.context = engine.context(len(prompts[0]) + max(wanted), slots)
        self.room = min(CHUNK, self.context.n_batch)
        self.batch = llama.LlamaBatch(n_tokens=self.room, embd=0, n_seq_max=1, verbose=False)
        self.sampler = llama.LlamaSampler()
        self.sampler.add_greedy()
        self.said: list[list[int]] = [[] for _ in wanted]
        self.times: list[list[float]] = [[] for _ in wanted]
        self.waiting = iter(range(len(wanted)))
        self.busy = dict(zip(range(slots), self.waiting))
        self.held = dict.fromkeys(self.busy, 0)  # row → tokens in its cache

    def step(self) -> bool:
        """One call; whether there was anything to do."""
        if not self.busy:
            return False
        self.batch.clear()
        told = self._lay_out()
        self.context.decode(self.batch)
        tokens = {row: self.sampler.sample(self.context, place) for row, place in told.items()}
        now = time.perf_counter()
        for row, token in tokens.items():
            request = self.busy[row]
            self.said[request].append(token)
            self.times[request].append(now)
            if len(self.said[request]) == self.wanted[request]:
                self._free(row)
        return True

    def _lay_out(self) -> dict[int, int]:
        """Fill the batch, answers before prompts; row → the place whose logits are its next token."""
        told: dict[int, int] = {}
        for row, request in sorted(self.busy.items(), key=lambda item: not self.said[item[1]]):
            todo = self.said[request][-1:] or self.prompts[request][self.held[row] :]
            todo = todo[: self.room - self.batch.n_tokens]
            last = self.held[row] + len(todo) >= len(self.prompts[request])
            for number, token in enumerate(todo, 1):
                self.batch.add(token, self.held[row], [row], last and number == len(todo))
                self.held[row] += 1
            if last and todo:
                told[row] = self.batch.n_tokens - 1
        return told

    def _free(self, row: int) -> None:
        """Give a row to the next request, if there is one."""
        self.context.memory_seq_rm(row, -1, -1)
        del self.busy[row]
        if (request := next(self.waiting, None)) is not None:
            self.busy[row], self.held[row] = request, 0


@contextmanager
def paged(model: Any, slots: int, tokens: int) -> Iterator[Any]:
    """The scheduler of transformers, with room for `slots` sequences of so many tokens.

    Raises ValueError where the model's layers cannot read a paged cache.
    """
    try:
        from transformers import ContinuousBatchingConfig  # heavy: its scheduler, which not every version has under this name
    except ImportError as error:
        raise ValueError("This version of transformers does not batch continuously; install a newer one, or take llama.cpp.") from error
    usual = GenerationConfig(do_sample=False, eos_token_id=-1, pad_token_id=0, max_new_tokens=tokens)
    own = ContinuousBatchingConfig(
        page_size=PAGE,
        num_blocks=slots * (tokens // PAGE + 2),
        max_batch_tokens=max(CHUNK, slots),
        max_requests_per_batch=slots,
        allow_block_sharing=False,  # or equal beginnings of prompts would be read once
        use_async_batching=False,
        auto_switch_to_flash=False,  # the kernels of the static batches
        safety_margin=0.0,
    )
    try:
        manager = model.init_continuous_batching(generation_config=usual, continuous_batching_config=own)
        manager.warmup()
    except (ValueError, RuntimeError, AttributeError, KeyError, TypeError, NotImplementedError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"transformers cannot batch this model continuously ({first}); take llama.cpp.") from error
    try:
        yield manager
    finally:
        manager.destroy()


def scheduled(manager: Any, prompts: torch.Tensor, wanted: list[int]) -> Answers:
    """Hand all requests to the scheduler, and let it work until they are answered. Raises ValueError where it gives up.

    Its loop runs in this thread: in one of its own, as `start` has it, OpenMP would have more threads than cores and put them to sleep
    between operators, which the static batches' do not.
    """
    from transformers.generation.continuous_batching.continuous_api import BackgroundThreadStatus  # heavy: as above

    manager.background_thread_status.clear()
    for number, (prompt, length) in enumerate(zip(prompts.tolist(), wanted)):
        manager.add_request(prompt, request_id=str(number), max_new_tokens=length, record_timestamps=True)
    manager.background_thread_status.request_stop(BackgroundThreadStatus.FLUSH_AND_STOP, 0)
    began = time.perf_counter()
    manager._run_generation_loop(use_inference_mode=True)
    done: dict[int, Any] = {}
    while told := manager.get_result(timeout=0):
        if told.error:
            raise ValueError(f"transformers gave up batching continuously ({str(told.error).splitlines()[0]}); take llama.cpp.")
        done[int(told.request_id)] = told
    if len(done) < len(wanted):
        raise ValueError("transformers gave up batching continuously; take llama.cpp.")
    times = [[at - began for at in done[number].timestamps] for number in range(len(wanted))]
    said = [done[number].generated_tokens for number in range(len(wanted))]
    return Answers([_request(at) for at in times], max(at[-1] for at in times), manager.current_batch, said=said)


def _request(times: list[float]) -> Request:
    """From when each token was there, in seconds since the beginning."""
    gaps = tuple(late - early for early, late in zip(times, times[1:]))
    return Request(due=0, first=times[0], gaps=gaps, tokens=len(times))
