"""One forward and backward pass of training, and the optimizer's step.

Backward takes two products for each forward one: the input's gradient and the weights' (2·N·T forward, 4·N·T backward: Kaplan et
al. 2020, arXiv 2001.08361). Attention that keeps no scores computes five products where forward takes two (Dao 2023, arXiv
2307.08691, section 3). Full recompute runs every block forward once more; selective recompute only attention (Korthikanti et al. 2022,
arXiv 2205.05198). Model FLOPs count neither: 6 a parameter and token, and attention (Chowdhery et al. 2022, arXiv 2204.02311,
appendix B).
"""

from typing import Literal

from profiler.spec.formats import Precision
from profiler.spec.model import ModelSpec
from profiler.theory.cost import Cost, Op
from profiler.theory.step import forward, parameters

Recompute = Literal["none", "selective", "full"]
OUTSIDE = ("embedding", "embedding_norm", "embedding_projection", "final_norm", "pooler", "head_projection", "lm_head")  # of the blocks
ADAM = 30.0  # bytes of a parameter: read float32 copy, two moments and gradient, write the first three and the 16-bit weight
LOSS = 12.0  # bytes of a logit: written and read in float32, and its gradient written


def training_ops(model: ModelSpec, batch, tokens, precision: Precision, recompute: Recompute = "none", optimizer: float = ADAM) -> list[Op]:
    """Operations of one step; `optimizer` is bytes that its update moves for each parameter."""
    ahead = forward(model, batch, tokens, 0, precision, "all")
    again = [op for op in ahead if _repeated(op, recompute)]
    return [
        *ahead,
        *_loss(model, batch * tokens),
        *(_renamed(op, "again", op.cost, 1) for op in again),
        *(_renamed(op, "backward", _backward(op), 2) for op in reversed(ahead)),
        Op("optimizer", Cost(0.0, parameters(model) * optimizer), "vector"),
    ]


def model_flops(model: ModelSpec, tokens, causal: bool = True):
    """FLOPs of forward and backward for one token of a sequence of so many; `causal` counts only pairs that a query may see."""
    ops = forward(model, 1, tokens, 0, Precision(), "all")
    square = 1 if causal else 2 * tokens / (tokens + 1)
    return 3 * sum(op.cost.flops * (square if op.kind == "attention" else 1) for op in ops) / tokens


def _repeated(op: Op, recompute: Recompute) -> bool:
    return op.name not in OUTSIDE if recompute == "full" else recompute == "selective" and op.kind == "attention"


def _backward(op: Op) -> Cost:
    """Gradients of inputs and of weights: the weights are read, their gradients written."""
    cost = op.cost
    if op.kind == "attention":
        return Cost(2.5 * cost.flops, 2 * cost.weights, 2 * cost.kv, 2 * cost.activations)
    return cost * 2


def _renamed(op: Op, suffix: str, cost: Cost, calls: int) -> Op:
    """Without parameters, which forward has told."""
    return Op(f"{op.name} {suffix}", cost, op.kind, op.count * (calls if op.kind in ("linear", "experts") else 1), op.rows)


def _loss(model: ModelSpec, rows) -> list[Op]:
    """Cross-entropy over the vocabulary; an encoder that ends with hidden vectors has none here."""
    return [Op("loss", Cost(activations=LOSS * rows * model.vocab), "vector", 1, rows)] if model.head else []
