"""Deployment: a model's place to run. Devices, how the work is split over them, software, number formats."""

from pydantic import Field, model_validator

from profiler.spec.device import Device
from profiler.spec.engines import ENGINES
from profiler.spec.formats import Precision
from profiler.spec.frozen import Frozen


class Deployment(Frozen):
    """One replica of a model: `tensor` × `pipeline` devices; `devices` may hold several replicas.

    pipeline: the layers are split, and devices take turns on one request. expert: the devices over which the experts
    of a mixture are spread, while each replica attends to requests of its own.
    """

    device: Device
    devices: int = Field(default=1, ge=1, le=1_000_000)
    tensor: int = Field(default=1, ge=1, le=4096)
    pipeline: int = Field(default=1, ge=1, le=4096)
    expert: int = Field(default=1, ge=1, le=4096)
    engine: str = "compiled"
    precision: Precision = Precision()
    flash: bool | None = None  # attention without writing out the scores; None: as the engine does it

    @model_validator(mode="after")
    def _possible(self) -> "Deployment":
        if self.engine not in ENGINES:
            raise ValueError(f"no engine is called {self.engine!r}; known are {', '.join(ENGINES)}")
        for size in (self.group, self.expert):
            if self.devices % size:
                raise ValueError(f"{self.devices} devices cannot be shared by groups of {size}; choose a multiple of {size}")
        return self

    @property
    def group(self) -> int:
        """Devices that work on one request together."""
        return self.tensor * self.pipeline

    @property
    def replicas(self) -> int:
        """How many copies of the model the devices hold."""
        return self.devices // self.group

    @property
    def fused(self) -> bool:
        """Whether attention keeps its scores on the chip."""
        return ENGINES[self.engine].flash if self.flash is None else self.flash
