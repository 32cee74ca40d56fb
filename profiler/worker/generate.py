"""The task `generate`: load, probe, warm up, then rounds of prefill + decode with nothing but the work inside the clock.

Events leave between timed blocks; after each block the worker rests a moment, so that whoever watches can repaint
without taking time from the next one. Canaries sing before, between and after the rounds.
"""

import gc
import os
import tempfile
import time
from contextlib import contextmanager
from typing import Literal

import numpy as np
import psutil
import torch

from profiler.record.events import Finished, Job, Peak, Phase, Probed, Step, Traced
from profiler.spec.work import Generate
from profiler.worker import answers, batches, ceilings, hog, quality, trace
from profiler.worker.channel import Channel
from profiler.worker.decoding import Decoding
from profiler.worker.device import memory_marks, reset_peaks
from profiler.worker.energy import joules
from profiler.worker.engines import ENGINES
from profiler.worker.prompt import prompt_ids
from profiler.worker.speech import Speech
from profiler.worker.steady import PRECISE, WINDOW, imprecision, steady

GLANCE = 0.3  # seconds of looking at the machine's load
NEIGHBOURS = 0.15  # cores of other programs that are worth waiting for
PATIENCE = 5.0  # seconds of waiting, at most
WARM_UP = 3.0  # seconds, at most
WARM_TOKENS = 64
ROUNDS = 3  # at least
LEAST = 2.0  # seconds of timed work, at least
BLOCK = 2.5  # seconds after which a timed block ends, so that slow models show life
REST = 0.3  # seconds: time to repaint
BETWEEN_RESTS = 1.0  # seconds of work before the next rest, at least
OVERTIME = 3.0  # a model so slow that one round takes this many times the limit gets no further ones


@torch.inference_mode()
def run(job: Job, channel: Channel) -> Finished:
    """Measure one model."""
    return Session(job, channel).measure()


