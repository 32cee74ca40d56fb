"""From a transformers model to a GGUF file that llama.cpp runs: token ids in, logits out, no tokenizer inside.

Tensors are called as the `gguf` package knows them; what llama.cpp keeps otherwise than transformers is a column of FAMILIES.
Every family is compared with transformers, logit by logit, in tests/worker/test_gguf_export.py.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import gguf
import torch
from gguf import MODEL_ARCH, GGMLQuantizationType, GGUFWriter, LlamaFileType, RopeScalingType
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

FILE_TYPES = {"float32": LlamaFileType.ALL_F32, "float16": LlamaFileType.MOSTLY_F16, "bfloat16": LlamaFileType.MOSTLY_BF16}
LARGEST_GEMMA = (46, 62)  # layers of Gemma 2 27B and Gemma 3 27B, by which llama.cpp knows that they scale their scores otherwise
FIXED = ("layer_types", "no_rope_layers", "hidden_act", "hidden_activation")  # llama.cpp's code has them as they usually are
Facts = dict[str, Any]  # method of GGUFWriter → its argument


class Family(NamedTuple):
    """How llama.cpp calls a family of models, and what it keeps otherwise."""

    arch: MODEL_ARCH
    pairs: bool = False  # positions turn neighbouring rows of a head, not its two halves: rows of q and k change places
    plus_one: bool = False  # norms multiply by 1 + weight in transformers, by the weight in llama.cpp
    windowed: bool = False  # sliding windows are there in llama.cpp too
    facts: Callable[[PretrainedConfig], Facts] = lambda config: {}


def _gemma2(config: PretrainedConfig) -> Facts:
    return {
        "add_attn_logit_softcapping": config.attn_logit_softcapping,
        "add_final_logit_softcapping": config.final_logit_softcapping,
        "add_sliding_window": config.sliding_window,
    }


def _gemma3(config: PretrainedConfig) -> Facts:
    return {
        "add_sliding_window": config.sliding_window,
        "add_rope_freq_base_swa": config.rope_parameters["sliding_attention"]["rope_theta"],
    }


def _granite(config: PretrainedConfig) -> Facts:
    return {
        "add_embedding_scale": config.embedding_multiplier,
        "add_residual_scale": config.residual_multiplier,
        "add_attention_scale": config.attention_multiplier,
        "add_logit_scale": config.logits_scaling,
    }


FAMILIES = {
    "llama": Family(MODEL_ARCH.LLAMA, pairs=True),
    "mistral": Family(MODEL_ARCH.LLAMA, pairs=True),
    "arcee": Family(MODEL_ARCH.ARCEE, pairs=True),
    "smollm3": Family(MODEL_ARCH.SMOLLM3, pairs=True),
    "granite": Family(MODEL_ARCH.GRANITE, pairs=True, facts=_granite),
    "qwen2": Family(MODEL_ARCH.QWEN2),
    "qwen3": Family(MODEL_ARCH.QWEN3),
    "phi3": Family(MODEL_ARCH.PHI3),
    "olmo2": Family(MODEL_ARCH.OLMO2),
    "gemma": Family(MODEL_ARCH.GEMMA, plus_one=True),
    "gemma2": Family(MODEL_ARCH.GEMMA2, plus_one=True, windowed=True, facts=_gemma2),
    "gemma3_text": Family(MODEL_ARCH.GEMMA3, plus_one=True, windowed=True, facts=_gemma3),
}


def check(config: PretrainedConfig, tokens: int = 0) -> None:
    """Raise ValueError, of one sentence, for a model that llama.cpp would not run as transformers does.

    `tokens`: as long as a sequence will get.
    """
    kind = config.model_type
    if kind not in FAMILIES:
        raise ValueError(f"Models of the family {kind} cannot be handed to llama.cpp here; those of {', '.join(FAMILIES)} can.")
    usual = AutoConfig.for_model(kind, num_hidden_layers=config.num_hidden_layers)
    odd = [name for name in FIXED if getattr(config, name, None) != getattr(usual, name, None)]
    scale = getattr(config, "query_pre_attn_scalar", None)
    if scale and scale != (
        config.hidden_size // config.num_attention_heads if config.num_hidden_layers in LARGEST_GEMMA else _width(config)
    ):
        odd.append("query_pre_attn_scalar")
    if _rope(config).get("partial_rotary_factor", 1.0) != 1.0 and kind != "phi3":
        odd.append("partial_rotary_factor")
    if odd:
        raise ValueError(f"llama.cpp runs models of the family {kind} only with the usual {' and '.join(odd)}; take another engine.")
    window = getattr(config, "sliding_window", None)
    if window and tokens > window and not FAMILIES[kind].windowed:
        raise ValueError(f"llama.cpp runs {kind} without its sliding window of {window} tokens; keep prompt and new tokens within it.")
    _rope_facts(config)


def export(model: PreTrainedModel, file: Path, dtype: str) -> None:
    """Write a model to `file`: its matrices in `dtype` (float32, bfloat16 or float16), its vectors in float32.

    The file appears whole or not at all. Raises ValueError like `check`.
    """
    check(model.config)
    family = FAMILIES[model.config.model_type]
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as work:
        made = Path(work) / file.name
        writer = GGUFWriter(made, gguf.MODEL_ARCH_NAMES[family.arch])
        facts = _facts(model) | family.facts(model.config) | _rope_facts(model.config)
        for method, value in (facts | {"add_file_type": FILE_TYPES[dtype], "add_tokenizer_model": "none"}).items():
            getattr(writer, method)(value)
        for name, tensor in _tensors(model, family):
            _add(writer, name, tensor, dtype)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        os.replace(made, file)


def _width(config: PretrainedConfig) -> int:
    """Of one head."""
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def _facts(model: PreTrainedModel) -> Facts:
    """The numbers of the model's shape."""
    config = model.config
    return {
        "add_context_length": config.max_position_embeddings,
        "add_embedding_length": config.hidden_size,
        "add_block_count": config.num_hidden_layers,
        "add_feed_forward_length": config.intermediate_size,
        "add_head_count": config.num_attention_heads,
        "add_head_count_kv": config.num_key_value_heads,
        "add_key_length": _width(config),
        "add_value_length": _width(config),
        "add_layer_norm_rms_eps": config.rms_norm_eps,
        "add_vocab_size": cast(torch.Tensor, model.get_input_embeddings().weight).shape[0],
    }


