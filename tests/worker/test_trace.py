"""The operator trace on real modules: FLOPs and bytes against closed forms and against torch's counter."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from profiler.catalog.config import from_hf_config
from profiler.catalog.models import rows
from profiler.spec.formats import Precision
from profiler.spec.run import Setup
from profiler.spec.speculation import Speculation
from profiler.spec.work import Generate
from profiler.theory import step
from profiler.theory.cost import total
from profiler.theory.parts import by_part
from profiler.worker import flops, groups, shapes
from profiler.worker.counting import count
from profiler.worker.decoding import Decoding
from profiler.worker.prompt import prompt_ids
from profiler.worker.trace import Timed, digest, matched, table, trace, unsupported

PROMPT = 32

FLOAT32 = Precision.of("float32")


def decoding(name: str, *, batch=1, attention="auto", dtype="float32", **changes):
    """A model of the catalogue with some fields changed, ready to decode, and its spec."""
    spec = from_hf_config(rows()[name].config | {"pad_token_id": 0} | changes, name=name, reference=name, origin="random")
    model = shapes.build(spec, Setup(attention=attention, dtype=dtype), 0).eval().requires_grad_(False)
    return Decoding(model, prompt_ids(Generate(batch=batch, prompt_tokens=PROMPT), spec.vocab, None), Setup()), spec


SMALL = {"num_hidden_layers": 2, "vocab_size": 512, "hidden_size": 256, "intermediate_size": 128, "moe_intermediate_size": 64}


@pytest.fixture(scope="module")
def smollm():
    """Both traces of SmolLM2-135M's shape, by phase, and its spec."""
    ready, spec = decoding("smollm2-135m")
    with torch.inference_mode():
        ready.prefill()
        return {traced.phase: traced for traced in trace(ready, PROMPT, 8, {"prefill": 0.2, "decode": 0.1})}, spec


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_flops_and_weights_equal_the_closed_form(smollm, phase):
    """All FLOPs, attention included, within 0.1 %; bytes of weights exactly, part by part."""
    traces, spec = smollm
    closed = step.prefill(spec, 1, PROMPT, FLOAT32) if phase == "prefill" else step.decode(spec, 1, traces["decode"].context, FLOAT32)
    traced = traces[phase].rows

    assert sum(row.flops for row in traced) == pytest.approx(total(closed).flops, rel=1e-3)
    for part, cost in by_part(closed).items():
        assert sum(row.weights for row in traced if row.group == part) == pytest.approx(cost.weights, rel=1e-9), part


def test_the_cache_is_read_as_the_closed_form_says(smollm):
    """Attention of a decode step reads keys and values of all tokens once: exactly the closed form's bytes."""
    traces, spec = smollm
    wanted = by_part(step.decode(spec, 1, traces["decode"].context, FLOAT32))["attention"].kv

    assert sum(row.kv for row in traces["decode"].rows if row.group == "attention") == wanted


def test_what_a_decode_step_moves_is_within_a_percent_of_the_closed_form(smollm):
    """All bytes but the copying of the cache, which physics does not need, and which stands in a part of its own."""
    traces, spec = smollm
    moved = sum(row.weights + row.kv + row.activations for row in traces["decode"].rows if row.group != "cache")

    assert moved == pytest.approx(total(step.decode(spec, 1, traces["decode"].context, FLOAT32)).bytes, rel=0.01)
    assert sum(row.kv for row in traces["decode"].rows if row.group == "cache") > 0


def test_matrix_products_move_their_inputs_and_outputs(smollm):
    """Prefill's seven linear layers of each of 30 layers: rows × (fan in + fan out) × 4 bytes, to the byte."""
    traces, spec = smollm
    width, shared, inner = spec.hidden, spec.kv_heads * spec.head_dim, spec.ffn
    ends = [2 * width, width + shared, width + shared, 2 * width, *[width + inner] * 3]
    linear = [row for row in traces["prefill"].rows if row.op == "aten::linear" and row.group in ("attention projections", "MLP")]

    assert sum(row.activations for row in linear) == 30 * PROMPT * sum(ends) * 4


def test_the_times_make_the_pass(smollm):
    """Operators and what is between them sum to the traced pass; every operator has a place; layers are all there."""
    for traced in smollm[0].values():
        assert sum(row.seconds for row in traced.rows) + traced.between == pytest.approx(traced.wall)
        assert sum(row.seconds for row in traced.rows if row.group == "untold") < 0.02 * traced.wall
        assert traced.between > 0
        assert len(traced.layers["MLP"]) == 30


@pytest.mark.parametrize(
    ("name", "attention"),
    [("smollm2-135m", "eager"), ("qwen3-0.6b", "auto"), ("phi-3-mini", "auto"), ("gpt2", "auto"), ("gemma-2-2b", "auto")],
)
def test_the_trace_counts_what_the_extended_counter_counts(name, attention):
    """For every family, eager attention included: the same FLOPs as torch's own counter with our formulas added."""
    small = SMALL | {"num_attention_heads": 8, "num_key_value_heads": 4} if name != "gpt2" else {"n_layer": 2, "vocab_size": 512}
    ready, _ = decoding(name, attention=attention, **small)
    with torch.inference_mode():
        ready.prefill()
        calls = count(ready.model, lambda: ready.cache, ready.prefill)
        with FlopCounterMode(display=False, custom_mapping=flops.FORMULAS) as counter:
            ready.prefill()

    assert sum(call.flops for call in calls) == pytest.approx(counter.get_total_flops(), rel=1e-6)
    assert counter.get_total_flops() > 0


