"""CTranslate2 in this process: a runtime of its own in C++, with weights in float32 or int8.

Activations and KV cache are float32. Where weights are int8, with a scale for each output, it makes integers of the activations
too, with a scale for each token: that is how it multiplies, and part of what is judged here.

CTranslate2 continues a prompt in one call, in a thread of its own, and tells after each step. There it is held until the next steps
are asked for (`Turns`), so it never runs ahead, and waiting is in no step's time.
"""

import threading
import time
import weakref
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from profiler.record.events import Job
from profiler.spec.formats import FORMATS
from profiler.spec.run import Setup
from profiler.worker.channel import Channel
from profiler.worker.engines.ctranslate2_build import PRECISIONS, ready, refuse_shape
from profiler.worker.engines.timed import all_cores
from profiler.worker.loading import source_of, tokenizer_of
from profiler.worker.made import scratch_folder

COMPUTE = {"": "float32", "int8-ct2": "int8_float32"}  # format of the weights → how it calculates
MANY = 1 << 20  # tokens after which a text would end: more than anybody asks for
PATIENCE = 1.0  # seconds between two looks at whether a generation failed
UNTRACED = "CTranslate2 runs the whole model in one call, so its operators cannot be told apart from here."


def load(job: Job, channel: Channel) -> "CTranslate2":
    """The model in CTranslate2. Raises ValueError, of one sentence each, for whatever it cannot do, before any work is done."""
    spec, cache = job.spec.model, Path(job.cache)
    assert spec
    refuse(job)
    source = source_of(spec, cache, channel)
    with scratch_folder(cache / "ctranslate2") as scratch:
        folder = ready(job, source, scratch, channel)
        channel.enter("load")
        began = time.perf_counter()
        generator = opened(folder, job.spec.setup)
        tokenizer = None if source is None else tokenizer_of(source)
        channel.measured("load_time", time.perf_counter() - began)
        sizes = {file.name: file.stat().st_size for file in folder.iterdir()}
    return CTranslate2(generator, tokenizer, job, sizes["model.bin"], sum(sizes.values()))


def refuse(job: Job) -> None:
    """Raise ValueError for what this engine cannot do."""
    setup = job.spec.setup
    if find_spec("ctranslate2") is None:
        raise ValueError("CTranslate2 is not installed; pip install ctranslate2.")
    if setup.device != "cpu":
        raise ValueError(f"CTranslate2 runs on the processor here; choose the device cpu instead of {setup.device}.")
    if setup.pruning:
        raise ValueError("Pruned models are not handed to CTranslate2 here; take the engine transformers.")
    if setup.compile or setup.layout != "rows" or setup.attention != "auto":
        raise ValueError("CTranslate2 has kernels of its own; leave out compiling, the layout of weights and the kind of attention.")
    if setup.kv:
        raise ValueError(f"CTranslate2 has no KV cache in {FORMATS[setup.kv].title}; take another engine, or leave it as it is.")
    if setup.quantization and setup.quantization not in COMPUTE:
        raise ValueError(f"CTranslate2 has no {FORMATS[setup.quantization].title} weights here; it makes {', '.join(PRECISIONS)}.")
    if setup.dtype != "float32":
        raise ValueError(f"CTranslate2 calculates in float32 on a processor, not in {setup.dtype}; choose the dtype float32.")
    refuse_shape(job)


def opened(folder: Path, setup: Setup) -> Any:
    """A generator with so many threads. Raises ValueError where this processor lacks the kernels."""
    wanted = COMPUTE[setup.quantization]
    with all_cores():  # its OpenMP counts them when it is loaded; with fewer than threads, these would sleep instead of wait
        import ctranslate2  # heavy: optional

        if wanted not in ctranslate2.get_supported_compute_types("cpu"):
            raise ValueError(f"CTranslate2 has no kernels for {wanted} on this processor; choose another format.")
        return ctranslate2.Generator(str(folder), "cpu", inter_threads=1, intra_threads=setup.threads, compute_type=wanted)


