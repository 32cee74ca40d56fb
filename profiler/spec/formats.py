"""Number formats and quantizations: one row each, with the bits that an element really takes, scales included.

FORMATS is keyed by one plain name; `format_named` finds a row however it is spelled. Precision says in which format a model's
weights, its KV cache and its arithmetic are.
"""

from difflib import get_close_matches
from functools import cache
from typing import Literal, NamedTuple

from pydantic import field_validator

from profiler.spec.frozen import Frozen

Of = Literal["weights", "dense", "head", "embedding", "vectors", "kv", "activations"]


class Format(NamedTuple):
    """One way to hold weights. Bits are those of one element on average, group scales and zero points included."""

    title: str
    bits: float  # of the blocks' weight matrices
    head_bits: float  # of the lm_head
    embedding_bits: float
    source: str
    arithmetic: str = ""  # number format of the products where activations are quantized too; "": that of the set-up
    dense_bits: float | None = None  # of matrices beside the experts of a mixture, where only experts are quantized
    kv: str = ""  # the KV cache's format, where a name says so
    apart: bool = False  # a tied table is held twice: as the lm_head in this format, and as the embedding
    loose: bool = False  # no kernel multiplies it as it is: the matrices are widened in memory at each use
    aliases: tuple[str, ...] = ()


_FP8 = "Micikevicius et al. 2022, arXiv 2209.05433"
_IEEE = "IEEE 754-2019"
_AO = "pytorch/ao: torchao/quantization/README.md, sizes of Llama-2-7B and Llama-3-8B"
_GGUF = "ggml-org/llama.cpp: tools/quantize/README.md, size of Llama-3.1-8B less lm_head (Q6_K) and embedding"
_BLOCK = "ggml-org/llama.cpp: ggml-common.h, bytes of one block"
_BNB = "Dettmers et al. 2023, arXiv 2305.14314, section 3"
_TORCH = "torch: _weight_int8pack_mm, _weight_int4pack_mm_for_cpu, quantized::linear_dynamic"
_ORT = "microsoft/onnxruntime: MatMulNBits, a float32 scale for each block of 32"
_MLX = "ml-explore/mlx: mlx.core.quantize, a 16-bit scale and bias per group"


def _plain(title: str, bits: float, *aliases: str, source: str = _IEEE) -> Format:
    return Format(title, bits, bits, bits, source, aliases=aliases)


def _gguf(title: str, bits: float, embedding: float, head: float = 6.5625, source: str = _GGUF) -> Format:
    """llama.cpp keeps the lm_head in Q6_K unless the whole file is larger than that."""
    return Format(f"GGUF {title}", bits, head, embedding, source, aliases=(title,))


def _exl2(bits: float) -> Format:
    return Format(
        f"EXL2 {bits:g} bpw",
        bits,
        6.0,
        16,
        "turboderp/exllamav2: convert.py, -b and -hb 6",
        aliases=(f"exl2 {bits:.2g} bpw", f"exl2 {bits} bpw"),
    )


def _mlx(bits: int, group: int) -> Format:
    whole = bits + 32 / group
    names = (f"q{bits} g{group}", f"mlx {bits}-bit g{group}") + ((f"q{bits}", f"mlx {bits}-bit") if group == 64 else ())
    return Format(f"MLX {bits} bits, groups of {group}", whole, whole, whole, _MLX, aliases=names)


