"""ONNX Runtime in this process, by onnxruntime-genai: its model builder turns a folder of safetensors into a quantized graph.

The graph is made of the same weights that every other method starts from, and kept in the cache. The lm_head is applied to the
last token alone, as everywhere here, so a text's logits are read token by token. Activations are float32.
"""

import json
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from profiler.record.events import Job
from profiler.spec.formats import FORMATS
from profiler.spec.work import Generate, Write
from profiler.worker.channel import Channel
from profiler.worker.engines.onnx_build import PRECISIONS, ready, refuse_shape
from profiler.worker.engines.timed import all_cores, seconds_of, seconds_of_each
from profiler.worker.loading import source_of, tokenizer_of
from profiler.worker.made import scratch_folder

INSTALL = "ONNX Runtime's generator is not installed; pip install -r requirements-engines.txt."
UNTRACED = "ONNX Runtime runs the whole graph in one call, so its operators cannot be told apart from here."
READ = 512  # tokens of a text that can be read at once


def load(job: Job, channel: Channel) -> "OnnxRuntime":
    """The model in ONNX Runtime. Raises ValueError, of one sentence each, for whatever it cannot do, before any work is done."""
    spec, cache = job.spec.model, Path(job.cache)
    assert spec
    refuse(job)
    source = source_of(spec, cache, channel)
    with scratch_folder(cache / "onnx") as scratch:
        folder = ready(job, source, scratch, channel)
        channel.enter("load")
        began = time.perf_counter()
        model = opened(folder, job.spec.setup.threads)
        tokenizer = None if source is None else tokenizer_of(source)
        channel.measured("load_time", time.perf_counter() - began)
        size = sum(file.stat().st_size for file in folder.glob("model.onnx*"))
        weights = (folder / "model.onnx.data").stat().st_size
    return OnnxRuntime(model, tokenizer, job, weights, size)


def refuse(job: Job) -> None:
    """Raise ValueError for what this engine cannot do."""
    spec, setup = job.spec.model, job.spec.setup
    assert spec
    if find_spec("onnxruntime_genai") is None or find_spec("onnx_ir") is None:
        raise ValueError(INSTALL)
    if setup.device != "cpu":
        raise ValueError(f"ONNX Runtime runs on the processor here; choose the device cpu instead of {setup.device}.")
    if setup.pruning:
        raise ValueError("Pruned models are not handed to ONNX Runtime here; take the engine transformers.")
    if setup.compile or setup.layout != "rows" or setup.attention != "auto":
        raise ValueError("ONNX Runtime has kernels of its own; leave out compiling, the layout of weights and the kind of attention.")
    if setup.kv:
        raise ValueError(f"ONNX Runtime has no KV cache in {FORMATS[setup.kv].title} here; take another engine, or leave it as it is.")
    if (setup.quantization or setup.dtype) not in PRECISIONS:
        named = FORMATS[setup.quantization or setup.dtype].title
        raise ValueError(f"ONNX Runtime has no {named} weights on a processor here; it makes {', '.join(PRECISIONS)}.")
    refuse_shape(spec)


def opened(folder: Path, threads: int) -> Any:
    """A model of onnxruntime-genai with so many threads.

    The last id that ends no text stands for the end of a sequence and for padding: no text ends early, and in a batch no token of
    the prompt is taken for padding. The context has one place more, of a token that is chosen and never read, and room for a reader.
    """
    import onnxruntime_genai as genai  # heavy: optional

    config = genai.Config(str(folder))
    told = json.loads((folder / "genai_config.json").read_text("utf-8"))["model"]
    ends = told["eos_token_id"] if isinstance(told["eos_token_id"], list) else [told["eos_token_id"]]
    spare = max(set(range(told["vocab_size"])).difference(ends))
    changes = {"eos_token_id": spare, "pad_token_id": spare, "context_length": max(told["context_length"], READ) + 1}
    options = {"decoder": {"session_options": {"intra_op_num_threads": threads, "inter_op_num_threads": 1}}}
    config.overlay(json.dumps({"model": {**changes, **options}}))
    with all_cores():
        return genai.Model(config)


class OnnxRuntime:
    """A model in ONNX Runtime."""

    untraced = UNTRACED

    def __init__(self, model: Any, tokenizer: PreTrainedTokenizerBase | None, job: Job, weights: int, size: int):
        work, spec = job.spec.work, job.spec.model
        assert spec
        self.model, self.tokenizer, self.spec = model, tokenizer, spec
        self.vocab = spec.vocab
        self.weight_bytes, self.file_bytes = weights, size
        self.new_tokens = work.new_tokens if isinstance(work, Generate | Write) else 0
        self.reader: Any = None

    def generator(self, tokens: int, batch: int) -> Any:
        """Room for `batch` sequences of so many tokens, which are continued greedily to the last one."""
        import onnxruntime_genai as genai  # heavy: optional

        wanted = genai.GeneratorParams(self.model)
        wanted.set_search_options(max_length=tokens, min_length=tokens, batch_size=batch, do_sample=False)
        return genai.Generator(self.model, wanted)

    def decoding(self, prompt: torch.Tensor) -> "Continuation":
        """Continue token ids, int64 (batch, tokens)."""
        batch, tokens = prompt.shape
        return Continuation(self.generator(tokens + self.new_tokens + 1, batch), prompt, self.spec.layers)

    def logits(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits after each token, float32 (tokens, vocabulary)."""
        if self.reader is None or len(ids) >= READ:
            self.reader = self.generator(max(READ, len(ids) + 1), 1)
        self.reader.rewind_to(0)
        found = torch.empty(len(ids), self.vocab)
        for place, token in enumerate(ids.tolist()):
            self.reader.append_tokens(np.array([[token]], dtype=np.int32))
            found[place] = torch.from_numpy(self.reader.get_output("logits")[0, -1].astype(np.float32))
        return found


class Continuation:
    """A prompt being continued, greedily."""

    def __init__(self, generator: Any, prompt: torch.Tensor, layers: int):
        self.generator, self.layers = generator, layers
        self.prompt = prompt.numpy().astype(np.int32)
        self.said: list[int] = []

    def _next(self) -> None:
        self.generator.generate_next_token()
        self.said.append(int(self.generator.get_next_tokens()[0]))

    def prefill(self) -> None:
        """Process the prompt from an empty cache; the first new token is in `said` after it."""
        self.generator.rewind_to(0)
        self.said = []
        self.generator.append_tokens(self.prompt)
        self._next()

    def timed_prefill(self) -> float:
        """Seconds of one prefill, the first new token included."""
        return seconds_of(self.prefill)

    def timed_steps(self, count: int) -> list[float]:
        """Seconds of each of `count` steps, each of which makes one more token for every sequence."""
        return seconds_of_each(self._next, count)

    @property
    def facts(self) -> dict[str, float]:
        """None of its own."""
        return {}

    @property
    def cache_bytes(self) -> int:
        """What it holds: keys and values of the whole length, or of a layer's window, allocated at once."""
        return sum(2 * int(self.generator.get_output(f"present.{layer}.key").nbytes) for layer in range(self.layers))
