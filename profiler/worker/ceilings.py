"""The task `ceilings`: what this machine reaches in microbenchmarks, for one device, thread count and dtype.

A ceiling is the best of many short slices. What is measured is listed in `plan`; here it is worked off, with a rest about
once a second in which whoever watches may repaint, and folded into one value. A point beside which another program kept a
core busy is measured once more at the end. If others still worked, or reads differ among themselves, the whole is disturbed.
"""

import time
from collections.abc import Sequence
from statistics import median

import numpy as np
import torch

from profiler.record.events import Curve, Entered, Finished, Job, Point, Probed
from profiler.spec.machine import Ceilings, Scaling
from profiler.worker.bandwidth import ARRAYS, is_processor
from profiler.worker.canary import ROWS, Canary
from profiler.worker.channel import Channel
from profiler.worker.dispatch import copies, dispatch, launch
from profiler.worker.kernels import kernels
from profiler.worker.neighbours import Neighbours, Stretch, foreign_cores
from profiler.worker.plan import Plan, Probe
from profiler.worker.products import NUMPY
from profiler.worker.timing import slices

__all__ = ["Canary", "beaten", "measure", "run", "slices"]

FOREIGN = 0.15  # cores of other programs' work that disturb
HURRIED = 0.5  # the same beside a single point, which is too short for a finer account
UNEVEN = 1.5  # median over best of the canary's reads that tells of a disturbance
TRIES = 3  # times that the reads may be uneven by chance, less one
BEATEN = 1.1  # times a kept ceiling: more than noise
REST = 0.3  # seconds: time to repaint
BETWEEN_RESTS = 1.5  # seconds of work before the next rest, at least
SINGS = 4  # small products of the canary, the best of which counts


def beaten(kept: Ceilings, canary: Canary) -> bool:
    """Whether the machine is now faster than its kept ceilings say, so that they must be measured again."""
    return canary.read() > BEATEN * kept.dram or canary.matmul() > BEATEN * kept.canary_matmul


def measure(job: Job, channel: Channel, canary: Canary) -> Ceilings:
    """The ceilings that one run is judged by, in a few seconds, without telling each point."""
    plan = Plan(job.spec.setup, job.hardware.cache)
    return Bench(plan, canary, channel, told=False).ceilings(plan.quick(), full=False)


@torch.inference_mode()
def run(job: Job, channel: Channel) -> Finished:
    """The task `ceilings`: points while they are measured, and at the end, but for a single curve, the ceilings."""
    work = job.spec.work
    assert work.task == "ceilings"
    channel.enter("ceilings", note="Making buffers")
    plan = Plan(job.spec.setup, job.hardware.cache)
    bench = Bench(plan, Canary(job.spec.setup, job.hardware.cache), channel, told=True)
    if work.scope in ("memory", "matmul"):
        bench.work_off(plan.memory() if work.scope == "memory" else plan.matmul())
        return Finished(at=time.time(), facts={"disturbed": float(bench.disturbed())})
    found = bench.ceilings(plan.quick() if work.scope == "quick" else plan.full(), full=work.scope == "full")
    channel.emit(Probed(at=time.time(), ceilings=found, kept=False))
    return Finished(at=time.time(), facts={"foreign": foreign_cores(bench.stretches.values())})


