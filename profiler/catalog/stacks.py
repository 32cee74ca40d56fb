"""Encoder-decoders: an encoder that sees the whole prompt, and a decoder that also looks at what the encoder says."""

from typing import Any

from profiler.catalog.blocks import attention
from profiler.catalog.facts import Facts
from profiler.catalog.families import Family
from profiler.spec.model import Block, Mlp


def two_stacks(f: Facts, family: Family) -> dict[str, Any]:
    """Blocks of both stacks, and T5's tables of relative positions, one in each stack."""
    tables = f.counted("relative_attention_num_buckets") or (32 if f.config["model_type"] in ("t5", "mt5") else 0)
    decoder = Facts(f.config, f.fixed | _side(f, "decoder"), f.defaults)
    encoder = Facts(f.config, f.fixed | _side(f, "encoder"), f.defaults)
    return {
        "encoder": (_block(encoder, family, decodes=False),),
        "blocks": (_block(decoder, family, decodes=True),),
        "other_parameters": 2 * tables * f.count("heads") if tables else 0,
    }


def _side(f: Facts, side: str) -> dict[str, Any]:
    """What a configuration says of one of the stacks: BART by prefix, T5 the decoder's layers alone."""
    names = {"num_hidden_layers": "layers", "num_attention_heads": "attention_heads", "intermediate_size": "ffn_dim"}
    said = {usual: f.get(f"{side}_{name}") for usual, name in names.items()}
    said["num_hidden_layers"] = said["num_hidden_layers"] or (f.get("num_decoder_layers") if side == "decoder" else None)
    return {key: value for key, value in said.items() if value is not None}


def _block(f: Facts, family: Family, *, decodes: bool) -> Block:
    """One layer: attention to itself, in a decoder to the encoder's output too, and an MLP; a norm for each."""
    own = attention(f, family, causal=decodes)
    mixers = (own, attention(f, family, cross=True)) if decodes else (own,)
    gated = "gated" in str(f.get("feed_forward_proj", ""))
    return Block(
        repeat=f.count("layers"),
        mixers=mixers,
        mlp=Mlp(width=f.count("ffn"), gated=gated, bias=f.flag(family.mlp_bias)),
        norms=len(mixers) + 1,
    )
