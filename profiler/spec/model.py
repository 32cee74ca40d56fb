"""ModelSpec: the numbers of a causal language model that its cost follows from.

It is made from a Hugging Face configuration by `profiler.catalog.config.from_hf_config`; `config` keeps that
configuration, so that a worker can build the very same modules without any catalogue.
"""

from typing import Any, Literal

from pydantic import Field

from profiler.spec.frozen import Frozen

Origin = Literal["package", "hub", "folder", "gguf", "random"]


class ModelSpec(Frozen):
    """One model: where its weights come from, and its shape. Sizes are counts of elements."""

    reference: str  # what a person types to get this model again
    name: str
    origin: Origin
    location: str = ""  # hub id, folder or file; empty for random weights and for the packaged model
    config: dict[str, Any] = Field(repr=False)

    family: str  # transformers' model_type
    layers: int = Field(ge=1, le=1_000)
    hidden: int = Field(ge=1, le=1_000_000)
    heads: int = Field(ge=1, le=10_000)
    kv_heads: int = Field(ge=1, le=10_000)
    head_dim: int = Field(ge=1, le=100_000)
    ffn: int = Field(ge=1, le=10_000_000)  # width of the MLP, or of one expert
    vocab: int = Field(ge=2, le=10_000_000)
    context: int = Field(ge=2)  # longest sequence the model was made for, in tokens
    gated: bool = True  # SwiGLU/GeGLU: three matrices in the MLP instead of two
    tied: bool = False  # the lm_head is the embedding
    experts: int = Field(default=0, ge=0, le=100_000)  # 0: dense
    experts_per_token: int = Field(default=0, ge=0)
    window: int | None = None  # sliding window in tokens
    window_every: int = 1  # 1: every layer slides; 2: every second one (Gemma 2)
    qkv_bias: bool = False
    output_bias: bool = False  # of attention's output projection
    mlp_bias: bool = False
    norm_bias: bool = False  # LayerNorm has one, RMSNorm has none
    norms_per_layer: int = 2
    qk_norm: Literal["none", "head", "full"] = "none"  # normalised per head, or over the whole projection
    positions: int = 0  # rows of a learned position table
    assumed: bool = False  # an unknown family, taken to be built like Llama: counts are approximate

    @property
    def moe(self) -> bool:
        """Whether the MLP is a mixture of experts."""
        return self.experts > 0

    @property
    def trained(self) -> bool:
        """Whether the weights mean anything: text and quality are undefined for random ones."""
        return self.origin != "random"
