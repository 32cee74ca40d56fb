"""OpenVINO in this process: its own graph of the model, compiled for this processor.

The numbers it calculates with are the set-up's: activations and KV cache are in the dtype, where OpenVINO by itself would take
bfloat16 and an 8-bit cache wherever the processor has them. Where weights are quantized, it makes 8-bit integers of the
activations, in groups of 32 (dynamic quantization): that is its default, what its users get, and part of what is judged here.
"""

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from profiler.record.events import Job
from profiler.spec.formats import FORMATS
from profiler.spec.run import BYTES, Setup
from profiler.worker.channel import Channel
from profiler.worker.device import release_memory
from profiler.worker.engines.openvino_build import FIRST, NUMBERS, WEIGHTS, binding, ready, refuse_shape
from profiler.worker.engines.timed import all_cores, seconds_of, seconds_of_each
from profiler.worker.loading import source_of, tokenizer_of
from profiler.worker.made import scratch_folder

PRECISIONS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}  # the set-up's dtype → OpenVINO's word for it
ABLE = {"float32": "FP32", "bfloat16": "BF16", "float16": "FP16"}  # what the processor must have for it, as OpenVINO lists it
READ = 128  # tokens of one call whose logits are all wanted
UNTRACED = "OpenVINO runs the whole graph in one call, so its operators cannot be told apart from here."


def load(job: Job, channel: Channel) -> "OpenVino":
    """The model in OpenVINO. Raises ValueError, of one sentence each, for whatever it cannot do, before any work is done."""
    spec, cache = job.spec.model, Path(job.cache)
    assert spec
    with all_cores():  # from its first call on, OpenVINO counts the cores that this thread may use
        refuse(job)
        core = binding().Core()
    source = source_of(spec, cache, channel)
    with scratch_folder(cache / "openvino") as scratch:
        folder = ready(job, source, scratch, channel)
        channel.enter("load")
        began = time.perf_counter()
        graph = core.read_model(folder / "openvino_model.xml")
        tokenizer = None if source is None else tokenizer_of(source)
        channel.measured("load_time", time.perf_counter() - began)
        channel.enter("compile", note="OpenVINO prepares the graph for this processor")
        began = time.perf_counter()
        model = compiled(core, graph, job.spec.setup)
        channel.measured("compile_time", time.perf_counter() - began)
        del graph
        release_memory()
        sizes = {file.suffix: file.stat().st_size for file in folder.iterdir()}
    return OpenVino(model, tokenizer, job, sizes[".bin"], sum(sizes.values()))


def refuse(job: Job) -> None:
    """Raise ValueError for what this engine cannot do."""
    setup = job.spec.setup
    if find_spec("openvino") is None or find_spec("openvino_genai") is None:
        raise ValueError("OpenVINO is not installed; pip install openvino openvino-genai.")
    if setup.device != "cpu":
        raise ValueError(f"OpenVINO runs on the processor here; choose the device cpu instead of {setup.device}.")
    if setup.pruning:
        raise ValueError("Pruned models are not handed to OpenVINO here; take the engine transformers.")
    if setup.compile or setup.layout != "rows" or setup.attention != "auto":
        raise ValueError("OpenVINO has kernels of its own; leave out compiling, the layout of weights and the kind of attention.")
    if setup.kv:
        raise ValueError(f"OpenVINO has no KV cache in {FORMATS[setup.kv].title} here; take another engine, or leave it as it is.")
    if setup.quantization not in ("", *WEIGHTS, *NUMBERS):
        raise ValueError(f"OpenVINO has no {FORMATS[setup.quantization].title} weights here; it makes {', '.join(WEIGHTS)}.")
    if setup.quantization in NUMBERS:
        raise ValueError(f"OpenVINO takes plain weights in the set-up's own numbers; ask for the dtype {setup.quantization} instead.")
    if setup.quantization and find_spec("cyllama") is None:
        raise ValueError("OpenVINO's quantized weights are made by llama.cpp's quantizer, which is not installed; pip install cyllama.")
    refuse_shape(job)
    _refuse_numbers(setup)


def _refuse_numbers(setup: Setup) -> None:
    """OpenVINO would silently take float32 for numbers that the processor has no arithmetic for."""
    if ABLE[setup.dtype] not in binding().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise ValueError(f"OpenVINO does not calculate in {setup.dtype} on this processor; choose the dtype float32.")


