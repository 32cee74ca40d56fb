"""RunSpec: one experiment. Equal specs are the same experiment; a spec is all that is needed to repeat a run."""

import shlex
from typing import Literal

from pydantic import Field, field_validator, model_validator

from profiler.spec.compression import Pruning, after
from profiler.spec.formats import FORMATS, Precision, format_named
from profiler.spec.frozen import Frozen
from profiler.spec.model import ModelSpec
from profiler.spec.speculation import Speculation
from profiler.spec.work import WITH_MODEL, FetchModel, Generate, LoadTest, MeasureCeilings, Requests, Sensitivity, Work, Write

Dtype = Literal["float32", "bfloat16", "float16"]
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
ALLOCATORS = {"jemalloc": "jemalloc", "tcmalloc": "tcmalloc_minimal"}  # name → the library that is loaded before all others
Runtime = Literal["transformers", "onnxruntime", "openvino", "llama.cpp", "ctranslate2"]


class Setup(Frozen):
    """How the work is run."""

    device: str = Field(default="cpu", pattern=r"^(cpu|mps|cuda:\d+)$")
    threads: int = Field(default=1, ge=1, le=4096)
    dtype: Dtype = "float32"
    attention: Literal["auto", "sdpa", "eager", "flash_attention_2"] = "auto"
    huge_pages: bool = True
    compile: bool = False  # torch.compile: fewer, larger operators
    compile_mode: Literal["default", "reduce-overhead", "max-autotune"] = "default"  # as torch.compile names them
    cache: Literal["dynamic", "static", "none"] = "dynamic"  # the KV cache grows, has its full size at once, or is not kept at all
    chunk: int = Field(default=0, ge=0)  # tokens of the prompt in one pass; 0: all of them
    prefix: int = Field(default=0, ge=0)  # first tokens of the prompt whose keys and values were kept from an earlier request
    speculation: Speculation | None = None
    pinned: bool = True  # each thread stays on its core
    allocator: Literal["system", "jemalloc", "tcmalloc"] = "system"  # of memory on a processor
    layout: Literal["rows", "columns"] = "rows"  # of the linear layers' weights in memory: the library has a kernel for each
    hog: Literal["none", "memory", "compute"] = "none"  # a neighbour on the last core, started on purpose
    engine: Runtime = "transformers"
    quantization: str = ""  # a key of FORMATS for the weights; empty: they are in the dtype
    kv: str = ""  # likewise for the KV cache
    pruning: Pruning | None = None

    @field_validator("quantization", "kv")
    @classmethod
    def _known(cls, name: str) -> str:
        return format_named(name) if name else ""

    @model_validator(mode="after")
    def _plain_layout(self) -> "Setup":
        if self.layout == "columns" and (self.quantization or self.engine != "transformers"):
            raise ValueError("Weights by columns are for plain linear layers; leave the layout at rows where they are quantized.")
        return self

    @model_validator(mode="after")
    def _possible_loop(self) -> "Setup":
        choices = {"cache": self.cache != "dynamic", "chunk": self.chunk, "prefix": self.prefix, "speculation": self.speculation}
        chosen = [name for name, on in choices.items() if on]
        if chosen and self.engine != "transformers":
            raise ValueError(f"{self.engine} has a loop of its own; leave out {' and '.join(chosen)}, or take the engine transformers.")
        if self.cache != "dynamic" and (self.kv or self.prefix or self.speculation):
            raise ValueError("A kept prefix, guesses and a KV cache in a format of its own need a cache that grows; leave it at dynamic.")
        if self.cache == "none" and self.chunk:
            raise ValueError("Without a cache the prompt cannot be read in chunks; leave chunk at 0.")
        return self

    @property
    def precision(self) -> Precision:
        """Formats of weights, cache and arithmetic: the dtype where nothing else is said."""
        return Precision(weights=self.quantization or self.dtype, kv=self.kv or self.dtype, compute=self.dtype)

    @property
    def arithmetic(self) -> str:
        """The number format of the products: some engines make integers of the activations where the weights are packed."""
        return "int8" if self.engine in ("llama.cpp", "openvino") and self.quantization else self.precision.arithmetic

    @property
    def compressed(self) -> bool:
        """Whether the model is not what it was."""
        return bool(self.quantization or self.kv or self.pruning)

    @property
    def plain(self) -> bool:
        """Whether it runs as transformers has it, every number in the dtype: what this machine's kernels are measured for."""
        return self.engine == "transformers" and not (self.quantization or self.kv)

    @property
    def extras(self) -> str:
        """What is unusual about this set-up, in words; empty for the usual one."""
        told = {
            "eager attention": self.attention == "eager",
            "no huge pages": not self.huge_pages,
            "sdpa attention": self.attention == "sdpa",
            "flash attention": self.attention == "flash_attention_2",
            "compiled" if self.compile_mode == "default" else f"compiled, {self.compile_mode}": self.compile,
            f"{self.cache} cache" if self.cache == "static" else "no cache": self.cache != "dynamic",
            f"prompt in chunks of {self.chunk}": self.chunk > 0,
            f"{self.prefix} tokens of prefix kept": self.prefix > 0,
            self.speculation.title if self.speculation else "": self.speculation is not None,
            "threads not pinned": not self.pinned,
            self.allocator: self.allocator != "system",
            "weights by columns": self.layout == "columns",
            f"beside a {self.hog} hog": self.hog != "none",
            f"weights in {FORMATS[self.quantization].title}" if self.quantization else "": bool(self.quantization),
            f"KV cache in {FORMATS[self.kv].title}" if self.kv else "": bool(self.kv),
            self.pruning.title if self.pruning else "": self.pruning is not None,
            self.engine: self.engine != "transformers",
        }
        return "".join(f" · {name}" for name, on in told.items() if on)


