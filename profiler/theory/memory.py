"""What a run holds in memory, by accounting.

Assumptions, each visible on the page: activations of one layer are live at a time (inference frees them), a few
hidden-sized and two MLP-sized buffers per token; eager attention also holds the scores twice (before and after the
soft-max, in float32); the last position's logits are held in float32; the interpreter with torch takes 0.6 GB
(measured 0.45–0.6 GB on Linux), a CUDA context another 0.5 GB on the device.
"""

from dataclasses import dataclass

from profiler.spec.machine import Hardware
from profiler.spec.model import ModelSpec
from profiler.spec.run import BYTES, RunSpec
from profiler.spec.units import words
from profiler.spec.work import Generate, Write
from profiler.theory.cache import kv_bytes
from profiler.theory.step import parameters
from profiler.theory.weights import weight_bytes

RUNTIME = 600_000_000
CUDA_CONTEXT = 500_000_000


@dataclass(frozen=True)
class Memory:
    """Bytes by purpose."""

    weights: float
    kv: float
    activations: float
    runtime: float
    passing: float = 0.0  # more than all that, for a while: the uncompressed weights, and those that quality is compared with

    @property
    def total(self) -> float:
        """What is held while the clock runs."""
        return self.weights + self.kv + self.activations + self.runtime

    @property
    def peak(self) -> float:
        """The most that is ever held."""
        return self.total + self.passing


def predict_memory(spec: RunSpec) -> Memory:
    """Bytes that a generate run will hold."""
    model, work, width = spec.shape, spec.generate, BYTES[spec.setup.dtype]
    rows, length = work.batch * work.prompt_tokens, work.prompt_tokens + work.new_tokens
    live = rows * width * (6 * model.hidden + (2 if model.gated else 1) * model.ffn * max(model.experts_per_token, 1))
    scores = 8 * work.batch * model.heads * work.prompt_tokens**2 if spec.setup.attention == "eager" else 0
    logits = 4 * work.batch * model.vocab
    device = CUDA_CONTEXT if spec.setup.device.startswith("cuda") else RUNTIME
    kept = weight_bytes(model, spec.setup.precision)
    cache = work.batch * kv_bytes(model, length, spec.setup.precision)
    return Memory(kept, cache, live + scores + logits, device, _passing(spec, kept))


def _passing(spec: RunSpec, kept: float) -> float:
    """Bytes beside all others: compressing begins with the whole model; the reference of its quality is in float32 on a processor."""
    assert spec.model
    setup, whole = spec.setup, parameters(spec.model)
    before = whole * BYTES[setup.dtype] * (2 if setup.engine != "transformers" else 1) if setup.compressed else 0.0
    reference = whole * (BYTES["float32"] if setup.device == "cpu" else BYTES[setup.dtype]) if spec.generate.quality else 0.0
    return max(before - kept, reference, 0.0)


def capacity(hardware: Hardware, device: str, available: float) -> float:
    """Bytes that a run on this device may take."""
    return next((float(gpu.memory) for gpu in hardware.gpus if gpu.device == device), available)


def _remedy(spec: RunSpec, need: Memory, room: float) -> str:
    """What would make it fit."""
    if spec.setup.dtype == "float32" and need.runtime + (need.total - need.runtime) / 2 <= room:
        return "a 16-bit number format, or a smaller batch or prompt"
    return "a smaller model" if need.weights + need.runtime + need.passing > room else "a smaller batch or prompt"


def check(spec: RunSpec, hardware: Hardware, available: float) -> None:
    """Refuse what cannot run here, with the numbers. Raises ValueError of one sentence."""
    setup, model = spec.setup, spec.model
    known = {"cpu", "mps", *(gpu.device for gpu in hardware.gpus)}
    if setup.device not in known or (setup.device == "mps" and not hardware.system.startswith("Darwin")):
        raise ValueError(f"This machine has no {setup.device}; it has {', '.join(['cpu', *(g.device for g in hardware.gpus)])}.")
    if setup.threads > hardware.cores:
        raise ValueError(
            f"{setup.threads} threads were asked for, but this process may use {hardware.cores} cores; choose 1 to {hardware.cores}."
        )
    if model is None:
        return
    _check_kind(model)
    _ = spec.shape  # raises where what is to be taken out is not there
    if not isinstance(spec.work, Generate):
        new = spec.work.new_tokens if isinstance(spec.work, Write) else 2
        spec = spec.model_copy(update={"work": Generate(new_tokens=max(new, 2))})
    work = spec.generate
    length = work.prompt_tokens + work.new_tokens
    if length > model.context:
        raise ValueError(
            f"{work.prompt_tokens} prompt + {work.new_tokens} new tokens make {length}, but {model.name} was made for "
            f"{model.context} tokens of context; shorten one of them."
        )
    need, room = predict_memory(spec), capacity(hardware, setup.device, available)
    if need.peak > room:
        raise ValueError(
            f"{model.name} needs about {words(need.total, 'B')} here ({words(need.weights, 'B')} weights, {words(need.kv, 'B')} KV cache, "
            f"{words(need.activations, 'B')} activations{_for_a_while(need)}), but {words(room, 'B')} are free on {setup.device}; "
            f"choose {_remedy(spec, need, room)}."
        )


def _for_a_while(need: Memory) -> str:
    return f", {words(need.passing, 'B')} more for a while: the uncompressed model" if need.passing else ""


def _check_kind(model: ModelSpec) -> None:
    """Refuse what can be predicted, but not run here."""
    if not model.buildable:
        raise ValueError(f"{model.name} can be predicted, but not measured: transformers has no class for {model.family} models.")
    if not model.generates:
        kind = "an encoder-decoder" if model.encoder else "an encoder"
        raise ValueError(f"{model.name} is {kind}; it can be predicted, but a measured run generates with a decoder alone.")


def fits(spec: RunSpec, hardware: Hardware, available: float) -> bool:
    """Whether a spec can run here."""
    try:
        check(spec, hardware, available)
    except ValueError:
        return False
    return True
