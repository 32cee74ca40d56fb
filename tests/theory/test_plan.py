"""One device's share of a step: of 11.4 M weights in each of ten layers, a head of 10 M, and a link of 100 GB/s."""

import numpy as np
import pytest

from profiler.catalog import models
from profiler.theory.plan import decode_step, prefill_step
from profiler.theory.rates import rates
from profiler.theory.step import decode
from profiler.theory.timing import spent, step_seconds
from tests.paper import DENSE, MIXTURE, device, placed

LAYERS, HEAD = 10 * 11.4e6, 10e6


def read(step, kinds=("linear", "experts"), without=()):
    """Bytes of weights that the operators of these kinds read."""
    return sum(op.cost.weights for op in step.ops if op.kind in kinds and op.name not in without)


def named(step, name):
    return next(op for op in step.ops if op.name == name)


def test_one_device_does_all_of_it():
    """The operators of the model, and nothing passes."""
    step = decode_step(DENSE, placed(), 4, 100)

    assert step.ops == decode(DENSE, 4, 100, placed().precision)
    assert read(step) == 2 * (LAYERS + HEAD)
    assert (step.hops, step.exchanged, step.overlapped) == (0, 0, 0)


def test_tensor_parallelism_divides_matrices_and_heads():
    """Two devices read half of the weights, half of the cache and calculate half; norms are on both."""
    one, two = decode_step(DENSE, placed(), 4, 100), decode_step(DENSE, placed(devices=2, tensor=2), 4, 100)

    assert read(two) == read(one) / 2 == LAYERS + HEAD
    assert named(two, "attention").cost.kv == named(one, "attention").cost.kv / 2
    assert sum(op.cost.flops for op in two.ops) == sum(op.cost.flops for op in one.ops) / 2
    assert named(two, "norms") == named(one, "norms")


def test_a_cache_is_divided_by_no_more_than_its_heads():
    """Of two heads of keys and values, five devices hold one each."""
    one, five = decode_step(DENSE, placed(), 4, 100), decode_step(DENSE, placed(devices=5, tensor=5), 4, 100)

    assert named(five, "attention").cost.kv == named(one, "attention").cost.kv / 2
    assert named(five, "attention").cost.flops == named(one, "attention").cost.flops / 5


@pytest.mark.parametrize(("ways", "share"), [(2, 1 / 2), (5, 4 / 5)])
def test_tensor_parallelism_adds_two_all_reduces_a_layer(ways, share):
    """Each moves 2·(n − 1)/n of four rows of 1,000 values of two bytes over 100 GB/s, and starts once."""
    step = decode_step(DENSE, placed(devices=ways, tensor=ways), 4, 100)

    assert step.hops == 20
    assert step.exchanged == pytest.approx(20 * 2 * share * 8000 / 100e9)


def test_a_device_without_a_link_exchanges_over_its_bus():
    """At 16 GB/s, PCIe 3."""
    step = decode_step(DENSE, placed(on=device(link=None), devices=2, tensor=2), 4, 100)

    assert step.exchanged == pytest.approx(20 * 8000 / 16e9)


def test_a_prompt_is_exchanged_row_by_row():
    """Four prompts of 100 tokens are 100 times four rows."""
    one, many = decode_step(DENSE, placed(devices=2, tensor=2), 4, 100), prefill_step(DENSE, placed(devices=2, tensor=2), 4, 100)

    assert many.exchanged == pytest.approx(100 * one.exchanged)
    assert many.hops == one.hops


def test_four_tokens_hit_five_and_a_half_of_eight_experts():
    """8 · (1 − (¾)⁴) experts of 9 M weights in each of ten layers."""
    assert named(decode_step(MIXTURE, placed(), 4, 100), "experts").cost.weights == pytest.approx(8 * (1 - 0.75**4) * 9e6 * 2 * 10)


def test_expert_parallelism_counts_the_distinct_experts_of_everybodys_tokens():
    """Four devices with a token each: together they hit what four tokens hit, and each reads a quarter of it; attention is its own."""
    one, four = (decode_step(MIXTURE, placed(devices=4, expert=ways), 1, 100) for ways in (1, 4))

    assert named(four, "experts").cost.weights == pytest.approx(8 * (1 - 0.75**4) / 4 * 9e6 * 2 * 10)
    assert named(one, "experts").cost.weights == pytest.approx(2 * 9e6 * 2 * 10)
    assert named(four, "experts").cost.flops == pytest.approx(named(one, "experts").cost.flops)
    assert named(four, "attention") == named(one, "attention")
    assert named(four, "experts").rows == pytest.approx(8 / (8 * (1 - 0.75**4)))


