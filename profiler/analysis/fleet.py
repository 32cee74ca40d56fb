"""One model on every device at once: what holds it, how fast each would be, and what the speed would cost.

A row of the comparison is a `Choice`: a device, the software that usually runs on it, and the estimate for one workload.
Costs are of prices that a person typed; none is known here. Cost per million tokens assumes that the devices are never idle.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from shlex import quote

from profiler.spec.deployment import Deployment
from profiler.spec.device import Device, Family
from profiler.spec.engines import ENGINES
from profiler.spec.formats import FORMATS, Precision
from profiler.spec.model import ModelSpec
from profiler.spec.units import words
from profiler.theory.cost import total
from profiler.theory.estimate import Estimate, Timed, estimate, problems
from profiler.theory.rates import arithmetic
from profiler.theory.step import decode, prefill

# What people mostly run on hardware of each family: serving engines in data centres, llama.cpp on desks and laps.
USUAL: dict[Family, str] = {
    "nvidia-hbm": "vllm",
    "nvidia-gddr": "llama.cpp",
    "nvidia-unified": "llama.cpp",
    "amd-hbm": "vllm",
    "amd-gddr": "llama.cpp",
    "amd-unified": "llama.cpp",
    "apple": "llama.cpp",
    "intel-hbm": "ipex",
    "intel-gddr": "llama.cpp",
    "intel-unified": "llama.cpp",
    "tpu": "jax",
    "gaudi": "gaudi",
    "neuron": "neuron",
    "mobile-npu": "onnxruntime",
    "cpu-server": "llama.cpp",
    "cpu-client": "llama.cpp",
}
# The software that reads a quantization, by the beginning of the format's title.
READERS = {"GGUF": "llama.cpp", "MLX": "mlx", "EXL2": "exllama"}
PLAIN = ("float32", "bfloat16", "float16")
SPLITS = ("usual", "tensor", "layers", "copies")  # how several devices share the work; usual: as the engine does it
SHORT_SUMS = "float16_accumulate16"  # a rate of devices: 16-bit products that are summed in 16 bits
OWN = "own"  # id of the device that a person described
HOUR = 3600.0


@dataclass(frozen=True)
class Workload:
    """What is asked of a model: sequences side by side, tokens read, tokens written."""

    batch: int = 1
    prompt: int = 512
    new: int = 256


@dataclass(frozen=True)
class Stack:
    """What every device of the comparison runs: number formats, software ("": the usual one), how many devices, how they share."""

    precision: Precision = Precision()  # noqa: RUF009 - a frozen value
    engine: str = ""
    devices: int = 1
    split: str = "usual"


@dataclass(frozen=True)
class Choice:
    """One device with its answer."""

    deployment: Deployment
    work: Workload
    estimate: Estimate
    writes: bool  # False: an encoder, which reads texts only
    price: float | None = None  # of one device and hour, in whatever currency it was typed

    @property
    def device(self) -> Device:
        """The device; there may be several of it."""
        return self.deployment.device

    @property
    def own(self) -> bool:
        """Whether a person described it."""
        return self.device.id == OWN

    @property
    def called(self) -> str:
        """The device inside a sentence; a name that a person gave takes no article."""
        return self.device.title if self.own else f"the {self.device.title}"

    @property
    def fits(self) -> bool:
        """Whether its memory holds everything."""
        return bool(self.estimate.fits)

    @property
    def spare(self) -> float:
        """Bytes left on each device; below zero, what is missing."""
        return float(self.device.memory - self.estimate.memory)

    @property
    def needed(self) -> int | None:
        """How many devices would hold it if weights and cache were shared evenly; None where no number would do."""
        found = self.estimate
        shared = (found.weights + found.cache) * self.deployment.group
        room = self.device.memory - (found.memory - found.weights - found.cache)
        return ceil(shared / room) if room > 0 else None

    @property
    def rate(self) -> float:
        """New tokens/s of all devices with prompts included; of an encoder, texts/s."""
        found = self.estimate
        return float(found.throughput) if self.writes else self.work.batch / found.prefill.time * self.deployment.replicas

    @property
    def energy(self) -> float | None:
        """Joule per new token; None where it is not known."""
        return self.estimate.energy if self.writes else None

    @property
    def cost(self) -> float | None:
        """Of a million new tokens (of an encoder: texts); None where nobody said a price."""
        return None if self.price is None else 1e6 * self.price * self.deployment.devices / HOUR / self.rate

    def timed(self, phase: str) -> Timed:
        """Seconds until the first token ("prefill") or of one decode step."""
        return self.estimate.prefill if phase == "prefill" else self.estimate.decode


def usual(device: Device, precision: Precision) -> str:
    """The engine that reads the weights' format, or else the one that most people run on such a device."""
    title = FORMATS[precision.weights].title
    return next((engine for word, engine in READERS.items() if title.startswith(word)), USUAL[device.family])


def deployment(device: Device, stack: Stack) -> Deployment:
    """A device, or several, under the stack's software."""
    engine = stack.engine or usual(device, stack.precision)
    split = ENGINES[engine].split if stack.split == "usual" else stack.split
    count = stack.devices
    return Deployment(
        device=device,
        devices=count,
        tensor=count if split == "tensor" else 1,
        pipeline=count if split == "layers" else 1,
        engine=engine,
        precision=stack.precision,
    )


