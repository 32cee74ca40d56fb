"""From the facts of a configuration to the blocks of a model."""

from collections import Counter
from typing import Any

from profiler.catalog.facts import Facts
from profiler.catalog.families import Family
from profiler.spec.model import Attention, Block, Convolution, Experts, LatentAttention, LinearAttention, Mixer, Mlp, StateSpace

RECURRENT = ("linear_attention", "conv")
KINDS_NAMED = ("layer_types", "layers_block_type", "hybrid_override_pattern", "attention_layers")
KINDS = {  # how configurations call what a layer is
    "attention": "full_attention",
    "hybrid": "full_attention",
    "mamba": "linear_attention",
    "M": "linear_attention",
    "*": "full_attention",
    "-": "mlp",
    "E": "moe",
    "global": "full_attention",
    "local": "sliding_attention",
}


def decoder_blocks(f: Facts, family: Family) -> tuple[Block, ...]:
    """The blocks of a decoder: equal ones once."""
    many = f.count("experts") if family.mixture else f.counted("experts")
    experts = f.expert_layers if many > 1 and not family.split else set()
    often = Counter((kind, i in experts) for i, kind in enumerate(kinds(f, family)))
    return tuple(_block(f, family, kind, mixed, repeat) for (kind, mixed), repeat in often.items())


def encoder_blocks(f: Facts, family: Family) -> tuple[Block, ...]:
    """The blocks of an encoder: all alike, and every token sees every other."""
    mixers = (attention(f, family, causal=False),)
    return (Block(repeat=f.count("layers"), mixers=mixers, mlp=_mlp(f, family), norms=family.norms),)


def kinds(f: Facts, family: Family) -> list[str]:
    """What each layer is: full_attention, sliding_attention, linear_attention, conv, mlp or moe."""
    said = next((list(f.get(name)) for name in KINDS_NAMED if f.get(name)), None)
    if said:
        layers = f.count("layers", len(said))
        if layers > len(said):
            raise ValueError(f"the configuration says {f.name('layers')} = {layers}, but what only {len(said)} of them are.")
        found = [KINDS.get(kind, kind) for kind in said[:layers]]
        return found if family.recurrent else ["full_attention" if kind in RECURRENT else kind for kind in found]
    every = range(f.count("layers"))
    if family.every == "recurrent":
        return ["linear_attention" for _ in every]
    if family.recurrent and family.every != "both":
        return ["full_attention" if i in _attentive(f, len(every)) else "linear_attention" for i in every]
    if not f.get("window") or f.get("use_sliding_window") is False:
        return ["full_attention" for _ in every]
    full = f.get("sliding_window_pattern") or f.get("_sliding_window_pattern") or family.pattern
    if f.get("use_sliding_window") and (last := f.get("max_window_layers")) is not None:
        return ["sliding_attention" if i >= last else "full_attention" for i in every]
    return ["sliding_attention" if full == 1 or (full and (i + 1) % full) else "full_attention" for i in every]


def _attentive(f: Facts, layers: int) -> set[int]:
    """The layers of a hybrid that have attention."""
    if (named := f.get("attn_layer_indices") or f.get("full_attn_idxs")) is not None:
        return set(named)
    if period := f.counted("attn_layer_period"):
        return {i for i in range(layers) if i % period == f.counted("attn_layer_offset")}
    period = f.counted("full_attention_interval")
    if not period:
        return set()
    return {i for i in range(layers) if (i + 1) % period == 0}


def _block(f: Facts, family: Family, kind: str, with_experts: bool, repeat: int) -> Block:
    mixers: tuple[Mixer, ...] = ()
    if kind in RECURRENT:
        mixers = (_recurrent(f, family),)
    elif kind not in ("mlp", "moe"):
        mixers = (attention(f, family, sliding=kind in ("sliding_attention", "chunked_attention")),)
    if family.every == "both":
        mixers = (*mixers, _recurrent(f, family))
    parts: dict[str, Any] = {}
    if family.split:
        parts = {"experts": _experts(f, family)} if kind == "moe" else {"mlp": _mlp(f, family)} if kind == "mlp" else {}
    elif family.every != "recurrent":
        parts = {"experts": _experts(f, family)} if with_experts else {"mlp": _mlp(f, family)}
        if shared := f.counted("shared_intermediate_size"):
            parts["mlp"] = Mlp(width=shared)  # Granite's: beside the experts where there are some
    return Block(repeat=repeat, mixers=mixers, norms=family.norms, **parts)