def _rope(config: PretrainedConfig) -> dict[str, Any]:
    """How positions are told; of the layers that see everything, where there are others."""
    return config.rope_parameters.get("full_attention", config.rope_parameters)


def _rope_facts(config: PretrainedConfig) -> Facts:
    """What llama.cpp must know about positions. Raises ValueError for a scaling that it has no words for."""
    rope = _rope(config)
    kind = rope["rope_type"]
    facts = {
        "add_rope_freq_base": rope["rope_theta"],
        "add_rope_dimension_count": int(_width(config) * rope.get("partial_rotary_factor", 1.0)),
    }
    if kind in ("linear", "yarn"):
        facts |= {"add_rope_scaling_type": RopeScalingType(kind), "add_rope_scaling_factor": rope["factor"]}
    if kind in ("longrope", "yarn"):
        facts["add_rope_scaling_orig_ctx_len"] = rope["original_max_position_embeddings"]
    if kind == "longrope":
        facts["add_rope_scaling_attn_factors"] = ROPE_INIT_FUNCTIONS[kind](config)[1]
    known = {"default", "linear"} | ({"longrope"} if config.model_type == "phi3" else {"yarn"})
    known |= {"llama3"} if FAMILIES[config.model_type].arch == MODEL_ARCH.LLAMA else set()
    if kind not in known:
        raise ValueError(f"Positions scaled by {kind} cannot be handed to llama.cpp here for {config.model_type}; take another engine.")
    return facts


def _tensors(model: PreTrainedModel, family: Family) -> Iterator[tuple[str, torch.Tensor]]:
    """(name, values) of everything in the file."""
    config = model.config
    names = gguf.get_tensor_name_map(family.arch, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        called = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if called is None:
            raise ValueError(f"llama.cpp has no place for {name} in the family {config.model_type}; take another engine.")
        yield called, _values(name, tensor, config, family)
    yield from _position_tensors(config)


def _values(name: str, tensor: torch.Tensor, config: PretrainedConfig, family: Family) -> torch.Tensor:
    """A tensor as llama.cpp wants it."""
    if family.plus_one and name.endswith("norm.weight"):
        return tensor.float() + 1
    if family.pairs and ".q_proj." in name:
        return _paired(tensor, config.num_attention_heads)
    if family.pairs and ".k_proj." in name:
        return _paired(tensor, config.num_key_value_heads)
    return tensor


def _paired(tensor: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows of each head: the first of one half, the first of the other, the second of one half, …"""
    halves = tensor.view(heads, 2, -1, *tensor.shape[1:])
    return halves.transpose(1, 2).reshape(tensor.shape)


def _position_tensors(config: PretrainedConfig) -> Iterator[tuple[str, torch.Tensor]]:
    """What each frequency is divided by, where it is no single number."""
    rope = _rope(config)
    if rope["rope_type"] == "llama3":
        width = _width(config)
        plain = rope["rope_theta"] ** -(torch.arange(0, width, 2).float() / width)
        yield "rope_freqs.weight", plain / ROPE_INIT_FUNCTIONS["llama3"](config)[0]
    if rope["rope_type"] == "longrope":
        yield "rope_factors_long.weight", torch.tensor(rope["long_factor"])
        yield "rope_factors_short.weight", torch.tensor(rope["short_factor"])


def _add(writer: GGUFWriter, name: str, tensor: torch.Tensor, dtype: str) -> None:
    if tensor.dim() > 1 and dtype == "bfloat16":  # numpy has no such number: bytes
        raw = tensor.to(torch.bfloat16).contiguous().view(torch.uint8).numpy()
        writer.add_tensor(name, raw, raw_dtype=GGMLQuantizationType.BF16)
    else:
        plain = getattr(torch, dtype) if tensor.dim() > 1 else torch.float32
        writer.add_tensor(name, tensor.to(plain).contiguous().numpy())
