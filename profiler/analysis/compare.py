"""Two runs side by side: what changed, in one sentence of numbers."""

from profiler.analysis.report import metrics
from profiler.record.run import Run
from profiler.spec.metrics import METRICS
from profiler.spec.units import words

SHOWN = ("time_per_token", "time_to_first_token", "decode_rate")


def compare(run: Run, base: Run) -> str:
    """What became of the main numbers, and whether the change is larger than the noise of both."""
    ours, theirs = metrics(run), metrics(base)
    parts = []
    for name in SHOWN:
        if name not in ours or name not in theirs:
            continue
        before, after, unit = theirs[name], ours[name], METRICS[name].unit
        noise = before.interval[0] <= after.interval[1] and after.interval[0] <= before.interval[1]
        change = "within noise" if noise else f"{after.median / before.median - 1:+.0%}"
        parts.append(f"{METRICS[name].title.lower()} {words(before.median, unit)} → {words(after.median, unit)} ({change})")
    return ", ".join(parts)
