"""Answer a prompt in words, streaming: the task `write`."""

import time
from collections.abc import Iterator

import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase

from profiler.record.events import Finished, Job, Said
from profiler.spec.work import Write
from profiler.worker.channel import Channel
from profiler.worker.engines import ENGINES, Steps
from profiler.worker.speech import Speech

PACE = 0.25  # seconds between two pieces: as fast as an eye likes, and slow enough to cost nothing


@torch.inference_mode()
def run(job: Job, channel: Channel) -> Finished:
    """The answer in pieces, until the model ends it or all tokens are used.

    Raises ValueError for random weights, a model without tokenizer, and a prompt that does not fit into the model's context.
    """
    spec, work = job.spec.model, job.spec.work
    assert spec
    assert isinstance(work, Write)
    if not spec.trained:
        raise ValueError(f"{spec.name} has random weights and so nothing to say; choose a model with trained ones.")
    engine = ENGINES[job.spec.setup.engine](job, channel)
    if engine.tokenizer is None:
        raise ValueError(f"{spec.name} has no tokenizer, so it cannot read a prompt; add its tokenizer files to the model.")
    prompt = prompt_ids(work.prompt, engine.tokenizer)
    room = spec.context - len(prompt)
    if room < 1:
        raise ValueError(f"The prompt has {len(prompt):,} tokens, and {spec.name} takes {spec.context:,}; shorten it.")
    channel.enter("write")
    speech, tokens, seconds = Speech(engine.tokenizer), 0, []
    for said, took in pieces(engine.decoding(torch.tensor([prompt])), min(work.new_tokens, room), ends(engine.tokenizer)):
        tokens += len(said)
        seconds += took
        channel.emit(Said(at=time.time(), text=speech.more(said), tokens=len(said), seconds=sum(took)))
    if rest := speech.rest():
        channel.emit(Said(at=time.time(), text=rest, tokens=0, seconds=0.0))
    facts = {"tokens": float(tokens), "seconds": sum(seconds), "time_to_first_token": seconds[0]}
    return Finished(at=time.time(), text=speech.told, facts=facts)


def prompt_ids(prompt: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Token ids, in the model's form of a conversation where it has one."""
    if not tokenizer.chat_template:
        return tokenizer(prompt)["input_ids"]
    talk = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True)
    return tokenizer(talk, add_special_tokens=False)["input_ids"]


def ends(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """The tokens that end an answer: the tokenizer's, and those that the model was published with."""
    try:
        told = GenerationConfig.from_pretrained(tokenizer.name_or_path).eos_token_id
    except (OSError, ValueError):
        told = None
    more = told if isinstance(told, list) else [told]
    return {token for token in (tokenizer.eos_token_id, *more) if token is not None}


def pieces(decoding: Steps, count: int, ends: set[int]) -> Iterator[tuple[list[int], list[float]]]:
    """(new tokens, seconds of each step), about four times a second, at most `count` tokens; the end mark is not among the
    tokens, but its time is told. The first step is the prefill.
    """
    seconds = [decoding.timed_prefill()]
    told = 0
    while True:
        said = [int(token) for token in decoding.said[told : told + len(seconds)]]
        end = next((place for place, token in enumerate(said) if token in ends), None)
        if end is not None:
            yield said[:end], seconds[: end + 1]
            return
        yield said, seconds
        told += len(said)
        if told >= count:
            return
        pace = 1 if told == 1 else max(1, int(PACE * len(seconds) / sum(seconds)))
        seconds = decoding.timed_steps(min(pace, count - told))