def test_experts_are_counted_and_only_the_chosen_ones_are_read():
    """A Mixtral-shaped decode step: FLOPs of k experts as in the closed form; weights of no more than k experts a layer."""
    ready, spec = decoding("mixtral-8x7b", **(SMALL | {"moe_intermediate_size": None, "head_dim": 16}))
    with torch.inference_mode():
        ready.prefill()
        calls = count(ready.model, lambda: ready.cache, ready.step)
    closed = by_part(step.decode(spec, 1, PROMPT, FLOAT32))
    experts = [call for call in calls if call.group == "experts"]

    assert sum(call.flops for call in experts) == pytest.approx(closed["experts"].flops, rel=0.01)
    assert sum(call.weights for call in experts) == pytest.approx(closed["experts"].weights, rel=0.01)
    assert any(call.group == "router" for call in calls)


@pytest.mark.filterwarnings("ignore")
def test_quantized_products_are_counted():
    """Torch's dynamic int8 linear layer, which torch's own counter does not know: two FLOPs a weight and row."""
    model = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(64, 48)), {nn.Linear}, dtype=torch.qint8)
    with torch.inference_mode():
        calls = count(model, lambda: None, lambda: model(torch.ones(3, 64)))

    assert sum(call.flops for call in calls) == 2 * 3 * 64 * 48


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (lambda: torch._int_mm(torch.ones(32, 16, dtype=torch.int8), torch.ones(16, 24, dtype=torch.int8)), 2 * 32 * 16 * 24),
        (lambda: torch.mv(torch.ones(5, 7), torch.ones(7)), 2 * 5 * 7),
        (lambda: torch.dot(torch.ones(9), torch.ones(9)), 2 * 9),
        (lambda: nn.functional.scaled_dot_product_attention(*[torch.ones(2, 3, 8, 4)] * 3, is_causal=True), 2 * 2 * 3 * 36 * 8),
        (lambda: nn.functional.scaled_dot_product_attention(*[torch.ones(2, 3, 8, 4)] * 3), 2 * 2 * 3 * 64 * 8),
    ],
)
def test_formulas_of_our_own(call, wanted):
    """Products that torch's counter misses, and causal attention, of which only the visible half counts."""
    with torch.inference_mode():
        calls = count(nn.Identity(), lambda: None, call)

    assert sum(one.flops for one in calls) == wanted


def test_a_mask_says_what_attention_sees():
    """A window of two keys a query: 8 × 2 − 1 pairs of 64."""
    mask = torch.ones(8, 8).tril().triu(-1).bool()[None, None]
    query = torch.ones(1, 3, 8, 4)

    assert flops.visible_pairs(query, query, False, mask) == 15
    assert flops.visible_pairs(query, query, True, None) == 36


class Zork(nn.Module):
    """A model whose names say nothing."""

    def __init__(self):
        super().__init__()
        self.first, self.second = Blorp(), nn.Linear(8, 8)

    def forward(self, x):
        return self.second(self.first(x))


class Blorp(nn.Module):
    """A part of it."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def forward(self, x):
        return self.inner(x).relu()


def test_unknown_names_are_grouped_by_class():
    """Without a custom to follow, the module's class names the part."""
    model, rows_ = Zork(), torch.ones(2, 8)
    with torch.inference_mode():
        calls = count(model, lambda: None, lambda: model(rows_))

    assert {call.group for call in calls} == {"Blorp", "Zork"}
    assert groups.pattern("model.layers.17.mlp") == "model.layers.*.mlp"


def test_medians_over_passes_are_exact():
    """Three passes with a fake clock: medians by operator, what is outside is measured, an odd pass is left out."""
    passes = [
        (10.0, [Timed(("a",), 2.0), Timed(("b",), 5.0)]),
        (12.0, [Timed(("a",), 3.0), Timed(("b",), 7.0)]),
        (30.0, [Timed(("a",), 2.5), Timed(("b",), 6.0)]),
        (99.0, [Timed(("a",), 50.0)]),
    ]
    timing = digest(passes, 0.5)

    assert [op.seconds for op in timing.ops] == [2.5, 6.0]
    assert timing.between == 3.0
    assert timing.wall == 11.5
    assert timing.passes == 3


def test_counted_and_timed_calls_are_matched_by_their_order():
    """A call that only one side knows does not shift the others."""
    ops = [Timed(("aten::linear", "aten::t", "aten::mm"), 1.0), Timed(("aten::empty",), 0.1), Timed(("aten::add",), 0.2)]
    with torch.inference_mode():
        calls = count(nn.Identity(), lambda: None, lambda: torch.ones(2, 2).mm(torch.ones(2, 2)).add(1).relu())
    calls = [call for call in calls if call.name in ("aten::mm", "aten::add", "aten::relu")]
    pairs = matched(ops, calls)

    assert [[call.name for call in mine] for mine in pairs] == [["aten::mm"], [], ["aten::add"]]
    told, _ = table(ops, calls)
    assert {row.op: row.group for row in told}["aten::empty"] == "untold"


def test_where_no_trace_is_possible_the_reason_is_told():
    """Apple's GPU and compiled code are timed as a whole; elsewhere there is no reason not to trace."""
    assert "only whole steps are timed" in unsupported(Setup(device="mps"))
    assert "Compiled" in unsupported(Setup(compile=True))
    assert "several tokens" in unsupported(Setup(speculation=Speculation(guesser="prompt-lookup")))
    assert unsupported(Setup(device="cuda:0")) == ""
