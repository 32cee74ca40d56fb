"""Pruning: parts of a model that are taken out, and what is left of its shape.

Unstructured pruning sets single weights to zero: the matrices keep their size, and only hardware with kernels for zeros gains
speed. Structured pruning takes out whole heads, MLP channels or layers: the model becomes a smaller one.
"""

from typing import Literal

from pydantic import Field, model_validator

from profiler.spec.frozen import Frozen
from profiler.spec.model import Attention, Block, ModelSpec

Part = Literal["heads", "channels", "layers"]
STRUCTURED: tuple[Part, ...] = ("heads", "channels", "layers")


class Pruning(Frozen):
    """What is taken out: single weights (by magnitude, or by Wanda's score), or whole parts of the model."""

    method: Literal["magnitude", "wanda", "heads", "channels", "layers"]
    share: float = Field(gt=0, lt=1)  # of the weights of each linear layer in the blocks, or of the parts
    pattern: Literal["free", "2:4"] = "free"  # 2:4: two of every four neighbours along the inputs

    @model_validator(mode="after")
    def _half(self) -> "Pruning":
        if self.pattern == "2:4" and (self.structured or self.share != 0.5):
            raise ValueError("The pattern 2:4 takes out half of the single weights; use it with magnitude or wanda, and a share of 0.5.")
        return self

    @property
    def structured(self) -> bool:
        """Whether the model becomes smaller."""
        return self.method in STRUCTURED

    @property
    def title(self) -> str:
        """In words, for lists."""
        if self.pattern == "2:4":
            return f"2:4 by {self.method}"
        whole = {"heads": "attention heads", "channels": "MLP channels", "layers": "layers"}
        return f"{self.share:.0%} of {whole[self.method]} out" if self.structured else f"{self.share:.0%} zeros by {self.method}"

    @property
    def word(self) -> str:
        """As the command line takes it: method:share, or method:2:4."""
        return f"{self.method}:{'2:4' if self.pattern == '2:4' else f'{self.share:g}'}"

    @classmethod
    def parse(cls, word: str) -> "Pruning":
        """From the command line's word. Raises ValueError of one sentence."""
        method, _, share = word.partition(":")
        if share == "2:4":
            return cls.model_validate({"method": method, "share": 0.5, "pattern": "2:4"})
        try:
            return cls.model_validate({"method": method, "share": float(share)})
        except ValueError as error:
            raise ValueError(
                f"No pruning is called {word!r}; write METHOD:SHARE, like wanda:0.5, wanda:2:4 or layers:0.2 "
                f"(methods: magnitude, wanda, heads, channels, layers; a share between 0 and 1)."
            ) from error


def kept(count: int, share: float) -> int:
    """Of `count` equal parts, how many stay: at least one, the nearest number otherwise."""
    return max(count - round(count * share), 1)


def after(model: ModelSpec, pruning: Pruning | None) -> ModelSpec:
    """The model's shape once pruned. Heads go in groups that share keys and values, channels to a multiple of 32.

    Raises ValueError where the model has no such parts that this program takes out, or so few that none would go.
    """
    if pruning is None or not pruning.structured:
        return model
    smaller = model.model_copy(update={"blocks": _fewer(model, pruning)})
    if smaller == model:
        raise ValueError(f"{pruning.share:.0%} of the {pruning.method} of {model.name} is less than one; take out a larger share.")
    return smaller


def _fewer(model: ModelSpec, pruning: Pruning) -> tuple[Block, ...]:
    """The blocks that are left."""
    if pruning.method == "layers":
        return _fewer_layers(model, pruning.share)
    if not all(_plain(block) for block in model.blocks):
        raise ValueError(f"{model.name} is not made of plain attention and MLPs alone; take out layers instead.")
    if pruning.method == "heads" and not all(_free_heads(block) for block in model.blocks):
        raise ValueError(f"The norms of {model.name} span all heads, so that none can go alone; take out channels or layers instead.")
    narrower = _fewer_heads if pruning.method == "heads" else _fewer_channels
    return tuple(narrower(block, pruning.share) for block in model.blocks)


def channels_kept(width: int, share: float) -> int:
    """MLP channels that stay: a multiple of 32, which the kernels and the groups of quantized weights like."""
    return min(max(round(width * (1 - share) / 32), 1) * 32, width) if width > 32 else kept(width, share)


def _plain(block: Block) -> bool:
    return len(block.mixers) == 1 and isinstance(block.mixers[0], Attention) and block.mlp is not None


def _free_heads(block: Block) -> bool:
    """Whether the norms on queries and keys, if there are any, are each head's own."""
    mixer = block.mixers[0]
    return isinstance(mixer, Attention) and mixer.norm_width in (0, 2 * mixer.head_dim)


def _fewer_layers(model: ModelSpec, share: float) -> tuple[Block, ...]:
    """One kind of layers only: of several kinds, nobody knows beforehand which will go."""
    if len(model.blocks) > 1:
        raise ValueError(f"{model.name} has layers of several kinds; this program takes out layers where all are alike.")
    return (model.blocks[0].model_copy(update={"repeat": kept(model.blocks[0].repeat, share)}),)


def _fewer_heads(block: Block, share: float) -> Block:
    mixer = block.mixers[0]
    assert isinstance(mixer, Attention)
    groups = kept(mixer.kv_heads, share)
    fewer = mixer.model_copy(update={"heads": mixer.heads // mixer.kv_heads * groups, "kv_heads": groups})
    return block.model_copy(update={"mixers": (fewer,)})


def _fewer_channels(block: Block, share: float) -> Block:
    assert block.mlp
    return block.model_copy(update={"mlp": block.mlp.model_copy(update={"width": channels_kept(block.mlp.width, share)})})
