"""The OpenVINO graph that a job runs: made by OpenVINO GenAI's reader of GGUF files, of the weights that every other method
starts from.

    python -m profiler.worker.engines.openvino_build SCRATCH SOURCE

The reader saves all plain numbers in float16. What that would change is put right: matrices that are not quantized get the
set-up's own numbers back, the frequencies of positions are float32 (rounded, they would turn distant tokens by tenths of
a radian), and the lm_head is applied from a place on that the caller names. Norms and biases stay float16, in which all
of bfloat16 that occurs there is exact.
"""

import re
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from transformers import AutoConfig, LlamaConfig, PretrainedConfig, PreTrainedModel
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from profiler.record.events import Job
from profiler.spec.formats import FORMATS
from profiler.spec.model import ModelSpec
from profiler.spec.work import Generate
from profiler.worker import gguf_file
from profiler.worker.channel import Channel
from profiler.worker.engines.apart import answer, apart
from profiler.worker.gguf_export import check, export
from profiler.worker.loading import fingerprint
from profiler.worker.made import made_once

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")  # whose graphs the reader of GGUF files builds as transformers has them
WEIGHTS = ("q8_0", "q4_0")  # of GGUF, that it reads as they are: of formats with a minimum it rounds that to whole steps, or reads none
NUMBERS = ("float32", "bfloat16", "float16")
ROPES = ("default", "linear", "llama3")  # scalings of positions that change frequencies alone
RECIPE = 1  # of the graphs made here: another number when they change
FIRST = "first"  # the input that names the first place whose logits are wanted; -1: the last one
END = np.iinfo(np.int64).max


def ready(job: Job, source: str | Path | None, scratch: Path, channel: Channel) -> Path:
    """The folder to run: kept from earlier, or made now. One with random weights stays in `scratch`, which is removed."""
    spec, setup = job.spec.model, job.spec.setup
    assert spec
    wanted = setup.quantization or setup.dtype
    plain = re.sub(r"[^\w.-]+", "-", spec.name)
    made_with = str(RECIPE), version("openvino-genai"), version("gguf"), version("cyllama") if setup.quantization else ""
    kept = None if source is None else scratch.parent / f"{plain}-{wanted}-{fingerprint(source, *made_with)}"
    return made_once(kept, f"an OpenVINO graph: {FORMATS[wanted].title}", lambda: _apart(job, source, scratch), channel)


def _apart(job: Job, source: str | Path | None, scratch: Path) -> Path:
    apart("profiler.worker.engines.openvino_build", "OpenVINO's builder", job, source, scratch)
    return scratch / "graph"


def build(job: Job, source: str | Path | None, scratch: Path) -> Path:
    """A new folder in `scratch`: openvino_model.xml and .bin. Raises ValueError of one sentence where it cannot be."""
    openvino = binding()
    spec, setup = job.spec.model, job.spec.setup
    assert spec
    raw, target = scratch / "raw", scratch / "graph"
    raw.mkdir()
    target.mkdir()
    if setup.quantization:
        model = None
        gguf_file.made(job, source, scratch).rename(raw / "model.gguf")
    else:
        model = gguf_file.model_of(job, source, setup.dtype)
        export(model, raw / "model.gguf", "float16")
    graph = _read(raw, spec)
    held = _matrices(graph, model) if model and setup.dtype != "float16" else []
    _frequencies(graph, AutoConfig.for_model(**spec.config))
    _last_places(graph)
    openvino.save_model(graph, target / "openvino_model.xml", compress_to_fp16=False)
    del held  # the graph had only borrowed them
    return target


