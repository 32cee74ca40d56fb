import pytest

from profiler.catalog import models
from profiler.spec.formats import Precision
from profiler.spec.training import TrainSetup, trainer_named
from profiler.theory.backward import training_ops
from profiler.theory.sharding import ATTENTION, completed, divided, parameter_counts, shards
from profiler.theory.step import parameters


def llama():
    return models.rows()["llama-2-7b"].spec()


def work(**changes):
    held = {"devices": 8, "micro_batch": 2, "global_batch": 64, "sequence": 1024}
    return divided(llama(), completed(TrainSetup(**(held | changes))))


def test_one_device_does_what_the_algebra_counts():
    """Three forward passes of products, and 3.5 of attention, are the training step's operations."""
    found = work(devices=1, global_batch=2)
    attention = found.kind == ATTENTION
    counted = sum(op.cost.flops for op in training_ops(llama(), 2, 1024, Precision()))

    assert (found.flops * (3 + 0.5 * attention)).sum() == pytest.approx(counted)


def test_tensor_parallelism_divides_the_products():
    """Each of four devices does a quarter."""
    assert work(tensor=4).flops.sum() == pytest.approx(work().flops.sum() / 4)


def test_a_pipelines_last_stage_has_the_whole_head():
    """Blocks are shared by the stages, the lm_head is not."""
    whole, last = work(), work(pipeline=4)

    assert last.flops[-1] == whole.flops[-1]
    assert last.flops[:-1].sum() == pytest.approx(whole.flops[:-1].sum() / 4)


def test_micro_batches_are_what_a_replica_has_of_the_global_batch():
    """64 sequences, four replicas, two at a time: eight rounds."""
    assert work(tensor=2).micro_batches == 8


def test_an_unstated_global_batch_fills_the_pipeline():
    """Four micro-batches for each of eight stages."""
    found = completed(TrainSetup(devices=8, pipeline=8))

    assert (found.micro_batch, found.global_batch) == (1, 32)


def test_many_devices_share_four_million_tokens():
    """Of 4,096 each, in whole micro-batches."""
    found = completed(TrainSetup(devices=256, sequence=4096))

    assert found.global_batch * 4096 == pytest.approx(4e6, rel=0.1)


def test_hybrid_sharding_stays_in_its_domain():
    """64 devices in eight domains shard over eight."""
    assert shards(TrainSetup(devices=64, domains=8, hybrid=True)) == 8
    assert shards(TrainSetup(devices=64, zero=0)) == 1


def test_zero_3_gathers_twice_and_scatters_once():
    """Three times 16-bit parameters in each micro-batch; twice where the weights stay gathered."""
    bytes = 2.0 * parameters(llama())

    assert work().gathered == pytest.approx(3 * bytes, rel=1e-6)
    assert work(reshard=False).gathered == pytest.approx(2 * bytes, rel=1e-6)


def test_frozen_weights_send_no_gradients():
    """A low-rank adapter's own are too few to count."""
    found = work(method="lora")

    assert (found.settled, found.updated, found.frozen) == (0, 0, 1)


def test_recompute_ends_before_the_last_product():
    """A compiler and torch's checkpoints leave out a layer's last product; Megatron runs the whole layer again."""
    early, whole = work(recompute="full", trainer="composer"), work(recompute="full", trainer="megatron")

    assert (early.again * early.flops).sum() < (whole.again * whole.flops).sum() == pytest.approx(whole.flops[:-1].sum())


def test_parameters_are_those_of_the_model():
    """Mixtral: 45.1 of 46.7 billion are in experts."""
    dense, experts = parameter_counts(models.rows()["mixtral-8x7b"].spec())

    assert (dense / 1e9, experts / 1e9) == pytest.approx((1.6, 45.1), abs=0.05)


def test_expert_parallelism_gives_an_expert_the_tokens_of_all():
    """Eight devices: an eighth of the experts each, with eight times the rows."""
    model = models.rows()["mixtral-8x7b"].spec()
    alone, spread = (divided(model, completed(TrainSetup(devices=8, expert=size))) for size in (1, 8))
    at = list(alone.kind).index(2)

    assert spread.rows[at] == 8 * alone.rows[at]
    assert spread.flops[at] == alone.flops[at]
    assert spread.exchanges > 0 == alone.exchanges


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Composer/llm-foundry FSDP, torch 1.13-2.0, FlashAttention", "composer"),
        ("NeMo 25.02", "megatron"),
        ("LitGPT eager", "litgpt"),
        ("LitGPT Thunder (sdpa,torchcompile)", "thunder"),
        ("MaxText (JAX/XLA)", "maxtext"),
        ("axolotl", "transformers"),
        ("something else", "unknown"),
    ],
)
def test_a_trainer_is_found_in_a_text(text, name):
    """However a source names it."""
    assert trainer_named(text) == name


def test_an_impossible_split_says_so():
    """With its numbers."""
    with pytest.raises(ValueError, match="8 devices cannot be shared by replicas of 3"):
        TrainSetup(devices=8, tensor=3)
