"""Families whose blocks depend on what the configuration says: a function from a configuration to a row each."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from profiler.catalog.facts import Facts
from profiler.catalog.families import BIASED, FAMILIES, LLAMA, PLAIN, QWEN2, Family

Config = dict[str, Any]


def family_of(config: Config) -> tuple[Family, bool]:
    """The row of a configuration's family, and whether it is known: an unknown one is a Llama, or a BERT if it fills in masked words."""
    name = config["model_type"]
    if name in VARIANTS:
        return VARIANTS[name](config), True
    if name in FAMILIES:
        return FAMILIES[name], True
    masked = any("MaskedLM" in str(name) for name in config.get("architectures") or ())
    return FAMILIES["bert"] if masked else replace(LLAMA, pattern=1), False


def _falcon(config: Config) -> Family:
    """7B: one key for all heads, one norm; 40B and 180B: groups, two norms; RW: neither beside the other."""
    new, parallel = config.get("new_decoder_architecture", False), config.get("parallel_attn", True)
    norms = (config.get("num_ln_in_parallel_attn") or (2 if new else 1)) if parallel else 2
    bias = bool(config.get("bias"))
    fixed: Config = {"num_key_value_heads": 1} if config.get("multi_query", True) and not new else {}
    if not fixed and not new:
        fixed = {"num_key_value_heads": config.get("num_attention_heads", config.get("n_head"))}
    return Family(
        **PLAIN | {"qkv_bias": bias, "output_bias": bias, "mlp_bias": bias},
        norms=norms,
        tied=True,
        fixed=fixed,
        defaults={"max_position_embeddings": 2048},
    )


def _mpt(config: Config) -> Family:
    """Never a bias in transformers' class, nor a position table (ALiBi)."""
    heads = (config.get("attn_config") or {}).get("kv_n_heads")
    facts = Facts(config, {}, {})
    ffn = facts.count("expansion_ratio", 4) * facts.count("hidden")
    return Family(
        **PLAIN | {"norm_vectors": 1},
        tied=True,
        fixed={"intermediate_size": ffn} | ({"num_key_value_heads": heads} if heads else {}),
        defaults={"max_seq_len": 2048},
    )


def _bigcode(config: Config) -> Family:
    """One key for all heads, unless switched off."""
    fixed = {"num_key_value_heads": 1} if config.get("multi_query", True) else {}
    return Family(**BIASED, tied=True, positions=0, fixed=fixed)


def _phi(config: Config) -> Family:
    """Attention and MLP side by side, behind one norm."""
    return Family(**BIASED, norms=1, head_bias=True, qk_norm="head and bias" if config.get("qk_layernorm") else "")


def _stablelm(config: Config) -> Family:
    """LayerNorm; side by side with one norm in the 12B model."""
    return Family(
        norm_vectors=2,
        norms=1 if config.get("use_parallel_residual") else 2,
        qkv_bias="use_qkv_bias",
        output_bias=False,
        qk_norm="full" if config.get("qk_layernorm") else "",
    )


def _cohere(config: Config) -> Family:
    """Attention and MLP side by side, behind one norm without a bias."""
    pattern = 4 if config["model_type"] == "cohere2" else 0
    return Family(norms=1, tied=True, pattern=pattern, qk_norm="full" if config.get("use_qk_norm") else "")


def _opt(config: Config) -> Family:
    """The 350M model has its norms behind the sublayers, no last one, and a narrower embedding."""
    last = config.get("do_layer_norm_before", True) and not config.get("_remove_final_layer_norm", False)
    bias = "enable_bias"
    return Family(
        **PLAIN | {"qkv_bias": bias, "output_bias": bias, "mlp_bias": bias},
        tied=True,
        positions=2,
        final_norms=int(bool(last)),
        defaults={"enable_bias": True},
    )


def _glm4_moe(config: Config) -> Family:
    """Queries and keys are normalised in the larger one."""
    return Family(mixture=True, output_bias=False, qk_norm="head" if config.get("use_qk_norm") else "")


def _chatglm(config: Config) -> Family:
    """Groups of heads, a bias on queries, keys and values."""
    fixed = {} if config.get("multi_query_attention", True) else {"num_key_value_heads": config.get("num_attention_heads")}
    return Family(qkv_bias="add_qkv_bias", output_bias=False, buildable=False, fixed=fixed)


def _qwen(config: Config) -> Family:
    """The first Qwen: its intermediate_size counts both halves of the gated MLP."""
    width = config.get("intermediate_size")
    fixed = {"intermediate_size": width // 2} if isinstance(width, int) else {}
    return Family(**QWEN2, buildable=False, fixed=fixed)


def _lfm2(config: Config) -> Family:
    """The MLP is two thirds as wide as said, rounded up to whole tiles."""
    width = config.get("block_ff_dim", config.get("intermediate_size"))
    fixed = {}
    if isinstance(width, int) and config.get("block_auto_adjust_ff_dim", True):
        tile = config.get("block_multiple_of", 256)
        width = int(config.get("block_ffn_dim_multiplier", 1.0) * int(2 * width / 3))
        fixed = {"intermediate_size": tile * -(-width // tile)}
    return Family(qk_norm="head", recurrent="convolution", tied=True, fixed=fixed)


VARIANTS: dict[str, Callable[[Config], Family]] = {
    "falcon": _falcon,
    "mpt": _mpt,
    "gpt_bigcode": _bigcode,
    "phi": _phi,
    "stablelm": _stablelm,
    "cohere": _cohere,
    "cohere2": _cohere,
    "opt": _opt,
    "glm4_moe": _glm4_moe,
    "chatglm": _chatglm,
    "qwen": _qwen,
    "lfm2": _lfm2,
}
