import math

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from profiler.catalog import models
from profiler.catalog.config import from_hf_config
from profiler.spec.formats import Precision
from profiler.spec.model import LinearAttention, StateSpace
from profiler.theory.attention import two_sided_pairs, visible_pairs
from profiler.theory.cost import total
from profiler.theory.scan import delta_flops, scan_flops, state_bytes
from profiler.theory.step import decode, forward, prefill
from tests.families import small

BF16 = Precision()


def of(name: str):
    return from_hf_config(small(name), name=name, reference=name, origin="random")


def named(ops, name: str):
    return next(op for op in ops if op.name == name)


class Counted(float):
    """A number that counts what is done with it."""

    done = 0

    def _count(self, value: float) -> "Counted":
        Counted.done += 1
        return Counted(value)

    def __mul__(self, other):
        return self._count(float(self) * float(other))

    def __add__(self, other):
        return self._count(float(self) + float(other))

    def __sub__(self, other):
        return self._count(float(self) - float(other))


def test_a_window_limits_what_a_query_sees():
    """Closed form of the visible pairs equals counting them."""
    for tokens, context, window in [(5, 0, None), (5, 3, None), (7, 0, 3), (7, 2, 4), (1, 10, 4), (4, 0, 100), (3, 3, 4)]:
        counted = sum(min(context + i + 1, window or 10**9) for i in range(tokens))

        assert visible_pairs(tokens, context, window) == counted


def test_pairs_of_an_array_equal_pairs_one_by_one():
    """A sweep over contexts is the same code."""
    contexts = np.array([0, 2, 3, 9])

    assert list(visible_pairs(4, contexts, 5)) == [visible_pairs(4, int(c), 5) for c in contexts]


def test_an_encoder_sees_the_whole_text():
    """All pairs count, and nothing is kept."""
    bert = named(prefill(of("bert"), 2, 10, BF16), "attention").cost

    assert two_sided_pairs(10, None) == 100
    assert bert.flops == 4 * 4 * 2 * 64 * 100  # 4 layers, 4·b·hidden a pair
    assert bert.kv == 0


def test_an_encoder_does_not_write_token_after_token():
    """There is no decode step."""
    with pytest.raises(ValueError, match="is an encoder"):
        decode(of("bert"), 1, 10, BF16)


def test_a_decoder_reads_what_its_encoder_kept():
    """T5: the prompt's keys and values are made in the prefill alone, and read in every decode step."""
    t5 = of("t5")
    first, step = prefill(t5, 2, 50, BF16), decode(t5, 2, 60, BF16, 50)
    row = 2 * 4 * 24 * 2  # keys and values of 4 heads of 24, two bytes each

    assert [op.rows for op in first if op.name == "cross_kv"] == [2 * 50]
    assert not [op for op in step if op.name == "cross_kv"]
    assert sum(op.cost.kv for op in step) == 4 * 2 * row * (50 + 10 + 1)
    assert sum(op.rows for op in step if op.name == "mlp") == 2


def test_latent_attention_expands_a_prompt_and_absorbs_a_token():
    """DeepSeek-V3, per layer and sequence: 2·a·(192 + 128) FLOPs a pair in prefill, 2·a·(512 + 64 + 512) a cached token in decode."""
    model = models.rows()["deepseek-v3"].spec()
    reading = named(prefill(model, 1, 1000, BF16), "attention").cost
    writing = named(decode(model, 3, 1000, BF16), "attention").cost

    assert reading.flops == 61 * 2 * 128 * (192 + 128) * 1000 * 1001 / 2
    assert writing.flops == 61 * 3 * 2 * 128 * (512 + 64 + 512) * 1001
    assert writing.kv == 61 * 3 * (512 + 64) * 2 * 1001


def test_a_mixed_window_is_read_up_to_its_width():
    """Gemma 3 small: at 40 cached tokens five layers read 16, one reads all."""
    step = [op for op in decode(of("gemma3_text"), 1, 40, BF16) if op.name == "attention"]
    row = 2 * 2 * 32 * 2

    assert sorted(op.cost.kv for op in step) == [row * 41, 5 * row * 16]


def test_operations_of_equal_layers_are_one():
    """A model of two kinds of layers that differ in their window alone has two attentions, and one of everything else."""
    names = [op.name for op in forward(of("gpt_oss"), 1, 1, 9, BF16)]

    assert names.count("attention") == 2
    assert all(names.count(name) == 1 for name in names if name != "attention")


def test_mamba_takes_eight_flops_a_state_element():
    """A naive loop over channels and states, with every operation counted (an exponential is one)."""
    channels, states = 3, 5
    m = StateSpace(version=1, inner=channels, state=states, kernel=4, rank=2)
    Counted.done = 0
    for _ in range(channels):
        step, x, skip, y = Counted(0.1), Counted(2), Counted(1), Counted(0)
        for n in range(states):
            a, b, c, h = Counted(-n), Counted(n), Counted(1), Counted(0.5)
            decay = (step * a)._count(math.exp(0.0))
            h = decay * h + (step * b) * x
            y = y + c * h
        y = y + skip * x

    assert scan_flops(m, 1000) == Counted.done / 1.0