FORMATS: dict[str, Format] = {
    "float32": _plain("float32", 32, "fp32", "f32", "fp32 true", "32 true"),
    "bfloat16": _plain("bfloat16", 16, "bf16", "bf16 true", "full bf16", "bf16 amp", "amp bf16", source="Intel, BFLOAT16 definition, 2018"),
    "float16": _plain("float16", 16, "fp16", "f16", "half", "fp16 weights, bf16 matmul"),
    # --- 8 bits
    "float8": Format(
        "float8, products too",
        8,
        16,
        16,
        "Micikevicius et al. 2022, arXiv 2209.05433",
        "float8",
        aliases=("fp8", "float8dq", "fp8 e4m3", "w8a8 fp8"),
    ),
    "float8-kv8": Format("float8, KV cache too", 8, 16, 16, _FP8, "float8", kv="float8", aliases=("fp8 (kv fp8)",)),
    "float8-block": Format(
        "float8, blocks of 128 × 128",
        8 + 32 / 128**2,
        16,
        16,
        "DeepSeek-V3, arXiv 2412.19437",
        "float8",
        aliases=("fp8 block",),
    ),
    "float8-ao": Format(
        "float8 of torchao, products too", 8, 8, 16, _AO, "float8", aliases=("float8dq per-row", "float8dq per-tensor", "float8dq ao")
    ),
    "float8-weights": Format("float8, weights only", 8, 8, 16, _AO, aliases=("float8wo", "fp8 weight-only", "w8a16 fp8")),
    "mxfp8": Format("MXFP8", 8.25, 16, 16, "OCP Microscaling v1.0", "float8", aliases=("mx fp8",)),
    "int8": Format("int8, weights only", 8, 8, 16, _AO, aliases=("int8wo", "int8 weight-only", "w8a16", "int8 weights")),
    "int8-dynamic": Format(
        "int8, products too", 8, 8, 16, _AO, "int8", aliases=("int8dq", "int8dq (W8A8 dynamic)", "w8a8", "smoothquant", "int8 dynamic")
    ),
    "int8-rows": Format("int8, a scale per output", 8, 8, 16, _TORCH, aliases=("torch int8",)),
    "int8-fbgemm": Format("int8, products too (FBGEMM)", 8, 8, 32, _TORCH, "int8", apart=True, aliases=("quantize_dynamic",)),
    "int8-onnx": Format("int8, groups of 32 (ONNX Runtime)", 9, 9, 32, _ORT, "int8", apart=True, aliases=("onnx int8",)),
    "int8-ct2": Format(
        "int8, a scale per row (CTranslate2)", 8, 8, 8, "OpenNMT/CTranslate2: docs/quantization.md", "int8", aliases=("ctranslate2 int8",)
    ),
    "int8-kv": Format("int8, a scale per token and head", 8.25, 8.25, 8.25, "KIVI, arXiv 2402.02750, section 3", aliases=("kv int8",)),
    "llm-int8": Format(
        "LLM.int8()", 8, 16, 16, "Dettmers et al. 2022, arXiv 2208.07339", "int8", aliases=("int8-decomp", "bnb.int8", "bitsandbytes int8")
    ),
    "int8-openvino": Format(
        "int8 by channel (OpenVINO)", 8, 8, 8, "openvinotoolkit/nncf: INT8_ASYM, all layers", aliases=("int8-cw", "openvino int8")
    ),
    # --- 6 and 4 bits
    "float6": Format("float6", 6, 6, 16, _AO, aliases=("fp6", "fp6 llm")),
    "nvfp4": Format(
        "NVFP4", 4.5, 16, 16, "NVIDIA, Introducing NVFP4, 2025: a float8 scale per 16", "float4", aliases=("fp4", "w4a4 nvfp4", "float4")
    ),
    "mxfp4": Format("MXFP4 experts", 4.25, 16, 16, "OpenAI, gpt-oss model card, 2025", dense_bits=16, aliases=("mx fp4",)),
    "int4": Format(
        "int4, groups of 128",
        4 + 20 / 128,
        16,
        16,
        "Frantar et al. 2022, arXiv 2210.17323: a 16-bit scale and a 4-bit zero per group",
        aliases=(
            *("w4a16", "gptq", "gptq g128", "gptq g128 act-order", "awq", "awq g128", "awq int4", "int4 g128"),
            "int4/fp16 (AWQ W4A16 likely)",
        ),
    ),
    "int4-mlc": Format(
        "int4, groups of 32 (MLC)", 4.5, 4.5, 4.5, "mlc-ai/mlc-llm: q4f16_1, a float16 scale per 32", aliases=("int4 (MLC q4f16)", "q4f16")
    ),
    "int4-g64": Format("int4, groups of 64", 4.5, 4.5, 16, _AO, aliases=("int4wo-64", "int4wo", "int4 g64")),
    "int4-g32": Format(
        "int4, groups of 32",
        5,
        5,
        16,
        "pytorch-labs/gpt-fast: quantize.py",
        aliases=("int4 g32", "int4wo-32"),
    ),
    "int4-rows-g32": Format("int4, groups of 32, lm_head in int8", 5, 8, 16, _TORCH, aliases=("torch int4",)),
    "int4-onnx": Format("int4, groups of 32 (ONNX Runtime)", 5, 5, 5, _ORT, "int8", aliases=("onnx int4",)),
    "int4-sparse": Format(
        "int4, 2:4 sparse (Marlin)", 3.25, 3.25, 16, _AO, aliases=("int4wo-64-sparse-marlin (2:4)", "sparse marlin", "int4 2:4")
    ),
    "int4-hqq": Format("int4 (HQQ)", 4.58, 4.58, 16, _AO, aliases=("autoquant-int4hqq", "awq-hqq-int4", "hqq int4")),
    "uint4-awq": Format("uint4 (AWQ of torchao)", 5.41, 5.41, 16, _AO, loose=True, aliases=("awq-uint4",)),
    "uintx-4": Format("4 bits, groups of 64 (HQQ)", 4.75, 4.75, 16, _AO, loose=True, aliases=("uintx-4-64-hqq",)),
    "uintx-2": Format("2 bits, groups of 8 (HQQ)", 8, 8, 16, _AO, loose=True, aliases=("uintx-2-8-hqq",)),
    "int4-int8": Format("int4 × int8 products", 4.01, 4.01, 16, _AO, "int8", aliases=("w4a8", "w4a8 marlin-qqq")),
    "int4-int8-g128": Format("int4 × int8 products, groups of 128", 4.13, 4.13, 16, _AO, "int8", aliases=("w4a8-g128 marlin-qqq",)),
    "int4-int8-g256": Format("int4 × int8 products, groups of 256", 4.38, 4.38, 16, _AO, "int8", aliases=("int8dq-int4 g256 (ARM CPU)",)),
    "int3-int8-g256": Format("int3 × int8 products, groups of 256", 3.38, 3.38, 16, _AO, "int8", aliases=("int8dq-int3 g256 (ARM CPU)",)),
    "int4-openvino": Format(
        "int4 and int8 mixed (OpenVINO)",
        0.8 * (4 + 20 / 128) + 0.2 * 8,
        8,
        8,
        "openvinotoolkit/nncf: ratio 0.8, groups of 128",
        aliases=("int4-mixed", "openvino int4"),
    ),
    "nf4": Format(
        "NF4",
        4.5,
        16,
        16,
        _BNB + ": a float32 constant per 64",
        aliases=("bnb.nf4", "bnb.fp4", "bitsandbytes nf4", "qlora"),
    ),
    "nf4-double": Format("NF4, constants quantized", 4 + 0.127, 16, 16, _BNB, aliases=("nf4-dq", "bnb.nf4-dq", "bnb.fp4-dq")),
    **{f"mlx-{bits}-g{group}": _mlx(bits, group) for bits in (3, 4, 5, 6, 8) for group in (32, 64)},
    **{f"exl2-{bits:g}": _exl2(bits) for bits in (2.0, 2.5, 3.0, 3.5, 4.0, 4.25, 4.5, 4.65, 5.0, 6.0, 8.0)},
    # --- llama.cpp
    "q8_0": _gguf("Q8_0", 8.5, 8.5, 8.5, _BLOCK),
    "q6_k": _gguf("Q6_K", 6.5625, 6.5625, source=_BLOCK),
    "q5_k_m": _gguf("Q5_K_M", 5.65, 5.5),
    "q5_k_s": _gguf("Q5_K_S", 5.5, 5.5),
    "q5_1": _gguf("Q5_1", 6, 6, source=_BLOCK),
    "q5_0": _gguf("Q5_0", 5.5, 5.5, source=_BLOCK),
    "q4_k_m": _gguf("Q4_K_M", 4.8, 4.5),
    "q4_k_s": _gguf("Q4_K_S", 4.54, 4.5),
    "q4_1": _gguf("Q4_1", 5, 5, source=_BLOCK),
    "q4_0": _gguf("Q4_0", 4.5, 4.5, source=_BLOCK),
    "iq4_nl": _gguf("IQ4_NL", 4.55, 4.5),
    "iq4_xs": _gguf("IQ4_XS", 4.3, 4.25),
    "q3_k_l": _gguf("Q3_K_L", 4.19, 3.4375),
    "q3_k_m": _gguf("Q3_K_M", 3.88, 3.4375),
    "q3_k_s": _gguf("Q3_K_S", 3.4375, 3.4375),
    "iq3_m": _gguf("IQ3_M", 3.58, 3.4375),
    "iq3_s": _gguf("IQ3_S", 3.46, 3.4375),
    "iq3_xxs": _gguf("IQ3_XXS", 3.05, 2.625),
    "q2_k": _gguf("Q2_K", 2.95, 2.625),
    "iq2_xs": _gguf("IQ2_XS", 2.3, 2.625),
    "iq2_xxs": _gguf("IQ2_XXS", 2.05, 2.625),
    "iq1_s": _gguf("IQ1_S", 1.62, 2.625),
}


