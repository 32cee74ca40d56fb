"""The tasks a worker knows, one row each, and how its errors are told."""

import traceback
from collections.abc import Callable

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from profiler.record.events import Finished, Job
from profiler.worker import ceilings, fetch, generate, load_test, requests, sensitivity, write
from profiler.worker.channel import Channel

TASKS: dict[str, Callable[[Job, Channel], Finished]] = {
    "generate": generate.run,
    "ceilings": ceilings.run,
    "fetch": fetch.run,
    "sensitivity": sensitivity.run,
    "write": write.run,
    "requests": requests.run,
    "load-test": load_test.run,
}


def preload() -> None:
    """Do what the libraries put off until their first use, so that a spare worker has it behind it."""
    config = LlamaConfig(hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, vocab_size=32)
    with torch.inference_mode():
        LlamaForCausalLM(config).eval()(torch.zeros(1, 4, dtype=torch.long), use_cache=True)


def reason(error: Exception) -> str:
    """One sentence for a person."""
    if isinstance(error, ValueError) and not isinstance(error, UnicodeError) and _ours(error):
        return str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error):
        return "Memory ran out on the device; choose a smaller model, batch or prompt, or a 16-bit dtype."
    first = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
    return f"The measurement stumbled: {type(error).__name__}: {first}"


def _ours(error: Exception) -> bool:
    """Whether the sentence was written here, for a person."""
    return "profiler" in traceback.extract_tb(error.__traceback__)[-1].filename