def test_expert_parallelism_sends_each_token_to_its_experts_and_back():
    """Two all-to-alls a layer, beside the work: out and back in 16 bits, to two devices of the same domain."""
    step = decode_step(MIXTURE, placed(devices=8, expert=8), 1, 100)

    assert step.hops == 20
    assert step.exchanged == 0
    assert step.overlapped == pytest.approx(10 * 2 * 1000 * (2 + 2) / 100e9)


def test_narrow_products_are_sent_narrow():
    """In float8 a token goes out in one byte a value, and comes back in two."""
    step = decode_step(MIXTURE, placed("float8", devices=8, expert=8), 1, 100)

    assert step.overlapped == pytest.approx(10 * 2 * 1000 * (1 + 2) / 100e9)


def test_experts_on_other_nodes_are_reached_over_the_network():
    """Of two nodes of eight, half of the two copies leave their own, at 10 GB/s."""
    step = decode_step(MIXTURE, placed(devices=16, expert=16), 1, 100)

    assert step.overlapped == pytest.approx(10 * 1000 * (2 + 2) * (2 * 1 / 2) / 10e9)


def test_a_dense_model_has_no_experts_to_spread():
    """Nothing changes, nothing passes."""
    assert decode_step(DENSE, placed(devices=4, expert=4), 1, 100) == decode_step(DENSE, placed(devices=4), 1, 100)


def test_split_layers_take_turns_in_decode():
    """Two devices with half of the layers each take as long as one with all, and hand over once."""
    one, two = decode_step(DENSE, placed(), 1, 100), decode_step(DENSE, placed(devices=2, pipeline=2), 1, 100)
    reached = rates(placed(), {})

    assert two.ops == one.ops
    assert two.hops == 1
    assert step_seconds(two, reached) - step_seconds(one, reached) == pytest.approx(reached.hop)


def test_split_layers_take_turns_at_a_prompt_of_one_chunk():
    """There is nothing to work on meanwhile."""
    old = "llama.cpp-2024"

    assert read(prefill_step(DENSE, placed(engine=old, devices=2, pipeline=2), 1, 512)) == read(
        prefill_step(DENSE, placed(engine=old), 1, 512)
    )


@pytest.mark.parametrize(("stages", "chunks", "ideal"), [(2, 4, 8 / 5), (4, 4, 16 / 7), (4, 1, 1)])
def test_split_layers_overlap_in_the_chunks_of_a_prompt(stages, chunks, ideal):
    """On p devices, c chunks take c + p − 1 turns instead of c·p; 65 % of that gain is reached."""
    one, several = (
        prefill_step(DENSE, placed(engine="llama.cpp-2024", devices=ways, pipeline=ways), 1, 512 * chunks) for ways in (1, stages)
    )
    gain = 1 + 0.65 * (ideal - 1)

    assert sum(op.cost.flops for op in several.ops) == pytest.approx(sum(op.cost.flops for op in one.ops) / gain)
    assert several.hops == (stages - 1) * chunks


@pytest.mark.parametrize(("tokens", "passes"), [(100, 1), (512, 1), (1024, 2), (2048, 4)])
def test_chunks_of_512_tokens_read_the_weights_once_each(tokens, passes):
    """As llama.cpp does; the head is read once, for the last position alone, and FLOPs stay."""
    step, whole = (prefill_step(DENSE, placed(engine=engine), 1, tokens) for engine in ("llama.cpp-2024", "vllm"))

    assert read(step, without=("lm_head",)) == pytest.approx(2 * LAYERS * passes)
    assert named(step, "lm_head") == named(whole, "lm_head")
    assert sum(op.cost.flops for op in step.ops) == sum(op.cost.flops for op in whole.ops)
    assert named(step, "mlp").rows == tokens / passes
    assert named(step, "mlp").count == 10 * passes


def test_prompts_of_a_batch_share_a_chunk():
    """16 prompts of 1,024 tokens are two passes of 8,192."""
    assert read(prefill_step(DENSE, placed(), 16, 1024), without=("lm_head",)) == pytest.approx(2 * 2 * LAYERS)