class Session:
    """One measurement on its way."""

    def __init__(self, job: Job, channel: Channel):
        self.job, self.channel = job, channel
        self.work: Generate = job.spec.generate
        self.device = job.spec.setup.device
        self.decode: list[float] = []
        self.timed = 0.0
        self.peaks: dict[Phase | Literal["start"], dict[str, float]] = {}

    def measure(self) -> Finished:
        """All phases in their order."""
        self._mark("start")
        self.engine = ENGINES[self.job.spec.setup.engine](self.job, self.channel)
        tokenizer = self.engine.tokenizer
        quality.text(self.job, self.engine)  # raises now, not after the rounds, where the text cannot be scored
        self._mark("load")
        self.canary = ceilings.Canary(self.job.spec.setup, self.job.hardware.cache)
        self._ceilings()
        prompt = prompt_ids(self.work, self.engine.vocab, tokenizer)
        self.speech = Speech(tokenizer) if tokenizer else None
        self.decoding = self.engine.decoding(prompt)
        self._compile()
        self._settle()
        with hog.beside(self.job.spec.setup.hog):
            settled = self._warm_up()
            before = psutil.Process().num_ctx_switches(), psutil.swap_memory()
            self._rounds()
            after = psutil.Process().num_ctx_switches(), psutil.swap_memory()
            said = [int(token) for token in self.decoding.said[: self.work.new_tokens]]
            kv_bytes, own = float(self.decoding.cache_bytes), self.decoding.facts  # before the trace adds its own
            self._trace()
        batches.measure(self.job, self.channel, self.engine)
        if self.work.check:
            own = own | answers.compare(self.job, self.channel, self.engine, prompt[0], said)
        if self.work.quality:
            quality.score(self.job, self.channel, self.engine)
        text = str(tokenizer.decode(said)) if tokenizer else None
        for name, marks in self.peaks.items():
            self.channel.emit(Peak(at=time.time(), name=name, marks=marks))
        facts = {
            "steady": float(settled),
            "interrupted": float(after[0].involuntary - before[0].involuntary),
            "swapped": float(after[1].sin + after[1].sout - before[1].sin - before[1].sout),
            "weight_bytes": float(self.engine.weight_bytes),
            "file_bytes": float(self.engine.file_bytes),
            "kv_bytes": kv_bytes,
            "canary_bytes": float(self.canary.buffer.nbytes),
            **own,
        }
        return Finished(at=time.time(), text=text, facts=facts)

    def _mark(self, name: Phase | Literal["start"]) -> None:
        """Note the memory marks of a phase that just ended, the highest over its rounds, and begin new ones."""
        now, seen = memory_marks(self.device), self.peaks.get(name, {})
        self.peaks[name] = {key: max(value, seen.get(key, 0.0)) for key, value in now.items()}
        reset_peaks(self.device)

    def _ceilings(self) -> None:
        """The kept ones, unless the machine is faster now; new ones, and once more if they were measured at a slow moment."""
        found, kept = self.job.ceilings, True
        for _ in range(2):
            if found and not ceilings.beaten(found, self.canary):
                break
            self.channel.enter("ceilings")
            found, kept = ceilings.measure(self.job, self.channel, self.canary), False
        assert found
        self.channel.emit(Probed(at=time.time(), ceilings=found, kept=kept))

    def _compile(self) -> None:
        """Compiling happens at the first call of each shape: now, apart from the cold times."""
        if self.job.spec.setup.compile:
            self.channel.enter("compile", note="Compiling the layers, once for this process")
            began = time.perf_counter()
            try:
                with cold():
                    self.decoding.prefill()
                    self.decoding.timed_steps(2)
            except torch._dynamo.exc.BackendCompilerFailed as error:
                raise ValueError(f"This model could not be compiled: {str(error).strip().splitlines()[0]} Measure it as it is.") from error
            self.channel.measured("compile_time", time.perf_counter() - began)

    def _settle(self) -> None:
        """Wait for a quiet machine, but not for ever: this process idles, so whatever runs now is somebody else."""
        self.channel.enter("settle", left=WARM_UP + self.work.seconds)
        end = time.perf_counter() + PATIENCE
        while psutil.cpu_percent(GLANCE) / 100 * (psutil.cpu_count() or 1) > NEIGHBOURS and time.perf_counter() < end:
            pass

    def _warm_up(self) -> bool:
        """Cold times first, told apart; then steps until they are steady. Whether they became so."""
        self.channel.enter("warm-up", left=WARM_UP + self.work.seconds / 2)
        self.prefill_guess = self.decoding.timed_prefill()
        self.channel.measured("cold_prefill", self.prefill_guess)
        seconds = self.decoding.timed_steps(1)
        self.channel.measured("cold_decode", seconds[0])
        end = time.perf_counter() + WARM_UP
        window = max(1, min(WINDOW, self.work.new_tokens - 1, int(WARM_UP / seconds[0])))
        seconds, position = [], 1
        while not steady(seconds) and len(seconds) < WARM_TOKENS and time.perf_counter() < end:
            if position + window > self.work.new_tokens:  # the context of a warm-up step is one of the measured ones
                self.decoding.prefill()
                position = 0
            latest = self.decoding.timed_steps(window)
            self.channel.emit(Step(at=time.time(), name="warm-up", seconds=tuple(latest), first=self.work.prompt_tokens + position))
            position += window
            seconds += latest
        self.decode_guess = sorted(seconds)[len(seconds) // 2]
        return steady(seconds)

    def _rounds(self) -> None:
        """Rounds until the median is known well enough."""
        self.canary.sing(self.channel)
        with quiet():
            round = 0
            self.rested = time.perf_counter()
            while not self._enough(round):
                self._round(round)
                round += 1
                self._rest(round)

    def _round(self, round: int) -> None:
        """One prefill and all new tokens."""
        self.channel.enter("prefill", timed=True, left=self._left(round))
        reset_peaks(self.device)
        with self._waiting("prefill"):
            prefill = self.decoding.timed_prefill()
        self._mark("prefill")
        self.prefill_guess = prefill
        self.timed += prefill
        self.channel.emit(Step(at=time.time(), name="prefill", seconds=(prefill,), round=round, texts=self._texts(round, 0, 1)))
        energy, before = joules(self.device), 1
        while before < self.work.new_tokens:
            count = min(self._block(), self.work.new_tokens - before)
            self.channel.enter("decode", timed=True, left=self._left(round))
            with self._waiting("decode"):
                seconds = self.decoding.timed_steps(count)
            self._tell(round, before, seconds)
            before += count
            if before < self.work.new_tokens:
                self._rest(round)
        self._mark("decode")
        if energy is not None and (spent := joules(self.device)) is not None:
            self.channel.measured("gpu_energy", spent - energy)

    @contextmanager
    def _waiting(self, phase: str):
        """Note which share of the block's time this thread had no processor: taken by others, or waiting for the system."""
        clock = getattr(self.decoding, "thread_time", time.thread_time)  # an engine may work in a thread of its own
        wall, own = time.perf_counter(), clock()
        yield
        wall, own = time.perf_counter() - wall, clock() - own
        if self.device == "cpu":  # elsewhere the thread sleeps while the device works
            self.channel.measured(f"waiting_{phase}", max(1 - own / wall, 0.0))

    def _block(self) -> int:
        """Steps that fit into one block."""
        return max(1, int(BLOCK / self.decode_guess))

    def _tell(self, round: int, before: int, seconds: list[float]) -> None:
        """Send a block's times; `before` is the number of the block's first token in the answer."""
        self.timed += sum(seconds)
        self.decode += seconds
        left, first = self._left(round), self.work.prompt_tokens + before - 1
        texts = self._texts(round, before, len(seconds))
        self.channel.emit(Step(at=time.time(), name="decode", seconds=tuple(seconds), round=round, first=first, left=left, texts=texts))

    def _texts(self, round: int, first: int, count: int) -> tuple[str, ...]:
        """How `count` tokens of the answer read, each by itself; of the first round only, between the clocks."""
        if round or self.speech is None:
            return ()
        return tuple(self.speech.more([int(token)]) for token in self.decoding.said[first : first + count])

    def _rest(self, round: int) -> None:
        """Now and then: leave the processor to whoever draws, then let the canaries sing. Short rounds go without."""
        if time.perf_counter() - self.rested < BETWEEN_RESTS:
            return
        self.channel.enter("rest", left=self._left(round))
        time.sleep(REST)
        self.canary.sing(self.channel)
        self.rested = time.perf_counter()

    def _enough(self, round: int) -> bool:
        limit = self.work.seconds
        if self.timed > OVERTIME * limit:
            return round > 0
        if round < ROUNDS or self.timed < min(LEAST, limit):
            return False
        return self.timed >= limit or imprecision(self.decode) <= PRECISE

    def _left(self, round: int) -> float:
        """Seconds still to go: what the least asks for, as many more rounds as the interval's width suggests, and the end."""
        per_round = self.timed / max(round, 1) or self.prefill_guess + self.decode_guess * self.work.new_tokens
        wanted = self.timed * (imprecision(self.decode) / PRECISE) ** 2 if self.decode else 0.0
        least = min(ROUNDS * per_round, OVERTIME * self.work.seconds + per_round)
        goal = max(min(max(wanted, LEAST), self.work.seconds), least)
        return max(goal - self.timed, 0.0) * 1.2 + self._tail()

    def _tail(self) -> float:
        """Seconds of what comes after the rounds: passes under the profiler, and reading what it saw."""
        return 5.0 + 6 * self.prefill_guess + 20 * self.decode_guess if self.work.trace else 0.5

    def _trace(self) -> None:
        """The separate pass that tells the operators apart, if it was asked for; with a canary after it."""
        self.channel.enter("trace", left=self._tail())
        if self.work.trace and self.engine.untraced:
            for phase in trace.PASSES:
                self.channel.emit(Traced(at=time.time(), phase=phase, context=0, note=self.engine.untraced))
        elif self.work.trace:
            assert isinstance(self.decoding, Decoding)
            usual: dict[trace.Phase, float] = {"prefill": self.prefill_guess, "decode": float(np.median(self.decode))}
            for traced in trace.trace(self.decoding, self.work.prompt_tokens, self.work.new_tokens, usual):
                self.channel.emit(traced)
        self.canary.sing(self.channel)


@contextmanager
def cold():
    """Compile into an empty folder: what torch kept from earlier processes would make the time depend on the past."""
    name = "TORCHINDUCTOR_CACHE_DIR"
    before = os.environ.get(name)
    with tempfile.TemporaryDirectory(prefix="compiled-", ignore_cleanup_errors=True) as folder:
        os.environ[name] = folder
        try:
            yield
        finally:
            os.environ.pop(name) if before is None else os.environ.update({name: before})


@contextmanager
def quiet():
    """No garbage collection while the clock runs."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
