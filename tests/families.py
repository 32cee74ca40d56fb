"""A small configuration of every family, and transformers' own module of it on the meta device."""

import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedModel

ENCODERS = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert")
TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
PLAIN = {
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "vocab_size": 300,
    "max_position_embeddings": 128,
    "intermediate_size": 96,
}
GROUPED = PLAIN | {"num_key_value_heads": 2}
WIDE = GROUPED | {"head_dim": 32}
GPT2 = {"n_embd": 64, "n_layer": 4, "n_head": 4, "vocab_size": 300, "n_positions": 128}
NARROW = {"num_experts_per_tok": 2, "moe_intermediate_size": 32}
DEEPSEEK = {
    **(GROUPED | NARROW | {"num_key_value_heads": 4, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1}),
    "kv_lora_rank": 24,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 16,
    "v_head_dim": 16,
    "n_routed_experts": 8,
}
FINE = GROUPED | NARROW | {"head_dim": 16, "n_routed_experts": 8, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1}
MAMBA = {"hidden_size": 64, "num_hidden_layers": 4, "vocab_size": 300, "state_size": 8}
MAMBA2 = {"mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 2, "mamba_chunk_size": 16}
DELTA = {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 16, "linear_value_head_dim": 32}
NEMOTRON = {"mamba_num_heads": 8, "mamba_head_dim": 16, "n_groups": 2, "ssm_state_size": 8, "chunk_size": 16, "head_dim": 16}
T5 = {"d_model": 64, "num_layers": 3, "num_heads": 4, "d_kv": 24, "d_ff": 96, "vocab_size": 300, "n_positions": 128}
BART = {"d_model": 64, "encoder_layers": 3, "decoder_layers": 4, "encoder_attention_heads": 4, "decoder_attention_heads": 4} | {
    "encoder_ffn_dim": 96,
    "decoder_ffn_dim": 80,
    "vocab_size": 300,
    "max_position_embeddings": 128,
}
FALCON = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "vocab_size": 300}

