import pytest

from profiler.spec.formats import FORMATS, Precision, format_named
from profiler.spec.run import Setup

PUBLISHED = """EXL2 2.5bpw|EXL2 3.0bpw|EXL2 4.0bpw|EXL2 5.0bpw|F16|FP16|GPTQ g128|GPTQ g128 act-order|INT4-MIXED|INT8-CW|MXFP4|Q4_0|Q4_K_M
Q8_0|W4A16|autoquant-int4hqq|awq-hqq-int4|awq-uint4|bf16|float8dq per-row|float8dq per-tensor|float8wo|fp16|fp16 weights, bf16 matmul|fp4
fp6|fp8|fp8 (KV fp8)|int4|int4 (MLC q4f16)|int4 g32|int4/fp16 (AWQ W4A16 likely)|int4wo-64|int4wo-64-sparse-marlin (2:4)|int8
int8 weight-only|int8-decomp|int8dq|int8dq (W8A8 dynamic)|int8dq-int3 g256 (ARM CPU)|int8dq-int4 g256 (ARM CPU)|int8wo|nf4|nf4-dq
nvfp4|q4|q4 g32|q5|q5 g32|q6|q8|uintx-2-8-hqq|uintx-4-64-hqq|w4a16|w4a8 marlin-qqq|w4a8-g128 marlin-qqq"""


@pytest.mark.parametrize("name", PUBLISHED.replace("\n", "|").split("|"))
def test_every_published_name_of_a_format_is_known(name):
    """Whatever benchmark tables call a number format or quantization leads to a row."""
    assert format_named(name) in FORMATS


def test_no_two_formats_share_a_name():
    """A name, letters and digits alone, leads to one row."""
    names = [
        {"".join(x for x in name.lower() if x.isalnum() or x == ".") for name in (key, row.title, *row.aliases)}
        for key, row in FORMATS.items()
    ]

    assert sum(map(len, names)) == len(set.union(*names))


def test_an_unknown_format_gets_the_nearest_names():
    """A slip of the pen is answered with what was meant."""
    with pytest.raises(ValueError, match="q4_k_m"):
        format_named("Q4_K_MM")


@pytest.mark.parametrize(("name", "file", "head"), [("Q4_K_M", 4.918e9, 0.525e9), ("Q4_0", 4.661e9, 0.525e9), ("Q8_0", 8.533e9, 0.525e9)])
def test_bits_give_the_size_of_a_published_file(name, file, head):
    """Llama-3-8B as GGUF: blocks, lm_head and embedding at their own bits make the published file within 1 %."""
    row = FORMATS[format_named(name)]

    assert (6.979e9 * row.bits + head * (row.head_bits + row.embedding_bits)) / 8 == pytest.approx(file, rel=0.01)


def test_precision_of_a_number_format_is_that_format_throughout():
    """A run in float32 holds four bytes of everything."""
    precision = Setup(dtype="float32").precision

    assert {precision.width(of) for of in ("weights", "dense", "head", "embedding", "vectors", "kv", "activations")} == {4.0}


def test_quantized_weights_leave_the_rest_in_16_bits():
    """int4 in groups of 128: 4.16 bits a weight, lm_head, norms, cache and activations in bfloat16; products in bfloat16."""
    precision = Precision.of("GPTQ g128")

    assert precision.width("weights") == pytest.approx(0.5195, abs=1e-4)
    assert [precision.width(of) for of in ("head", "vectors", "kv", "activations")] == [2, 2, 2, 2]
    assert precision.arithmetic == "bfloat16"
    assert Precision.of("fp8 (KV fp8)").width("kv") == 1
    assert Precision.of("int8dq").arithmetic == "int8"
