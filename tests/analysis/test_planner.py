import pytest

from profiler.analysis.arithmetic import attention_share, overtaking, prompt_flops, token_flops
from profiler.analysis.planner import frontier, largest, largest_batch, longest_context, purposes, with_context
from profiler.catalog.models import rows
from profiler.spec.formats import Precision
from profiler.spec.run import RunSpec
from profiler.spec.work import Generate
from profiler.theory.cost import total
from profiler.theory.memory import predict_memory
from profiler.theory.step import prefill

SPEC = RunSpec(model=rows()["llama-3.2-1b"].spec(), work=Generate(prompt_tokens=2016, new_tokens=32))


@pytest.mark.parametrize(("limit", "found"), [(0, 0), (1, 1), (77, 77), (100, 100), (1000, 100)])
def test_bisection_finds_the_largest_that_fits(limit, found):
    """From nothing to everything."""
    assert largest(lambda count: count <= limit, 100) == found


def test_one_more_sequence_would_not_fit():
    """The largest batch fits, the next does not."""
    most = largest_batch(SPEC, 16e9)

    def total(batch):
        return predict_memory(SPEC.model_copy(update={"work": SPEC.generate.model_copy(update={"batch": batch})})).total

    assert total(most) <= 16e9 < total(most + 1)


def test_one_more_token_would_not_fit():
    """The longest context fits, the next does not; never more than the model was made for."""
    many = with_context(SPEC, 100, batch=64)
    longest = longest_context(many, 16e9)

    assert predict_memory(with_context(many, longest)).total <= 16e9 < predict_memory(with_context(many, longest + 1)).total
    assert longest_context(SPEC, 1e15) == SPEC.model.context


def test_what_never_fits_is_zero():
    """Weights alone are too large."""
    assert largest_batch(SPEC, 1e9) == longest_context(SPEC, 1e9) == 0


def test_a_longer_context_leaves_room_for_fewer_sequences():
    """The frontier falls."""
    contexts, batches = frontier(SPEC, 16e9)

    assert contexts[-1] == SPEC.model.context
    assert all(more >= fewer for more, fewer in zip(batches, batches[1:]))


def test_purposes_sum_to_the_whole():
    """Weights, KV cache, activations, libraries."""
    need = predict_memory(SPEC)

    assert sum(purposes(need).values()) == need.total


def test_a_context_is_prompt_and_answer():
    """The tokens of both are what was asked for, also for the shortest."""
    for context in (3, 16, 2048):
        work = with_context(SPEC, context).generate
        assert work.prompt_tokens + work.new_tokens == context


def test_the_operators_arithmetic_sums_to_the_step():
    """Nothing is lost in the words."""
    assert sum(prompt_flops(SPEC.model, 100).values()) == total(prefill(SPEC.model, 1, 100, Precision.of("float32"))).flops
    assert sum(token_flops(SPEC.model, 100).values()) < sum(prompt_flops(SPEC.model, 100).values())


def test_attention_overtakes_where_its_share_passes_one_half():
    """One token less, and it is still less than half."""
    at = overtaking(SPEC.model)

    assert attention_share(prompt_flops(SPEC.model, at)) > 0.5 >= attention_share(prompt_flops(SPEC.model, at - 1))