# model_type, with what is special about it behind a dot → configuration
SMALL: dict[str, dict] = {
    "llama": GROUPED,
    "llama.biases": GROUPED | {"attention_bias": True, "mlp_bias": True},
    "llama4_text": WIDE | {"intermediate_size_mlp": 128, "num_local_experts": 4, "num_experts_per_tok": 1, "interleave_moe_layer_step": 2},
    "arcee": GROUPED,
    "mistral": GROUPED | {"sliding_window": 16},
    "ministral3": WIDE,
    "mixtral": GROUPED | {"num_local_experts": 4, "num_experts_per_tok": 2},
    "phi3": GROUPED | {"sliding_window": 16},
    "granite": GROUPED,
    "granitemoe": GROUPED | {"num_local_experts": 4, "num_experts_per_tok": 2},
    "olmo": GROUPED,
    "olmo2": GROUPED,
    "olmo3": GROUPED | {"sliding_window": 16},
    "olmoe": GROUPED | {"num_experts": 8, "num_experts_per_tok": 2},
    "smollm3": GROUPED,
    "seed_oss": WIDE,
    "exaone": GROUPED,
    "exaone4": WIDE | {"sliding_window": 16, "sliding_window_pattern": 4},
    "ernie4_5": WIDE,
    "hunyuan_v1_dense": WIDE,
    "internlm3": WIDE,
    "nanochat": GROUPED,
    "qwen2": GROUPED,
    "qwen2_moe": GROUPED | NARROW | {"shared_expert_intermediate_size": 48, "num_experts": 8, "mlp_only_layers": [1]},
    "qwen3": WIDE,
    "qwen3_moe": WIDE | NARROW | {"num_experts": 8, "decoder_sparse_step": 2},
    "qwen3_next": WIDE | NARROW | DELTA | {"shared_expert_intermediate_size": 48, "num_experts": 8},
    "qwen3_5_text": WIDE | DELTA,
    "qwen3_5_moe_text": WIDE | DELTA | NARROW | {"shared_expert_intermediate_size": 48, "num_experts": 8},
    "gemma": WIDE,
    "gemma2": WIDE | {"sliding_window": 16},
    "gemma3_text": WIDE | {"sliding_window": 16, "num_hidden_layers": 6},
    "deepseek_v2": DEEPSEEK | {"q_lora_rank": None, "n_shared_experts": 2},
    "deepseek_v3": DEEPSEEK | {"q_lora_rank": 32, "n_shared_experts": 1},
    "deepseek_v32": DEEPSEEK | {"q_lora_rank": 32, "n_shared_experts": 1, "index_n_heads": 2, "index_head_dim": 16, "index_topk": 64},
    "glm_moe_dsa": DEEPSEEK | {"q_lora_rank": 32, "n_shared_experts": 1, "index_n_heads": 2, "index_head_dim": 16, "index_topk": 64},
    "glm4_moe_lite": DEEPSEEK | {"q_lora_rank": 32, "n_shared_experts": 1},
    "minicpm3": GROUPED
    | {"num_key_value_heads": 4, "q_lora_rank": 32, "kv_lora_rank": 24, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 16},
    "ernie4_5_moe": GROUPED
    | {"moe_num_experts": 8, "moe_k": 2, "moe_intermediate_size": 32, "moe_num_shared_experts": 2, "moe_layer_start_index": 1},
    "hunyuan_v1_moe": WIDE | {"num_experts": 4, "moe_topk": 2, "num_shared_expert": 1},
    "granitemoeshared": GROUPED | {"num_local_experts": 4, "num_experts_per_tok": 2, "shared_intermediate_size": 48},
    "phimoe": GROUPED | {"num_local_experts": 4, "num_experts_per_tok": 2, "attention_bias": True, "lm_head_bias": True},
    "gpt_oss": WIDE | {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 16},
    "minimax_m2": WIDE | {"num_local_experts": 4, "num_experts_per_tok": 2},
    "dots1": FINE | {"n_shared_experts": 2},
    "glm": GROUPED | {"head_dim": 16},
    "glm4": GROUPED | {"head_dim": 16},
    "glm4_moe": FINE | {"n_shared_experts": 1, "use_qk_norm": True},
    "gpt2": GPT2,
    "gpt_bigcode": GPT2,
    "gpt_neo": {"hidden_size": 64, "num_layers": 4, "num_heads": 4, "vocab_size": 300, "max_position_embeddings": 128}
    | {"attention_types": [[["global", "local"], 2]], "window_size": 16},
    "openai-gpt": GPT2,
    "persimmon": PLAIN,
    "gptj": GPT2 | {"rotary_dim": 8},
    "codegen": GPT2 | {"rotary_dim": 8, "n_ctx": 128},
    "gpt_neox": PLAIN,
    "opt": FALCON | {"ffn_dim": 96, "max_position_embeddings": 128, "word_embed_proj_dim": 64},
    "opt.350m": FALCON | {"ffn_dim": 96, "max_position_embeddings": 128, "word_embed_proj_dim": 32, "do_layer_norm_before": False},
    "bloom": {"hidden_size": 64, "n_layer": 4, "n_head": 4, "vocab_size": 300},
    "phi": GROUPED,
    "phi.normed": GROUPED | {"qk_layernorm": True},
    "starcoder2": GROUPED | {"sliding_window": 16},
    "stablelm": GROUPED,
    "stablelm.12b": GROUPED | {"use_qkv_bias": True, "qk_layernorm": True, "use_parallel_residual": True},
    "falcon": FALCON,
    "falcon.40b": FALCON | {"num_kv_heads": 2, "new_decoder_architecture": True},
    "falcon.rw": FALCON | {"multi_query": False, "parallel_attn": False, "bias": True, "alibi": True},
    "mpt": {"d_model": 64, "n_heads": 4, "n_layers": 4, "max_seq_len": 128, "vocab_size": 300},
    "cohere": GROUPED,
    "cohere.plus": GROUPED | {"use_qk_norm": True},
    "cohere2": GROUPED | {"sliding_window": 16, "head_dim": 16},
    "nemotron": GROUPED,
    "mamba": MAMBA,
    "falcon_mamba": MAMBA,
    "mamba2": MAMBA | {"num_heads": 8, "head_dim": 16, "n_groups": 2, "chunk_size": 16},
    "jamba": GROUPED | {"num_experts": 4, "num_experts_per_tok": 2, "attn_layer_period": 4, "attn_layer_offset": 2, "mamba_d_state": 8},
    "bamba": GROUPED | MAMBA2 | {"attn_layer_indices": [1]},
    "falcon_h1": GROUPED | MAMBA2 | {"mamba_d_ssm": 128},
    "falcon_h1.normed": GROUPED | MAMBA2 | {"mamba_d_ssm": 128, "mamba_rms_norm": True},
    "granitemoehybrid": GROUPED
    | MAMBA2
    | {"num_local_experts": 4, "num_experts_per_tok": 2, "shared_intermediate_size": 48}
    | {"layer_types": ["mamba", "mamba", "attention", "mamba"]},
    "granitemoehybrid.dense": GROUPED
    | MAMBA2
    | {"num_local_experts": 0, "shared_intermediate_size": 48, "layer_types": ["mamba", "mamba", "attention", "mamba"]},
    "nemotron_h": GROUPED | NEMOTRON | {"hybrid_override_pattern": "M-M*"},
    "nemotron_h.moe": GROUPED
    | NEMOTRON
    | NARROW
    | {"hybrid_override_pattern": "MEM*", "n_routed_experts": 8, "moe_shared_expert_intermediate_size": 48},
    "lfm2": GROUPED | {"layer_types": ["conv", "conv", "full_attention", "conv"]},
    "lfm2_moe": GROUPED | NARROW | {"layer_types": ["conv", "conv", "full_attention", "conv"], "num_experts": 8, "num_dense_layers": 1},
    "bert": PLAIN,
    "roberta": PLAIN | {"type_vocab_size": 1},
    "xlm-roberta": PLAIN | {"type_vocab_size": 1},
    "camembert": PLAIN | {"type_vocab_size": 1},
    "distilbert": {"dim": 64, "n_layers": 4, "n_heads": 4, "hidden_dim": 96, "vocab_size": 300, "max_position_embeddings": 128},
    "t5": T5 | {"num_decoder_layers": 4},
    "t5.gated": T5 | {"feed_forward_proj": "gated-gelu"},
    "mt5": T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    "bart": BART,
    "mbart": BART,
    "pegasus": BART,
    "marian": BART | {"decoder_start_token_id": 1},
    "m2m_100": BART,
}


def small(name: str, **changes) -> dict:
    """The configuration of a small model of a family."""
    return TOKENS | {"model_type": name.split(".", maxsplit=1)[0]} | SMALL[name] | changes


def built(config: dict) -> PreTrainedModel:
    """Transformers' module of a configuration, without memory: eager attention, and experts that torch's counter can count."""
    made = AutoConfig.for_model(**config)
    if getattr(made, "num_experts_per_tok", None):
        made._experts_implementation = "batched_mm"
    kind = AutoModelForSeq2SeqLM if made.is_encoder_decoder else AutoModel if made.model_type in ENCODERS else AutoModelForCausalLM
    with torch.device("meta"):
        return kind.from_config(made, attn_implementation="eager").eval()


def counted(model: PreTrainedModel) -> int:
    """Parameters of a module."""
    return sum(parameter.numel() for parameter in model.parameters())
