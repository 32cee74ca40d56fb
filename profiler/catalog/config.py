"""From a Hugging Face configuration (config.json) to a ModelSpec.

The families differ in few facts; FAMILIES holds those that the configuration itself does not say. They were read off
transformers' own modules, and a test compares the parameter count of every catalogue model with transformers'.
A family that is not in the table is taken to be built like Llama, and the spec says so (`assumed`).
"""

from typing import Any

from pydantic import ValidationError

from profiler.spec.frozen import sentence
from profiler.spec.model import ModelSpec, Origin

LLAMA: dict[str, Any] = {}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": LLAMA,
    "mistral": LLAMA,
    "phi3": LLAMA,
    "qwen2": {"qkv_bias": True},
    "qwen3": {"qk_norm": "head"},
    "qwen3_moe": {"qk_norm": "head"},
    "mixtral": LLAMA,
    "olmoe": {"qk_norm": "full"},
    "gemma": {"tied": True},
    "gemma2": {"norms_per_layer": 4, "window_every": 2, "tied": True},
    "gpt2": {"gated": False, "qkv_bias": True, "output_bias": True, "mlp_bias": True, "norm_bias": True, "tied": True},
}

# our field → the names that configurations use for it, the first one found wins
NAMES: dict[str, tuple[str, ...]] = {
    "layers": ("num_hidden_layers", "n_layer"),
    "hidden": ("hidden_size", "n_embd"),
    "heads": ("num_attention_heads", "n_head"),
    "kv_heads": ("num_key_value_heads",),
    "head_dim": ("head_dim",),
    "ffn": ("moe_intermediate_size", "intermediate_size", "n_inner"),
    "vocab": ("vocab_size",),
    "context": ("max_position_embeddings", "n_positions"),
    "experts": ("num_local_experts", "num_experts"),
    "experts_per_token": ("num_experts_per_tok",),
    "window": ("sliding_window",),
    "tied": ("tie_word_embeddings",),
    "mlp_bias": ("mlp_bias",),
}
REQUIRED = ("layers", "hidden", "heads", "vocab", "context")
LIMIT = 10**14  # parameters: beyond any model there is, so surely a mistake


def from_hf_config(config: dict[str, Any], *, name: str, reference: str, origin: Origin, location: str = "") -> ModelSpec:
    """The ModelSpec of a configuration. Raises ValueError naming the field that is missing or absurd."""
    family = config.get("model_type")
    if not isinstance(family, str):
        raise ValueError(f"{name}: the configuration has no model_type, so it does not describe a transformers model.")
    if config.get("is_encoder_decoder"):
        raise ValueError(f"{name}: an encoder-decoder ({family}); only decoder-only language models can be measured so far.")
    found = {field: _first(config, names) for field, names in NAMES.items()}
    missing = [NAMES[field][0] for field in REQUIRED if found[field] is None]
    if missing:
        raise ValueError(f"{name}: the configuration lacks {', '.join(missing)}.")
    fields = {key: value for key, value in found.items() if value is not None}
    fields |= FAMILIES.get(family, LLAMA)
    _complete(fields, config, family)
    try:
        return ModelSpec(
            reference=reference,
            name=name,
            origin=origin,
            location=location,
            config=config,
            family=family,
            assumed=family not in FAMILIES,
            **fields,
        )
    except ValidationError as error:
        raise ValueError(f"{name}: the configuration is not plausible: {sentence(error)}") from None


def _first(config: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((config[name] for name in names if config.get(name) is not None), None)


def _complete(fields: dict[str, Any], config: dict[str, Any], family: str) -> None:
    """Fill what configurations leave to their family's defaults."""
    for field in REQUIRED:
        if not isinstance(fields[field], int) or fields[field] < 1:
            raise ValueError(f"the configuration says {NAMES[field][0]} = {fields[field]!r}; a positive whole number is needed.")
    fields.setdefault("kv_heads", fields["heads"])
    fields.setdefault("head_dim", fields["hidden"] // fields["heads"])
    fields.setdefault("ffn", 4 * fields["hidden"])
    if config.get("attention_bias"):
        fields |= {"qkv_bias": True, "output_bias": family != "qwen2"}
    if family == "gpt2":
        fields["positions"] = fields["context"]
    if family.startswith("qwen2") and not config.get("use_sliding_window"):
        fields.pop("window", None)  # these configurations name a window that is switched off
    if isinstance(fields["kv_heads"], int) and fields["kv_heads"] > 0 and fields["heads"] % fields["kv_heads"]:
        raise ValueError(f"num_attention_heads = {fields['heads']} cannot be shared by num_key_value_heads = {fields['kv_heads']}.")
