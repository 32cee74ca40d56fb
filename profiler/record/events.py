"""The events of a run: few and closed. A run is nothing but its spec and these.

`at` is seconds since the epoch, by the clock of the machine that measured. Durations inside are by a monotonic clock.
VERSION changes when an older reader would misread a newer record.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from profiler.spec.frozen import Frozen
from profiler.spec.machine import Ceilings, Hardware
from profiler.spec.run import RunSpec

VERSION = 4
Phase = Literal[
    "fetch",
    "load",
    "compress",
    "ceilings",
    "compile",
    "warm-up",
    "trace",
    "settle",
    "prefill",
    "decode",
    "rest",
    "batches",
    "check",
    "quality",
    "write",
    "serve",
]


class Started(Frozen):
    """The worker has the job."""

    kind: Literal["started"] = "started"
    version: int = VERSION
    at: float
    hardware: Hardware
    versions: dict[str, str]  # of the libraries that do the work
    warm: bool  # the worker had its imports done before the job came


class Entered(Frozen):
    """A phase begins; `timed` ones want quiet, so nobody repaints while they last."""

    kind: Literal["phase"] = "phase"
    at: float
    name: Phase
    timed: bool = False
    left: float | None = None  # seconds the worker expects the whole run still to take
    note: str = ""


class Step(Frozen):
    """Progress inside a phase: a batch of timed steps, or bytes fetched."""

    kind: Literal["step"] = "step"
    at: float
    name: Phase
    seconds: tuple[float, ...] = ()  # one duration a step, in order
    round: int = 0
    first: int = 0  # context length before the first of these steps, in tokens
    done: float | None = None  # share of the phase that is done, 0..1
    left: float | None = None
    texts: tuple[str, ...] = ()  # of the first round: the new token of each step as it reads


class Sample(Frozen):
    """What the watcher saw from outside: values by metric name."""

    kind: Literal["sample"] = "sample"
    at: float
    values: dict[str, float]
    cores: tuple[float, ...] = ()  # busy share of each core


class Measured(Frozen):
    """Raw samples of one metric of the registry."""

    kind: Literal["measured"] = "measured"
    at: float
    name: str
    samples: tuple[float, ...]


class Scored(Frozen):
    """How well the model foretells a held-back text, token by token, beside the uncompressed model (the reference).

    All tuples are as long as the text but `right` and `reference_right`, which have one entry for each question.
    """

    kind: Literal["scored"] = "scored"
    at: float
    surprise: tuple[float, ...]  # nats: minus the logarithm of the probability of the true next token
    reference: tuple[float, ...]  # the same of the reference
    divergence: tuple[float, ...]  # nats: KL(reference ‖ this model) of the next token's distribution
    agrees: tuple[bool, ...]  # both find the same token the likeliest
    right: tuple[bool, ...]  # of four words that could stand at a place, the true one is the likeliest
    reference_right: tuple[bool, ...]
    broken: int = 0  # places where the model's answer is no number; these count as the worst surprise, ln(vocabulary)
    guessing: float  # nats: the surprise of somebody who knows the words' frequencies in this text, and nothing else
    source: str  # of the text, in words


class Said(Frozen):
    """A piece of the answer to a prompt."""

    kind: Literal["said"] = "said"
    at: float
    text: str  # to be joined to what was said before
    tokens: int  # in this piece
    seconds: float  # that they took


class Request(Frozen):
    """One request and its answer; times are seconds since the first arrival."""

    due: float  # when it arrived
    first: float | None  # when the first token was there
    gaps: tuple[float, ...] = ()  # seconds from one piece of the answer to the next
    tokens: int = 0
    outcome: Literal["answered", "refused", "stalled", "error"] = "answered"
    note: str = ""  # what the server said, if it was no answer

    @property
    def end(self) -> float | None:
        """When the last token was there."""
        return None if self.first is None else self.first + sum(self.gaps)


class Served(Frozen):
    """What became of the requests that arrived at one rate, or of many that were all there at the beginning."""

    kind: Literal["served"] = "served"
    at: float
    rate: float  # offered, requests/s; 0: all at once
    seconds: float  # from the first arrival to the last answer
    requests: tuple[Request, ...]


Curve = Literal[
    "read",
    "copy",
    "triad",
    "matmul",
    "matvec",
    "packed",
    "packed_call",
    "few_rows",
    "scaling_read",
    "scaling_matmul",
    "scaling_matvec",
    "sensitivity",
    "throughput",
]


class Point(Frozen):
    """One measured point of a curve, told as soon as it is there."""

    kind: Literal["point"] = "point"
    at: float
    curve: Curve
    series: str  # which line of the figure: "float32", "2 threads", "attention"
    x: float  # bytes of the working set of one core, rows of matrices or input, threads, batch, or a layer's number; by the curve
    value: float  # bytes/s, FLOP/s, tokens/s, seconds, or nats of divergence; by the curve


class OpRow(Frozen):
    """One operator at one place in the model, summed over the layers and averaged over the traced passes."""

    group: str  # embedding, attention projections, attention, cache, MLP, experts, norms, residual adds, lm_head, sampling, …
    module: str  # qualified name with * for the layer's number; "" outside all modules
    op: str  # as the library calls it: aten::linear
    count: float  # calls a pass
    seconds: float  # a pass; on a processor by its clock, on an accelerator its kernels' time
    flops: float
    weights: float  # bytes moved at least once, by kind
    kv: float
    activations: float
    counted: bool  # a FLOP formula is known for it


class Traced(Frozen):
    """A separate pass of one phase, operator by operator."""

    kind: Literal["traced"] = "traced"
    at: float
    phase: Literal["prefill", "decode"]
    context: int  # tokens in the cache before the pass
    rows: tuple[OpRow, ...] = ()
    layers: dict[str, tuple[float, ...]] = Field(default_factory=dict)  # group → seconds of each layer
    wall: float = 0.0  # seconds of one traced pass, tracing included
    between: float = 0.0  # of them outside all operators (on an accelerator: without any kernel running)
    floor: float = 0.0  # seconds that a tiny operator takes in the same trace: an operator's own dispatch
    passes: int = 0
    note: str = ""  # why there is nothing, if so


class Probed(Frozen):
    """The ceilings that this run is judged by."""

    kind: Literal["ceilings"] = "ceilings"
    at: float
    ceilings: Ceilings
    kept: bool  # measured earlier, and still trusted


class Peak(Frozen):
    """Exact memory marks at the end of one phase, in bytes. A mark that this system lacks is absent."""

    kind: Literal["peak"] = "peak"
    at: float
    name: Phase | Literal["start"]  # start: libraries loaded, nothing else
    marks: dict[str, float]


class Finished(Frozen):
    """All went well. `text` is what the model wrote; `facts` are counts that judge the run's quality."""

    kind: Literal["finished"] = "finished"
    at: float
    text: str | None = None
    facts: dict[str, float] = Field(default_factory=dict)


class Failed(Frozen):
    """The run ended without a result; the sentence says why and what to do."""

    kind: Literal["failed"] = "failed"
    at: float
    status: Literal["failed", "cancelled", "interrupted"] = "failed"
    reason: str


Event = Annotated[
    Started | Entered | Step | Sample | Measured | Point | Traced | Probed | Peak | Scored | Said | Served | Finished | Failed,
    Field(discriminator="kind"),
]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)


class Job(Frozen):
    """What the manager hands to a worker: one line of JSON on its standard input."""

    spec: RunSpec
    hardware: Hardware
    ceilings: Ceilings | None  # kept and still trusted; None: measure them
    cache: str  # folder of fetched and converted models
    warm: bool
