"""The engines that run a model, and the ways to write the loop around one: one row each, as for methods of compression.

ENGINES leave the model as it is and change what computes it. CHOICES change what is asked of it: what is kept, guessed, or left to the
system. In both nothing is lost: the answers must stay the same, and a run checks that.
"""

from profiler.spec.methods import Method, Table
from profiler.spec.speculation import Speculation

EAGER = "eager"  # attention written out, operator by operator: what every other engine is compared with
USUAL = "usual"
CHUNK, PREFIX = 32, 96  # tokens, of a prompt of 128

_GENAI = "onnxruntime-genai onnx onnx-ir"
_ORT_SOURCE = "microsoft/onnxruntime-genai: model builder"
_OV_SOURCE = "openvinotoolkit/openvino.genai: GGUF reader"
_GGML_SOURCE = "ggml-org/llama.cpp, by its binding cyllama"
_CT2_SOURCE = "OpenNMT/CTranslate2: docs/guides/transformers.md"


def _engine(title: str, changes: dict, why: str, source: str, package: str, install: str, quick: bool = False) -> Method:
    return Method(title, "another engine", changes, why, source, package, install, ("cpu",), quick=quick)


ENGINES = {
    EAGER: Method(
        "transformers, eager",
        "transformers",
        {"attention": "eager"},
        "Every operator is started from Python, attention too. What all others are compared with.",
        quick=True,
    ),
    "sdpa": Method(
        "transformers, SDPA",
        "transformers",
        {"attention": "sdpa"},
        "The same, with attention as one fused kernel that never writes all scores out.",
        "torch: scaled_dot_product_attention",
        quick=True,
    ),
    "flash": Method(
        "transformers, FlashAttention 2",
        "transformers",
        {"attention": "flash_attention_2"},
        "The original kernels of FlashAttention instead of torch's own.",
        "Dao 2023, arXiv 2307.08691",
        "flash_attn",
        "flash-attn --no-build-isolation",
        ("cuda",),
        ("bfloat16", "float16"),
        8.0,
    ),
    "static": Method(
        "transformers, static cache",
        "transformers",
        {"attention": "sdpa", "cache": "static"},
        "The KV cache has its full size from the start: nothing is joined at each step, but attention reads unused places too.",
        "transformers: docs, kv_cache",
        quick=True,
    ),
    "compiled-layers": Method(
        "torch.compile, layer by layer",
        "torch.compile",
        {"attention": "sdpa", "compile": True},
        "Each layer becomes a few fused operators, for any length; Python between the layers stays.",
        "torch: docs, regional compilation",
    ),
    "compiled": Method(
        "torch.compile, whole step",
        "torch.compile",
        {"attention": "sdpa", "compile": True, "cache": "static"},
        "A static cache makes every step alike, so all of it is compiled as one graph, its weights frozen into it on a processor.",
        "Ansel et al. 2024, PyTorch 2, ASPLOS",
        quick=True,
    ),
    "autotuned": Method(
        "torch.compile, max-autotune",
        "torch.compile",
        {"attention": "sdpa", "compile": True, "cache": "static", "compile_mode": "max-autotune"},
        "The same, with kernels for the products that are generated and timed while compiling. Takes minutes.",
        "torch: docs, torch.compile modes",
    ),
    "graphs": Method(
        "torch.compile, CUDA graphs",
        "torch.compile",
        {"attention": "sdpa", "compile": True, "cache": "static", "compile_mode": "reduce-overhead"},
        "The kernels of a step are recorded once and started together, without Python.",
        "torch: docs, torch.compile modes",
        devices=("cuda",),
    ),
    "ort": _engine(
        "ONNX Runtime, float32",
        {"engine": "onnxruntime", "dtype": "float32"},
        "A graph in C++ with fused attention; on a processor it has float32 or packed weights.",
        _ORT_SOURCE,
        "onnxruntime_genai",
        _GENAI,
    ),
    "ort-int8": _engine(
        "ONNX Runtime, int8",
        {"engine": "onnxruntime", "quantization": "int8-onnx", "dtype": "float32"},
        "The same graph with weights in 8 bits, multiplied as integers.",
        _ORT_SOURCE,
        "onnxruntime_genai",
        _GENAI,
        quick=True,
    ),
    "openvino": _engine(
        "OpenVINO, 16 bits",
        {"engine": "openvino"},
        "A compiled graph in C++, its weights in float16.",
        _OV_SOURCE,
        "openvino_genai",
        "openvino-genai",
    ),
    "openvino-q8": _engine(
        "OpenVINO, Q8_0",
        {"engine": "openvino", "quantization": "q8_0"},
        "The same graph with weights in 8 bits.",
        _OV_SOURCE,
        "openvino_genai",
        "openvino-genai",
        quick=True,
    ),
    "llamacpp": _engine(
        "llama.cpp, same format",
        {"engine": "llama.cpp"},
        "One program in C++ with kernels for this processor; the weights in the number format of all others.",
        _GGML_SOURCE,
        "cyllama",
        "cyllama",
        quick=True,
    ),
    "llamacpp-q8": _engine(
        "llama.cpp, Q8_0",
        {"engine": "llama.cpp", "quantization": "q8_0"},
        "The same with weights in 8 bits, multiplied as integers.",
        _GGML_SOURCE,
        "cyllama",
        "cyllama",
        quick=True,
    ),
    "ct2": _engine(
        "CTranslate2, float32",
        {"engine": "ctranslate2", "dtype": "float32"},
        "A runtime in C++ that came from translation; on a processor it has float32 or int8.",
        _CT2_SOURCE,
        "ctranslate2",
        "ctranslate2",
    ),
    "ct2-int8": _engine(
        "CTranslate2, int8",
        {"engine": "ctranslate2", "quantization": "int8-ct2", "dtype": "float32"},
        "The same with weights and activations in 8 bits.",
        _CT2_SOURCE,
        "ctranslate2",
        "ctranslate2",
    ),
}


