import re
from typing import get_args

import pytest

from profiler.spec.engines import ENGINES, Style, engine_named
from profiler.validation.tables import published


@pytest.mark.parametrize("id", ENGINES)
def test_an_engine_is_found_by_its_id_and_its_title(id):
    """However the letters are written; another version of an engine has no title that software would print."""
    assert engine_named(id) == engine_named(id.upper()) == id
    if not ENGINES[id].kin:
        assert engine_named(ENGINES[id].title) == id


@pytest.mark.parametrize(
    ("software", "engine"),
    [
        ("llama.cpp llama-bench (CUDA 12.1.1 / Metal)", "llama.cpp"),
        ("Ollama 0.5", "llama.cpp"),
        ("LM Studio", "llama.cpp"),
        ("gpt-fast (torch.compile)", "compiled"),
        ("torchao _models/llama/generate.py (torch.compile)", "compiled"),
        ("ExLlamaV2 v0.1.x", "exllama"),
        ("HF transformers 4.46.3 eager, torch 2.5.1, bnb 0.45.0.dev via optimum-benchmark", "eager"),
        ("Transformers NeuronX, Neuron 2.16.0", "neuron"),
        ("MLC", "mlc"),
        ("MLX 0.22", "mlx"),
        ("LMDeploy v0.1.0a1 (TurboMind), CUDA 11.8", "lmdeploy"),
        ("TensorRT-LLM v0.6.1", "tensorrt-llm"),
        ("TensorRT 10.2.0, CUDA 12.4", "tensorrt-llm"),
        ("vLLM 0.4.3+rocm614, PyTorch 2.3.0, ROCm 6.1.2", "vllm"),
        ("DeepSeek profile-data (DeepEP, DeepGEMM, TBO)", "sglang"),
        ("SGLang", "sglang"),
        ("Optimum Habana 1.14 (transformers)", "gaudi"),
        ("OpenVINO GenAI 2025.0", "openvino"),
        ("ONNX Runtime GenAI, DirectML", "onnxruntime"),
        ("JetStream MaxText", "jax"),
        ("text-generation-inference 2.0", "tgi"),
        ("PyTorch", "eager"),
    ],
)
def test_software_is_known_however_sources_write_it(software, engine):
    """The first row whose pattern the text holds: an engine before what it is built on."""
    assert engine_named(software) == engine


def test_every_published_text_names_an_engine():
    """None is left to guessing."""
    assert {engine_named(row["software"]) for row in published("inference").rows} <= set(ENGINES)


@pytest.mark.parametrize("text", ["", "abacus", "spreadsheet 1.0"])
def test_unknown_software_is_an_error_that_names_what_is_known(text):
    """Nobody is taken for somebody else."""
    with pytest.raises(ValueError, match=re.escape(repr(text)) + r" could mean; known are llama\.cpp, .*eager"):
        engine_named(text)


def test_rows_are_sound():
    """A known style, a pattern of small letters that compiles, a chunk, and kin that is a row."""
    for id, row in ENGINES.items():
        assert row.style in get_args(Style), id
        assert re.compile(row.pattern), id
        assert row.pattern == row.pattern.lower(), id
        assert row.chunk >= 512, id
        assert not row.kin or row.kin in ENGINES, id
        assert row.kin != id