def test_widened_formats_write_and_read_the_wide_matrix():
    """For several rows an eager engine makes NF4 wide: 114 M weights of two bytes, written and read; a single row has a kernel."""
    wide = 2 * 2 * LAYERS

    assert named(prefill_step(DENSE, placed("nf4", "eager"), 1, 100), "widen").cost.weights == pytest.approx(wide)
    assert named(decode_step(DENSE, placed("nf4", "eager"), 2, 100), "widen").cost.weights == pytest.approx(wide)
    assert named(decode_step(DENSE, placed("nf4", "eager"), 1, 100), "widen").cost.weights == 0


def test_a_format_without_kernels_is_widened_every_time():
    """In any engine, for one row, too."""
    assert named(decode_step(DENSE, placed("uintx-4", "compiled"), 1, 100), "widen").cost.weights == pytest.approx(2 * 2 * LAYERS)


@pytest.mark.parametrize(("weights", "engine"), [("bfloat16", "eager"), ("int8-dynamic", "eager"), ("int4", "vllm"), ("q4_0", "llama.cpp")])
def test_other_formats_are_multiplied_as_they_are(weights, engine):
    """Plain ones, those with narrow products, and those whose engine has kernels."""
    assert "widen" not in [op.name for op in prefill_step(DENSE, placed(weights, engine), 1, 100).ops]


def test_widening_is_shared_by_tensor_parallel_devices():
    """Each widens what it holds."""
    assert named(prefill_step(DENSE, placed("nf4", "eager", devices=2, tensor=2), 1, 100), "widen").cost.weights == pytest.approx(
        2 * LAYERS
    )


def test_an_encoder_writes_nothing():
    """It reads a text, and its decode step takes no time at all."""
    bert = models.find("bert-base").spec()
    step = decode_step(bert, placed(), 4, 100)

    assert step.ops == []
    assert step_seconds(step, rates(placed())) == 0
    assert step_seconds(prefill_step(bert, placed(), 4, 100), rates(placed())) > 0


def test_a_decode_step_does_not_run_the_encoder():
    """T5's encoder reads the prompt in the prefill; a step of the decoder reads its own weights, and what it kept of the prompt."""
    t5 = models.find("t5-base").spec()
    short, long = (decode_step(t5, placed(), 1, prompt + 10, prompt) for prompt in (100, 1000))

    assert "cross_kv" in [op.name for op in prefill_step(t5, placed(), 1, 100).ops]
    assert "cross_kv" not in [op.name for op in short.ops]
    assert read(short) == read(long) < 0.7 * read(prefill_step(t5, placed(), 1, 100))
    assert named(long, "cross_attention").cost.kv == pytest.approx(10 * named(short, "cross_attention").cost.kv)
    assert named(long, "attention") == named(short, "attention")


SPLITS = [{}, {"devices": 2, "tensor": 2}, {"devices": 2, "pipeline": 2}, {"devices": 4, "expert": 4}]


@pytest.mark.parametrize("split", SPLITS, ids=str)
@pytest.mark.parametrize(
    "model", [DENSE, MIXTURE, models.find("deepseek-v3").spec(), models.find("gemma-2-9b").spec()], ids=lambda m: m.name
)
@pytest.mark.parametrize(("weights", "engine"), [("bfloat16", "vllm"), ("nf4", "eager"), ("q4_0", "llama.cpp-2024")])
def test_arrays_give_what_scalars_give(split, model, weights, engine):
    """Batches and prompts on two axes, element by element, in both phases."""
    deployment, batches, prompts = placed(weights, engine, **split), np.array([1.0, 2.0, 24.0]), np.array([16.0, 600.0, 9000.0])
    reached = rates(deployment)
    for made in (prefill_step, decode_step):
        many = spent(made(model, deployment, batches[:, None], prompts[None, :]), reached)
        each = [[spent(made(model, deployment, float(batch), float(prompt)), reached) for prompt in prompts] for batch in batches]
        assert many.total == pytest.approx(np.array([[one.total for one in row] for row in each]), rel=1e-12)
        assert np.broadcast_to(many.memory, (3, 3)) == pytest.approx(np.array([[one.memory for one in row] for row in each]), rel=1e-12)
