"""What a model keeps of the tokens it has seen.

Attention keeps a key and a value of each, up to its window (2·g·d per token and layer; Pope et al. 2022, arXiv 2211.05102); latent
attention one latent and one rotary key (arXiv 2405.04434); state spaces, linear attention and convolutions a state of constant size.
"""

from profiler.spec.formats import Precision
from profiler.spec.model import Attention, LatentAttention, Mixer, ModelSpec
from profiler.theory.products import smaller
from profiler.theory.scan import state_bytes


def kv_bytes(model: ModelSpec, tokens, precision: Precision, prompt=None):
    """Bytes for one sequence of so many tokens; `prompt` of them were read by an encoder, if there is one (by default all)."""
    source = tokens if prompt is None else prompt
    own = tokens - source if model.encoder else tokens
    return sum(block.repeat * _kept(mixer, own, source, model.hidden, precision) for block in model.blocks for mixer in block.mixers)


def kv_per_token(model: ModelSpec, precision: Precision) -> float:
    """Bytes that one more token of one sequence adds, while no sliding window is full."""
    return kv_bytes(model, 1, precision, 0) - kv_bytes(model, 0, precision, 0)


def _kept(mixer: Mixer, own, source, hidden: int, precision: Precision):
    """Bytes that one layer's mixer keeps."""
    if isinstance(mixer, LatentAttention):
        return own * (mixer.kv_rank + mixer.rope_dim + mixer.index_dim) * precision.width("kv")
    if not isinstance(mixer, Attention):
        return state_bytes(mixer, hidden, precision.width("activations"))
    row = mixer.kv_heads * (mixer.head_dim + mixer.value) * precision.width("kv")
    if mixer.cross:
        return source * row
    if not mixer.causal:
        return 0.0
    return row * (smaller(own, mixer.window) if mixer.window else own)