def test_one_token_of_mamba2_takes_five_flops_a_state_element():
    """Decay, outer product of input and B, add, product with C, sum: a naive loop."""
    inner, states = 6, 4
    m = StateSpace(version=2, inner=inner, state=states, kernel=4, heads=2, groups=1)
    Counted.done = 0
    for _ in range(inner):
        x, y, decay = Counted(2), Counted(0), Counted(0.9)
        for n in range(states):
            h = decay * Counted(0.5) + x * Counted(n)
            y = y + Counted(1) * h

    assert scan_flops(m, 1) == Counted.done


def test_mamba2_in_chunks_is_four_products():
    """Torch's count of the chunked form: scores per group, their use, the chunk's state, and what earlier chunks say."""
    chunk, heads, width, groups, states = 16, 4, 8, 2, 5
    m = StateSpace(version=2, inner=heads * width, state=states, kernel=4, heads=heads, groups=groups, chunk=chunk)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        b, c = torch.zeros(groups, chunk, states), torch.zeros(groups, chunk, states)
        x, mixed = torch.zeros(heads, chunk, width), torch.zeros(heads, chunk, chunk)
        by_head, before = torch.zeros(heads, chunk, states), torch.zeros(heads, states, width)
        torch.bmm(c, b.transpose(1, 2))
        torch.bmm(mixed, x)
        torch.bmm(by_head.transpose(1, 2), x)
        torch.bmm(by_head, before)

    assert chunk * scan_flops(m, 64) == counter.get_total_flops()


def test_one_token_of_the_delta_rule_takes_seven_flops_a_state_element():
    """Decay, read the old value (2), write the correction (2), read the output (2): a naive loop over the state's elements."""
    keys, values = 4, 3
    m = LinearAttention(key_heads=1, value_heads=1, key_dim=keys, value_dim=values, kernel=4)
    state = [[Counted(0.5) for _ in range(values)] for _ in range(keys)]
    Counted.done = 0
    for v in range(values):
        old, out = Counted(0), Counted(0)
        for k in range(keys):
            state[k][v] = state[k][v] * 0.9
            old = old + state[k][v] * 0.3
        for k in range(keys):
            state[k][v] = state[k][v] + Counted(0.1) * old
            out = out + state[k][v] * 0.2

    assert delta_flops(m, 1) == Counted.done


def test_the_delta_rule_in_chunks_is_seven_products_and_two_triangles():
    """Torch's count of one chunk of one head, and C² FLOPs for each column of the two triangular systems."""
    c, n, p = 64, 16, 32
    m = LinearAttention(key_heads=1, value_heads=1, key_dim=n, value_dim=p, kernel=4, chunk=c)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        k, v, state, square = torch.zeros(c, n), torch.zeros(c, p), torch.zeros(n, p), torch.zeros(c, c)
        for left, right in ((k, k.T), (k, k.T), (k, state), (k, state), (square, v), (k.T, v)):
            torch.mm(left, right)

    assert c * delta_flops(m, 1000) == counter.get_total_flops() + c * c * (n + p)


def test_a_state_does_not_grow():
    """Mamba-2 2.7B keeps 5120 × 128 float32 values and 3 inputs of its convolution a layer, however long the text is."""
    model = models.rows()["mamba2-2.7b"].spec()
    short, long = (sum(op.cost.kv for op in decode(model, 2, context, BF16)) for context in (10, 100_000))

    assert short == long == 64 * 2 * 2 * (5120 * 128 * 4 + (5120 + 2 * 128) * 3 * 2)
    assert state_bytes(model.blocks[0].mixers[0], model.hidden, 2) == 5120 * 128 * 4 + (5120 + 2 * 128) * 3 * 2


@pytest.mark.parametrize(
    "name", ["llama", "gemma3_text", "deepseek_v3", "gpt_oss", "mamba", "mamba2", "qwen3_next", "lfm2", "nemotron_h.moe"]
)
def test_every_mixer_takes_arrays(name):
    """Batch and context as a grid give what each point gives alone."""
    model, batches, contexts = of(name), np.array([1, 3])[:, None], np.array([1, 7, 50])[None, :]
    grid = total(decode(model, batches, contexts, BF16))
    alone = [[total(decode(model, b, c, BF16)) for c in (1, 7, 50)] for b in (1, 3)]

    for kind in ("flops", "weights", "kv", "activations"):
        assert np.broadcast_to(getattr(grid, kind), (2, 3)) == pytest.approx(
            np.array([[getattr(one, kind) for one in row] for row in alone])
        )
