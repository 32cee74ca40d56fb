"""From a Hugging Face configuration (config.json) to a ModelSpec.

A family that is not listed in `catalog.families` is taken to be built like Llama, or like BERT where it fills in masked words, and
the spec says so (`assumed`).
"""

from typing import Any

from pydantic import ValidationError

from profiler.catalog.blocks import decoder_blocks, encoder_blocks
from profiler.catalog.facts import Facts
from profiler.catalog.families import Family
from profiler.catalog.stacks import two_stacks
from profiler.catalog.variants import family_of
from profiler.spec.frozen import sentence
from profiler.spec.model import ModelSpec, Origin

# a wrapper that holds a language model among others → the family of what it holds, where that is not said
TEXT = {
    "llama4": "llama4_text",
    "gemma3": "gemma3_text",
    "mistral3": "mistral",
    "llava": "llama",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
}
# a part that is built as a family of its own
SAME = {
    "qwen2_vl": "qwen2",
    "qwen2_5_vl": "qwen2",
    "qwen2_vl_text": "qwen2",
    "qwen2_5_vl_text": "qwen2",
    "qwen3_vl_text": "qwen3",
    "qwen3_vl_moe_text": "qwen3_moe",
}


def from_hf_config(config: dict[str, Any], *, name: str, reference: str, origin: Origin, location: str = "") -> ModelSpec:
    """The ModelSpec of a configuration. Raises ValueError naming the field that is missing or absurd."""
    try:
        return ModelSpec(reference=reference, name=name, origin=origin, location=location, **_shape(language_part(config)))
    except ValidationError as error:
        raise ValueError(f"{name}: the configuration is not plausible: {sentence(error)}") from None
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{name}: the configuration holds a value of a wrong kind ({error}).") from None


def _shape(config: dict[str, Any]) -> dict[str, Any]:
    """All that a configuration says of a model."""
    if not isinstance(config.get("model_type"), str):
        raise ValueError("the configuration has no model_type, so it does not describe a transformers model.")
    family, known = family_of(config)
    if config.get("is_encoder_decoder") and family.shape != "encoder-decoder":
        raise ValueError(f"is_encoder_decoder is set, but {config['model_type']} is no encoder-decoder that is known here.")
    facts = Facts(config, family.fixed, family.defaults)
    said = {"config": config, "family": config["model_type"], "assumed": not known, "buildable": family.buildable}
    return said | _stacks(facts, family) | _ends(facts, family)


def language_part(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a configuration that describes the language model: itself, or what it holds as text_config."""
    held, whole = config.get("text_config"), str(config.get("model_type"))
    if not isinstance(held, dict):
        return config | {"model_type": SAME[whole]} if whole in SAME else config
    family = held.get("model_type") or TEXT.get(whole, whole)
    shared = {key: config[key] for key in ("tie_word_embeddings", "vocab_size") if config.get(key) is not None}
    return shared | held | {"model_type": SAME.get(family, family)}


def _stacks(f: Facts, family: Family) -> dict[str, Any]:
    """The blocks of one stack, or of two."""
    if family.shape == "encoder-decoder":
        return two_stacks(f, family)
    return {"blocks": decoder_blocks(f, family) if family.shape == "decoder" else encoder_blocks(f, family)}


def _ends(f: Facts, family: Family) -> dict[str, Any]:
    """What is before the first block, and after the last."""
    hidden, context = f.count("hidden"), f.count("context")
    narrow = f.counted("word_embed_proj_dim")
    tables = 2 if family.shape == "encoder-decoder" else 1
    return {
        "hidden": hidden,
        "vocab": f.count("vocab"),
        "context": context,
        "norm_vectors": family.norm_vectors,
        "final_norms": family.final_norms,
        "embedding_width": narrow if narrow != hidden else 0,
        "embedding_norms": family.embedding_norms,
        "positions": tables * (context + family.positions) if family.positions is not None else 0,
        "token_types": f.counted("type_vocab_size") if family.shape == "encoder" else 0,
        "tied": f.says("tied", family.tied),
        "head": family.shape != "encoder",
        "head_bias": f.flag(family.head_bias),
        "pooler": family.pooler,
    }
