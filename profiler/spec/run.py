"""RunSpec: one experiment. Equal specs are the same experiment; a spec is all that is needed to repeat a run."""

import shlex
from typing import Annotated, Literal

from pydantic import Field, model_validator

from profiler.spec.formats import Precision
from profiler.spec.frozen import Frozen
from profiler.spec.model import ModelSpec

Dtype = Literal["float32", "bfloat16", "float16"]
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


class Generate(Frozen):
    """Prefill a prompt, then generate tokens one by one with a KV cache, several times over."""

    task: Literal["generate"] = "generate"
    batch: int = Field(default=1, ge=1, le=4096)
    prompt_tokens: int = Field(default=128, ge=1, le=10_000_000)
    new_tokens: int = Field(default=32, ge=2, le=1_000_000)
    seconds: float = Field(default=10.0, gt=0, le=3600)  # stop adding rounds after this much timed work
    seed: int = 0
    trace: bool = True  # after the timed rounds, run once more under a profiler to tell the operators apart


class MeasureCeilings(Frozen):
    """What the machine can do: bandwidth, matrix products, dispatch.

    quick: what one run is judged by. full: the same with patience, and the curves that the page Machine draws.
    memory, matmul: one of these curves alone.
    """

    task: Literal["ceilings"] = "ceilings"
    scope: Literal["quick", "full", "memory", "matmul"] = "quick"


class FetchModel(Frozen):
    """Bring the default model into the cache."""

    task: Literal["fetch"] = "fetch"


Work = Annotated[Generate | MeasureCeilings | FetchModel, Field(discriminator="task")]


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

    @property
    def precision(self) -> Precision:
        """Weights, cache and arithmetic are all in the one number format."""
        return Precision.of(self.dtype)

    @property
    def extras(self) -> str:
        """What is unusual about this set-up, in words; empty for the usual one."""
        told = {
            "eager attention": self.attention == "eager",
            "no huge pages": not self.huge_pages,
            "compiled": self.compile,
            "weights by columns": self.layout == "columns",
            f"beside a {self.hog} hog": self.hog != "none",
        }
        return "".join(f" · {name}" for name, on in told.items() if on)


class RunSpec(Frozen):
    """Model + work + setup."""

    model: ModelSpec | None = None
    work: Work = Generate()
    setup: Setup = Setup()

    @model_validator(mode="after")
    def _complete(self) -> "RunSpec":
        if isinstance(self.work, Generate) and self.model is None:
            raise ValueError("a model is needed to generate")
        return self

    @property
    def generate(self) -> Generate:
        """The work of a run that is known to generate."""
        assert isinstance(self.work, Generate)
        return self.work

    @property
    def title(self) -> str:
        """A short name for lists: what was run, and how."""
        if not isinstance(self.work, Generate):
            return {"ceilings": "Ceilings of this machine", "fetch": "Fetch the default model"}[self.work.task]
        assert self.model
        return (
            f"{self.model.name} · {self.setup.dtype} · {self.setup.device} × {self.setup.threads} · "
            f"batch {self.work.batch} · {self.work.prompt_tokens} + {self.work.new_tokens} tokens{self.setup.extras}"
        )

    @property
    def command(self) -> str:
        """The command line that repeats this run."""
        words = ["python", "-m", "profiler"]
        setup = self.setup
        place = ["--device", setup.device, "--threads", str(setup.threads)]
        if isinstance(self.work, FetchModel):
            return shlex.join([*words, "fetch"])
        if isinstance(self.work, MeasureCeilings):
            return shlex.join([*words, "ceilings", "--scope", self.work.scope, *place, "--dtype", setup.dtype])
        assert self.model
        work = self.work
        words += ["run", self.model.reference, "--prompt-tokens", str(work.prompt_tokens)]
        words += ["--new-tokens", str(work.new_tokens), "--batch", str(work.batch), "--dtype", setup.dtype, *place]
        if setup.attention != Setup().attention:
            words += ["--attention", setup.attention]
        if not setup.huge_pages:
            words += ["--no-huge-pages"]
        words += ["--compile"] if setup.compile else []
        words += [] if work.trace else ["--no-trace"]
        for flag, value, usual in (("--layout", setup.layout, "rows"), ("--hog", setup.hog, "none")):
            words += [flag, value] if value != usual else []
        if work.seconds != Generate().seconds:
            words += ["--seconds", f"{work.seconds:g}"]
        if work.seed:
            words += ["--seed", str(work.seed)]
        return shlex.join(words)
