"""The prompt: real English text for a model that can read it, else random token ids.

The text is Python's own language reference, as every Python carries it (pydoc_data.topics).
"""

from pydoc_data.topics import topics

import torch
from transformers import PreTrainedTokenizerBase

from profiler.spec.run import Generate

CHARACTERS_A_TOKEN = 6  # more than any tokenizer needs on English text


def prompt_ids(work: Generate, vocab: int, tokenizer: PreTrainedTokenizerBase | None) -> torch.Tensor:
    """Token ids, int64 (batch, prompt_tokens)."""
    count = work.batch * work.prompt_tokens
    if tokenizer is None:
        generator = torch.Generator().manual_seed(work.seed)
        return torch.randint(vocab, (work.batch, work.prompt_tokens), generator=generator)
    text = "\n".join(topics[name] for name in sorted(topics))
    ids = tokenizer(text[: count * CHARACTERS_A_TOKEN], add_special_tokens=False)["input_ids"]
    while len(ids) < count:
        ids = ids + ids
    return torch.tensor(ids[:count]).view(work.batch, work.prompt_tokens)
