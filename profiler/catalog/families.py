"""What families of models do not say in their configurations: one row each, named by transformers' model_type.

Read off transformers' own modules; a test compares the parameter count of a small model of every family with transformers'.
A row is short because the usual (Llama) is the default. Where a row depends on the configuration, `catalog.variants` makes it.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

Flag = bool | str  # yes, no, or the name of the field that says so


@dataclass(frozen=True)
class Family:
    """How a family is built: RMSNorm before attention and a gated MLP, unless the row says otherwise."""

    norm_vectors: int = 1  # 2: LayerNorm, with a bias
    norms: int = 2  # a block
    final_norms: int = 1
    qkv_bias: Flag = "attention_bias"
    output_bias: Flag = "attention_bias"
    mlp_bias: Flag = "mlp_bias"
    head_bias: Flag = False
    gated: bool = True
    tied: bool = False  # unless the configuration says so
    qk_norm: Literal["", "head", "head and bias", "full"] = ""  # normalised per head, or over the whole projection
    pattern: int = 0  # every n-th layer sees everything, the others a window; 1: all have a window; 0: none
    recurrent: Literal["", "mamba", "mamba2", "delta", "convolution"] = ""  # what layers without attention have
    every: Literal["", "recurrent", "both"] = ""  # all layers are recurrent, or have attention and recurrence side by side
    mixture: bool = False  # always has experts
    latent: bool = False  # always has latent attention
    split: bool = False  # a layer is either a mixer or an MLP, never both
    inner_norm: bool = False  # Mamba-1: step size, B and C are normalised
    gated_attention: bool = False
    sinks: bool = False
    router_bias: bool = False
    shared_gate: bool = False
    positions: int | None = None  # there is a learned position table, with so many rows more than the context is long
    embedding_norms: int = 0
    pooler: bool = False
    shape: Literal["decoder", "encoder", "encoder-decoder"] = "decoder"
    buildable: bool = True  # transformers has a class for it
    fixed: dict[str, Any] = field(default_factory=dict)  # values whatever the configuration says
    defaults: dict[str, Any] = field(default_factory=dict)  # values where it is silent


LLAMA = Family()
MIXTURE = Family(mixture=True)
DEEPSEEK = Family(mixture=True, latent=True)
PLAIN: dict[str, Any] = {"norm_vectors": 2, "qkv_bias": False, "output_bias": False, "mlp_bias": False, "gated": False}
BIASED = PLAIN | {"qkv_bias": True, "output_bias": True, "mlp_bias": True}
QWEN2: dict[str, Any] = {"qkv_bias": True, "output_bias": False}
TIED = {"tie_word_embeddings": True}  # transformers' class does so whatever the configuration says
GATED: dict[str, Any] = {
    "qk_norm": "head",
    "recurrent": "delta",
    "gated_attention": True,
    "defaults": {"full_attention_interval": 4},
}
LONG = {"max_position_embeddings": 2**20}  # nothing limits a recurrent model

FAMILIES: dict[str, Family] = {
    # --- Llama and its like
    "llama": LLAMA,
    "llama4_text": Family(mixture=True, pattern=4, defaults={"num_shared_experts": 1, "attention_chunk_size": 8192}),
    "mistral": Family(pattern=1),
    "ministral": Family(pattern=1),
    "ministral3": Family(pattern=1, defaults={"head_dim": 128}),
    "mixtral": Family(mixture=True, pattern=1),
    "phi3": Family(pattern=1),
    "granite": LLAMA,
    "granitemoe": MIXTURE,
    "olmo": Family(norm_vectors=0),
    "olmo2": Family(qk_norm="full"),
    "olmo3": Family(qk_norm="full", pattern=4),
    "olmoe": Family(mixture=True, qk_norm="full"),
    "smollm3": Family(tied=True),
    "exaone": LLAMA,
    "exaone4": Family(qk_norm="head", pattern=4),
    "ernie4_5": Family(tied=True),
    "hunyuan_v1_dense": Family(qk_norm="head"),
    "internlm3": LLAMA,
    "nanochat": Family(norm_vectors=0, gated=False),
    "seed_oss": Family(output_bias="attention_out_bias", defaults={"attention_bias": True}),
    "internlm2": Family(qkv_bias="bias", output_bias="bias", buildable=False),
    "internlm": Family(qkv_bias="bias", output_bias="bias", buildable=False, defaults={"bias": True}),
    "arcee": Family(gated=False),
    "baichuan": Family(buildable=False, defaults={"max_position_embeddings": 4096}),
    # --- Qwen
    "qwen2": Family(**QWEN2),
    "qwen2_moe": Family(mixture=True, qkv_bias="qkv_bias", output_bias=False, shared_gate=True, defaults={"qkv_bias": True}),
    "qwen3": Family(qk_norm="head"),
    "qwen3_moe": Family(mixture=True, qk_norm="head"),
    "qwen3_next": Family(**GATED, mixture=True, shared_gate=True),
    "qwen3_5_text": Family(**GATED),
    "qwen3_5_moe_text": Family(**GATED, mixture=True, shared_gate=True),
    # --- Gemma
    "gemma": Family(tied=True),
    "gemma2": Family(norms=4, pattern=2, tied=True),
    "gemma3_text": Family(
        norms=4,
        pattern=6,
        tied=True,
        qk_norm="head",
        defaults={
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "head_dim": 256,
            "vocab_size": 262_208,
            "max_position_embeddings": 131_072,
            "sliding_window": 4096,
        },
    ),
    # --- mixtures of experts
    "deepseek_v2": DEEPSEEK,
    "deepseek_v3": DEEPSEEK,
    "deepseek_v32": DEEPSEEK,
    "glm_moe_dsa": DEEPSEEK,
    "glm4_moe_lite": DEEPSEEK,
    "minicpm3": Family(tied=True, latent=True),
    "ernie4_5_moe": Family(mixture=True, router_bias=True, tied=True),
    "hunyuan_v1_moe": Family(mixture=True, qk_norm="head"),
    "granitemoeshared": MIXTURE,
    "kimi_k2": Family(mixture=True, latent=True, buildable=False),
    "phimoe": Family(mixture=True, norm_vectors=2, pattern=1, head_bias="lm_head_bias"),
    "gpt_oss": Family(mixture=True, mlp_bias=True, router_bias=True, sinks=True, pattern=2, defaults={"attention_bias": True}),
    "minimax_m2": Family(mixture=True, qk_norm="full"),
    "dots1": Family(mixture=True, qk_norm="head"),
    # --- GLM
    "glm": Family(output_bias=False, defaults={"attention_bias": True}),
    "glm4": Family(output_bias=False, norms=4, defaults={"attention_bias": True}),
    # --- GPT and its like: LayerNorm, a plain MLP, biases
    "gpt2": Family(**BIASED, tied=True, positions=0),
    "gpt_neo": Family(**BIASED | {"qkv_bias": False}, tied=True, positions=0, pattern=2, defaults={"window_size": 256}),
    "openai-gpt": Family(**BIASED, tied=True, positions=0, final_norms=0),
    "persimmon": Family(**BIASED, qk_norm="head and bias"),
    "gptj": Family(**PLAIN | {"mlp_bias": True}, norms=1, head_bias=True),
    "codegen": Family(**PLAIN | {"mlp_bias": True}, norms=1, head_bias=True),
    "gpt_neox": Family(**BIASED | {"qkv_bias": "attention_bias", "output_bias": "attention_bias"}, defaults={"attention_bias": True}),
    "bloom": Family(**BIASED, tied=True, embedding_norms=1, defaults={"max_position_embeddings": 2048}),
    "starcoder2": Family(
        **BIASED | {"qkv_bias": "use_bias", "output_bias": "use_bias", "mlp_bias": "use_bias"},
        tied=True,
        pattern=1,
        defaults={"use_bias": True},
    ),
    "nemotron": Family(norm_vectors=2, gated=False),
    # --- recurrent and hybrid
    "mamba": Family(norms=1, recurrent="mamba", every="recurrent", tied=True, defaults=LONG),
    "falcon_mamba": Family(norms=1, recurrent="mamba", every="recurrent", tied=True, defaults=LONG),
    "mamba2": Family(norms=1, recurrent="mamba2", every="recurrent", defaults=LONG | {"n_groups": 8}),
    "jamba": Family(
        recurrent="mamba",
        inner_norm=True,
        defaults={"attn_layer_period": 8, "attn_layer_offset": 4, "expert_layer_period": 2, "expert_layer_offset": 1},
    ),
    "bamba": Family(recurrent="mamba2"),
    "falcon_h1": Family(recurrent="mamba2", every="both", defaults={"mamba_rms_norm": False}),
    "granitemoehybrid": Family(recurrent="mamba2"),
    "nemotron_h": Family(norms=1, gated=False, recurrent="mamba2", split=True),
    "lfm2_moe": Family(mixture=True, qk_norm="head", recurrent="convolution", tied=True),
    # --- encoders
    "bert": Family(**BIASED, positions=0, embedding_norms=1, pooler=True, final_norms=0, shape="encoder", defaults={"type_vocab_size": 2}),
    "roberta": Family(
        **BIASED, positions=0, embedding_norms=1, pooler=True, final_norms=0, shape="encoder", defaults={"type_vocab_size": 1}
    ),
    "xlm-roberta": Family(
        **BIASED, positions=0, embedding_norms=1, pooler=True, final_norms=0, shape="encoder", defaults={"type_vocab_size": 1}
    ),
    "camembert": Family(
        **BIASED, positions=0, embedding_norms=1, pooler=True, final_norms=0, shape="encoder", defaults={"type_vocab_size": 1}
    ),
    "distilbert": Family(**BIASED, positions=0, embedding_norms=1, final_norms=0, shape="encoder"),
    # --- encoder and decoder
    "t5": Family(final_norms=2, shape="encoder-decoder", fixed=TIED, defaults={"n_positions": 512}),
    "mt5": Family(final_norms=2, shape="encoder-decoder", fixed=TIED, defaults={"n_positions": 1024, "feed_forward_proj": "gated-gelu"}),
    "mbart": Family(**BIASED, tied=True, positions=2, embedding_norms=2, final_norms=2, shape="encoder-decoder"),
    "pegasus": Family(**BIASED, tied=True, positions=0, final_norms=2, shape="encoder-decoder"),
    "marian": Family(**BIASED, tied=True, positions=0, final_norms=0, shape="encoder-decoder"),
    "m2m_100": Family(**BIASED, tied=True, final_norms=2, shape="encoder-decoder"),
    "bart": Family(**BIASED, tied=True, positions=2, embedding_norms=2, final_norms=0, shape="encoder-decoder"),
}