class CTranslate2:
    """A model in CTranslate2."""

    untraced = UNTRACED

    def __init__(self, generator: Any, tokenizer: PreTrainedTokenizerBase | None, job: Job, weights: int, size: int):
        assert job.spec.model
        self.held = [generator]  # the only reference: an interpreter that ends while the generator's thread lives would abort
        weakref.finalize(self, self.held.clear)
        self.waiting: Turns | None = None  # a generation that holds the generator's only thread
        self.tokenizer, self.spec = tokenizer, job.spec.model
        self.vocab = self.spec.vocab
        self.weight_bytes, self.file_bytes = weights, size

    def free(self) -> Any:
        """The generator, after the end of whatever waits in its thread: nothing else would be done before."""
        if self.waiting:
            self.waiting.stop()
            self.waiting = None
        return self.held[0]

    def decoding(self, prompt: torch.Tensor) -> "Continuation":
        """Continue token ids, int64 (batch, tokens)."""
        return Continuation(self, prompt)

    def logits(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits after each token, float32 (tokens, vocabulary). A decoding that goes on must be prefilled anew afterwards."""
        found = self.free().forward_batch([[str(id) for id in ids.tolist()]], return_log_probs=False)
        return torch.from_numpy(np.array(found)[0, :, : self.vocab].astype(np.float32))


class Turns:
    """Told by CTranslate2's thread of each new token, it holds that thread whenever the steps that were asked for are done."""

    def __init__(self, rows: int):
        self.rows = rows
        self.said: list[int] = []
        self.seconds: list[float] = []
        self.pending: list[Any] = []  # what CTranslate2 promised: one text for each sequence
        self.thread: int | None = None  # that calculates

    def start(self) -> None:
        """Begin anew: the next token ends the prefill, whose time starts now."""
        self.orders: SimpleQueue[int] = SimpleQueue()  # how many more steps; 0: no more
        self.done: SimpleQueue[list[float]] = SimpleQueue()  # seconds of each of them
        self.said, self.seconds, self.left = [], [], 1
        self.began = time.perf_counter()

    def __call__(self, step: Any) -> bool:
        """One token of one sequence; the answer is whether its text ends here."""
        if step.batch_id == 0:
            self.seconds.append(time.perf_counter() - self.began)
            self.thread = threading.get_ident()
            self.said.append(step.token_id)
            self.left -= 1
            if not self.left:
                self.done.put(self.seconds)
                self.seconds = []
                self.left = self.orders.get()
        if step.batch_id == self.rows - 1:
            self.began = time.perf_counter()
        return self.left == 0

    def result(self) -> list[float]:
        """Seconds of the steps asked for. Raises what CTranslate2 raised, or ValueError where its text ended."""
        while True:
            try:
                return self.done.get(timeout=PATIENCE)
            except Empty:
                if all(text.done() for text in self.pending):
                    for text in self.pending:
                        text.result()
                    raise ValueError("CTranslate2 has ended this text; begin anew, or ask for fewer new tokens.") from None

    def stop(self) -> None:
        """End a generation that waits, and wait until it has."""
        if self.pending:
            self.orders.put(0)
        for text in self.pending:
            with suppress(RuntimeError):  # one that failed has ended too
                text.result()
        self.pending = []


class Continuation:
    """A prompt being continued, greedily."""

    def __init__(self, engine: CTranslate2, prompt: torch.Tensor):
        self.engine, self.length = engine, prompt.shape[1]
        self.prompt = [[str(id) for id in row] for row in prompt.tolist()]
        self.turns = Turns(len(self.prompt))
        weakref.finalize(self, self.turns.stop)

    @property
    def said(self) -> list[int]:
        """The first sequence's new tokens."""
        return self.turns.said

    def prefill(self) -> None:
        """Process the prompt from an empty cache; the first new token is in `said` after it."""
        self.timed_prefill()

    def timed_prefill(self) -> float:
        """Seconds of one prefill, the first new token included."""
        generator = self.engine.free()
        self.engine.waiting = self.turns
        self.turns.start()
        self.turns.pending = generator.generate_batch(
            self.prompt,
            max_length=MANY,
            sampling_topk=1,
            beam_size=1,
            include_prompt_in_result=False,
            end_token=[],
            callback=self.turns,
            asynchronous=True,
        )
        return self.turns.result()[0]

    def timed_steps(self, count: int) -> list[float]:
        """Seconds of each of `count` steps, each of which makes one more token for every sequence."""
        self.turns.orders.put(count)
        return self.turns.result()

    def thread_time(self) -> float:
        """Processor seconds so far of the thread that calculates, where the system tells: the asking one only waits."""
        if self.turns.thread is None or not hasattr(time, "pthread_getcpuclockid"):
            return time.thread_time()
        return time.clock_gettime(time.pthread_getcpuclockid(self.turns.thread))

    @property
    def cache_bytes(self) -> int:
        """What the keys and values of all tokens take, by their number and width: CTranslate2 does not tell what it allocated."""
        spec = self.engine.spec
        tokens = self.length + max(len(self.said) - 1, 0)
        return 2 * spec.layers * spec.kv_heads * spec.head_dim * 4 * tokens * len(self.prompt)

    @property
    def facts(self) -> dict[str, float]:
        """Counts of its own that judge a run; none here."""
        return {}