def attention(f: Facts, family: Family, *, sliding: bool = False, **more: Any) -> Attention | LatentAttention:
    """Attention as the configuration says."""
    heads = f.count("heads")
    if family.latent or f.get("kv_lora_rank"):
        return _latent(f, heads)
    kv_heads = f.count("kv_heads", heads)
    if heads % kv_heads:
        raise ValueError(f"{f.name('heads')} = {heads} cannot be shared by {f.name('kv_heads')} = {kv_heads}.")
    head_dim = f.count("head_dim", max(f.count("hidden") // heads, 1))
    norms = {"": 0, "head": 2 * head_dim, "head and bias": 4 * head_dim, "full": (heads + kv_heads) * head_dim}
    return Attention(
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        window=f.count("window") if sliding else None,
        qkv_bias=f.flag(family.qkv_bias),
        output_bias=f.flag(family.output_bias),
        norm_width=norms[family.qk_norm],
        gated=family.gated_attention,
        sinks=family.sinks,
        **more,
    )


def _latent(f: Facts, heads: int) -> LatentAttention:
    return LatentAttention(
        heads=heads,
        q_rank=f.counted("q_lora_rank"),
        kv_rank=f.count("kv_lora_rank"),
        rope_dim=f.count("qk_rope_head_dim"),
        nope_dim=f.count("qk_nope_head_dim"),
        value_dim=f.count("v_head_dim"),
        bias=f.says("attention_bias"),
        index_heads=f.counted("index_n_heads"),
        index_dim=f.counted("index_head_dim"),
        index_top=f.counted("index_topk"),
    )


def _recurrent(f: Facts, family: Family) -> Mixer:
    """What a layer without attention has."""
    if family.recurrent == "convolution":
        return Convolution(kernel=f.count("conv_L_cache", 3), bias=f.says("conv_bias"))
    if family.recurrent == "delta":
        return LinearAttention(
            key_heads=f.count("linear_num_key_heads"),
            value_heads=f.count("linear_num_value_heads"),
            key_dim=f.count("linear_key_head_dim"),
            value_dim=f.count("linear_value_head_dim"),
            kernel=f.count("linear_conv_kernel_dim", 4),
        )
    state: dict[str, Any] = {
        "state": f.count("state"),
        "kernel": f.count("kernel", 4),
        "bias": f.says("state_bias"),
        "kernel_bias": f.says("kernel_bias", True),
    }
    inner = int(f.get("expand", 2) * f.count("hidden"))
    if family.recurrent == "mamba":
        rank = f.get("rank", "auto")
        rank = -(-f.count("hidden") // 16) if rank == "auto" else f.count("rank")
        norms = rank + 2 * state["state"] if family.inner_norm else 0
        return StateSpace(version=1, inner=inner, rank=rank, norm_width=norms, **state)
    return _mamba2(f, inner, state)


def _mamba2(f: Facts, inner: int, state: dict[str, Any]) -> StateSpace:
    heads = f.count("state_heads")
    width = "state_head_dim" if f.get("state_head_dim") else "head_dim"
    inner = f.counted("mamba_d_ssm") or inner if f.get(width, "auto") == "auto" else heads * f.count(width)
    norm = inner if f.says("mamba_rms_norm", True) else 0
    return StateSpace(
        version=2, inner=inner, heads=heads, groups=f.count("groups", 1), chunk=f.count("chunk", 256), norm_width=norm, **state
    )


def _mlp(f: Facts, family: Family) -> Mlp:
    width = f.counted("intermediate_size_mlp") or f.count("ffn", None if family.gated else 4 * f.count("hidden"))
    return Mlp(width=width, gated=family.gated, bias=f.flag(family.mlp_bias))


def _experts(f: Facts, family: Family) -> Experts:
    width = f.counted("expert_ffn") or f.count("ffn")
    shared = f.counted("shared_expert_intermediate_size") or f.counted("moe_shared_expert_intermediate_size")
    count, per_token = f.count("experts"), f.count("experts_per_token")
    if per_token > count:
        raise ValueError(f"{f.name('experts_per_token')} = {per_token} is more than {f.name('experts')} = {count}.")
    return Experts(
        count=count,
        per_token=per_token,
        width=width,
        gated=family.gated,
        bias=f.flag(family.mlp_bias),
        router_bias=family.router_bias,
        shared_width=shared or width * f.counted("shared_experts"),
        shared_gate=family.shared_gate,
    )
