"""The methods of compression: one row each, with what it changes in a set-up, what it needs, and where it runs.

`changes` are fields of a set-up. A row whose `package` is not installed is shown with how to get it. To add a
method is to add a row; a new kind of weights is also a row of FORMATS and a function of `profiler.worker.quantize`.
"""

from typing import Any, NamedTuple

from profiler.spec.compression import Pruning
from profiler.spec.run import Setup


class Method(NamedTuple):
    """One way to run a model: smaller, by another engine, or by another loop."""

    title: str
    kind: str  # what it changes, in a word or two
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


def _ao(title: str, quantization: str, why: str, capability: float = 0.0) -> Method:
    return Method(title, "weights", {"quantization": quantization}, why, "pytorch/ao: torchao/quantization/README.md", "torchao", "torchao",
                  ("cuda",), ("bfloat16",), capability)  # fmt: skip


def _bnb(title: str, quantization: str, why: str) -> Method:
    return Method(title, "weights", {"quantization": quantization}, why, "Dettmers et al. 2022 and 2023, arXiv 2208.07339, 2305.14314",
                  "bitsandbytes", "bitsandbytes", ("cuda",))  # fmt: skip


def _onnx(title: str, quantization: str, why: str) -> Method:
    changes = {"engine": "onnxruntime", "quantization": quantization, "dtype": "float32"}  # of its activations and cache
    source = "microsoft/onnxruntime-genai: model builder"
    return Method(title, "weights", changes, why, source, "onnxruntime_genai", "onnxruntime-genai onnx onnx-ir", ("cpu",))


def _gguf(title: str, quantization: str, why: str, *, kv: str = "", quick: bool = False) -> Method:
    changes = {"engine": "llama.cpp", "quantization": quantization} | ({"kv": kv} if kv else {})
    source = "ggml-org/llama.cpp: tools/quantize/README.md"
    return Method(title, "KV cache" if kv else "weights", changes, why, source, "cyllama", "cyllama", ("cpu",), quick=quick)


_SUN = "Sun et al. 2023, A Simple and Effective Pruning Approach for LLMs, arXiv 2306.11695"
_THINET = "the error of the layer's output, as in ThiNet, Luo et al. 2017, arXiv 1707.06342; for one weight that is Wanda's score"
_TORCH = "torch: aten/src/ATen/native/cpu/{}.cpp"

BASELINE = "none"
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
        "Activations are quantized as they come, with a scale for each token, so that products are of integers: long prompts gain too. "
        "All else is float32, a tied embedding among it.",
        "torch: quantized::linear_dynamic (FBGEMM)",
        devices=("cpu",),
    ),
    # --- weights, on accelerators
    "ao-int8": _ao(
        "int8 weights (torchao)",
        "int8",
        "Weights only, one scale per output. Uncompiled, torchao widens the whole matrix at each call: smaller, and hardly faster.",
    ),
    "ao-int4": _ao("int4 weights (torchao)", "int4", "Groups of 128, packed for tensor cores.", 8.0),
    "ao-float8": _ao("float8 weights and activations (torchao)", "float8-ao", "Products of float8 on tensor cores that have them.", 8.9),
    "bnb-int8": _bnb("LLM.int8() (bitsandbytes)", "llm-int8", "Outliers stay in 16 bits, all else is int8."),
    "bnb-nf4": _bnb("NF4 (bitsandbytes)", "nf4", "Sixteen levels, placed for normally distributed weights."),
    # --- weights, by another engine
    "ort-int4": _onnx(
        "int4 by ONNX Runtime", "int4-onnx", "Groups of 32 and products of integers, in a runtime where little passes between operators."
    ),
    "ort-int8": _onnx("int8 by ONNX Runtime", "int8-onnx", "The same with 8 bits."),
    "gguf-q8": _gguf("Q8_0 by llama.cpp", "q8_0", "Groups of 32 in 8 bits, in C++ kernels that multiply integers."),
    "gguf-q4": _gguf("Q4_0 by llama.cpp", "q4_0", "Groups of 32 in 4 bits, without zero points.", quick=True),
    "gguf-q4km": _gguf(
        "Q4_K_M by llama.cpp",
        "q4_k_m",
        "Nested groups of 256, sensitive layers in 6 bits: the usual choice. Matrices whose rows are no multiple of 256 get other formats.",
    ),
    # --- KV cache
    "kv-int8": Method(
        "KV cache in int8",
        "KV cache",
        {"kv": "int8-kv"},
        "Half the memory of a long context. Here it is widened at each step, so it saves memory, not time.",
        "transformers: cache layers",
    ),
    "gguf-kv8": _gguf("KV cache in Q8_0 by llama.cpp", "q4_0", "The attention kernel reads the cache as it is.", kv="q8_0"),
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
        f"Mishra et al. 2021, arXiv 2104.08378; {_SUN}",
        trained=True,
    ),
    # --- structure
    "heads": Method(
        "a third of the heads out",
        "structure",
        {"pruning": Pruning(method="heads", share=0.33)},
        "Heads that share keys and values go together: smaller attention, smaller cache.",
        _THINET,
    ),
    "channels": Method(
        "a quarter of the MLP channels out",
        "structure",
        {"pruning": Pruning(method="channels", share=0.25)},
        "The channels that say least on real text: three smaller matrices in each layer.",
        _THINET,
        quick=True,
    ),
    "layers": Method(
        "a fifth of the layers out",
        "structure",
        {"pruning": Pruning(method="layers", share=0.2)},
        "The layers that change their input least: everything becomes smaller, the framework's time too.",
        "Men et al. 2024, ShortGPT, arXiv 2403.03853",
        quick=True,
    ),
}