def format_named(text: str) -> str:
    """The key of FORMATS for a name as people write it. Raises ValueError with the nearest names."""
    found = _names().get(_letters(text)) or _names().get(_letters(text.split("(", maxsplit=1)[0]))
    if found is None:
        near = get_close_matches(_letters(text), _names(), n=3, cutoff=0.6)
        hint = (
            f"Did you mean {' or '.join(dict.fromkeys(_names()[name] for name in near))}?" if near else f"Known are {', '.join(FORMATS)}."
        )
        raise ValueError(f"No number format is called {text!r}. {hint}")
    return found


@cache
def _names() -> dict[str, str]:
    """Every spelling, letters and digits alone → key."""
    return {_letters(name): key for key, row in FORMATS.items() for name in (key, row.title, *row.aliases)}


def _letters(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum() or letter == ".")


class Precision(Frozen):
    """Formats of a model's weights, of its KV cache, and of its arithmetic: activations and what is not quantized."""

    weights: str = "bfloat16"
    kv: str = "bfloat16"
    compute: str = "bfloat16"

    @field_validator("weights", "kv", "compute")
    @classmethod
    def _known(cls, name: str) -> str:
        return format_named(name)

    @classmethod
    @cache
    def of(cls, text: str, compute: str = "bfloat16") -> "Precision":
        """All three in one number format; for a quantization, weights in it and the rest in `compute`."""
        name = format_named(text)
        row = FORMATS[name]
        plain = name in ("float32", "bfloat16", "float16")
        return cls(weights=name, kv=row.kv or (name if plain else compute), compute=name if plain else compute)

    @property
    def arithmetic(self) -> str:
        """The number format of the products with weights: of the format itself, or the set-up's."""
        return FORMATS[self.weights].arithmetic or self.compute

    @property
    def widths(self) -> dict[str, float]:
        """Bytes of one element, by what it is of."""
        return _widths(self.weights, self.kv, self.compute)

    def width(self, of: Of) -> float:
        """Bytes of one element."""
        return self.widths[of]


@cache
def _widths(weights: str, kv: str, compute: str) -> dict[str, float]:
    row, cached, plain = FORMATS[weights], FORMATS[kv], FORMATS[compute]
    return {
        "weights": row.bits / 8,
        "dense": (row.dense_bits or row.bits) / 8,
        "head": row.head_bits / 8,
        "embedding": row.embedding_bits / 8,
        "vectors": (row if row.bits >= 16 else plain).bits / 8,
        "kv": cached.bits / 8,
        "activations": plain.bits / 8,
    }
