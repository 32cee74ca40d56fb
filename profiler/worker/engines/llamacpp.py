"""llama.cpp in this process, by its binding cyllama: weights in GGUF formats, kernels in C++.

The GGUF file is made here, of the same weights that every other method starts from, and kept in the cache. llama.cpp calculates
activations in float32 whatever the set-up's dtype, which names only the format of what is not quantized.
"""

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGMLQuantizationType
from transformers import AutoConfig, PreTrainedTokenizerBase

from profiler.record.events import Job
from profiler.spec.formats import FORMATS
from profiler.spec.run import Setup
from profiler.spec.work import Generate, Write
from profiler.worker.channel import Channel
from profiler.worker.engines.timed import seconds_of, seconds_of_each
from profiler.worker.gguf_export import FILE_TYPES, check
from profiler.worker.gguf_file import WEIGHTS, binding, ready
from profiler.worker.loading import source_of, tokenizer_of
from profiler.worker.made import scratch_folder

PLAIN_CACHES = {
    "float32": GGMLQuantizationType.F32,
    "bfloat16": GGMLQuantizationType.BF16,
    "float16": GGMLQuantizationType.F16,
}
CACHES = {name: GGMLQuantizationType[name.upper()] for name in ("q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")}
FLASH = {"auto": -1, "sdpa": 1, "eager": 0}  # the set-up's attention as llama.cpp takes it: by itself, flash, all scores written out
BLOCK = 32  # numbers with one scale in these formats of the cache
PADDING = 256  # llama.cpp rounds a sequence's context up to so many tokens (GGML_PAD in llama-context.cpp)
SEQUENCES = 256  # that it continues at once (LLAMA_MAX_SEQ in llama-cparams.h)
LOGICAL, PHYSICAL = 2048, 512  # tokens of one call and of one pass through the layers: its own defaults
READ = 128  # tokens of one call whose logits are all wanted
UNTRACED = "llama.cpp runs the whole model in one call, so its operators cannot be told apart from here."


def load(job: Job, channel: Channel) -> "LlamaCpp":
    """The model in llama.cpp. Raises ValueError, of one sentence each, for whatever it cannot do, before any work is done."""
    spec, cache = job.spec.model, Path(job.cache)
    assert spec
    refuse(job)
    source = source_of(spec, cache, channel)
    with scratch_folder(cache / "gguf") as scratch:
        file = ready(job, source, scratch, channel)
        channel.enter("load")
        began = time.perf_counter()
        model, size = opened(file), file.stat().st_size
        tokenizer = None if source is None else tokenizer_of(source)
        channel.measured("load_time", time.perf_counter() - began)
    return LlamaCpp(model, tokenizer, job, size)


def refuse(job: Job) -> None:
    """Raise ValueError for what this engine cannot do."""
    spec, setup, work = job.spec.model, job.spec.setup, job.spec.work
    assert spec
    if find_spec("cyllama") is None:
        raise ValueError("llama.cpp's binding is not installed; pip install cyllama.")
    if setup.device != "cpu":
        raise ValueError(f"llama.cpp runs on the processor here; choose the device cpu instead of {setup.device}.")
    if setup.pruning:
        raise ValueError("Pruned models are not handed to llama.cpp here; take the engine transformers.")
    if setup.compile or setup.layout != "rows":
        raise ValueError("llama.cpp has kernels of its own; leave out compiling and the layout of weights.")
    if setup.quantization not in ("", *FILE_TYPES, *WEIGHTS):
        raise ValueError(f"llama.cpp has no {FORMATS[setup.quantization].title} weights here; it makes {', '.join(WEIGHTS)}.")
    _refuse_cache(setup, spec.head_dim)
    if isinstance(work, Generate) and work.batch > SEQUENCES:
        raise ValueError(f"llama.cpp continues at most {SEQUENCES} sequences at once; choose a smaller batch.")
    tokens = work.prompt_tokens + work.new_tokens if isinstance(work, Generate) else 0
    check(AutoConfig.for_model(**spec.config), tokens)


def _refuse_cache(setup: Setup, width: int) -> None:
    if setup.kv not in ("", *PLAIN_CACHES, *CACHES):
        raise ValueError(f"llama.cpp has no KV cache in {FORMATS[setup.kv].title}; it takes {', '.join(CACHES)}.")
    if setup.kv in CACHES and width % BLOCK:
        raise ValueError(f"A quantized KV cache needs heads whose width is a multiple of {BLOCK}; these are {width} wide.")
    if setup.kv in CACHES and setup.attention == "eager":
        raise ValueError("llama.cpp reads a quantized KV cache only with flash attention; leave attention at auto.")


def opened(file: Path) -> Any:
    """A model of cyllama's, its weights read into memory of its own: resident before the clock runs. Raises ValueError."""
    llama = binding()

    rows = property(lambda model: model.get_vocab().n_vocab)
    kind = type("Model", (llama.LlamaModel,), {"n_vocab": rows})  # which `get_logits_ith` of some versions misses
    wanted = llama.LlamaModelParams()
    if hasattr(llama, "LLAMA_LOAD_MODE_NONE"):  # since cyllama 0.5 or so
        wanted.load_mode = llama.LLAMA_LOAD_MODE_NONE
    else:
        wanted.use_mmap = False
    try:
        return kind(str(file), wanted, verbose=False)
    except (RuntimeError, ValueError, OSError) as error:
        raise ValueError(f"llama.cpp could not load {file.name}; delete it from the cache, and it is made anew.") from error


