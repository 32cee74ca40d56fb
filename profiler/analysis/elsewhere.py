"""What compressing a model would bring on a device of the catalogue: the same workload in several formats, predicted."""

from dataclasses import dataclass

from profiler.analysis.fleet import Choice, Stack, Workload, choice, usual
from profiler.spec.device import Device
from profiler.spec.formats import FORMATS, Precision
from profiler.spec.model import ModelSpec
from profiler.spec.units import number, words

PLAIN = "bfloat16"
FELT = 1.05  # times as fast: less is as fast
HALF = 0.5  # of a step
LIKELY = ("q4_k_m", "mlx-4-g64", "int4")  # what most people choose of each
# Formats that an engine reads, the widest first; other engines read those of the last row.
SHELVES = {
    "llama.cpp": ("q8_0", "q6_k", "q5_k_m", "q4_k_m", "q4_0", "q3_k_m", "q2_k"),
    "mlx": ("mlx-8-g64", "mlx-6-g64", "mlx-4-g64", "mlx-3-g64"),
    "": ("float8", "int8-dynamic", "int8", "int4", "nf4", "nvfp4"),
}


@dataclass(frozen=True)
class Elsewhere:
    """One format on the device."""

    format: str
    choice: Choice
    gain: float  # times the tokens/s of 16 bits

    @property
    def title(self) -> str:
        """Of the format."""
        return "16 bits" if self.format == PLAIN else FORMATS[self.format].title

    @property
    def rate(self) -> float:
        """New tokens/s of the whole batch while decoding."""
        return self.choice.work.batch / self.choice.timed("decode").time

    @property
    def interval(self) -> tuple[float, float]:
        """Tokens/s that four of five measurements of its kind fell into."""
        timed = self.choice.timed("decode")
        return self.choice.work.batch / timed.high, self.choice.work.batch / timed.low


def formats(device: Device) -> tuple[str, ...]:
    """What the software that people run on such a device reads, 16 bits first."""
    engine = usual(device, Precision.of(PLAIN))
    return (PLAIN, *SHELVES.get(engine, SHELVES[""]))


def compressed(model: ModelSpec, device: Device, work: Workload) -> list[Elsewhere]:
    """All formats of the device's usual software. Raises ValueError of one sentence for a model that writes nothing."""
    if not model.head:
        raise ValueError(f"{model.name} is an encoder, which writes nothing; choose a model that does.")
    engine = usual(device, Precision.of(PLAIN))
    rows = {format: choice(model, device, Stack(Precision.of(format), engine), work) for format in formats(device)}
    whole = rows[PLAIN].timed("decode").time
    return [Elsewhere(format, row, whole / row.timed("decode").time) for format, row in rows.items()]


def title(found: list[Elsewhere]) -> str:
    """The finding."""
    fitting = [one for one in found if one.choice.fits]
    device = found[0].choice.device.title
    if not fitting:
        least = min(found, key=lambda one: float(one.choice.estimate.memory))
        return f"No format fits the {device}: even {least.title} needs {words(float(least.choice.estimate.memory), 'B')}"
    fastest = max(fitting, key=lambda one: one.rate)
    best = next((one for one in fitting if one.format in LIKELY), fastest)
    if not found[0].choice.fits:
        return f"Only compressed does it fit the {device}: {best.title} would write {words(best.rate, 'tok/s')}"
    if fastest.gain < FELT:
        return f"On the {device}, no format is faster than 16 bits for this workload"
    return f"On the {device}, {best.title} would be {number(best.gain, 2)} times as fast as 16 bits"


def sentence(found: list[Elsewhere]) -> str:
    """What fits, what it is limited by, and how far to trust it."""
    whole, fitting = found[0], [one.title for one in found if one.choice.fits]
    room = words(whole.choice.device.memory, "B")
    held = (
        "All of them fit"
        if len(fitting) == len(found)
        else f"{', '.join(fitting) or 'None of them'} {'fits' if len(fitting) < 2 else 'fit'}"
    )
    spent = whole.choice.timed("decode").spent
    share = float(spent.memory) / float(whole.choice.timed("decode").time)
    limit = (
        f"In 16 bits, {words(share, '%')} of a step is moving bytes, which is what fewer bits shorten"
        if share > HALF
        else f"In 16 bits, only {words(share, '%')} of a step is moving bytes, so fewer bits shorten little"
    )
    origin = {
        "calibrated": "fitted to measurements of this software on such devices",
        "transferred": "fitted to measurements of its relatives",
    }
    return (
        f"{held} into the {room} of memory. {limit}. Predicted with {whole.choice.deployment.engine}, "
        f"{origin.get(whole.choice.estimate.origin, 'from the data sheet alone')}; what it loses in quality, this does not say."
    )
