"""The methods of compression: one row each, with what it changes in a set-up, what it needs, and where it runs.

`changes` are fields of `profiler.spec.run.Setup`. A row whose `package` is not installed is shown with how to get it. To add a
method is to add a row; a new kind of weights is also a row of FORMATS and a function of `profiler.worker.quantize`.
"""

from typing import Any, Literal, NamedTuple

from profiler.spec.compression import Pruning

Kind = Literal["baseline", "weights", "KV cache", "zeros", "structure"]


class Method(NamedTuple):
    """One way to make a model smaller."""

    title: str
    kind: Kind
    changes: dict[str, Any]
    why: str
    source: str = ""
    package: str = ""  # as Python imports it; empty: torch and transformers do it
    install: str = ""  # what to give to pip
    devices: tuple[str, ...] = ("cpu", "cuda")  # that it runs on
    compute: tuple[str, ...] = ("float32", "bfloat16", "float16")  # number formats of the activations that its kernels take
    capability: float = 0.0  # CUDA compute capability from which on there are kernels
    trained: bool = False  # of use on trained weights only
    quick: bool = False  # part of the preset "quick"


_AO = {"package": "torchao", "install": "torchao", "devices": ("cuda",), "compute": ("bfloat16",)}
_ORT = {
    "package": "onnxruntime_genai",
    "install": "onnxruntime-genai onnxruntime onnx onnx-ir",
    "devices": ("cpu",),
    "source": "microsoft/onnxruntime-genai: model builder",
}
_GGUF = {"package": "cyllama", "install": "cyllama", "devices": ("cpu",), "source": "ggml-org/llama.cpp: tools/quantize/README.md"}
_BNB = {"package": "bitsandbytes", "install": "bitsandbytes", "devices": ("cuda",)}
_SUN = "Sun et al. 2023, A Simple and Effective Pruning Approach for LLMs, arXiv 2306.11695"
_TORCH = "torch: aten/src/ATen/native/cpu/{}.cpp"

