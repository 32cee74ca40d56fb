"""Whether an engine gives the same answers: its greedy tokens and its logits beside those of the uncompressed model in float32.

The reference continues the prompt greedily, once; what it said is kept in the cache. An engine is asked about the same text twice:
which tokens it wrote by itself, and which logits it has where the reference's text is laid before it. Two tokens that are equally
likely within the rounding of a number format are both right, so where the texts part, the reference's own logits judge.
"""

import hashlib
import io
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from profiler.record.events import Job
from profiler.spec.run import Setup
from profiler.worker.channel import Channel
from profiler.worker.device import release_memory
from profiler.worker.engines import Engine
from profiler.worker.engines.native import Native
from profiler.worker.loading import load
from profiler.worker.reference import state_of, uncompressed

FORM = 1  # of a kept file
NOTE = "Asking the uncompressed model in float32, once for this prompt"


class Truth(NamedTuple):
    """What the reference says."""

    tokens: torch.Tensor  # int64 (new tokens,)
    logits: torch.Tensor  # float32 (new tokens, vocabulary): those that each token was chosen by


@torch.inference_mode()
def compare(job: Job, channel: Channel, engine: Engine, prompt: torch.Tensor, said: list[int]) -> dict[str, float]:
    """Counts and distances, by name; `prompt` int64 (tokens,), `said` the engine's own tokens.

    answer_tokens: compared; answer_same: of them, until the first that differs; answer_gap: by how much the reference prefers its own
    token there, in standard deviations of its logits; answer_error: root of the mean squared difference of both logits where the same
    text is before them, in the same unit, after each row's mean is taken away (a constant changes no answer).
    """
    channel.enter("check")
    known = truth(job, channel, engine, prompt, len(said))
    spread = float(known.logits.std(-1).mean())
    same = next((place for place, (own, right) in enumerate(zip(said, known.tokens.tolist())) if own != right), len(said))
    gap = 0.0
    if same < len(said):
        row = known.logits[same]
        gap = float(row[known.tokens[same]] - row[said[same]]) / spread
    text = torch.cat([prompt.cpu(), known.tokens[:-1]])
    found = engine.logits(text)[len(prompt) - 1 :]
    centred = (found - found.mean(-1, keepdim=True)) - (known.logits - known.logits.mean(-1, keepdim=True))
    error = float(centred.square().mean().sqrt()) / spread
    return {"answer_tokens": float(len(said)), "answer_same": float(same), "answer_gap": gap, "answer_error": error}


def truth(job: Job, channel: Channel, engine: Engine, prompt: torch.Tensor, count: int) -> Truth:
    """The reference's answer: the kept one, or else that of the model, which is loaded for it and let go."""
    setup = uncompressed(job)
    file = Path(job.cache) / "references" / f"{_key(job, setup, prompt, count)}.safetensors"
    if (kept := _read(file)) is not None:
        return kept
    channel.enter("check", note=NOTE)
    plain = job.model_copy(update={"spec": job.spec.model_copy(update={"setup": setup})})
    model, tokenizer = load(plain, Channel(io.StringIO()))  # its phases are not the run's
    reader = Native(model, tokenizer, setup)
    found = _asked(reader, prompt, count)
    del model, reader
    release_memory()
    _keep(found, file)
    return found


def _asked(reader: Native, prompt: torch.Tensor, count: int) -> Truth:
    """Its greedy continuation, and one pass over prompt and continuation together for the logits."""
    decoding = reader.decoding(prompt[None])
    decoding.prefill()
    for _ in range(count - 1):
        decoding.step()
    tokens = torch.tensor([int(token) for token in decoding.said])
    return Truth(tokens, reader.logits(torch.cat([prompt.cpu(), tokens[:-1]]))[len(prompt) - 1 :].contiguous())


def _key(job: Job, setup: Setup, prompt: torch.Tensor, count: int) -> str:
    seed = job.spec.generate.seed if job.spec.model and not job.spec.model.trained else 0
    told = repr((FORM, *state_of(job.spec.model), setup.device == "cpu", setup.dtype, count, seed))
    return hashlib.sha256(told.encode() + prompt.cpu().numpy().tobytes()).hexdigest()[:16]


def _keep(found: Truth, file: Path) -> None:
    """Whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as work:
        made = Path(work) / file.name
        save_file(found._asdict(), made)
        os.replace(made, file)


def _read(file: Path) -> Truth | None:
    try:
        return Truth(**load_file(file))
    except (OSError, SafetensorError, TypeError):
        return None