def choice(model: ModelSpec, device: Device, stack: Stack, work: Workload, price: float | None = None) -> Choice:
    """One row of the comparison."""
    placed = deployment(device, stack)
    new = work.new if model.head else 1
    found = estimate(model, placed, work.batch, work.prompt, new)
    if not model.head:
        found = replace(found, problems=problems(model, placed, float(found.memory), work.prompt))
    return Choice(placed, work, found, model.head, price)


def fleet(
    model: ModelSpec, devices: Iterable[Device], stack: Stack, work: Workload, prices: dict[str, float] | None = None
) -> list[Choice]:
    """All rows: those that hold the model first, the fastest on top. A device without any known arithmetic is left out."""
    known = prices or {}
    found = [choice(model, device, stack, work, known.get(device.id)) for device in devices if device.peak]
    phase = "decode" if model.head else "prefill"
    return sorted(found, key=lambda one: (not one.fits, one.timed(phase).time if one.fits else one.needed or 1e9))


def shortlist(choices: Sequence[Choice], count: int = 10) -> list[Choice]:
    """The first of each family, at most `count`, and the device of one's own: as different answers as there are."""
    first: dict[str, str] = {}
    for one in [one for one in choices if one.fits] or choices:
        first.setdefault(one.device.family, one.device.id)
    ids = {one.device.id for one in choices if one.own} | set(list(first.values())[:count])
    return [one for one in choices if one.device.id in ids]


def obstacles(choices: Sequence[Choice]) -> dict[str, int]:
    """What is impossible about the set-up itself, in one sentence each, and for how many devices; a lack of memory is a device's own."""
    counts = Counter(problem for one in choices for problem in one.estimate.problems)
    return {problem: count for problem, count in counts.items() if count > 1 or len(choices) == 1}


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points (less is better, more is better) that no other one beats in both, from the least to the most."""
    order = sorted(range(len(points)), key=lambda at: (points[at][0], -points[at][1]))
    kept: list[int] = []
    for at in order:
        if not kept or points[at][1] > points[kept[-1]][1]:
            kept.append(at)
    return kept


def finding(model: ModelSpec, choices: Sequence[Choice]) -> str:
    """The comparison in one sentence."""
    fitting = [one for one in choices if one.fits]
    count = choices[0].deployment.devices
    several = "" if count == 1 else f" (× {count})"
    if not fitting:
        nearest, batch = min(choices, key=lambda one: one.needed or 1e9), choices[0].work.batch
        many = f" with {batch:,} sequences" if batch > 1 else ""
        held = f"No device{several} holds {model.name}{many}, which needs {words(nearest.estimate.memory, 'B')} on each"
        return held + (f"; {nearest.needed} × {nearest.device.title} would" if nearest.needed else "")
    best, phase = fitting[0], "decode" if model.head else "prefill"
    how = "per token" if model.head else "per batch of texts"
    number = f"All {len(choices)}" if len(fitting) == len(choices) and len(choices) > 1 else f"{len(fitting)} of {len(choices)}"
    verb = "holds" if number.startswith("1 of") else "hold"
    return f"{number} devices{several} {verb} {model.name}; the fastest is {best.called}, at {words(best.timed(phase).time, 's')} {how}"


@dataclass(frozen=True)
class Standing:
    """Where a phase stands under a device's roofs."""

    phase: str
    intensity: float  # FLOP per byte
    rate: float  # FLOP/s of one device


def peak(placed: Deployment) -> float:
    """FLOP/s or OP/s of one device, on paper, in the format that its products would be calculated in.

    Software that makes integers of the activations multiplies packed weights in int8; of plain ones it makes short sums.
    """
    rates, format = placed.device.peak, arithmetic(placed)
    quicker = ""
    if ENGINES[placed.engine].quantized_products:
        quicker = "int8" if placed.precision.weights not in PLAIN else SHORT_SUMS if format in PLAIN[1:] else ""
    return max(rates.get(format, max(rates.values())), rates.get(quicker, 0.0))


def standing(model: ModelSpec, one: Choice) -> list[Standing]:
    """Prefill and decode of a choice on the roofline: what is counted, over the time that is predicted."""
    work, precision = one.work, one.deployment.precision
    steps = {"prefill": prefill(model, work.batch, work.prompt, precision)}
    if model.head:
        steps["decode"] = decode(model, work.batch, work.prompt + work.new / 2, precision, work.prompt)
    costs = {phase: total(ops) for phase, ops in steps.items()}
    group = one.deployment.group
    return [Standing(phase, cost.intensity, cost.flops / group / one.timed(phase).time) for phase, cost in costs.items()]


def commands(model: ModelSpec, one: Choice) -> list[str]:
    """Command lines that predict the same for one device, and for all of them."""
    placed, work, weights = one.deployment, one.work, one.deployment.precision.weights
    quant = "" if weights in PLAIN else weights
    dtype = weights if weights in PLAIN else placed.precision.compute
    degrees = (("devices", placed.devices), ("tp", placed.tensor), ("pp", placed.pipeline))
    several = "".join(f" --{name} {count}" for name, count in degrees if count > 1)
    single = (
        f"python -m profiler predict {quote(model.reference)} {placed.device.id}{several} --engine {placed.engine} --dtype {dtype}"
        f"{f' --quant {quant}' if quant else ''} --prompt-tokens {work.prompt} --new-tokens {work.new} --batch {work.batch}"
    )
    everything = (
        f"python -m profiler sweep --models {quote(model.reference)} --devices all --dtypes {dtype}{f' --quants {quant}' if quant else ''}"
        f" --contexts {work.prompt} --new-tokens {work.new} --batches {work.batch}"
    )
    return [everything] if one.own else [single, everything]
