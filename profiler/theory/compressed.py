"""How many times as fast a compressed model will decode here, foretold before it is measured.

Three ways, by what is known: torch's own kernels from this machine's probes (`profiler.theory.local`, with the rate of the packed
product in place of the plain one); another engine from the constants fitted to published measurements, on a device that has
the bandwidth and the arithmetic measured here; and physics alone, which bounds all of them: bytes and FLOPs on the measured roofs.
"""

from dataclasses import dataclass
from math import exp

from profiler.spec.deployment import Deployment
from profiler.spec.device import Device, Family
from profiler.spec.machine import Ceilings
from profiler.spec.run import RunSpec
from profiler.theory.estimate import estimate, origin
from profiler.theory.local import SPREAD, expected
from profiler.theory.predict import predict

SERVERS = ("EPYC", "Xeon", "Neoverse", "Graviton", "Altra")  # processors of servers, by what their names hold


@dataclass(frozen=True)
class Forecast:
    """Speed-ups of decode over the uncompressed model: above 1 is faster."""

    physics: float  # ratio of the least times: what fewer bytes and FLOPs bring alone; no limit, since other time may go as well
    expected: float | None  # None where nothing is known about the kernels
    low: float | None
    high: float | None
    origin: str  # measured here · calibrated · transferred · data sheet · physics


def forecast(spec: RunSpec, base: RunSpec, ceilings: Ceilings, processor: str = "") -> Forecast:
    """The speed-up of `spec` over `base`; `processor` is this machine's name, which tells servers from others."""
    physics = predict(base, ceilings)["decode"].time / predict(spec, ceilings)["decode"].time
    before = expected(base, ceilings)
    if not before or not base.setup.plain:
        return Forecast(physics, None, None, None, "physics")
    if spec.setup.engine == "transformers":
        return _here(spec, before["decode"].time, ceilings, physics)
    return _elsewhere(spec, before["decode"].time, ceilings, physics, processor)


def _here(spec: RunSpec, before: float, ceilings: Ceilings, physics: float) -> Forecast:
    """By this machine's kernels. Both times come from the same probes, so much of their error is shared."""
    after = expected(spec, ceilings)
    if not after:
        return Forecast(physics, None, None, None, "physics")
    ratio = before / after["decode"].time
    return Forecast(physics, ratio, ratio / exp(SPREAD["decode"]), ratio * exp(SPREAD["decode"]), "measured here")


def _elsewhere(spec: RunSpec, before: float, ceilings: Ceilings, physics: float, processor: str) -> Forecast:
    """By another engine's constants, on this machine's roofs."""
    work = spec.generate
    deployment = Deployment(device=_device(ceilings, processor), engine=spec.setup.engine, precision=spec.setup.precision)
    after = estimate(spec.shape, deployment, work.batch, work.prompt_tokens, work.new_tokens).decode
    return Forecast(physics, before / after.time, before / after.high, before / after.low, origin(deployment))


def _device(ceilings: Ceilings, processor: str) -> Device:
    """This machine as if its measured roofs were a data sheet's."""
    family: Family = "cpu-server" if any(name in processor for name in SERVERS) else "cpu-client"
    peak = {name: rate for name, rate in ceilings.matmul.items() if name in ("float32", "bfloat16", "float16", "int8")}
    return Device(
        id="here",
        title="this machine",
        vendor="",
        kind="cpu",
        family=family,
        generation="",
        memory=1e15,  # whether it fits is another question
        bandwidth=ceilings.dram,
        peak=peak,
        source="measured here",
    )
