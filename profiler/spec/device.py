"""A device on paper: what its vendor promises, in base units, so that a prediction can be made for hardware that nobody has here."""

from typing import Literal

from pydantic import Field

from profiler.spec.frozen import Frozen

Kind = Literal["gpu", "tpu", "npu", "cpu"]
Family = Literal[
    "nvidia-hbm",
    "nvidia-gddr",
    "nvidia-unified",
    "amd-hbm",
    "amd-gddr",
    "amd-unified",
    "apple",
    "intel-hbm",
    "intel-gddr",
    "intel-unified",
    "tpu",
    "gaudi",
    "neuron",
    "mobile-npu",
    "cpu-server",
    "cpu-client",
]
Topology = Literal["switch", "torus", "ring", "host"]


class Link(Frozen):
    """The way from one device to its neighbours in one domain. Vendors print both directions added up; here it is one way."""

    name: str
    bandwidth: float  # bytes/s, one way, per device: over all its links together
    latency: float  # seconds for a message of no length
    topology: Topology  # switch: to everybody at full rate; torus and ring: to neighbours; host: over PCIe and main memory
    size: int  # devices in one domain
    peer: float | None = None  # bytes/s one way to one neighbour, where links are fixed to neighbours and two devices get no more


class Device(Frozen):
    """One accelerator or processor socket, as its data sheet has it. What no source says is absent, never guessed."""

    id: str
    title: str
    vendor: str
    kind: Kind
    family: Family
    generation: str  # "ampere", "hopper", "rdna3", "m2"
    memory: float  # bytes: what the driver reports, else the chips' whole GiB; main memory of a typical machine where it is shared
    bandwidth: float  # bytes/s, theoretical: bus width times data rate
    # FLOP/s, or OP/s of integers, dense. "float32" is the plain vector rate, "float16_accumulate16" GeForce's matrix rate with float16
    # sums; all others are the matrix units' with float32 or int32 sums, or the vector units' where there are no others. A format
    # without a unit of its own is absent.
    peak: dict[str, float] = Field(default_factory=dict)
    link: Link | None = None
    network: float | None = None  # bytes/s one way per device out of the domain, in the usual cluster
    power: float | None = None  # W, the board's or the chip's limit
    year: int | None = None
    names: tuple[str, ...] = ()  # exact names that drivers and systems report
    aliases: tuple[str, ...] = ()  # what people call it
    source: str
    note: str = ""
