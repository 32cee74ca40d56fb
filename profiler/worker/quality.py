"""How good a model still is: what it foretells of a held-back text, beside the uncompressed model.

One pass over the text serves all scores: surprise, divergence, agreement, and words to choose from.
"""

import math
import time

import torch

from profiler.record.events import Job, Scored
from profiler.spec.work import Generate
from profiler.worker import scores
from profiler.worker.channel import Channel
from profiler.worker.engines import Engine
from profiler.worker.reference import reference, watched
from profiler.worker.texts import WINDOW, held_back

DIGITS = 6  # of a nat: more than a score is known to, and half the bytes of a record


def text(job: Job, engine: Engine) -> tuple[torch.Tensor, str] | None:
    """The text that will be scored, int64 (windows, tokens), and its source; None where quality is not defined: random weights, or no
    tokenizer. Raises ValueError for a text that cannot be scored, so ask before a long measurement.
    """
    spec, work = job.spec.model, job.spec.work
    assert spec
    assert isinstance(work, Generate)
    if not (work.quality and spec.trained and engine.tokenizer):
        return None
    return held_back(engine.tokenizer, work.quality, work.text, min(WINDOW, spec.context))


@torch.inference_mode()
def score(job: Job, channel: Channel, engine: Engine) -> None:
    """Score the text that the run asks for, and tell it; nothing where quality is not defined."""
    found = text(job, engine)
    if found is None:
        return
    windows, source = found
    assert engine.tokenizer
    channel.enter("quality")
    asked = scores.questions(windows, engine.tokenizer)
    known = reference(job, channel, engine, windows, asked)
    channel.enter("quality", note="Scoring the held-back text")
    surprises, divergences, agrees, right, broken = [], [], [], [], 0
    for first, window in watched(windows, channel):
        logs, sound = scores.foretold(engine.logits(window)[:-1])
        places = slice(first, first + len(logs))
        top = scores.Top(known.top.ids[places], known.top.logs[places], known.top.whole)
        divergence = scores.divergence(top, logs)
        surprises.append(scores.surprise(logs, window[1:]))
        divergences.append(torch.where(sound, divergence, math.log(logs.shape[-1])))
        agrees.append((logs.argmax(-1) == top.ids[:, 0]) & sound)
        right.append(scores.right(asked, logs, first))
        broken += int((~sound).sum())
    channel.emit(
        Scored(
            at=time.time(),
            surprise=_numbers(surprises),
            reference=_numbers([known.surprise]),
            divergence=_numbers(divergences),
            agrees=tuple(torch.cat(agrees).tolist()),
            right=tuple(torch.cat(right).tolist()),
            reference_right=tuple(known.right.tolist()),
            broken=broken,
            guessing=round(scores.guessing(windows[:, 1:].flatten()), DIGITS),
            source=source,
        )
    )


def _numbers(parts: list[torch.Tensor]) -> tuple[float, ...]:
    return tuple(round(value, DIGITS) for value in torch.cat(parts).tolist())
