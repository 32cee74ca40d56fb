"""Throughput of several sequences at once: a short measurement after the rounds, of the engine that is loaded already."""

import time

import numpy as np

from profiler.record.events import Job, Point
from profiler.worker.channel import Channel
from profiler.worker.engines import Engine
from profiler.worker.prompt import prompt_ids

WARM = 2  # steps before the clock counts
STEPS = 16  # at most


def measure(job: Job, channel: Channel, engine: Engine) -> None:
    """Tell tokens/s of a decode step at each batch size that the run asks for. A size without room ends the row, and is said."""
    work, tokenizer = job.spec.generate, engine.tokenizer
    for size in work.batches:
        channel.enter("batches", timed=True, note=f"{size} sequences at once")
        prompt = prompt_ids(work.model_copy(update={"batch": size}), engine.vocab, tokenizer)
        try:
            decoding = engine.decoding(prompt)
            decoding.prefill()
            decoding.timed_steps(min(WARM, work.new_tokens - 1))
            seconds = decoding.timed_steps(max(1, min(STEPS, work.new_tokens - 1 - WARM)))
        except ValueError as error:
            channel.enter("batches", note=str(error))
            return
        rate = size / float(np.median(seconds))
        channel.emit(Point(at=time.time(), curve="throughput", series="decode", x=size, value=rate))
