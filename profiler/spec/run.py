"""RunSpec: one experiment. Equal specs are the same experiment; a spec is all that is needed to repeat a run."""

import shlex
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from profiler.spec.compression import Pruning, after
from profiler.spec.formats import FORMATS, Precision, format_named
from profiler.spec.frozen import Frozen
from profiler.spec.model import ModelSpec

Dtype = Literal["float32", "bfloat16", "float16"]
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
Runtime = Literal["transformers", "onnxruntime", "llama.cpp"]


class Generate(Frozen):
    """Prefill a prompt, then generate tokens one by one with a KV cache, several times over."""

    task: Literal["generate"] = "generate"
    batch: int = Field(default=1, ge=1, le=4096)
    prompt_tokens: int = Field(default=128, ge=1, le=10_000_000)
    new_tokens: int = Field(default=32, ge=2, le=1_000_000)
    seconds: float = Field(default=10.0, gt=0, le=3600)  # stop adding rounds after this much timed work
    seed: int = 0
    trace: bool = True  # after the timed rounds, run once more under a profiler to tell the operators apart
    quality: int = Field(default=0, ge=0, le=1_000_000)  # tokens of held-back text to be scored at the end; 0: none
    text: str = ""  # a file of text to score instead of the documentation that is installed here


class MeasureCeilings(Frozen):
    """What the machine can do: bandwidth, matrix products, dispatch.

    quick: what one run is judged by. full: the same with patience, and the curves that the page Machine draws.
    memory, matmul: one of these curves alone.
    """

    task: Literal["ceilings"] = "ceilings"
    scope: Literal["quick", "full", "memory", "matmul"] = "quick"


class Sensitivity(Frozen):
    """How much quality is lost if one part of one layer alone is quantized, for every layer and part."""

    task: Literal["sensitivity"] = "sensitivity"
    tokens: int = Field(default=512, ge=16, le=1_000_000)  # of held-back text
    text: str = ""


class Write(Frozen):
    """Answer a prompt in words, streaming."""

    task: Literal["write"] = "write"
    prompt: str = Field(min_length=1, max_length=20_000)
    new_tokens: int = Field(default=64, ge=1, le=4096)


class FetchModel(Frozen):
    """Bring the default model into the cache."""

    task: Literal["fetch"] = "fetch"


Work = Annotated[Generate | MeasureCeilings | FetchModel | Sensitivity | Write, Field(discriminator="task")]
WITH_MODEL = (Generate, Sensitivity, Write)


class Setup(Frozen):
    """How the work is run."""

    device: str = Field(default="cpu", pattern=r"^(cpu|mps|cuda:\d+)$")
    threads: int = Field(default=1, ge=1, le=4096)
    dtype: Dtype = "float32"
    attention: Literal["auto", "sdpa", "eager"] = "auto"
    huge_pages: bool = True
    compile: bool = False  # torch.compile: fewer, larger operators
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

    @property
    def precision(self) -> Precision:
        """Formats of weights, cache and arithmetic: the dtype where nothing else is said."""
        return Precision(weights=self.quantization or self.dtype, kv=self.kv or self.dtype, compute=self.dtype)

    @property
    def arithmetic(self) -> str:
        """The number format of the products: llama.cpp makes integers of the activations where the weights are packed."""
        return "int8" if self.engine == "llama.cpp" and self.quantization else self.precision.arithmetic

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
            "compiled": self.compile,
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
        assert self.model
        if not isinstance(self.work, Generate):
            what = {"sensitivity": "sensitivity of each layer", "write": "answers a prompt"}[self.work.task]
            return f"{self.model.name} · {what} · {self.setup.dtype}{self.setup.extras}"
        return (
            f"{self.model.name} · {self.setup.dtype} · {self.setup.device} × {self.setup.threads} · "
            f"batch {self.work.batch} · {self.work.prompt_tokens} + {self.work.new_tokens} tokens{self.setup.extras}"
        )

    @property
    def command(self) -> str:
        """The command line that repeats this run."""
        return shlex.join(["python", "-m", "profiler", *_words(self)])


def _words(spec: RunSpec) -> list[str]:
    """The words after the program's name."""
    setup, work = spec.setup, spec.work
    place = ["--device", setup.device, "--threads", str(setup.threads)]
    if isinstance(work, FetchModel):
        return ["fetch"]
    if isinstance(work, MeasureCeilings):
        return ["ceilings", "--scope", work.scope, *place, "--dtype", setup.dtype]
    assert spec.model
    said = ["--dtype", setup.dtype, *place, *_unusual(setup)]
    if isinstance(work, Write):
        return ["write", spec.model.reference, work.prompt, "--new-tokens", str(work.new_tokens), *said]
    if isinstance(work, Sensitivity):
        return ["lab", "sensitivity", "--model", spec.model.reference, *said]
    counts = ["--prompt-tokens", str(work.prompt_tokens), "--new-tokens", str(work.new_tokens), "--batch", str(work.batch)]
    words = ["run", spec.model.reference, *counts, *said]
    words += [] if work.trace else ["--no-trace"]
    words += ["--quality", str(work.quality)] if work.quality else []
    words += ["--text", work.text] if work.text else []
    words += ["--seconds", f"{work.seconds:g}"] if work.seconds != Generate().seconds else []
    return words + (["--seed", str(work.seed)] if work.seed else [])


def _unusual(setup: Setup) -> list[str]:
    """What differs from the usual set-up, as options."""
    usual = Setup()
    words = [] if setup.huge_pages else ["--no-huge-pages"]
    words += ["--compile"] if setup.compile else []
    for name in ("attention", "layout", "hog", "engine", "quantization", "kv"):
        value = getattr(setup, name)
        words += [f"--{name}", value] if value != getattr(usual, name) else []
    return words + (["--prune", setup.pruning.word] if setup.pruning else [])