METHODS: dict[str, Method] = {
    "none": Method("uncompressed", "baseline", {}, "What all others are compared with.", quick=True),
    # --- weights, in this process, with torch's fused kernels
    "int8": Method(
        "int8 weights",
        "weights",
        {"quantization": "int8-rows"},
        "Half the bytes of 16 bits, one scale for each output: nearly free in quality. The kernel widens inside its registers.",
        _TORCH.format("int8mm_kernel"),
        devices=("cpu",),
        compute=("bfloat16", "float16"),
        quick=True,
    ),
    "int4": Method(
        "int4 weights, groups of 32",
        "weights",
        {"quantization": "int4-rows-g32"},
        "A quarter of the bytes, a scale and a zero point for each 32 weights; the lm_head in int8.",
        _TORCH.format("int4mm_kernel"),
        devices=("cpu",),
        compute=("bfloat16", "float16"),
        quick=True,
    ),
    "int8-dynamic": Method(
        "int8 weights and activations",
        "weights",
        {"quantization": "int8-fbgemm", "dtype": "float32"},
        "Activations are quantized as they come, so that products are of integers: long prompts gain too. All else is float32.",
        "torch.ao.quantization.quantize_dynamic (FBGEMM)",
        devices=("cpu",),
    ),
    # --- weights, on accelerators
    "ao-int8": Method("int8 weights (torchao)", "weights", {"quantization": "int8"}, "Weights only, one scale per output.", **_AO),
    "ao-int4": Method(
        "int4 weights (torchao)", "weights", {"quantization": "int4"}, "Groups of 128, packed for tensor cores.", capability=8.0, **_AO
    ),
    "ao-float8": Method(
        "float8 weights and activations (torchao)",
        "weights",
        {"quantization": "float8-ao"},
        "Products of float8 on tensor cores that have them.",
        capability=8.9,
        **_AO,
    ),
    "bnb-int8": Method("LLM.int8() (bitsandbytes)", "weights", {"quantization": "llm-int8"}, "Outliers stay in 16 bits.", **_BNB),
    "bnb-nf4": Method("NF4 (bitsandbytes)", "weights", {"quantization": "nf4"}, "Levels for normally distributed weights.", **_BNB),
    # --- weights, by another engine
    "ort-int4": Method(
        "int4 by ONNX Runtime",
        "weights",
        {"engine": "onnxruntime", "quantization": "int4-onnx"},
        "Groups of 32 and products of integers, in a runtime of its own: little passes between operators.",
        **_ORT,
    ),
    "ort-int8": Method(
        "int8 by ONNX Runtime", "weights", {"engine": "onnxruntime", "quantization": "int8-onnx"}, "The same with 8 bits.", **_ORT
    ),
    "gguf-q8": Method(
        "Q8_0 by llama.cpp", "weights", {"engine": "llama.cpp", "quantization": "q8_0"}, "Groups of 32 in 8 bits, in C++ kernels.", **_GGUF
    ),
    "gguf-q4": Method(
        "Q4_0 by llama.cpp",
        "weights",
        {"engine": "llama.cpp", "quantization": "q4_0"},
        "Groups of 32 in 4 bits, without zero points.",
        quick=True,
        **_GGUF,
    ),
    "gguf-q4km": Method(
        "Q4_K_M by llama.cpp",
        "weights",
        {"engine": "llama.cpp", "quantization": "q4_k_m"},
        "Nested groups of 256, sensitive layers in 6 bits: the usual choice. Matrices whose rows are no multiple of 256 get other formats.",
        **_GGUF,
    ),
    # --- KV cache
    "kv-int8": Method(
        "KV cache in int8",
        "KV cache",
        {"kv": "int8-kv"},
        "Half the memory of a long context. Here it is widened at each step, so it saves memory, not time.",
        "transformers: cache layers",
    ),
    "gguf-kv8": Method(
        "KV cache in Q8_0 by llama.cpp",
        "KV cache",
        {"engine": "llama.cpp", "quantization": "q4_0", "kv": "q8_0"},
        "The attention kernel reads the cache as it is.",
        **_GGUF,
    ),
    # --- single weights
    "magnitude": Method(
        "half zeros, by magnitude",
        "zeros",
        {"pruning": Pruning(method="magnitude", share=0.5)},
        "The smallest half of each matrix is set to zero. The matrix stays as large, and dense kernels multiply zeros just as slowly.",
        "Han et al. 2015, arXiv 1506.02626",
        trained=True,
        quick=True,
    ),
    "wanda": Method(
        "half zeros, by Wanda",
        "zeros",
        {"pruning": Pruning(method="wanda", share=0.5)},
        "The same, but a weight also counts by how large its input is on real text: far less is lost.",
        _SUN,
        trained=True,
        quick=True,
    ),
    "wanda-24": Method(
        "2:4 zeros, by Wanda",
        "zeros",
        {"pruning": Pruning(method="wanda", share=0.5, pattern="2:4")},
        "Two of every four: NVIDIA's sparse tensor cores skip them from Ampere on. On other hardware it is not faster.",
        "Mishra et al. 2021, arXiv 2104.08378",
        trained=True,
    ),
    # --- structure
    "heads": Method(
        "a third of the heads out",
        "structure",
        {"pruning": Pruning(method="heads", share=0.33)},
        "Heads that share keys and values go together: smaller attention, smaller cache.",
        "Michel et al. 2019, arXiv 1905.10650",
    ),
    "channels": Method(
        "a quarter of the MLP channels out",
        "structure",
        {"pruning": Pruning(method="channels", share=0.25)},
        "The channels that say least on real text: three smaller matrices in each layer.",
        "Ma et al. 2023, LLM-Pruner, arXiv 2305.11627",
        quick=True,
    ),
    "layers": Method(
        "a fifth of the layers out",
        "structure",
        {"pruning": Pruning(method="layers", share=0.2)},
        "The layers that change their input least: everything becomes smaller, the framework's time too.",
        "Men et al. 2024, ShortGPT, arXiv 2403.03853",
    ),
}


def method_named(name: str) -> Method:
    """The row of that name. Raises ValueError of one sentence."""
    if name not in METHODS:
        raise ValueError(f"There is no method {name!r}; there are {', '.join(METHODS)}.")
    return METHODS[name]