class Table(NamedTuple):
    """Ways that one experiment compares, and how they are chosen; all are judged against its baseline."""

    key: str  # of the choice, in addresses and as the command line's option
    title: str
    noun: str  # of one of them
    rows: dict[str, Method]
    baseline: str

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of a set-up that tell its rows apart; number format and threads are everybody's own choice."""
        changed = (field for row in self.rows.values() for field in row.changes)
        return tuple(field for field in dict.fromkeys(changed) if field not in ("dtype", "threads"))

    @property
    def choices(self) -> tuple[str, ...]:
        """All but the baseline, which always runs."""
        return tuple(name for name in self.rows if name != self.baseline)

    @property
    def quick(self) -> tuple[str, ...]:
        """The preset."""
        return tuple(name for name in self.choices if self.rows[name].quick)

    def named(self, name: str) -> Method:
        """The row of that name. Raises ValueError of one sentence."""
        if name not in self.rows:
            raise ValueError(f"There is no {self.noun} {name!r}; there are {', '.join(self.rows)}.")
        return self.rows[name]

    def applied(self, setup: Setup, name: str) -> Setup:
        """The set-up with a row applied. Raises ValueError of one sentence for a name that is none."""
        return Setup.model_validate(setup.model_dump() | self.named(name).changes)

    def name_of(self, setup: Setup, threads: int = 0) -> str:
        """The row that a set-up is, as far as the table's fields are concerned; empty for one that is no row here.

        `threads`: those of the baseline, where they are known; a row that asks for as many is none of its own then.
        """
        usual, fits = Setup(), []
        for name, row in self.rows.items():
            wanted = {field: row.changes.get(field, getattr(usual, field)) for field in self.fields}
            if "threads" in row.changes and row.changes["threads"] == threads:
                continue
            if "threads" in row.changes:
                wanted["threads"] = row.changes["threads"]
            if all(getattr(setup, field) == value for field, value in wanted.items()):
                fits.append(name)
        return max(fits, key=lambda name: len(self.rows[name].changes), default="")


COMPRESSION = Table("methods", "Methods", "method", METHODS, BASELINE)


def method_named(name: str) -> Method:
    """The row of that name among the methods of compression. Raises ValueError of one sentence."""
    return COMPRESSION.named(name)


def with_method(setup: Setup, name: str) -> Setup:
    """The set-up with a method applied. Raises ValueError of one sentence for a name that is none."""
    return COMPRESSION.applied(setup, name)


def method_of(setup: Setup) -> str:
    """The name of the method that a set-up uses, as far as its compression is concerned; empty for one that is no row here."""
    return COMPRESSION.name_of(setup)