class RunSpec(Frozen):
    """Model + work + setup."""

    model: ModelSpec | None = None
    work: Work = Generate()
    setup: Setup = Setup()

    @model_validator(mode="after")
    def _complete(self) -> "RunSpec":
        if isinstance(self.work, WITH_MODEL) and self.model is None:
            raise ValueError(f"a model is needed to {self.work.task}")
        if isinstance(self.work, LoadTest) and not self.work.url and self.model is None:
            raise ValueError("A server's address or a model to start one with is needed for a load test.")
        if isinstance(self.work, Generate) and self.setup.prefix >= self.work.prompt_tokens and self.setup.prefix:
            raise ValueError(f"The kept prefix of {self.setup.prefix} tokens must be shorter than the prompt of {self.work.prompt_tokens}.")
        return self

    @property
    def shape(self) -> ModelSpec:
        """The model as it runs: smaller than `model` where parts of it are taken out. Raises ValueError where they cannot be."""
        assert self.model
        return after(self.model, self.setup.pruning)

    @property
    def generate(self) -> Generate:
        """The work of a run that is known to generate."""
        assert isinstance(self.work, Generate)
        return self.work

    @property
    def title(self) -> str:
        """A short name for lists: what was run, and how."""
        if isinstance(self.work, MeasureCeilings | FetchModel):
            return {"ceilings": "Ceilings of this machine", "fetch": "Fetch the default model"}[self.work.task]
        if isinstance(self.work, LoadTest):
            return f"Load test of {self.work.url}" if self.work.url else f"Load test of llama.cpp's server{self._named}"
        assert self.model
        if isinstance(self.work, Requests):
            work = self.work
            return (
                f"{self.model.name} · {work.count} requests, {work.slots} at once, {work.batching} batching · "
                f"{self.setup.dtype}{self.setup.extras}"
            )
        if not isinstance(self.work, Generate):
            what = {"sensitivity": "sensitivity of each layer", "write": "answers a prompt"}[self.work.task]
            return f"{self.model.name} · {what} · {self.setup.dtype}{self.setup.extras}"
        return (
            f"{self.model.name} · {self.setup.dtype} · {self.setup.device} × {self.setup.threads} · "
            f"batch {self.work.batch} · {self.work.prompt_tokens} + {self.work.new_tokens} tokens{self.setup.extras}"
        )

    @property
    def _named(self) -> str:
        return f" with {self.model.name}" if self.model else ""

    @property
    def command(self) -> str:
        """The command line that repeats this run."""
        return shlex.join(["python", "-m", "profiler", *_words(self)])


