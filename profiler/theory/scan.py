"""State spaces, linear attention and short convolutions: what replaces attention in models whose state does not grow.

A step of the recurrence touches every element of the state; a prompt is worked on in chunks of C tokens, which are products.
FLOPs per token, with state N, head width P, H heads, G groups, inner width D = H·P:

    Mamba-1     8·D·N + 2·D: discretise (2 products and an exponential), decay, add, read (arXiv 2312.00752, equations 2 to 4)
    Mamba-2     one by one 5·D·N; in chunks C·(2·N·G + 2·D) + 4·D·N (arXiv 2405.21060, section 6)
    delta rule  one by one 7·N·P·H; in chunks C·(5·N + 3·P)·H + 6·N·P·H (arXiv 2406.06484 and 2412.06464; key width N, value width P)

The state is kept in float32, whatever the weights are. A prompt keeps it on chip and writes it once.
"""

from profiler.spec.model import Convolution, LinearAttention, StateSpace
from profiler.theory.cost import Cost, Op
from profiler.theory.products import Pass, chosen, linear, smaller

STATE = 4  # bytes of one element of a recurrent state


def state_space(m: StateSpace, p: Pass, count: float) -> list[Op]:
    """Projection in, short convolution, scan, projection out."""
    if m.version == 1:
        own = m.inner * (m.state + 1)
        inputs = [
            linear(p, "scan_inputs", m.inner, m.rank + 2 * m.state, count),
            linear(p, "step_size", m.rank, m.inner, count, bias=m.inner),
        ]
        into, columns = 2 * m.inner, 4 * m.inner + 2 * m.state
    else:
        own, inputs = 3 * m.heads, []
        into, columns = m.inner + m.convolved + m.heads, 2 * m.inner + m.convolved + m.heads
    return [
        linear(p, "mixer_in", p.hidden, into, count, bias=into * m.bias),
        _convolution(p, m.convolved, m.kernel, count, m.kernel_bias),
        *inputs,
        _scan(p, scan_flops(m, p.tokens), m.inner * m.state, own, columns, count),
        linear(p, "mixer_out", m.inner, p.hidden, count, bias=p.hidden * m.bias),
    ]


def linear_attention(m: LinearAttention, p: Pass, count: float) -> list[Op]:
    """Queries, keys, values, gate and rates in one projection; short convolution; delta rule; projection out."""
    return [
        linear(p, "mixer_in", p.hidden, 2 * (m.keys + m.values + m.value_heads), count),
        _convolution(p, 2 * m.keys + m.values, m.kernel, count),
        _scan(p, delta_flops(m, p.tokens), m.key_dim * m.values, 2 * m.value_heads, 2 * m.keys + 3 * m.values, count),
        linear(p, "mixer_out", m.values, p.hidden, count),
    ]


def convolution(m: Convolution, p: Pass, count: float) -> list[Op]:
    """Two gates and the values in one projection; short convolution; projection out."""
    return [
        linear(p, "mixer_in", p.hidden, 3 * p.hidden, count, bias=3 * p.hidden * m.bias),
        _convolution(p, p.hidden, m.kernel, count, m.bias),
        linear(p, "mixer_out", p.hidden, p.hidden, count, bias=p.hidden * m.bias),
    ]


def scan_flops(m: StateSpace, tokens):
    """FLOPs of one token of one layer's scan, in a pass of so many."""
    if m.version == 1:
        return 8 * m.inner * m.state + 2 * m.inner
    step = 5 * m.inner * m.state
    inside = smaller(tokens, m.chunk) * 2 * (m.state * m.groups + m.inner)
    return chosen(tokens == 1, step, inside + 4 * m.inner * m.state)


def delta_flops(m: LinearAttention, tokens):
    """FLOPs of one token of one layer's delta rule, in a pass of so many."""
    inside = smaller(tokens, m.chunk) * (5 * m.key_dim + 3 * m.value_dim) * m.value_heads
    return chosen(tokens == 1, 7 * m.key_dim * m.values, inside + 6 * m.key_dim * m.values)


def state_bytes(m: StateSpace | LinearAttention | Convolution, hidden: int, activations: float) -> float:
    """Bytes that one layer keeps for one sequence: the recurrent state, and the last inputs of the short convolution."""
    if isinstance(m, Convolution):
        return hidden * (m.kernel - 1) * activations
    if isinstance(m, LinearAttention):
        return m.key_dim * m.values * STATE + (2 * m.keys + m.values) * (m.kernel - 1) * activations
    return m.inner * m.state * STATE + m.convolved * (m.kernel - 1) * activations


def _scan(p: Pass, flops, state: int, parameters: int, columns: int, count: float) -> Op:
    """The state is read where there is one, and written."""
    kept = p.batch * state * STATE * (1 + (p.context > 0))
    moved = p.rows * columns * p.width["activations"]
    cost = Cost(p.rows * flops, parameters * p.width["vectors"], kept, moved) * count
    return Op("scan", cost, "scan", count, p.rows, count * parameters)


def _convolution(p: Pass, channels: int, kernel: int, count: float, bias: bool = False) -> Op:
    size, width = channels * (kernel + bias), p.width["activations"]
    kept = p.batch * channels * (kernel - 1) * width * (1 + (p.context > 0))
    cost = Cost(2 * p.rows * channels * kernel, size * p.width["vectors"], kept, 2 * p.rows * channels * width) * count
    return Op("convolution", cost, "vector", count, p.rows, count * size)
