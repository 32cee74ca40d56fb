"""The metrics of a run as rows of words, for the page and the terminal alike."""

from profiler.analysis.report import metrics
from profiler.record.run import Run
from profiler.spec.machine import Ceilings
from profiler.spec.measurement import Measurement
from profiler.spec.metrics import METRICS, Metric
from profiler.spec.units import words

# of the model itself; the others are about the machine and the tool
MODEL = (
    "time_to_first_token", "prefill_rate", "time_per_token", "decode_rate", "jitter", "growth", "energy_per_token",
    "cold_prefill", "cold_decode", "load_time", "setup_time",
)  # fmt: skip


def rows(run: Run, names: tuple[str, ...] | None = None) -> list[dict[str, str]]:
    """One row a metric: median, interval, percentiles where the samples carry them, counts, and what it means."""
    found = metrics(run)
    return [_row(METRICS[name], found[name]) for name in names or found if name in found]


def interval(metric: Metric, measured: Measurement) -> str:
    """The 95 % interval of the median in words; one sample has none."""
    low, high = (words(value, metric.unit) for value in measured.interval)
    return f"{low} to {high}" if len(measured) > 1 else "measured once"


def _row(metric: Metric, measured: Measurement) -> dict[str, str]:
    return {
        "metric": metric.title,
        "median": words(measured.median, metric.unit),
        "95 % interval": interval(metric, measured),
        "p90": words(measured.percentile(90), metric.unit),
        "p99": words(measured.percentile(99), metric.unit),
        "samples": str(len(measured)),
        "independent": f"{measured.effective_count:.0f}",
        "spread": words(abs(measured.spread), "%") if len(measured) > 1 else "–",
        "meaning": metric.help,
    }


def ceilings_rows(found: Ceilings) -> list[dict[str, str]]:
    """What a machine reached in its microbenchmarks."""
    reads = [(f"read {words(size, 'B')} again and again", words(rate, "B/s")) for size, rate in sorted(found.read.items())]
    products = [(f"matrix product, {dtype}", words(rate, "FLOP/s")) for dtype, rate in found.matmul.items()]
    others = [("copy, read + written", words(found.copy_rate, "B/s")), ("one tiny operator", words(found.dispatch, "s"))]
    return [{"ceiling": name, "reached": value} for name, value in [*reads, *products, *others]]