def _words(spec: RunSpec) -> list[str]:
    """The words after the program's name."""
    setup, work = spec.setup, spec.work
    place = ["--device", setup.device, "--threads", str(setup.threads)]
    if isinstance(work, FetchModel | MeasureCeilings | LoadTest):
        return _without_model(spec, work, place)
    assert spec.model
    said = ["--dtype", setup.dtype, *place, *_unusual(setup)]
    if isinstance(work, Write):
        return ["write", spec.model.reference, work.prompt, "--new-tokens", str(work.new_tokens), *said]
    if isinstance(work, Sensitivity):
        return ["lab", "sensitivity", "--model", spec.model.reference, *said]
    if isinstance(work, Requests):
        return ["lab", "batching", "--model", spec.model.reference, *said]
    counts = ["--prompt-tokens", str(work.prompt_tokens), "--new-tokens", str(work.new_tokens), "--batch", str(work.batch)]
    words = ["run", spec.model.reference, *counts, *said]
    words += [] if work.trace else ["--no-trace"]
    words += ["--quality", str(work.quality)] if work.quality else []
    words += ["--text", work.text] if work.text else []
    words += ["--check"] if work.check else []
    words += [word for size in work.batches for word in ("--batches", str(size))]
    words += ["--seconds", f"{work.seconds:g}"] if work.seconds != Generate().seconds else []
    return words + (["--seed", str(work.seed)] if work.seed else [])


def _without_model(spec: RunSpec, work: FetchModel | MeasureCeilings | LoadTest, place: list[str]) -> list[str]:
    if isinstance(work, LoadTest):
        return _load_test(spec, work, place)
    return ["fetch"] if isinstance(work, FetchModel) else ["ceilings", "--scope", work.scope, *place, "--dtype", spec.setup.dtype]


def _load_test(spec: RunSpec, work: LoadTest, place: list[str]) -> list[str]:
    """The words of a load test."""
    usual = LoadTest()
    words = ["serve-bench", *([work.url] if work.url else [])]
    if spec.model and not work.url:
        words += ["--model", spec.model.reference, "--dtype", spec.setup.dtype, *place, *_unusual(spec.setup), "--slots", str(work.slots)]
    words += ["--served", work.served] if work.served else []
    words += [word for rate in work.rates for word in ("--rate", f"{rate:g}")]
    for name in ("seconds", "prompt_tokens", "new_tokens", "patience", "seed"):
        value = getattr(work, name)
        words += [f"--{name.replace('_', '-')}", f"{value:g}"] if value != getattr(usual, name) else []
    return words


def _unusual(setup: Setup) -> list[str]:
    """What differs from the usual set-up, as options."""
    usual = Setup()
    words = [] if setup.huge_pages else ["--no-huge-pages"]
    words += ["--compile"] if setup.compile else []
    words += [] if setup.pinned else ["--no-pinned"]
    words += ["--speculation", setup.speculation.word] if setup.speculation else []
    for name in ("attention", "compile_mode", "cache", "chunk", "prefix", "allocator", "layout", "hog", "engine", "quantization", "kv"):
        value = getattr(setup, name)
        words += [f"--{name.replace('_', '-')}", str(value)] if value != getattr(usual, name) else []
    return words + (["--prune", setup.pruning.word] if setup.pruning else [])
