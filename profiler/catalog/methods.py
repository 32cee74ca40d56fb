"""Which methods of compression can run here, and why the others cannot: known before anything runs, without torch."""

from ctypes.util import find_library
from importlib.util import find_spec
from shutil import which

from profiler.spec.compression import after
from profiler.spec.machine import Hardware
from profiler.spec.methods import COMPRESSION, Method, Table
from profiler.spec.model import ModelSpec
from profiler.spec.run import ALLOCATORS, Setup

# families whose weights other engines read as this program writes them (profiler.worker.engines)
GGUF_FAMILIES = ("llama", "mistral", "arcee", "smollm3", "granite", "qwen2", "qwen3", "phi3", "olmo2", "gemma", "gemma2", "gemma3_text")
ONNX_FAMILIES = ("llama", "mistral", "smollm3", "granite", "qwen2", "qwen3", "phi", "phi3", "gemma", "gemma2", "gemma3_text")
OPENVINO_FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
CTRANSLATE2_FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gpt2", "gptj", "gpt_bigcode", "opt", "bloom", "falcon")
FAMILIES = {
    "llama.cpp": GGUF_FAMILIES,
    "onnxruntime": ONNX_FAMILIES,
    "openvino": OPENVINO_FAMILIES,
    "ctranslate2": CTRANSLATE2_FAMILIES,
}


def unavailable(name: str, setup: Setup, model: ModelSpec, hardware: Hardware, table: Table = COMPRESSION) -> str:
    """Why a row cannot run with this set-up, model and machine, in one sentence; empty where it can."""
    row = table.named(name)
    changed = table.applied(setup, name)
    if row.changes.get("threads") == setup.threads:
        return "It would change nothing here: there are no more threads."
    return (
        _hardware(row, changed, hardware)
        or _model(row, changed, model)
        or _format(row, changed)
        or _package(row)
        or _system(setup, changed, hardware)
    )


def possible(setup: Setup, model: ModelSpec, hardware: Hardware) -> tuple[str, ...]:
    """The names of all methods that can run."""
    return tuple(name for name in COMPRESSION.rows if not unavailable(name, setup, model, hardware))


def _hardware(row: Method, setup: Setup, hardware: Hardware) -> str:
    kind = setup.device.partition(":")[0]
    if kind in row.devices:
        return ""
    if kind == "cpu" and hardware.gpus:
        return "It has kernels for GPUs only; choose the device cuda:0."
    return "It has kernels for NVIDIA GPUs only." if "cuda" in row.devices else f"It runs on processors, not on {setup.device}; choose cpu."


def _package(row: Method) -> str:
    if not row.package or find_spec(row.package):
        return ""
    return f"It needs a package that is not installed: pip install {row.install}"


def _system(setup: Setup, changed: Setup, hardware: Hardware) -> str:
    """What the operating system or the set-up leaves no room for."""
    if changed.allocator != "system" and not find_library(ALLOCATORS[changed.allocator]):
        packages = {"jemalloc": "libjemalloc2", "tcmalloc": "libtcmalloc-minimal4"}
        return f"It needs a library of the system that is not installed; on Debian: apt install {packages[changed.allocator]}"
    if not changed.huge_pages and hardware.huge_pages not in ("madvise", "always"):
        return "This system has no huge pages that could be left out."
    if changed.compile and changed.device == "cpu" and not (which("g++") or which("clang++")):
        return "torch.compile needs a C++ compiler on a processor; install g++."
    return ""


def _format(row: Method, setup: Setup) -> str:
    if setup.dtype in row.compute:
        return ""
    return f"Its kernel takes {' or '.join(row.compute)}; choose that number format."


def _model(row: Method, setup: Setup, model: ModelSpec) -> str:
    families = FAMILIES.get(setup.engine)
    if families and model.family not in families:
        return f"{setup.engine} does not read {model.family} models from here; it does {', '.join(families)}."
    if setup.engine != "transformers" and model.moe:
        return f"Mixtures of experts are not handed to {setup.engine} from here."
    if row.trained and not model.trained:
        return "Which weights matter is a question for trained ones; these are random."
    growing = setup.kv or setup.prefix or setup.speculation or setup.cache == "static"
    if growing and setup.engine == "transformers" and (model.recurrent or model.window):
        return "This model keeps a state or a window instead of a cache that grows."
    try:
        after(model, setup.pruning)
    except ValueError as error:
        return str(error)
    return ""
