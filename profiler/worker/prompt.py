"""The prompt: real English text for a model that can read it, else random token ids."""

import torch
from transformers import PreTrainedTokenizerBase

from profiler.spec.work import Generate
from profiler.worker.texts import calibration


def prompt_ids(work: Generate, vocab: int, tokenizer: PreTrainedTokenizerBase | None) -> torch.Tensor:
    """Token ids, int64 (batch, prompt_tokens). The text is none that quality is judged by."""
    if tokenizer is None:
        generator = torch.Generator().manual_seed(work.seed)
        return torch.randint(vocab, (work.batch, work.prompt_tokens), generator=generator)
    return calibration(tokenizer, work.batch * work.prompt_tokens).view(work.batch, work.prompt_tokens)
