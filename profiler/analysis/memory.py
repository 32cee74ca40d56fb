"""Where the memory went: weights and KV cache by the tensors that were there, activations by accounting, the interpreter
by its mark before loading, and what remains of the exact peak.
"""

from dataclasses import dataclass

from profiler.record.run import Run
from profiler.spec.work import Generate
from profiler.theory.memory import predict_memory


@dataclass(frozen=True)
class Split:
    """Bytes at the peak, by purpose; `peak` is what the system saw, None where it does not tell."""

    weights: float
    kv: float
    activations: float
    runtime: float
    own: float
    rest: float
    peak: float | None
    source: str  # where the peak comes from

    def parts(self) -> dict[str, float]:
        """Purpose → bytes; they sum to the peak."""
        return {
            "weights": self.weights,
            "KV cache": self.kv,
            "activations": self.activations,
            "libraries": self.runtime,
            "this tool": self.own,
            "rest": self.rest,
        }


def split(run: Run) -> Split | None:
    """The split of a finished generate run."""
    facts = getattr(run.ended, "facts", {})
    if "weight_bytes" not in facts or not isinstance(run.spec.work, Generate):
        return None
    cuda = run.spec.setup.device.startswith("cuda")
    key, before = ("device_peak", "device") if cuda else ("rss_peak", "rss")
    peaks = [marks[key] for phase in ("prefill", "decode") if key in (marks := run.peak(phase))]
    weights, kv, activations = facts["weight_bytes"], facts["kv_bytes"], predict_memory(run.spec).activations
    runtime = run.peak("start").get(before, 0.0)
    own = facts["canary_bytes"]
    known = weights + kv + activations + runtime + own
    peak = max(peaks, default=None)
    source = "torch's allocator on the device" if cuda else "the system's high-water mark of this process"
    return Split(
        weights,
        kv,
        activations,
        runtime,
        own,
        max((peak or known) - known, 0.0),
        peak,
        source if peaks else "not told by this system; the sum of the parts",
    )
