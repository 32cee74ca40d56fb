"""RunSpec: one experiment. Equal specs are the same experiment; a spec is all that is needed to repeat a run."""

import shlex
from typing import Annotated, Literal

from pydantic import Field, model_validator

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


class MeasureCeilings(Frozen):
    """What the machine can do: bandwidth, matrix products, dispatch."""

    task: Literal["ceilings"] = "ceilings"
    quick: bool = True


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
            f"batch {self.work.batch} · {self.work.prompt_tokens} + {self.work.new_tokens} tokens"
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
            quick = ["--quick"] if self.work.quick else []
            return shlex.join([*words, "ceilings", *quick, *place, "--dtype", setup.dtype])
        assert self.model
        work = self.work
        words += ["run", self.model.reference, "--prompt-tokens", str(work.prompt_tokens)]
        words += ["--new-tokens", str(work.new_tokens), "--batch", str(work.batch), "--dtype", setup.dtype, *place]
        if setup.attention != Setup().attention:
            words += ["--attention", setup.attention]
        if not setup.huge_pages:
            words += ["--no-huge-pages"]
        if work.seconds != Generate().seconds:
            words += ["--seconds", f"{work.seconds:g}"]
        if work.seed:
            words += ["--seed", str(work.seed)]
        return shlex.join(words)