def _system(title: str, changes: dict, why: str, source: str = "", *, quick: bool = False) -> Method:
    return Method(title, "the system", changes, why, source, devices=("cpu",), quick=quick)


CHOICES = {
    USUAL: Method("as it is", "baseline", {}, "A cache that grows, the whole prompt at once, one token a pass. The baseline.", quick=True),
    "no-cache": Method(
        "no KV cache",
        "cache",
        {"cache": "none"},
        "Every token asks the model about the whole text again: work grows with the square of the length.",
        quick=True,
    ),
    "static": Method("static KV cache", "cache", {"cache": "static"}, "Full size from the start, so that nothing is copied to grow."),
    "prefix": Method(
        "a kept prefix",
        "prompt",
        {"prefix": PREFIX},
        f"The first {PREFIX} tokens, like the instructions that all requests begin with, are in the cache already.",
        "Zheng et al. 2023, RadixAttention in SGLang, arXiv 2312.07104",
        quick=True,
    ),
    "chunked": Method(
        "prompt in chunks",
        "prompt",
        {"chunk": CHUNK},
        f"{CHUNK} tokens of the prompt a pass, so that others' tokens get their turn in between; each pass reads all weights once more.",
        "Agrawal et al. 2023, SARATHI, arXiv 2308.16369",
        quick=True,
    ),
    "lookup": Method(
        "guesses from the prompt",
        "guessing ahead",
        {"speculation": Speculation(guesser="prompt-lookup")},
        "What followed the same words before is guessed to follow again; one pass checks four tokens. Free where the text repeats itself.",
        "Saxena 2023, prompt lookup decoding",
        quick=True,
    ),
    "self-draft": Method(
        "guesses by an int4 copy",
        "guessing ahead",
        {"speculation": Speculation(guesser="self-int4")},
        "A copy with 4-bit weights writes four tokens ahead, the whole model checks them in one pass.",
        "Leviathan et al. 2023, arXiv 2211.17192; Zhang et al. 2023, arXiv 2309.08168",
        devices=("cpu",),
        compute=("bfloat16", "float16"),
        quick=True,
    ),
    "one-thread": _system("one thread", {"threads": 1}, "Half of the cores, or fewer: how much do the others bring?", quick=True),
    "unpinned": _system(
        "threads not pinned",
        {"pinned": False},
        "The system moves threads between cores; two on one core wait for each other.",
        "OpenMP: OMP_PROC_BIND",
        quick=True,
    ),
    "small-pages": _system(
        "small memory pages", {"huge_pages": False}, "4 KB pages instead of 2 MB: more of them to look up while weights stream in."
    ),
    "jemalloc": _system(
        "jemalloc", {"allocator": "jemalloc"}, "Another allocator: matters where memory is taken and given back often.", "jemalloc.net"
    ),
    "tcmalloc": _system(
        "tcmalloc", {"allocator": "tcmalloc"}, "Another allocator: matters where memory is taken and given back often.", "google/tcmalloc"
    ),
}

LIBRARIES = Table("engines", "Engines", "engine", ENGINES, EAGER)
LOOPS = Table("choices", "Choices", "choice", CHOICES, USUAL)
