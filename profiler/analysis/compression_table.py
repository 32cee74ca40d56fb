"""What was measured of each method of compression, as rows: all of it in words, in a few columns, and as plain values."""

from typing import Any

from profiler.analysis.compression import Variant, variants
from profiler.analysis.compression_words import judged, loss_words, times
from profiler.analysis.experiment import Experiment
from profiler.analysis.quality import SURE, Quality
from profiler.spec.units import number, words


def table(experiment: Experiment) -> list[dict[str, str]]:
    """One row a method, in words: everything that was measured of it."""
    return [_row(one) | {"run": one.run.id} for one in variants(experiment)]


def brief(experiment: Experiment) -> list[dict[str, str]]:
    """The same in as few columns as a terminal has room for."""
    rows = []
    for one in variants(experiment):
        row = {"method": one.label, "decode": words(one.rate, "tok/s"), "×": times(one), "weights": words(one.weights, "B")}
        found = one.quality
        lost = ("garbage" if found.garbage else loss_words(found.loss)) if found else "not defined"
        rows.append(row | {"perplexity": f"≈ same ({lost})" if one.same else lost, "run": one.run.id})
    return rows


def _row(one: Variant) -> dict[str, str]:
    base, found, prefill = one.base, one.quality, one.prefill
    compress, load = one.run.measured("compress_time"), one.run.measured("load_time")
    work = one.run.spec.generate
    low, high = one.rate_interval
    row = {
        "method": one.title + (" (other programs were busy)" if one.disturbed else ""),
        "decode": words(one.rate, "tok/s"),
        "95 % interval": f"{number(low)} to {number(high)}",
        "× decode": times(one),
        "prefill": words(work.batch * work.prompt_tokens / prefill.median, "tok/s") if prefill else "–",
        "× prefill": f"{one.prefill_gain[0]:.2f} ×" if one.prefill_gain else "–",
        "weights": words(one.weights, "B"),
        "× weights": f"{one.weights / base.weights:.2f} ×" if base else "–",
        "file": words(one.fact("file_bytes"), "B"),
        "memory at its peak": words(one.peak, "B"),
        "loading": words(load.median, "s") if load else "–",
        "compressing": words(compress.median, "s") if compress else "–",
    }
    return row | (_scores(one, found) if found else {"perplexity": "not defined"})


def _scores(one: Variant, found: Quality) -> dict[str, str]:
    asked = f"{found.right:.0%} of {found.questions}" if found.right is not None else "–"
    before = f" (float32: {found.reference_right:.0%})" if found.reference_right is not None else ""
    return {
        "perplexity": number(found.perplexity),
        "against float32": judged(one),
        "KL (nats)": f"{found.divergence.value:.4f} ± {SURE * found.divergence.error:.4f}",
        "same first choice": words(found.agreement.value, "%"),
        "words guessed": asked + before,
    }


def values(experiment: Experiment) -> list[dict[str, Any]]:
    """The same as plain values in SI units, for JSON."""
    return [
        {
            "method": one.name,
            "run": one.run.id,
            "decode_rate": one.rate,
            "gain": one.gain,
            "prefill_gain": one.prefill_gain,
            "weights": one.weights,
            "file": one.fact("file_bytes"),
            "peak": one.peak,
            "quality": one.quality.summary() if one.quality else None,
        }
        for one in variants(experiment)
    ]
