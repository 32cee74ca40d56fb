"""transformers in this process, with whatever the set-up changes in the model."""

from typing import cast

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from profiler.record.events import Job
from profiler.spec.run import Setup
from profiler.worker import kv_cache, trace
from profiler.worker.channel import Channel
from profiler.worker.decoding import Decoding
from profiler.worker.loading import load as load_model
from profiler.worker.quantize import stored_bytes
from profiler.worker.variants import compress, vary

CHUNK = 32  # tokens of a text that go at once where the cache is judged


class Native:
    """A transformers model, maybe changed."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, setup: Setup):
        self.model, self.tokenizer, self.setup = model, tokenizer, setup
        self.vocab: int = model.config.get_text_config().vocab_size
        self.weight_bytes = self.file_bytes = stored_bytes(model)
        self.untraced = trace.unsupported(setup.device, setup.compile)

    def decoding(self, prompt: torch.Tensor) -> Decoding:
        """Continue token ids, int64 (batch, tokens)."""
        return Decoding(self.model, prompt, self.setup.device, self.setup.kv)

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
    """The model as the set-up wants it."""
    model, tokenizer = load_model(job, channel)
    made = vary(compress(model, tokenizer, job, channel), job.spec.setup)
    return Native(made, tokenizer, job.spec.setup)