def binding() -> Any:
    """The module of OpenVINO, without its telemetry: that would send by a forked process, which holds our pipes open and may hang."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: not to be imported
    import openvino  # heavy: optional

    return openvino


def _read(folder: Path, spec: ModelSpec) -> Any:
    """The graph of a GGUF file."""
    openvino = binding()
    import openvino_genai  # heavy: optional

    file = folder / "openvino_model.xml"
    told = ""
    with suppress(IndexError):  # a pipeline also wants a tokenizer, which our file has none of; the graph is saved before that
        try:
            openvino_genai.LLMPipeline(str(folder / "model.gguf"), "CPU", enable_save_ov_model=True)
        except RuntimeError as error:
            told = str(error).strip().splitlines()[-1]
    if not file.exists():
        raise ValueError(f"OpenVINO cannot read {spec.name} ({spec.family}): {told.rstrip('.') or 'it wrote no graph'}.")
    return openvino.Core().read_model(file)


def _constants(graph: Any) -> list[tuple[str, Any]]:
    """(name as transformers has it, node) of all constants."""
    nodes = [node for node in graph.get_ordered_ops() if node.get_type_name() == "Constant"]
    return [(node.get_friendly_name().replace("[", ".").replace("]", ""), node) for node in nodes]


def _matrices(graph: Any, model: PreTrainedModel) -> list[np.ndarray]:
    """Put the model's own numbers in place of their copies in float16. What is returned must live as long as the graph."""
    state, held = model.state_dict(), list[np.ndarray]()
    for name, node in _constants(graph):
        if name not in state or state[name].dim() < 2:
            continue
        own = state[name].contiguous()
        if not torch.equal(torch.from_numpy(np.array(node.data)), own.half()):
            raise ValueError(f"OpenVINO holds other numbers than {name}; take another engine for this model.")
        (user,) = node.output(0).get_target_inputs()  # float16 → float32
        if own.dtype == torch.float32:
            user.get_node().output(0).replace(_constant(own, held))
        else:
            node.output(0).replace(_constant(own, held))
    if not held:
        raise ValueError("OpenVINO calls its matrices otherwise than expected; take another engine for this model.")
    return held


def _constant(tensor: torch.Tensor, held: list[np.ndarray]) -> Any:
    """A constant of a float32 or bfloat16 tensor, whose memory is noted in `held`."""
    openvino = binding()
    wide = tensor.dtype == torch.float32
    held.append((tensor if wide else tensor.view(torch.int16)).numpy())
    kind = openvino.Type.f32 if wide else openvino.Type.bf16
    return openvino.op.Constant(openvino.Tensor(held[-1], list(tensor.shape), kind)).output(0)


def _frequencies(graph: Any, config: PretrainedConfig) -> None:
    """The frequencies of positions as transformers has them."""
    openvino = binding()
    told = LlamaRotaryEmbedding(cast(LlamaConfig, config)).inv_freq  # that of all FAMILIES
    shape = [1, len(told), 1]
    found = [node for _, node in _constants(graph) if list(node.output(0).shape) == shape]
    if len(found) != 1:
        raise ValueError("OpenVINO keeps positions otherwise than expected; take another engine for this model.")
    exact = openvino.opset13.constant(told.float().numpy().reshape(shape))
    if found[0].output(0).get_element_type() == openvino.Type.f32:
        found[0].output(0).replace(exact.output(0))
    else:
        (user,) = found[0].output(0).get_target_inputs()
        user.get_node().output(0).replace(exact.output(0))


def _last_places(graph: Any) -> None:
    """Apply the lm_head from the place on that a new input names."""
    op = binding().opset13
    head = graph.outputs[0].get_node().input_value(0).get_node()
    first = op.parameter([1], dtype=np.int64, name=FIRST)
    first.output(0).set_names({FIRST})
    one = op.constant(np.array([1]))
    kept = op.slice(head.input_value(0), first, op.constant(np.array([END])), one, one)
    head.input(0).replace_source_output(kept.output(0))
    graph.add_parameters([first])
    graph.validate_nodes_and_infer_types()


def refuse_shape(job: Job) -> None:
    """Raise ValueError for a model that OpenVINO would not run as transformers does."""
    spec, work = job.spec.model, job.spec.work
    assert spec
    if spec.family not in FAMILIES or spec.moe:
        raise ValueError(f"Models of the family {spec.family} cannot be handed to OpenVINO here; those of {', '.join(FAMILIES)} can.")
    config = AutoConfig.for_model(**spec.config)
    try:
        check(config, work.prompt_tokens + work.new_tokens if isinstance(work, Generate) else 0)
    except ValueError as error:
        raise ValueError(str(error).replace("llama.cpp", "OpenVINO")) from error
    if (kind := config.rope_parameters["rope_type"]) not in ROPES:
        raise ValueError(f"Positions scaled by {kind} cannot be handed to OpenVINO here; take another engine.")


if __name__ == "__main__":
    answer(build)
