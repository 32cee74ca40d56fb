"""From a GGUF file to a folder that transformers loads at once: safetensors + tokenizer, made once, kept in the cache.

transformers reads GGUF itself, but takes tens of seconds, and such a model refuses to be saved; its weights copied into a
model built from a plain configuration save and load normally. The folder appears whole or not at all.
"""

import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager
from functools import cache as remembered
from pathlib import Path

import gguf
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

DROPPED = ("quantization_config", "model_type", "transformers_version", "architectures")


def converted(file: Path, cache: Path) -> Path:
    """The folder made from this file, which may already be there."""
    return cache / "converted" / f"{file.stem}-{_fingerprint(file)}"


def _fingerprint(file: Path) -> str:
    """Tells a changed file at the same place."""
    state = file.stat()
    return hashlib.sha256(f"{file.resolve()}|{state.st_size}|{state.st_mtime_ns}".encode()).hexdigest()[:12]


def convert(file: Path, target: Path) -> None:
    """Make `target` from a GGUF file. Raises ValueError for a file that cannot be read."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        try:
            with reading_once():
                read = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name)
                tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        except (ValueError, OSError, KeyError, RuntimeError, NotImplementedError, IndexError) as error:
            raise ValueError(
                f"{file.name} could not be read as a model ({type(error).__name__}: {error}); fetch it again or name another file."
            ) from error
        settings = {key: value for key, value in read.config.to_dict().items() if key not in DROPPED}
        config = AutoConfig.for_model(read.config.model_type, **settings)
        plain = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        plain.load_state_dict(read.state_dict())
        plain.generation_config = read.generation_config
        made = Path(work) / "made"
        plain.save_pretrained(made)
        tokenizer.save_pretrained(made)
        move(made, target)


@contextmanager
def reading_once():
    """Transformers opens the file anew for configuration, weights and tokenizer, and looks up the table of names for each
    tensor; remembered, the conversion takes less than half as long.
    """
    names = ("GGUFReader", "get_tensor_name_map")
    plain = {name: getattr(gguf, name) for name in names}
    for name in names:
        setattr(gguf, name, remembered(plain[name]))
    try:
        yield
    finally:
        for name in names:
            setattr(gguf, name, plain[name])


def move(made: Path, target: Path) -> None:
    """Put a finished folder in its place; somebody else may have been faster."""
    if not target.exists():
        try:
            os.replace(made, target)
        except OSError:
            shutil.copytree(made, target, dirs_exist_ok=True)
