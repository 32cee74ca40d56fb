"""A small model that reads: random weights as if they were trained, a tokenizer learnt from Python's own documentation."""

import io
from functools import cache
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from profiler.catalog.resolve import resolve
from profiler.record.events import EVENT, Event, Job
from profiler.spec.run import RunSpec, Setup
from profiler.spec.work import Work
from profiler.worker.channel import Channel
from profiler.worker.texts import halves
from tests.builders import MACHINE

VOCABULARY = 1200  # more than a reference keeps, and enough for whole words


@cache
def learnt() -> str:
    """The tokenizer's file, as JSON."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([halves()[0]], trainer)
    return tokenizer.to_str()


def tokenizer() -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(learnt()), eos_token="</s>")


def reader(folder: Path, layers: int = 2, reads: bool = True, tied: bool = True) -> Path:
    """The model as a folder on disk."""
    config = LlamaConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=VOCABULARY,
        max_position_embeddings=512,
        tie_word_embeddings=tied,
        initializer_range=0.3,
        eos_token_id=1,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    if reads:
        tokenizer().save_pretrained(folder)
    return folder


def job(model: Path | str, work: Work, cache: Path, memory: int = MACHINE.memory, **setup) -> Job:
    """What a worker is handed."""
    spec = RunSpec(model=resolve(str(model)), work=work, setup=Setup(threads=1, **setup))
    return Job(spec=spec, hardware=MACHINE.model_copy(update={"memory": memory}), ceilings=None, cache=str(cache), warm=False)


class Heard(Channel):
    """A channel that remembers."""

    def __init__(self):
        super().__init__(io.StringIO())

    def of(self, kind: str) -> list[Event]:
        """The events of one kind, read back from their lines."""
        events = [EVENT.validate_json(line) for line in self.stream.getvalue().splitlines()]
        return [event for event in events if event.kind == kind]