class Bench:
    """Works off probes, and knows what they found."""

    def __init__(self, plan: Plan, canary: Canary, channel: Channel, told: bool):
        self.plan, self.canary, self.channel, self.told = plan, canary, channel, told
        self.neighbours = Neighbours()
        self.found: dict[tuple[Curve, str, float], float] = {}
        self.stretches: dict[tuple[Curve, str, float], Stretch] = {}  # beside each point, when it was last measured

    def work_off(self, probes: Sequence[Probe]) -> list[Probe]:
        """Measure them in their order; those beside which somebody kept a core busy."""
        hurried = []
        began = rested = time.perf_counter()
        planned = sum(probe.seconds for probe in probes)
        done = 0.0
        self._enter(planned)
        for probe in probes:
            self._use(probe.threads)
            with self.neighbours.watched() as stretch:
                value = probe.measure()
            done += probe.seconds
            if value is not None:
                key = probe.curve, probe.series, probe.x
                self.found[key] = max(value, self.found.get(key, 0.0))
                self.stretches[key] = stretch
                self._tell(probe, value)
                hurried += [probe] if foreign_cores([stretch]) > HURRIED else []
            if self.told and time.perf_counter() - rested > BETWEEN_RESTS:
                left = (planned - done) * (time.perf_counter() - began) / done
                self.channel.enter("rest", left=left)
                time.sleep(REST)
                self._enter(left)
                rested = time.perf_counter()
        self._use(self.plan.threads)
        return hurried

    def _use(self, threads: int) -> None:
        if is_processor(self.plan.device):
            torch.set_num_threads(threads)

    def _enter(self, left: float) -> None:
        if self.told:
            self.channel.emit(Entered(at=time.time(), name="ceilings", timed=True, left=left))

    def _tell(self, probe: Probe, value: float) -> None:
        if self.told:
            self.channel.emit(Point(at=time.time(), curve=probe.curve, series=probe.series, x=probe.x, value=value))

    def disturbed(self) -> bool:
        """Whether something else kept the machine busy."""
        if foreign_cores(self.stretches.values()) > FOREIGN:
            return True
        songs = (self.canary.reads() for _ in range(TRIES))
        return all(median(reads) > UNEVEN * min(reads) for reads in songs)

    def ceilings(self, probes: Sequence[Probe], full: bool) -> Ceilings:
        """The value that these probes make."""
        hurried = self.work_off(probes)
        if full and 0 < len(hurried) < len(probes) / 2:  # where somebody works all the time, once more is no use
            self.work_off(hurried)
        same = self.found.get(("matmul", f"float32 · {self.plan.series(self.plan.threads)}", float(ROWS)), 0.0)
        canary_matmul = max(same, *(self.canary.matmul() for _ in range(SINGS)))  # the same product was among the probes
        device = self.plan.device
        up, down = copies(device, 0.2)
        tiny, asked = dispatch(device), launch(device)
        setup = self.plan.setup
        return Ceilings(
            device=device,
            threads=setup.threads,
            dtype=setup.dtype,
            at=time.time(),
            read=self._reads(),
            copy_rate=self._far("copy"),
            triad_rate=self._far("triad"),
            matmul=self._products(canary_matmul),
            matvec=self._matvecs(),
            dispatch=tiny,
            canary_matmul=canary_matmul,
            packed_call={name: value for name, _, value in self._of("packed_call")},
            packed={name: value for name, _, value in self._of("packed")},
            few_rows={int(x): value for _, x, value in self._of("few_rows")},
            scaling=self._scaling(),
            launch=asked,
            kernels=kernels(setup) if is_processor(device) else None,
            upload=up,
            download=down,
            versions={"torch": torch.__version__, "numpy": np.__version__},
            disturbed=self.disturbed(),
            full=full,
        )

    def _of(self, curve: Curve) -> list[tuple[str, float, float]]:
        """(series, x, value) of one curve."""
        return [(series, x, value) for (name, series, x), value in self.found.items() if name == curve]

    def _far(self, kernel: Curve) -> float:
        """Bytes/s from main memory with all threads."""
        assert kernel in ARRAYS
        series = self.plan.series(self.plan.threads)
        return max((x, value) for name, x, value in self._of(kernel) if name == series)[1]

    def _reads(self) -> dict[int, float]:
        """Working set of all threads → bytes/s."""
        threads = self.plan.threads
        series = self.plan.series(threads)
        found = {int(x) * threads: value for name, x, value in self._of("read") if name == series}
        again = [value for _, x, value in self._of("scaling_read") if x == threads]
        found[max(found)] = max(found[max(found)], *again, 0.0)
        return rising(found)

    def _products(self, canary_matmul: float) -> dict[str, float]:
        """Format → the best rate of any library and size with all threads."""
        best: dict[str, float] = {"float32": canary_matmul}
        for series, _, value in self._of("matmul"):
            kind, threads = series.split(" · ")
            if threads == self.plan.series(self.plan.threads):
                dtype = "float32" if kind == NUMPY else kind
                best[dtype] = max(best.get(dtype, 0.0), value)
        for dtype, count, value in self._of("scaling_matmul"):
            if count == self.plan.threads:
                best[dtype] = max(best.get(dtype, 0.0), value)
        return best

    def _matvecs(self) -> dict[str, float]:
        """Dtype → bytes/s of weights from main memory."""
        found: dict[str, dict[float, float]] = {}
        for dtype, rows, value in self._of("matvec"):
            found.setdefault(dtype, {})[rows] = value
        last = {dtype: values[max(values)] for dtype, values in found.items()}
        again = {dtype: value for dtype, threads, value in self._of("scaling_matvec") if threads == self.plan.threads}
        return {dtype: max(rate, again.get(dtype, 0.0)) for dtype, rate in last.items()}

    def _scaling(self) -> dict[int, Scaling]:
        """Threads → what they reach, measured side by side: shares of each other, not of what was reached at another moment."""
        columns = [{int(x): value for _, x, value in self._of(curve)} for curve in ("scaling_read", "scaling_matmul", "scaling_matvec")]
        return {threads: Scaling(read=read, matmul=columns[1][threads], matvec=columns[2][threads]) for threads, read in columns[0].items()}


def rising(rates: dict[int, float]) -> dict[int, float]:
    """A smaller working set is never slower to read than a larger one: what was seen of the larger holds for it, too."""
    floor, held = 0.0, {}
    for size in sorted(rates, reverse=True):
        floor = held[size] = max(rates[size], floor)
    return held
