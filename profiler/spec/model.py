"""ModelSpec: the numbers of a language model that its cost follows from.

A model is an embedding, a stack of blocks (an encoder-decoder has two), and a head. A block mixes tokens (attention, a state
space, a convolution, several of them, or none), then works on each token alone (an MLP, a mixture of experts, or nothing).
Equal blocks are held once, with how often they come. Sizes are counts of elements.

It is made from a Hugging Face configuration by `profiler.catalog.config.from_hf_config`; `config` keeps that
configuration, so that a worker can build the very same modules without any catalogue.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from profiler.spec.frozen import Frozen

Origin = Literal["package", "hub", "folder", "gguf", "random"]
Count = Annotated[int, Field(ge=1, le=100_000_000)]
Size = Annotated[int, Field(ge=0, le=100_000_000)]  # 0: there is none


class Attention(Frozen):
    """Every query looks at the keys of other tokens. Fewer key than query heads: grouped (GQA) or one (MQA)."""

    kind: Literal["attention"] = "attention"
    heads: Count
    kv_heads: Count
    head_dim: Count
    value_dim: Size = 0  # 0: as wide as a key
    window: int | None = Field(default=None, ge=1)  # tokens that a query sees, itself included; None: all
    causal: bool = True  # False: sees the whole sequence, and keeps no cache (an encoder)
    cross: bool = False  # keys and values are of the encoder's output
    qkv_bias: bool = False
    output_bias: bool = False
    norm_width: Size = 0  # parameters of the norms on queries and keys
    gated: bool = False  # the query projection also makes a gate on the output
    sinks: bool = False  # one learned score per head that a query may fall back on

    @property
    def value(self) -> int:
        """Width of a value."""
        return self.value_dim or self.head_dim


class LatentAttention(Frozen):
    """Keys and values are made of one small latent vector per token, which alone is cached (MLA, arXiv 2405.04434)."""

    kind: Literal["latent"] = "latent"
    heads: Count
    q_rank: Size = 0  # 0: queries are projected directly
    kv_rank: Count
    rope_dim: Size  # of a key's part that carries the position, shared by all heads
    nope_dim: Count  # of the rest of a key
    value_dim: Count
    bias: bool = False  # of the projections down and of the output
    index_heads: Size = 0  # of an indexer that picks the tokens to attend to (sparse attention, arXiv 2512.02556); 0: all are
    index_dim: Size = 0
    index_top: Size = 0  # tokens that it picks


class StateSpace(Frozen):
    """A recurrent state per channel (Mamba-1, arXiv 2312.00752) or per head (Mamba-2, arXiv 2405.21060)."""

    kind: Literal["state"] = "state"
    version: Literal[1, 2]
    inner: Count
    state: Count
    kernel: Count  # of the short convolution before
    rank: Size = 0  # Mamba-1: of the step size's projection
    heads: Size = 0  # Mamba-2
    groups: Size = 0  # Mamba-2: heads of one group share B and C
    chunk: Count = 256  # Mamba-2: tokens that are worked on at once in a long pass
    bias: bool = False  # of the projections in and out
    kernel_bias: bool = True
    norm_width: Size = 0  # parameters of norms inside

    @property
    def convolved(self) -> int:
        """Channels of the short convolution."""
        return self.inner + (2 * self.groups * self.state if self.version == 2 else 0)


class LinearAttention(Frozen):
    """Gated delta rule: a matrix per head that forgets and is corrected token by token (arXiv 2412.06464)."""

    kind: Literal["linear"] = "linear"
    key_heads: Count
    value_heads: Count
    key_dim: Count
    value_dim: Count
    kernel: Count
    chunk: Count = 64

    @property
    def keys(self) -> int:
        """Width of all keys."""
        return self.key_heads * self.key_dim

    @property
    def values(self) -> int:
        """Width of all values."""
        return self.value_heads * self.value_dim


class Convolution(Frozen):
    """A short gated convolution over the hidden vector (LFM2)."""

    kind: Literal["convolution"] = "convolution"
    kernel: Count
    bias: bool = False


Mixer = Annotated[Attention | LatentAttention | StateSpace | LinearAttention | Convolution, Field(discriminator="kind")]


class Mlp(Frozen):
    """Two matrices, or three where one gates (SwiGLU, GeGLU)."""

    width: Count
    gated: bool = True
    bias: bool = False


class Experts(Frozen):
    """A mixture: a router sends each token to a few of many equal MLPs; shared ones see every token."""

    count: Count
    per_token: Count
    width: Count  # of one expert
    gated: bool = True
    bias: bool = False
    router_bias: bool = False
    shared_width: Size = 0  # of all shared experts together
    shared_gate: bool = False  # a learned weight on what the shared ones say


class Block(Frozen):
    """What one layer does, and how many layers are like it."""

    repeat: Count = 1
    mixers: tuple[Mixer, ...] = ()
    mlp: Mlp | None = None
    experts: Experts | None = None
    norms: Size = 2  # over the hidden vector


class ModelSpec(Frozen):
    """One model: where its weights come from, and its shape."""

    reference: str  # what a person types to get this model again
    name: str
    origin: Origin
    location: str = ""  # hub id, folder or file; empty for random weights and for the packaged model
    config: dict[str, Any] = Field(repr=False)

    family: str  # transformers' model_type
    hidden: int = Field(ge=1, le=1_000_000)
    vocab: int = Field(ge=2, le=10_000_000)
    context: int = Field(ge=2)  # longest sequence the model was made for, in tokens
    blocks: tuple[Block, ...] = Field(min_length=1)  # of the decoder, or of the only stack
    encoder: tuple[Block, ...] = ()  # of an encoder-decoder
    norm_vectors: int = Field(default=1, ge=0, le=2)  # LayerNorm has scale and bias, RMSNorm a scale, OLMo's nothing
    final_norms: Size = 1
    embedding_width: Size = 0  # 0: as wide as the hidden vector; else a matrix leads from one to the other
    embedding_norms: Size = 0
    positions: Size = 0  # rows of learned position tables
    token_types: Size = 0
    tied: bool = False  # the lm_head is the embedding
    head: bool = True  # False: an encoder, which ends with hidden vectors
    head_bias: bool = False
    pooler: bool = False  # one more product on the first token
    other_parameters: Size = 0  # tables of relative positions
    assumed: bool = False  # an unknown family, taken to be built like Llama: counts are approximate
    buildable: bool = True  # transformers has a class for it

    @property
    def layers(self) -> int:
        """Layers of all stacks."""
        return sum(block.repeat for block in (*self.encoder, *self.blocks))

    @property
    def attention(self) -> Attention | LatentAttention | None:
        """The attention of the first block that has one; None in a pure state-space model."""
        found = (mixer for block in self.blocks for mixer in block.mixers)
        return next((mixer for mixer in found if isinstance(mixer, Attention | LatentAttention)), None)

    @property
    def heads(self) -> int:
        """Query heads; 0 without attention."""
        return self.attention.heads if self.attention else 0

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values, so many as a cache can be divided by: a latent is one for all heads; a state has its own parts."""
        if self.attention:
            return self.attention.kv_heads if isinstance(self.attention, Attention) else 1
        states = (mixer for block in self.blocks for mixer in block.mixers if isinstance(mixer, StateSpace))
        return next((mixer.heads or mixer.inner for mixer in states), 1)

    @property
    def head_dim(self) -> int:
        """Width of a key; 0 without attention."""
        found = self.attention
        return 0 if found is None else found.head_dim if isinstance(found, Attention) else found.nope_dim + found.rope_dim

    @property
    def window(self) -> int | None:
        """The sliding window of those layers that have one, in tokens."""
        found = (mixer for block in self.blocks for mixer in block.mixers)
        return next((mixer.window for mixer in found if isinstance(mixer, Attention) and mixer.window), None)

    @property
    def mixture(self) -> Experts | None:
        """The experts of the first block that has some."""
        return next((block.experts for block in self.blocks if block.experts), None)

    @property
    def moe(self) -> bool:
        """Whether some MLP is a mixture of experts."""
        return self.mixture is not None

    @property
    def experts(self) -> int:
        """Experts of a layer; 0 in a dense model."""
        return self.mixture.count if self.mixture else 0

    @property
    def experts_per_token(self) -> int:
        """Experts that one token is sent to; 0 in a dense model."""
        return self.mixture.per_token if self.mixture else 0

    @property
    def mlp(self) -> Mlp | Experts | None:
        """The experts, or else the first MLP."""
        return self.mixture or next((block.mlp for block in self.blocks if block.mlp), None)

    @property
    def ffn(self) -> int:
        """Width of the MLP, or of one expert; 0 where there is none."""
        return self.mlp.width if self.mlp else 0

    @property
    def gated(self) -> bool:
        """Whether the MLP has three matrices."""
        return self.mlp is not None and self.mlp.gated

    @property
    def recurrent(self) -> bool:
        """Whether some layers keep a state of constant size instead of a cache that grows."""
        return any(mixer.kind not in ("attention", "latent") for block in self.blocks for mixer in block.mixers)

    @property
    def generates(self) -> bool:
        """Whether it is a decoder alone: what a run can measure."""
        return self.head and not self.encoder

    @property
    def trained(self) -> bool:
        """Whether the weights mean anything: text and quality are undefined for random ones."""
        return self.origin != "random"
