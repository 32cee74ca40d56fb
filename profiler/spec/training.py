"""TrainSetup: how a model is trained on how many devices. And the registry of the software that trains, one row each.

`style` says how a trainer issues its work. host: every operator by itself, from Python; fused: hand-written kernels for norms,
activations and losses; graph: a compiler fuses what it can.
"""

import re
from typing import Literal, NamedTuple

from pydantic import Field, model_validator

from profiler.spec.frozen import Frozen

Kernel = Literal["scores", "flash", "flash-2", "tuned"]  # of attention: scores written out; FlashAttention 1, 2; made for the device
Style = Literal["host", "fused", "graph"]
Recompute = Literal["none", "attention", "half", "full"]  # attention: its scores alone; half: every second layer or product
Method = Literal["full", "lora", "adapter", "adapter-v2"]
Optimizer = Literal["adamw", "adamw-8bit", "adamw-4bit", "adafactor", "sgd", "muon"]
Compute = Literal["float32", "tf32", "float16", "bfloat16", "float8", "float4", "int8"]


class Trainer(NamedTuple):
    """How one trainer is called, and what it does when nobody says otherwise."""

    title: str
    style: Style
    pattern: str  # regular expression over a text that names the software, small letters
    zero: int = 3  # ZeRO stage over the data-parallel devices
    recompute: Recompute = "none"
    wide_gradients: bool = False  # gradients are summed in float32
    recompute_sharded: bool = False  # recomputes every layer as soon as weights are sharded over devices
    narrow: bool = False  # keeps no float32 copy of the weights in a 16-bit format, unless it is called mixed
    tuned: bool = False  # has attention kernels made for each generation of devices
    micro_batch: int | None = None  # sequences
    stops_early: bool = True  # what is calculated again ends with the last value that is needed, before a layer's last product
    keeps_whole: bool = False  # in fine-tuning, sharded weights stay gathered on every device
    binary_units: bool = False  # prints GiB and calls them GB


TRAINERS = {
    "megatron": Trainer(
        "Megatron", "fused", r"megatron|nemo|mcore|primus|transformer.?engine", 1, "attention", True, tuned=True, stops_early=False
    ),
    "maxtext": Trainer("MaxText", "graph", r"maxtext|\bjax\b|\bxla\b|levanter|praxis|paxml|\btpu\b", 3, "full", tuned=True),
    "torchtitan": Trainer("TorchTitan", "graph", r"torchtitan|titan\b|fsdp2|simplefsdp", 3, "half"),
    "deepspeed": Trainer("DeepSpeed", "fused", r"deepspeed|gpt-neox|neox", 2, "full", stops_early=False),
    "composer": Trainer("Composer (llm-foundry)", "host", r"foundry|composer|mosaic"),
    "flash-attention": Trainer("flash-attention's training code", "fused", r"flash.?att", 0),
    "thunder": Trainer("Thunder", "graph", r"thunder|torch\.?compile|inductor", narrow=True, micro_batch=4),
    "unsloth": Trainer("Unsloth", "fused", r"unsloth|liger", 0, "full", binary_units=True),
    "torchtune": Trainer("torchtune", "host", r"torchtune|\btune\b", 3, "full", narrow=True, binary_units=True),
    "litgpt": Trainer(
        "LitGPT", "host", r"lit-?gpt|lit-?llama|lightning|fabric", 3, recompute_sharded=True, narrow=True, micro_batch=4, keeps_whole=True
    ),
    "torchao": Trainer("torchao", "graph", r"torchao", 0, narrow=True),
    "transformers": Trainer(
        "transformers",
        "host",
        r"transformers|hugging|\bhf\b|axolotl|\btrl\b|\bpeft\b|accelerate|llama.?factory|swift",
        3,
        "full",
        binary_units=True,
    ),
    "fsdp": Trainer("FSDP", "host", r"fsdp|\bddp\b|pytorch|torch"),
    "unknown": Trainer("not known", "fused", r"^$"),
}


def trainer_named(software: str) -> str:
    """The id of the trainer that a text names: the first row whose pattern it holds; "unknown" where there is none."""
    text = software.lower()
    return next((id for id, row in TRAINERS.items() if re.search(row.pattern, text)), "unknown")


class TrainSetup(Frozen):
    """One training run. Batches count sequences; a micro-batch is that of one data-parallel replica.

    devices = replicas × tensor × pipeline × context; the devices of an expert-parallel group are taken from the replicas.
    """

    devices: int = Field(default=1, ge=1, le=10_000_000)
    sequence: int = Field(default=2048, ge=1, le=100_000_000)
    micro_batch: int | None = Field(default=None, ge=1)  # None: the largest power of two that fits
    global_batch: int | None = Field(default=None, ge=1)  # None: see `theory.sharding.completed`
    trainer: str = "unknown"
    compute: Compute = "bfloat16"
    pure: bool = False  # weights, gradients and optimizer's states in the narrow format, without a float32 copy
    method: Method = "full"
    base: str = ""  # key of FORMATS of frozen weights; "": as `compute`
    trainable: float | None = Field(default=None, ge=0)  # parameters that are trained, where not all are; None: by the method
    optimizer: Optimizer = "adamw"
    zero: int = Field(default=3, ge=0, le=3)
    reshard: bool = True  # under ZeRO 3: weights are gathered again for the backward pass
    domains: int = Field(default=1, ge=1)  # groups of devices with a slow network between; hybrid sharding shards within one
    hybrid: bool = False  # weights are sharded within a domain and copied over the domains
    tensor: int = Field(default=1, ge=1)
    pipeline: int = Field(default=1, ge=1)
    interleave: int = Field(default=1, ge=1)  # pieces of a stage in an interleaved pipeline
    context: int = Field(default=1, ge=1)  # devices that share one sequence
    expert: int = Field(default=1, ge=1)
    sequence_parallel: bool = True  # norms and residuals are split over the tensor-parallel devices too
    asynchronous: bool = False  # tensor-parallel communication overlaps with the products
    recompute: Recompute = "none"
    attention: Kernel = "flash-2"

    @model_validator(mode="after")
    def _possible(self) -> "TrainSetup":
        if self.trainer not in TRAINERS:
            raise ValueError(f"no trainer is called {self.trainer!r}; known are {', '.join(TRAINERS)}")
        if self.devices % self.replica:
            raise ValueError(
                f"{self.devices} devices cannot be shared by replicas of {self.tensor} × {self.pipeline} × {self.context} = {self.replica}"
            )
        if self.global_batch and self.micro_batch and self.global_batch % (self.micro_batch * self.replicas):
            raise ValueError(
                f"a global batch of {self.global_batch} is no multiple of {self.replicas} replicas × {self.micro_batch} sequences"
            )
        return self

    @property
    def replica(self) -> int:
        """Devices that work on the same sequences together."""
        return self.tensor * self.pipeline * self.context

    @property
    def replicas(self) -> int:
        """Groups of devices that work on sequences of their own."""
        return self.devices // self.replica

    @property
    def micro(self) -> int:
        """Sequences of a micro-batch, one if nobody said."""
        return self.micro_batch or 1

    @property
    def rounds(self) -> float:
        """Micro-batches of a replica in one step."""
        return (self.global_batch or self.micro * self.replicas) / (self.micro * self.replicas)

    @property
    def flash(self) -> bool:
        """Whether attention keeps its scores on the chip."""
        return self.attention != "scores"

    @property
    def style(self) -> Style:
        """How the trainer issues its work."""
        return TRAINERS[self.trainer].style
