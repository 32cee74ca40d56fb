"""The shape of a model in a GGUF file, read from its header alone.

GGUF's keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import gguf

KEYS = {
    "num_hidden_layers": "block_count",
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
    "max_position_embeddings": "context_length",
    "num_local_experts": "expert_count",
    "num_experts_per_tok": "expert_used_count",
    "sliding_window": "attention.sliding_window",
}
FAMILIES = {
    "llama": "llama",
    "mistral": "mistral",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "qwen3moe": "qwen3_moe",
    "phi3": "phi3",
    "gemma2": "gemma2",
    "gpt2": "gpt2",
}


def config(path: Path) -> dict[str, Any]:
    """A configuration with transformers' names. Raises ValueError for a file that is no whole GGUF."""
    return _config(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _config(path: Path, _modified: int) -> dict[str, Any]:
    try:
        reader = gguf.GGUFReader(path)
    except (ValueError, IndexError, OSError, KeyError, OverflowError, MemoryError) as error:
        raise ValueError(f"{path.name} is not a readable GGUF file (truncated or corrupt: {error}); fetch it again.") from None
    held = {key: field.contents() for key, field in reader.fields.items() if field.types[:1] != [gguf.GGUFValueType.ARRAY]}
    architecture = held.get("general.architecture")
    if architecture not in FAMILIES:
        raise ValueError(f"{path.name} holds a model of the architecture {architecture!r}; these can be opened: {', '.join(FAMILIES)}.")
    found = {name: held.get(f"{architecture}.{key}") for name, key in KEYS.items()}
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    if "token_embd.weight" not in tensors:
        raise ValueError(f"{path.name} holds no token embedding, so it is not a whole language model; fetch it again.")
    return {name: value for name, value in found.items() if value is not None} | {
        "model_type": "mixtral" if architecture == "llama" and found["num_local_experts"] else FAMILIES[architecture],
        "vocab_size": int(tensors["token_embd.weight"].shape[1]),
        "tie_word_embeddings": "output.weight" not in tensors,
    }
