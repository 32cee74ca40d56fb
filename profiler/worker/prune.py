"""Take parts of a model out."""

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from profiler.spec.run import Setup


def prune(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, setup: Setup) -> None:
    """Prune in place."""
