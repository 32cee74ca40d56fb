"""Whether an engine says the same as the uncompressed model in float32, judged by the rounding that its number format excuses.

The worker tells distances (`profiler.worker.answers`); what they may be is here. An engine that is beyond is wrong, however fast.
"""

from dataclasses import dataclass

from profiler.record.run import Run
from profiler.spec.formats import FORMATS
from profiler.spec.units import number

# Bits of a weight → how far logits may be from the reference's, as a share of their spread: a few times what rounding alone makes of it.
# Measured on SmolLM2-135M: 0.015 in bfloat16, 0.035 in Q8_0, 0.32 in Q4_0; an engine with wrong positions or norms is beyond 1.
TOLERANCES = ((24.0, 0.005), (12.0, 0.05), (6.0, 0.12), (0.0, 0.6))
NEAR = 4.0  # times the tolerance by which two tokens may lie apart and still be exchanged by rounding: both move, each either way


@dataclass(frozen=True)
class Answer:
    """How one run's answer compares."""

    same: int  # tokens until the first that differs
    tokens: int
    gap: float  # by how much the reference prefers its own token there; in standard deviations of its logits
    error: float  # of the logits, in the same unit
    tolerance: float

    @property
    def agrees(self) -> bool:
        """Whether rounding explains everything."""
        return self.error <= self.tolerance and (self.same == self.tokens or self.gap <= NEAR * self.tolerance)

    @property
    def told(self) -> str:
        """In a few words."""
        if not self.agrees:
            return f"wrong: logits are {number(100 * self.error)} % of their spread off, rounding excuses {number(100 * self.tolerance)} %"
        if self.same == self.tokens:
            return f"all {self.tokens} tokens"
        return f"{self.same} tokens, then a tie" if self.gap <= 2 * self.error else f"{self.same} tokens, then a near tie"

    @property
    def wrong(self) -> str:
        """Why it is wrong; empty where it is not."""
        return "" if self.agrees else f"its logits are {number(100 * self.error)} % of their spread away from the reference's"


def answer(run: Run) -> Answer | None:
    """The comparison of a finished run; None where it was not asked for."""
    facts = getattr(run.ended, "facts", {})
    if "answer_error" not in facts:
        return None
    same, tokens = int(facts["answer_same"]), int(facts["answer_tokens"])
    return Answer(same, tokens, facts["answer_gap"], facts["answer_error"], tolerance(run))


def tolerance(run: Run) -> float:
    """What the number format of a run's weights excuses."""
    setup = run.spec.setup
    bits = min(FORMATS[name].bits for name in (setup.quantization or setup.dtype, setup.dtype))
    return next(allowed for least, allowed in TOLERANCES if bits >= least)
