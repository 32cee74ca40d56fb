"""MLPs and mixtures of experts.

Under uniform routing, of E experts T tokens with k each touch E·(1 − (1 − k/E)^T) on average: only those are read.
"""

from profiler.spec.model import Experts, Mlp
from profiler.theory.cost import Cost, Op
from profiler.theory.products import Pass, linear


def mlp(m: Mlp, p: Pass, count: float, name: str = "mlp") -> Op:
    """Two or three products of equal size, with what is between them."""
    weights, biases = _sizes(m, p.hidden)
    moved = p.rows * _columns(m, p.hidden) * p.width["activations"]
    read = weights * p.matrix + biases * p.width["vectors"]
    cost = Cost(2 * count * p.rows * weights, count * read, 0.0, count * moved)
    return Op(name, cost, "linear", count, p.rows, count * (weights + biases))


def experts(m: Experts, p: Pass, count: float) -> list[Op]:
    """The router, the experts that are hit, and those that every token sees."""
    weights, biases = _sizes(m, p.hidden)
    hit = distinct(m, p.rows)
    sent = p.rows * m.per_token
    read = hit * (weights * p.width["weights"] + biases * p.width["vectors"])
    moved = sent * _columns(m, p.hidden) * p.width["activations"]
    cost = Cost(2 * count * sent * weights, count * read, 0.0, count * moved)
    ops = [
        linear(p, "router", p.hidden, m.count, count, bias=m.count * m.router_bias, width=p.width["vectors"]),
        Op("experts", cost, "experts", count, sent / hit, count * m.count * (weights + biases)),
    ]
    if m.shared_width:
        ops.append(mlp(Mlp.model_construct(width=m.shared_width, gated=m.gated, bias=m.bias), p, count, "shared_experts"))
    if m.shared_gate:
        ops.append(linear(p, "shared_gate", p.hidden, 1, count, width=p.width["vectors"]))
    return ops


def distinct(m: Experts, tokens):
    """How many experts so many tokens hit on average."""
    return m.count * (1 - (1 - m.per_token / m.count) ** tokens)


def idle_parameters(m: Experts, hidden: int) -> int:
    """Parameters of one layer's experts that a token is not sent to."""
    return (m.count - m.per_token) * sum(_sizes(m, hidden))


def _sizes(m: Mlp | Experts, hidden: int) -> tuple[int, int]:
    """Elements of the matrices, and of the biases."""
    matrices = 3 if m.gated else 2
    return matrices * hidden * m.width, (m.width * (matrices - 1) + hidden) * m.bias


def _columns(m: Mlp | Experts, hidden: int) -> int:
    """Values that are read or written for each token."""
    return 2 * hidden + (3 if m.gated else 2) * m.width
