"""Which parts of a model bear quantization badly: each part of each layer was quantized alone, and what that cost was measured.

What several parts cost together is taken to be the sum of what each costs alone: a rule of thumb that holds while all are small.
"""

from math import floor, log10
from typing import NamedTuple

from profiler.analysis.compression import NARROW
from profiler.analysis.experiment import Experiment
from profiler.analysis.findings import Finding, nothing
from profiler.analysis.recipes import Conditions, Plan
from profiler.record.events import Finished
from profiler.spec.formats import FORMATS, Precision
from profiler.spec.machine import Ceilings
from profiler.spec.methods import METHODS
from profiler.spec.model import ModelSpec
from profiler.spec.run import RunSpec
from profiler.spec.units import words
from profiler.spec.work import Sensitivity
from profiler.theory.parts import PARTS
from profiler.theory.step import forward

CURVE = "sensitivity"
USUAL = "int4-rows-g32"
CHOICES = (USUAL, "int8-rows")
TOKENS = {False: 512, True: 2048}  # of held-back text, by thorough
HALF = 0.5  # of all that is lost
LITTLE = 0.01  # nats: what Q5_K_M costs Llama-3-8B (ggml-org/llama.cpp: tools/perplexity/README.md), whose perplexity rises by 1 %
WHICH = {"attention projections": "attention", "MLP": "MLP", "lm_head": "lm_head"}  # part of the model → series of the curve


class Cell(NamedTuple):
    """One part of one layer."""

    part: str  # series of the curve: attention, MLP, lm_head
    layer: int
    loss: float  # nats of divergence, if it alone is quantized

    @property
    def title(self) -> str:
        """In words."""
        return "the lm_head" if self.part == "lm_head" else f"layer {self.layer}'s {self.part}"


def plan(c: Conditions) -> Plan:
    """One run that tries every part. Raises ValueError of one sentence where quality is not defined, or the format cannot be."""
    assert c.model
    if not c.model.trained:
        raise ValueError(f"{c.model.name} has random weights here, so there is no quality to lose; choose a model with trained weights.")
    setup = c.setup.model_copy(update={"quantization": c.setup.quantization or USUAL})
    method = next((name for name, row in METHODS.items() if row.changes == {"quantization": setup.quantization}), "")
    if method in c.refused:
        raise ValueError(f"{FORMATS[setup.quantization].title}: {c.refused[method]}")
    return Plan((RunSpec(model=c.model, work=Sensitivity(tokens=TOKENS[c.thorough], text=c.text), setup=setup),))


def cells(experiment: Experiment) -> list[Cell]:
    """All that were tried, the worst first."""
    found = [Cell(part, int(x), value) for part, points in experiment.points(CURVE).items() for x, value in zip(*points)]
    return sorted(found, key=lambda cell: -cell.loss)


def extra_bytes(spec: RunSpec) -> dict[str, float]:
    """Part → bytes more, of one layer, if it is kept in 16 bits instead of quantized."""
    model, quantized = spec.model, Precision.of(spec.setup.quantization)
    assert model
    found: dict[str, float] = {}
    for op in forward(model, 1, 1, 0, Precision()):
        part = WHICH.get(PARTS[op.name])
        if part:
            size = (op.parameters or _tied(model)) / max(op.count, 1)
            found[part] = found.get(part, 0.0) + size * (2 - quantized.width("head" if part == "lm_head" else "weights"))
    return found


def _tied(model: ModelSpec) -> float:
    """Elements of an lm_head that is the embedding's table too."""
    return float(model.vocab * (model.embedding_width or model.hidden))


def kept(experiment: Experiment) -> list[tuple[float, float]]:
    """(bytes more, nats left) with the worst 0, 1, 2, … parts in 16 bits, in the order of nats saved for each byte."""
    more = extra_bytes(experiment.specs[0])
    order = sorted(cells(experiment), key=lambda cell: -cell.loss / more.get(cell.part, 1.0))
    left, size = sum(max(cell.loss, 0.0) for cell in order), 0.0
    line = [(size, left)]
    for cell in order:
        size, left = size + more.get(cell.part, 0.0), left - max(cell.loss, 0.0)
        line.append((size, max(left, 0.0)))
    return line


def finding(experiment: Experiment) -> Finding:
    """Which parts matter most, and what keeping the worst of them in 16 bits would save and cost."""
    found = [cell for cell in cells(experiment) if cell.loss > 0]
    if len(found) < 2:
        return nothing()
    whole, count, saved = sum(cell.loss for cell in found), 0, 0.0
    while saved < HALF * whole:
        saved, count = saved + found[count].loss, count + 1
    spec, worst = experiment.specs[0], found[:count]
    more = extra_bytes(spec)
    size, every = (sum(more.get(cell.part, 0.0) for cell in some) for some in (worst, found))
    verb = "loses" if count == 1 else "lose"
    title = f"{found[0].title[0].upper()}{found[0].title[1:]} matters most: {count} of {len(found)} parts {verb} half of all that is lost"
    middle = found[len(found) // 2].loss
    top = ", ".join(f"{cell.title} ({_nats(cell.loss)})" for cell in found[:4])
    said = (
        f"Quantized alone to {FORMATS[spec.setup.quantization].title}, {top} cost most; half of the parts cost less than "
        f"{_nats(middle)}. Keeping the worst {count} in 16 bits would save about {words(saved / whole, '%')} of the divergence, if what "
        f"parts cost adds up, and take {words(size, 'B')} more, of the {words(every, 'B')} that quantizing all of them saves."
    )
    together = next((run.ended.facts.get("everything") for run in experiment.finished if isinstance(run.ended, Finished)), None)
    if together:
        said += f" (All of them at once lose {_nats(together)}, where the sum of each alone is {_nats(whole)}.)"
    if whole < LITTLE:
        title = f"Hardly anything is lost: {_nats(whole)} over all {len(found)} parts"
    if spec.model and spec.model.origin == "package" and FORMATS[spec.setup.quantization].bits < NARROW:
        said += f" {spec.model.name} comes from a 4-bit file here, so 4 bits take less from it than from a model that never had so few."
    numbers = {"parts": float(len(found)), "worst": float(count), "saved": saved / whole, "bytes": size, "total": whole}
    return Finding(title, said, numbers=numbers)


def _nats(value: float) -> str:
    """Two digits, without an exponent."""
    digits = max(1 - floor(log10(value)), 0) if value > 0 else 0
    return f"{value:.{digits}f} nats"


def promise(specs: list[RunSpec], roofs: dict[str, Ceilings]) -> str:
    """What a layer costs in bytes; nothing foretells what it is worth."""
    size = sum(more for part, more in extra_bytes(specs[0]).items() if part != "lm_head")
    return f"Predicted: each layer kept in 16 bits takes {words(size, 'B')} more; which ones are worth it, only a measurement tells"


def table(experiment: Experiment) -> list[dict[str, str]]:
    """Every part, the worst first, in words."""
    found = cells(experiment)
    more = extra_bytes(experiment.specs[0]) if found else {}
    return [
        {"part": cell.title, "divergence": _nats(cell.loss), "in 16 bits it takes": f"{words(more.get(cell.part), 'B')} more"}
        for cell in found
    ]