class LlamaCpp:
    """A model in llama.cpp."""

    untraced = UNTRACED

    def __init__(self, model: Any, tokenizer: PreTrainedTokenizerBase | None, job: Job, file_bytes: int):
        work = job.spec.work
        self.model, self.tokenizer, self.setup = model, tokenizer, job.spec.setup
        self.vocab: int = model.n_vocab
        self.weight_bytes: int = model.size
        self.file_bytes = file_bytes
        self.new_tokens = work.new_tokens if isinstance(work, Generate | Write) else 0
        self.reader: Any = None  # a context for `logits`, kept while it is long enough

    def decoding(self, prompt: torch.Tensor) -> "Continuation":
        """Continue token ids, int64 (batch, tokens)."""
        batch, tokens = prompt.shape
        return Continuation(self.context(tokens + self.new_tokens, batch), prompt)

    def logits(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits after each token, float32 (tokens, vocabulary)."""
        tokens = ids.tolist()
        if self.reader is None or self.reader.n_ctx < len(tokens):
            self.reader = self.context(len(tokens), 1)
        self.reader.kv_cache_clear(False)
        batch = binding().LlamaBatch(n_tokens=READ, embd=0, n_seq_max=1, verbose=False)
        found = torch.empty(len(tokens), self.vocab)
        for first in range(0, len(tokens), READ):
            part = tokens[first : first + READ]
            batch.set_batch(part, first, True)
            self.reader.decode(batch)
            for place in range(len(part)):
                found[first + place] = torch.from_numpy(np.array(self.reader.get_logits_ith(place), dtype=np.float32))
        return found

    def context(self, tokens: int, batch: int) -> Any:
        """Room for `batch` sequences of so many tokens. Raises ValueError where there is none."""
        llama, setup = binding(), self.setup
        each = -(-tokens // PADDING) * PADDING
        wanted = llama.LlamaContextParams()
        wanted.n_ctx, wanted.n_seq_max = each * batch, batch
        wanted.n_batch, wanted.n_ubatch = min(LOGICAL, each * batch), min(PHYSICAL, each * batch)
        wanted.no_perf = False  # its own clock runs too, so that both can be compared
        wanted.n_threads = wanted.n_threads_batch = setup.threads
        wanted.type_k = wanted.type_v = int((PLAIN_CACHES | CACHES)[setup.kv or setup.dtype])
        wanted.flash_attn_type = FLASH[setup.attention]
        try:
            return llama.LlamaContext(self.model, wanted, verbose=False)
        except RuntimeError as error:
            raise ValueError(f"llama.cpp has no room for {batch} × {tokens} tokens; choose a smaller batch or prompt.") from error


class Continuation:
    """A prompt being continued, greedily. What a call takes is laid out beforehand."""

    def __init__(self, context: Any, prompt: torch.Tensor):
        llama = binding()
        self.context, self.rows, self.length = context, *prompt.shape
        self.parts = _parts(prompt.tolist())
        self.next = llama.LlamaBatch(n_tokens=self.rows, embd=0, n_seq_max=1, verbose=False)
        self.sampler = llama.LlamaSampler()
        self.sampler.add_greedy()
        self.tokens: list[int] = []  # the latest of each sequence
        self.said: list[int] = []
        self.place = 0  # of the next token
        self.ours = self.own = 0.0  # seconds of all timed steps, by our clock and by llama.cpp's
        self.steps = 0

    def prefill(self) -> None:
        """Process the prompt from an empty cache; the first new token of each sequence is in `tokens` after it."""
        self.context.kv_cache_clear(False)
        for part in self.parts:
            self.context.decode(part)
        wide = self.parts[-1].n_tokens // self.rows
        self.tokens = [self.sampler.sample(self.context, wide * (row + 1) - 1) for row in range(self.rows)]
        self.said, self.place = self.tokens[:1], self.length

    def step(self) -> None:
        """One more token for every sequence."""
        self.next.clear()
        for row, token in enumerate(self.tokens):
            self.next.add(token, self.place, [row], True)
        self.context.decode(self.next)
        self.tokens = [self.sampler.sample(self.context, row) for row in range(self.rows)]
        self.said.append(self.tokens[0])
        self.place += 1

    def timed_prefill(self) -> float:
        """Seconds of one prefill, the first new token included."""
        return seconds_of(self.prefill)

    def timed_steps(self, count: int) -> list[float]:
        """Seconds of each of `count` steps."""
        self.context.reset_perf_data()
        seconds = seconds_of_each(self.step, count)
        own = self.context.get_perf_data()
        self.own += (own["t_eval_ms"] + own["t_p_eval_ms"]) / 1e3  # the second is of steps of several sequences
        self.ours, self.steps = self.ours + sum(seconds), self.steps + count
        return seconds

    @property
    def facts(self) -> dict[str, float]:
        """Seconds of a step on average, warm-up included: by our clock, and what llama.cpp itself reports of the same steps."""
        return {"step_ours": self.ours / self.steps, "step_own": self.own / self.steps} if self.steps else {}

    @property
    def cache_bytes(self) -> int:
        """What llama.cpp would save of all sequences now: keys and values of their tokens, and a few bytes of places."""
        return sum(self.context.get_state_seq_size(row) for row in range(self.rows))


def _parts(prompt: list[list[int]]) -> list[Any]:
    """The prompt in calls of at most LOGICAL tokens, as many of each sequence; only the last tokens are to have logits."""
    llama = binding()
    rows, length = len(prompt), len(prompt[0])
    each = min(LOGICAL // rows, length)
    parts = []
    for first in range(0, length, each):
        last = min(first + each, length)
        part = llama.LlamaBatch(n_tokens=rows * (last - first), embd=0, n_seq_max=1, verbose=False)
        for row, tokens in enumerate(prompt):
            for place in range(first, last):
                part.add(tokens[place], place, [row], place == length - 1)
        parts.append(part)
    return parts