def compiled(core: Any, graph: Any, setup: Setup) -> Any:
    """The graph ready to run, with so many threads, calculating in the set-up's dtype.

    One token goes through it at once: then its threads are born, and where this one may run so may they.
    """
    wanted = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": setup.threads,
        "ENABLE_CPU_PINNING": setup.pinned,
        "INFERENCE_PRECISION_HINT": PRECISIONS[setup.dtype],
        "KV_CACHE_PRECISION": PRECISIONS[setup.dtype],
    }
    with all_cores():
        model = core.compile_model(graph, "CPU", wanted)
        infer(model.create_infer_request(), np.zeros((1, 1), dtype=np.int64), 0, -1)
    return model


class OpenVino:
    """A model in OpenVINO."""

    untraced = UNTRACED

    def __init__(self, model: Any, tokenizer: PreTrainedTokenizerBase | None, job: Job, weights: int, size: int):
        assert job.spec.model
        self.model, self.tokenizer, self.spec = model, tokenizer, job.spec.model
        self.width = BYTES[job.spec.setup.dtype]  # of a number in the KV cache
        self.vocab = self.spec.vocab
        self.weight_bytes, self.file_bytes = weights, size
        self.reader: Any = None  # requests share the weights; each has its own cache

    def decoding(self, prompt: torch.Tensor) -> "Continuation":
        """Continue token ids, int64 (batch, tokens)."""
        row = 2 * self.spec.kv_heads * self.spec.head_dim * self.spec.layers * self.width
        return Continuation(self.model.create_infer_request(), prompt, row)

    def logits(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits after each token, float32 (tokens, vocabulary)."""
        if self.reader is None:
            self.reader = self.model.create_infer_request()
        self.reader.reset_state()
        tokens, found = ids.numpy().astype(np.int64)[None], torch.empty(len(ids), self.vocab)
        for past in range(0, len(ids), READ):
            part = tokens[:, past : past + READ]
            found[past : past + part.shape[1]] = torch.from_numpy(infer(self.reader, part, past, 0)[0, :, : self.vocab])
        return found


def infer(request: Any, tokens: np.ndarray, past: int, first: int) -> np.ndarray:
    """Logits of the places from `first` on after tokens that follow `past` others: int64 (batch, n) → (batch, m, vocabulary).

    They lie in the request's memory until the next call.
    """
    batch, length = tokens.shape
    inputs = {
        "input_ids": tokens,
        "attention_mask": np.ones((batch, past + length), dtype=np.int64),
        "position_ids": np.tile(np.arange(past, past + length, dtype=np.int64), (batch, 1)),
        "beam_idx": np.arange(batch, dtype=np.int32),
        FIRST: np.array([first], dtype=np.int64),
    }
    return request.infer(inputs, share_inputs=True, share_outputs=True)[0]


class Continuation:
    """A prompt being continued, greedily."""

    def __init__(self, request: Any, prompt: torch.Tensor, row: int):
        self.request, self.row = request, row  # row: bytes of keys and values of one token
        self.prompt = np.ascontiguousarray(prompt.numpy(), dtype=np.int64)
        self.tokens = self.prompt[:, :1]  # the latest of each sequence
        self.past = 0
        self.said: list[int] = []

    def _take(self, tokens: np.ndarray) -> None:
        logits = infer(self.request, tokens, self.past, -1)
        self.past += tokens.shape[1]
        self.tokens = logits[:, -1].argmax(-1, keepdims=True)
        self.said.append(int(self.tokens[0, 0]))

    def _next(self) -> None:
        self._take(self.tokens)

    def prefill(self) -> None:
        """Process the prompt from an empty cache; the first new token is in `said` after it."""
        self.request.reset_state()
        self.past, self.said = 0, []
        self._take(self.prompt)

    def timed_prefill(self) -> float:
        """Seconds of one prefill, the first new token included."""
        return seconds_of(self.prefill)

    def timed_steps(self, count: int) -> list[float]:
        """Seconds of each of `count` steps, each of which makes one more token for every sequence."""
        return seconds_of_each(self._next, count)

    @property
    def cache_bytes(self) -> int:
        """What the keys and values of all tokens take, by their number and width: OpenVINO does not tell what it allocated."""
        return self.row * self.past * len(self.prompt)

    @property
    def facts(self) -> dict[str, float]:
        """Counts of its own that judge a run; none here."""
        return {}
