"""transformers in this process, with whatever the set-up changes in the model."""

from typing import cast

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from profiler.record.events import Job
from profiler.spec.run import Setup
from profiler.worker import trace
from profiler.worker.channel import Channel
from profiler.worker.decoding import Decoding
from profiler.worker.loading import load as load_model
from profiler.worker.quantize import stored_bytes
from profiler.worker.variants import vary


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
        """Logits after each token, float32 (tokens, vocabulary)."""
        out = self.model(input_ids=ids[None].to(self.setup.device), use_cache=False)
        return cast(torch.Tensor, out.logits)[0].float().cpu()


def load(job: Job, channel: Channel) -> Native:
    """The model as the set-up wants it."""
    model, tokenizer = load_model(job, channel)
    return Native(vary(model, tokenizer, job, channel), tokenizer, job.spec.setup)
