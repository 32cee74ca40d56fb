"""transformers in this process, with whatever the set-up changes in the model."""

import time
from ctypes.util import find_library
from typing import Any, cast

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from profiler.record.events import Job
from profiler.spec.run import ALLOCATORS, Setup
from profiler.spec.work import Generate, Write
from profiler.worker import kv_cache, trace
from profiler.worker.channel import Channel
from profiler.worker.decoding import Decoding, NoCache, WholeCache
from profiler.worker.loading import load as load_model
from profiler.worker.quantize import stored_bytes
from profiler.worker.speculating import Guesser, Speculating, guesser
from profiler.worker.variants import compress, vary, whole_step

CHUNK = 32  # tokens of a text that go at once where the cache is judged
LOOPS = {"dynamic": Decoding, "static": WholeCache, "none": NoCache}
MORE = 8  # places of a whole cache for what the trace does beyond the answer


class Native:
    """A transformers model, maybe changed."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase | None,
        setup: Setup,
        new_tokens: int = 0,
        guess: Guesser | None = None,
    ):
        self.model, self.tokenizer, self.setup = model, tokenizer, setup
        self.new_tokens, self.guess = new_tokens + MORE, guess
        self.step: Any = whole_step(model, setup)
        self.vocab: int = model.config.get_text_config().vocab_size
        self.weight_bytes = self.file_bytes = stored_bytes(model)
        self.untraced = trace.unsupported(setup)

    def decoding(self, prompt: torch.Tensor) -> Decoding:
        """Continue token ids, int64 (batch, tokens)."""
        if self.guess:
            return Speculating(self.model, prompt, self.setup, self.new_tokens, self.guess)
        made = LOOPS[self.setup.cache](self.model, prompt, self.setup, self.new_tokens)
        made.forward = self.step
        return made

    def logits(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits after each token, float32 (tokens, vocabulary).

        A KV cache in a format of its own is part of what is judged: then the text goes by chunks, and all earlier ones are
        read from the cache.
        """
        ids = ids[None].to(self.setup.device)
        if not self.setup.kv:
            out = self.model(input_ids=ids, use_cache=False)
            return cast(torch.Tensor, out.logits)[0].float().cpu()
        name, cache, said = self.decoding(ids)._cache_name, kv_cache.made(self.model, self.setup.kv), []
        for chunk in ids.split(CHUNK, dim=1):
            out = self.model(input_ids=chunk, **{name: cache}, use_cache=True)
            cache = out[name]
            said.append(out.logits[0].float().cpu())
        return torch.cat(said)


def load(job: Job, channel: Channel) -> Native:
    """The model as the set-up wants it. Raises ValueError of one sentence for a loop that this model or task cannot have."""
    setup, work = job.spec.setup, job.spec.work
    refuse(job)
    model, tokenizer = load_model(job, channel)
    made, guess = vary(compress(model, tokenizer, job, channel), setup), None
    if setup.speculation:
        channel.enter("compress", note="Making the model that guesses")
        began = time.perf_counter()
        guess = guesser(setup.speculation, made, setup)
        channel.measured("compress_time", time.perf_counter() - began)
    return Native(made, tokenizer, setup, work.new_tokens if isinstance(work, Generate | Write) else 0, guess)


def refuse(job: Job) -> None:
    """Raise ValueError where the loop around the model cannot be as the set-up says."""
    spec, setup, work = job.spec.model, job.spec.setup, job.spec.work
    assert spec
    if setup.allocator != "system" and not find_library(ALLOCATORS[setup.allocator]):
        raise ValueError(f"The allocator {setup.allocator} is not installed here; install it, or take the system's.")
    if (setup.speculation or setup.prefix) and (spec.recurrent or spec.window):
        raise ValueError(f"{spec.name} keeps a state or a window that cannot be taken back, so it cannot guess ahead or keep a prefix.")
    if setup.speculation and isinstance(work, Generate) and (work.batch > 1 or work.batches):
        raise ValueError("Guessing ahead is for one sequence at a time; choose batch 1.")
