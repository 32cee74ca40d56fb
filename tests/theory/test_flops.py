import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from profiler.catalog.config import from_hf_config
from profiler.spec.formats import Precision
from profiler.spec.model import Attention, LatentAttention, ModelSpec
from profiler.theory.cost import Op
from profiler.theory.step import forward
from tests.families import SMALL, built, small

BATCH, TOKENS = 2, 64
RECURRENT = ("mixer", "mamba", "linear_attn", "conv")  # modules whose scan and convolution have tests of their own
WIDER = ("hidden_size", "d_model", "n_embd", "dim", "mamba_d_ssm", "mamba_d_head", "mamba_head_dim")


def wide(name: str) -> dict:
    """A small model four times as wide, so that the products outweigh rotary frequencies and the like."""
    config = small(name)
    wider = {key: 4 * config[key] for key in WIDER if key in config}
    return config | wider | ({"head_dim": 4 * config["head_dim"]} if "num_heads" in config and "head_dim" in config else {})


def told(name: str) -> tuple[ModelSpec, dict[str, dict]]:
    """A family's spec, and torch's count of one pass of transformers' module, by module and operator."""
    config = wide(name)
    model = built(config)
    model.config.pad_token_id = None  # padding is looked for by value, which a tensor without memory has not
    with torch.device("meta"):
        ids = torch.zeros(BATCH, TOKENS, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        model(ids, **({"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}))
    return from_hf_config(config, name=name, reference=name, origin="random"), counter.get_flop_counts()


def squared(spec: ModelSpec) -> list[Op]:
    """All operations, where every query meets every key: eager attention computes the masked half and what is outside a window."""
    blocks = tuple(block.model_copy(update={"mixers": tuple(map(_seeing_all, block.mixers))}) for block in spec.blocks)
    return forward(spec.model_copy(update={"blocks": blocks}), BATCH, TOKENS, 0, Precision(), "all")


def _seeing_all(mixer):
    own = isinstance(mixer, Attention) and not mixer.cross
    return mixer.model_copy(update={"causal": False, "window": None}) if own else mixer


@pytest.mark.parametrize("name", SMALL)
def test_flops_equal_torchs_own_count(name):
    """A forward pass of every family agrees with torch's flop counter on transformers' module, within 0.5 %."""
    spec, counts = told(name)
    latent = any(isinstance(mixer, LatentAttention) for block in spec.blocks for mixer in block.mixers)
    square = 2 * TOKENS / (TOKENS + 1) if latent else 1
    ours = sum(op.cost.flops * (square if op.kind == "attention" else 1) for op in squared(spec) if _compared(op))
    theirs = sum(counts["Global"].values()) - sum(_scanned(module, flops) for module, flops in counts.items())
    if spec.family == "llama4_text":  # transformers' class sends every token through every expert
        experts = sum(op.cost.flops for op in squared(spec) if op.kind == "experts")
        theirs -= experts * (spec.experts / spec.experts_per_token - 1)

    assert ours == pytest.approx(theirs, rel=5e-3)


def _compared(op: Op) -> bool:
    return op.kind != "scan" and op.name != "convolution"


def _scanned(module: str, flops: dict) -> int:
    """FLOPs of a recurrent module that are no product with weights: a module of that name with a convolution inside."""
    held = {str(op): count for op, count in flops.items()}
    recurrent = module.rsplit(".", maxsplit=1)[-1] in RECURRENT and "aten.convolution" in held
    return held["aten.convolution"] + held.get("aten.bmm", 0) if recurrent else 0


def test_logits_of_all_tokens_or_of_the_last():
    """Generating needs one position's logits, training all of them."""
    spec = from_hf_config(small("llama"), name="", reference="", origin="random")
    last, every = (next(op for op in forward(spec, 3, 10, 0, Precision(), logits) if op.name == "lm_head") for logits in ("last", "all"))

    assert (last.rows, every.rows) == (3, 30)
    assert every.cost.flops == 10 * last.cost.flops == 2 * 30 * 64 * 300
