"""Reading a configuration: the many names of one fact, its default, and a sentence where it is missing or absurd."""

from dataclasses import dataclass
from typing import Any

LARGEST = 10**8  # of any width or count: beyond any model there is, so surely a mistake
MOST_LAYERS = 10_000

NAMES: dict[str, tuple[str, ...]] = {
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "hidden": ("hidden_size", "n_embd", "d_model", "dim", "n_embed"),
    "heads": ("num_attention_heads", "n_head", "n_heads", "num_heads"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num"),
    "head_dim": ("head_dim", "attention_head_dim", "kv_channels", "d_kv"),
    "ffn": ("intermediate_size", "ffn_dim", "n_inner", "d_ff", "hidden_dim", "ffn_hidden_size"),
    "vocab": ("vocab_size", "padded_vocab_size"),
    "context": ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length", "max_sequence_length"),
    "experts": ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"),
    "experts_per_token": ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k"),
    "expert_ffn": ("moe_intermediate_size", "expert_ffn_hidden_size"),
    "shared_experts": ("n_shared_experts", "num_shared_experts", "num_shared_expert", "moe_num_shared_experts"),
    "window": ("sliding_window", "attention_chunk_size", "window_size"),
    "tied": ("tie_word_embeddings", "tie_embedding"),
    "state": ("state_size", "mamba_d_state", "ssm_state_size"),
    "kernel": ("conv_kernel", "mamba_d_conv"),
    "expand": ("expand", "mamba_expand"),
    "groups": ("n_groups", "mamba_n_groups"),
    "chunk": ("chunk_size", "mamba_chunk_size"),
    "state_heads": ("num_heads", "mamba_n_heads", "mamba_num_heads"),
    "state_head_dim": ("mamba_d_head", "mamba_head_dim"),
    "state_bias": ("use_bias", "mamba_proj_bias"),
    "kernel_bias": ("use_conv_bias", "mamba_conv_bias"),
    "rank": ("time_step_rank", "mamba_dt_rank"),
}


@dataclass(frozen=True)
class Facts:
    """A configuration, and what its family says where it is silent (by the same names)."""

    config: dict[str, Any]
    fixed: dict[str, Any]
    defaults: dict[str, Any]

    def get(self, name: str, default: Any = None) -> Any:
        """A value as the configuration, or else its family, says it; `name` is one of NAMES or a key of the configuration."""
        names = NAMES.get(name, (name,))
        known = [held[key] for held in (self.fixed, self.config, self.defaults) for key in names if held.get(key) is not None]
        return next(iter(known), default)

    def says(self, name: str, default: bool = False) -> bool:
        """A value that is yes or no."""
        return bool(self.get(name, default))

    def flag(self, value: bool | str) -> bool:
        """Yes or no, or what the named field says."""
        return self.says(value) if isinstance(value, str) else value

    def count(self, name: str, default: int | None = None) -> int:
        """A positive whole number. Raises ValueError naming the field."""
        value = self.get(name, default)
        field = self.name(name)
        if value is None:
            raise ValueError(f"the configuration lacks {field}.")
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= (MOST_LAYERS if name == "layers" else LARGEST):
            raise ValueError(f"the configuration says {field} = {value!r}; a positive whole number is needed.")
        return value

    def counted(self, name: str) -> int:
        """As `count`, but 0 where nothing is said."""
        return self.count(name) if self.get(name) else 0

    def name(self, name: str) -> str:
        """How this configuration spells a fact; the usual spelling where it is silent."""
        names = NAMES.get(name, (name,))
        return next((key for key in names if self.config.get(key) is not None), names[0])

    @property
    def expert_layers(self) -> set[int]:
        """The layers whose MLP is a mixture of experts."""
        layers, get = self.count("layers"), self.get
        if kinds := get("mlp_layer_types"):
            return {i for i, kind in enumerate(kinds[:layers]) if kind == "sparse"}
        if named := get("moe_layers"):
            return set(named)
        first = self.counted("first_k_dense_replace") or self.counted("num_dense_layers") or self.counted("moe_layer_start_index")
        step = self.counted("decoder_sparse_step") or self.counted("interleave_moe_layer_step") or self.counted("moe_layer_interval") or 1
        period, offset = self.counted("expert_layer_period") or 1, self.counted("expert_layer_offset")
        plain = set(get("mlp_only_layers") or ())
        return {i for i in range(first, layers) if i not in plain and (i + 1) % step == 0 and i % period == offset % period}
