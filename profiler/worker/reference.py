"""What the uncompressed model says of a text: computed once, kept in the cache.

On a processor it runs in float32, so that number formats are judged too; where that needs more than half of the machine's
memory, in bfloat16. On an accelerator it runs in the set-up's dtype.
"""

import hashlib
import io
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from profiler.record.events import Job, Step
from profiler.spec.model import ModelSpec
from profiler.spec.run import BYTES, Dtype, Setup
from profiler.worker import scores
from profiler.worker.channel import Channel
from profiler.worker.device import release_memory
from profiler.worker.engines.native import Native
from profiler.worker.loading import load

FORM = 1  # of a kept file; another one is computed anew
ROOM = 0.9  # of the machine's memory that two models may take
APART = 0.5  # seconds between two notes of progress, at least
NOTE = "Asking the uncompressed model, once for this text"


class Reads(Protocol):
    """What tells the logits of a text; see `profiler.worker.engines.Engine`."""

    weight_bytes: int

    def logits(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits after each token of one sequence: int64 (tokens,) → float32 (tokens, vocabulary), on the processor."""


class Reference(NamedTuple):
    """Its answers at each place of the text."""

    surprise: torch.Tensor  # float32 (places,), nats
    top: scores.Top  # (places, 256)
    right: torch.Tensor  # bool (questions,)


def reference(job: Job, channel: Channel, engine: Reads, windows: torch.Tensor, asked: scores.Questions) -> Reference:
    """The answers about texts int64 (windows, tokens): the kept ones, or else those of the model, which is loaded for it and let go.

    Raises ValueError where the model does not fit into memory beside the one that is judged.
    """
    spec, setup = job.spec.model, uncompressed(job)
    assert spec
    file = Path(job.cache) / "references" / f"{_key(spec, setup, windows)}.safetensors"
    if (kept := _read(file)) is not None:
        return kept
    channel.enter("quality", note=NOTE)
    if job.spec.setup.plain and not job.spec.setup.compressed and setup.dtype == job.spec.setup.dtype:
        found = answers(engine, channel, windows, asked)
    else:
        _fits(job, engine, setup)
        plain = job.model_copy(update={"spec": job.spec.model_copy(update={"setup": setup})})
        model, tokenizer = load(plain, Channel(io.StringIO()))  # its phases are not the run's
        found = answers(Native(model, tokenizer, setup), channel, windows, asked)
        del model
        release_memory()
    _keep(found, file)
    return found


def answers(engine: Reads, channel: Channel, windows: torch.Tensor, asked: scores.Questions) -> Reference:
    """What a model says about texts int64 (windows, tokens)."""
    surprises, ids, logs, right = [], [], [], []
    for first, window in watched(windows, channel):
        said, _ = scores.foretold(engine.logits(window)[:-1])
        top = scores.top(said)
        surprises.append(scores.surprise(said, window[1:]))
        ids.append(top.ids)
        logs.append(top.logs)
        right.append(scores.right(asked, said, first))
    return Reference(torch.cat(surprises), scores.Top(torch.cat(ids), torch.cat(logs), top.whole), torch.cat(right))


def watched(windows: torch.Tensor, channel: Channel) -> Iterator[tuple[int, torch.Tensor]]:
    """Each window with the number of its first place; tells now and then how far it is, and how many seconds are left."""
    began = told = time.perf_counter()
    for number, window in enumerate(windows):
        yield number * (len(window) - 1), window
        if (now := time.perf_counter()) - told > APART:
            done = (number + 1) / len(windows)
            channel.emit(Step(at=time.time(), name="quality", done=done, left=(now - began) * (1 - done) / done))
            told = now


def uncompressed(job: Job) -> Setup:
    """How the uncompressed model runs."""
    given = job.spec.setup
    dtype = given.dtype
    if given.device == "cpu":
        dtype = "float32" if 2 * _bytes(job.spec.model, "float32") < job.hardware.memory else "bfloat16"
    return Setup(device=given.device, threads=given.threads, huge_pages=given.huge_pages, dtype=dtype)


def _bytes(spec: ModelSpec | None, dtype: Dtype) -> int:
    """What the weights take: counted on a model without any memory behind it."""
    assert spec
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**spec.config))
    return sum(parameter.numel() for parameter in model.parameters()) * BYTES[dtype]


def _fits(job: Job, engine: Reads, setup: Setup) -> None:
    needed = engine.weight_bytes + _bytes(job.spec.model, setup.dtype)
    if setup.device == "cpu" and needed > ROOM * job.hardware.memory:
        raise ValueError(
            "The uncompressed model does not fit into memory beside this one, so there is nothing to compare with; "
            f"first run the uncompressed model in {setup.dtype} with the same text, which keeps its answers."
        )


def state_of(spec: ModelSpec | None) -> tuple:
    """Tells another model, and changed weights at the same place."""
    assert spec
    place = Path(spec.location) if spec.origin in ("folder", "gguf") else None
    files = sorted(place.glob("*") if place.is_dir() else [place]) if place else []
    return spec.reference, spec.location, [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]


def _key(spec: ModelSpec, setup: Setup, windows: torch.Tensor) -> str:
    """Tells another model, changed weights at the same place, another text and other arithmetic."""
    device = "cpu" if setup.device == "cpu" else "accelerator"
    told = repr((FORM, scores.TOP, *state_of(spec), device, setup.dtype, tuple(windows.shape)))
    return hashlib.sha256(told.encode() + windows.numpy().tobytes()).hexdigest()[:16]


def _keep(found: Reference, file: Path) -> None:
    """Whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    held = {"surprise": found.surprise, "ids": found.top.ids, "logs": found.top.logs, "right": found.right}
    held["whole"] = torch.tensor(found.top.whole)
    with tempfile.TemporaryDirectory(dir=file.parent) as work:
        made = Path(work) / file.name
        save_file(held, made)
        os.replace(made, file)


def _read(file: Path) -> Reference | None:
    """What was kept; None where there is nothing that can be read."""
    try:
        held = load_file(file)
        return Reference(held["surprise"], scores.Top(held["ids"], held["logs"], bool(held["whole"])), held["right"])
    except (OSError, SafetensorError, KeyError):
        return None
