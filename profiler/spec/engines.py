"""The engine registry: one row per piece of software that runs language models, and how it goes about it.

`style` decides what an engine that nobody measured is taken to be like:
host: every operator is started from Python; graph: operators are fused or captured, and started together;
runtime: a program of its own in C++ or CUDA. `serving` engines mix requests of different ages in one batch.
"""

import re
from typing import Literal, NamedTuple

Style = Literal["host", "graph", "runtime"]


class Engine(NamedTuple):
    """How one engine is called, and how it runs a step."""

    title: str
    style: Style
    pattern: str  # regular expression over a text that names the software, small letters
    serving: bool = False
    split: Literal["tensor", "layers"] = "tensor"  # how it uses several devices when nobody says
    quantized_products: bool = False  # multiplies packed weights with integers made of the activations, instead of widening them
    flash: bool = True  # attention without writing out all scores
    chunk: int = 8192  # most tokens of prompts that one pass takes
    widens: bool = False  # widens packed matrices in memory before it multiplies more than one row
    captured: bool = True  # kernels of a step are recorded once and started together (CUDA graphs, or what is like them)
    vendors: tuple[str, ...] = ()  # of the devices that it runs on; empty: of nearly all
    kin: str = ""  # the engine of which this is another version, and whose measurements tell about it


ENGINES = {
    "llama.cpp": Engine(
        "llama.cpp",
        "runtime",
        r"llama[.-]?cpp|llama-bench|ggml|ollama|lm ?studio|koboldcpp",
        split="layers",
        quantized_products=True,
        flash=False,
        chunk=512,
    ),
    "llama.cpp-2024": Engine(
        "llama.cpp before integer matrix kernels and CUDA graphs (summer 2024)",
        "runtime",
        r"llama\.cpp-2024",
        split="layers",
        flash=False,
        chunk=512,
        widens=True,
        captured=False,
        kin="llama.cpp",
    ),
    "exllama": Engine("ExLlama", "runtime", r"exllama|tabbyapi", split="layers", captured=False, vendors=("NVIDIA", "AMD")),
    "tensorrt-llm": Engine("TensorRT-LLM", "runtime", r"tensorrt|trt-?llm|\bnim\b", True, vendors=("NVIDIA",)),
    "vllm": Engine("vLLM", "graph", r"\bvllm", True),
    "sglang": Engine("SGLang", "graph", r"sglang|deepep|deepseek profile", True),
    "lmdeploy": Engine("LMDeploy (TurboMind)", "runtime", r"lmdeploy|turbomind", True, captured=False, vendors=("NVIDIA",)),
    "tgi": Engine("Text Generation Inference", "graph", r"\btgi\b|text.generation.inference", True),
    "deepspeed": Engine("DeepSpeed", "runtime", r"deepspeed|fastgen", True),
    "mlc": Engine("MLC", "runtime", r"\bmlc\b|web-?llm"),
    "mlx": Engine("MLX", "runtime", r"\bmlx\b", vendors=("Apple",)),
    "openvino": Engine("OpenVINO", "runtime", r"openvino"),
    "onnxruntime": Engine("ONNX Runtime", "runtime", r"onnx|\bort\b|directml|olive|ryzen ?ai|lemonade"),
    "qualcomm": Engine("Qualcomm AI Engine", "runtime", r"qualcomm|\bqnn\b|genie|ai hub", vendors=("Qualcomm",)),
    "ctranslate2": Engine("CTranslate2", "runtime", r"ctranslate"),
    "neuron": Engine("Neuron", "graph", r"neuron", vendors=("AWS",)),
    "jax": Engine("JAX / XLA", "graph", r"\bjax\b|jetstream|maxengine|maxtext|\bxla\b|\btpu", True),
    "gaudi": Engine("Optimum Habana", "graph", r"habana|gaudi|synapse", True, vendors=("Intel",)),
    "ipex": Engine("Intel Extension for PyTorch", "graph", r"\bipex|intel.extension"),
    "compiled": Engine("torch.compile", "graph", r"gpt-fast|torchao|torch\.?compile|inductor|thunder|executorch|torchchat"),
    "eager": Engine(
        "transformers, eager", "host", r"eager|transformers|hugging|litgpt|lit-gpt|accelerate|bitsandbytes|pytorch|torch", widens=True
    ),
}


def engine_named(software: str) -> str:
    """The id of the engine that a text names: the first row whose pattern it holds; ValueError where there is none."""
    text = software.lower()
    if text in ENGINES:
        return text
    found = next((id for id, row in ENGINES.items() if re.search(row.pattern, text)), None)
    if found is None:
        raise ValueError(f"No engine is known that {software!r} could mean; known are {', '.join(ENGINES)}.")
    return found
