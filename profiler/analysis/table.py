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
    """What a machine reached in its microbenchmarks, and what is odd about it."""
    reads = [(f"read {words(size, 'B')} again and again", words(rate, "B/s"), "") for size, rate in sorted(found.read.items())]
    memory = [
        ("copy in main memory", words(found.copy_rate, "B/s"), "read + written"),
        ("triad in main memory", words(found.triad_rate, "B/s"), "a = b + s·c, two read + one written"),
    ]
    products = [
        (f"matrix product, {dtype}", words(rate, operations(dtype)), no_kernel(found, dtype)) for dtype, rate in found.matmul.items()
    ]
    vectors = [
        (f"matrix-vector product, {dtype}", words(rate, "B/s"), f"{words(rate / found.dram, '%')} of reading")
        for dtype, rate in (found.matvec | found.packed).items()
    ]
    others = [
        ("one tiny operator", found.dispatch, "s"),
        ("launching a kernel", found.launch, "s"),
        ("copy to the device", found.upload, "B/s"),
        ("copy from the device", found.download, "B/s"),
    ]
    told = [(name, words(value, unit), "") for name, value, unit in others if value is not None]
    scaled = [(f"{threads} thread{'s' if threads > 1 else ''}", _scaled(found, threads), "") for threads in sorted(found.scaling)]
    table = [*reads, *memory, *products, *vectors, *told, *scaled]
    return [{"ceiling": name, "reached": value, "note": note} for name, value, note in table]


def operations(dtype: str) -> str:
    """The unit of a product's rate: whole numbers are not floating-point ones."""
    return "OP/s" if dtype.startswith("int") else "FLOP/s"


def no_kernel(found: Ceilings, dtype: str) -> str:
    """A remark where a narrow format is slower than float32, so that the library has no real kernel for it here."""
    return "no real kernel here: slower than float32" if found.matmul[dtype] < found.matmul.get("float32", 0.0) else ""


def _scaled(found: Ceilings, threads: int) -> str:
    reached = found.scaling[threads]
    return f"read {words(reached.read, 'B/s')}, product {words(reached.matmul, 'FLOP/s')}, matrix-vector {words(reached.matvec, 'B/s')}"


PER_THREAD = "per thread"
# curve → (what it is, what x counts, what the value is in)
CURVES = {
    "read": ("read", PER_THREAD, "B/s"),
    "copy": ("copy", PER_THREAD, "B/s"),
    "triad": ("triad", PER_THREAD, "B/s"),
    "matmul": ("matrix product", "rows", "FLOP/s"),
    "matvec": ("matrix-vector product", "rows", "B/s"),
    "scaling_read": ("read by threads", "threads", "B/s"),
    "scaling_matmul": ("matrix product by threads", "threads", "FLOP/s"),
    "scaling_matvec": ("matrix-vector product by threads", "threads", "B/s"),
}


def point_rows(run: Run) -> list[dict[str, str]]:
    """Every measured point of a ceilings run."""
    rows = []
    for curve, (title, counted, unit) in CURVES.items():
        for series, points in run.points(curve).items():
            for x, value in zip(*points):
                at = f"{words(x, 'B') if counted == PER_THREAD else f'{x:,.0f}'} {counted}"
                rows.append({"curve": title, "series": series, "at": at, "reached": words(value, unit)})
    return rows
