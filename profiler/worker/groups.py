"""Which part of the model an operator belongs to, by the modules around it.

Models name their modules as they like, but classes follow a custom: LlamaAttention, GPT2MLP, Qwen3MoeExperts. The
innermost module whose class says what it is decides; a model with other names is grouped by its own class names.
"""

import re

from torch import nn
from transformers.pytorch_utils import Conv1D

from profiler.worker.quantize_modules import Packed

LINEAR = nn.Linear | Conv1D | Packed
# the first row that the class's name matches
PARTS = (
    (r"Norm", "norms"),
    (r"Rotary|Alibi", "attention"),
    (r"Embedding", "embedding"),
    (r"Router|TopK", "router"),
    (r"Expert|Moe", "experts"),
    (r"Attention|Attn", "attention"),
    (r"MLP|Mlp|FeedForward|FFN", "MLP"),
    (r"Layer$|Block$", "residual adds"),
    (r"Model$|ForCausalLM$|LMHead", "masks and positions"),
)
OUTSIDE = "sampling"  # what happens to the logits, after the model


def group(stack: list[nn.Module], head: nn.Module | None) -> str:
    """The part of the model that the innermost of these nested modules is; the outermost comes first."""
    if not stack:
        return OUTSIDE
    if head is not None and stack[-1] is head:
        return "lm_head"
    for module in reversed(stack):
        name = type(module).__name__
        part = next((part for pattern, part in PARTS if re.search(pattern, name)), None)
        if part == "attention" and isinstance(stack[-1], LINEAR):
            return "attention projections"
        if part or not _plain(module):
            return part or name
    return type(stack[-1]).__name__


def _plain(module: nn.Module) -> bool:
    """A building block that belongs to whatever holds it."""
    return type(module).__module__.startswith("torch.nn") or isinstance(module, LINEAR) or "Activation" in type(module).__name__


def layer(name: str) -> int | None:
    """The number of the layer in a module's qualified name."""
    return next((int(word) for word in name.split(".") if word.isdigit()), None)


def pattern(name: str) -> str:
    """A qualified name with * in place of numbers, equal for all layers."""
    return ".".join("*" if word.isdigit() else word for word in name.split("."))
