"""The parts that measure a machine's ceilings, on real tensors; what they are folded into, with exact numbers."""

import io
import itertools
import json
import subprocess
import sys
import time
from contextlib import nullcontext

import pytest
import torch

from profiler.record.events import Job
from profiler.spec.run import RunSpec, Setup
from profiler.spec.work import MeasureCeilings
from profiler.worker import bandwidth, ceilings, products
from profiler.worker.canary import Canary
from profiler.worker.channel import Channel
from profiler.worker.dispatch import dispatch
from profiler.worker.kernels import kernels
from profiler.worker.neighbours import Neighbours, Stretch, foreign_cores
from profiler.worker.plan import Plan, thread_counts
from profiler.worker.products import NUMPY, Products
from tests.builders import MACHINE
from tests.builders import ceilings as roofs

SETUP = Setup(threads=2, dtype="bfloat16")
SIZE = 1 << 16


@pytest.fixture
def small(monkeypatch):
    """Main memory begins at 1 MB, so that nothing takes long."""
    for place in ("bandwidth", "plan", "canary"):
        monkeypatch.setattr(f"profiler.worker.{place}.main_memory_size", lambda device, cache: 1 << 20)
    for name, value in {"MEMORY": 1 << 20, "MANY_LINES": 1 << 13, "SECONDS": 0.0}.items():
        monkeypatch.setattr(f"profiler.worker.kernels.{name}", value)


@pytest.fixture(autouse=True)
def threads():
    """The library's thread count is as before."""
    held = torch.get_num_threads()
    yield
    torch.set_num_threads(held)


def bench(told=True, probes=None):
    """A bench on a small plan whose probes find constants, and the stream it speaks to."""
    stream, plan = io.StringIO(), Plan(SETUP, MACHINE.cache)
    return ceilings.Bench(plan, Canary(SETUP, MACHINE.cache), Channel(stream), told), stream


def said(stream) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("kernel", ["read", "copy", "triad"])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_small_set_is_worked_through_many_times(kernel, threads):
    """One call moves at least 32 MB per thread, in sets of the size asked for, and torch accepts the overlapping target."""
    work = bandwidth.near(kernel, SIZE, threads, "cpu")
    work.call()

    assert work.moved >= 0.9 * threads * bandwidth.VOLUME
    assert work.moved % threads == 0


def test_bytes_are_those_that_the_kernel_names():
    """One array for a read, two for a copy, three for a triad, as STREAM counts them."""
    assert bandwidth.far("triad", SIZE, "cpu").moved == 3 * SIZE
    assert bandwidth.far("copy", SIZE, "cpu").moved == 2 * SIZE
    assert bandwidth.far("read", SIZE, "cpu").moved == SIZE


def test_the_steps_double_and_end_in_main_memory():
    """From 8 KB per thread up to arrays that no cache holds, divided among the threads."""
    sizes = bandwidth.steps("triad", 2, "cpu", 1 << 20)

    assert sizes[:3] == [8192, 16384, 32768]
    assert sizes[-1] == 3 * (1 << 20) // 2
    assert sizes == sorted(sizes)


def test_thread_counts_double_up_to_all():
    """1, 2, 4, … and all of them once."""
    assert thread_counts(1) == [1]
    assert thread_counts(2) == [1, 2]
    assert thread_counts(12) == [1, 2, 4, 8, 12]


def test_an_accelerator_has_no_threads(monkeypatch):
    """One line a curve, named by the device, no scaling, and no product by numpy."""
    monkeypatch.setattr("profiler.worker.plan.main_memory_size", lambda device, cache: 1 << 30)
    plan = Plan(Setup(device="cuda:0", threads=8, dtype="bfloat16"), None)
    probes = plan.full()

    assert {probe.series for probe in probes if probe.curve == "read"} == {"cuda:0"}
    assert {probe.series.split(" · ")[1] for probe in probes if probe.curve == "matmul"} == {"cuda:0"}
    assert {probe.threads for probe in probes} == {1}
    assert not [probe for probe in probes if "numpy" in probe.series or probe.curve.startswith("scaling")]


def test_every_format_has_a_product():
    """Each kind of product runs, numpy's among them, and remembers its best size."""
    found = Products("cpu")
    for kind in products.formats("cpu"):
        assert found.rate(kind, 32, 0.001) > 0
    assert found.best[NUMPY][1] == 32


def test_a_product_that_takes_too_long_gets_no_larger_one(monkeypatch):
    """With no patience the second size is left out, and the first may be repeated."""
    monkeypatch.setattr(products, "PATIENCE", 0.0)
    found = Products("cpu")

    assert found.rate("float32", 32, 0) > 0
    assert found.rate("float32", 64, 0) is None
    assert found.rate("float32", 32, 0) > 0


def test_a_smaller_set_is_never_slower():
    """What was seen of a larger working set holds for the smaller ones."""
    assert ceilings.rising({10: 5.0, 100: 8.0, 1000: 2.0}) == {10: 8.0, 100: 8.0, 1000: 2.0}


def test_dispatching_takes_microseconds():
    """One tiny operator takes some time, and less than a millisecond."""
    assert 0 < dispatch("cpu") < 1e-3


def test_a_full_measurement_is_folded_into_ceilings(small):
    """Every curve ends in the value: sets of all threads together, the best library, main memory at its best."""
    made, stream = bench()
    rates = {"read": 4e9, "copy": 3e9, "triad": 2e9, "matvec": 1e9, "packed": 6e8, "packed_call": 1e-6, "few_rows": 7e8}
    values = {NUMPY: 9e15, "float32": 8e15, "bfloat16": 16e15, "int8": 32e15}

    def constant(probe):
        value = values.get(probe.series.split(" · ")[0], 1e12) if probe.curve == "matmul" else rates.get(probe.curve, 5e9)
        return probe._replace(measure=lambda: value)

    found = made.ceilings([constant(probe) for probe in made.plan.full()], full=True)

    assert min(found.read) == 2 * bandwidth.SMALLEST
    assert max(found.read) == 1 << 20
    assert found.dram == 5e9  # the scaling's read was faster
    assert (found.copy_rate, found.triad_rate) == (3e9, 2e9)
    assert found.matmul == {"float32": 9e15, "bfloat16": 16e15, "float16": 1e12, "int8": 32e15}
    assert found.matvec == {"float32": 1e9, "bfloat16": 5e9, "float16": 1e9}
    assert found.few_rows == dict.fromkeys((2, 4, 8, 16, 32), 7e8)
    assert set(found.packed.values()) == {6e8}
    assert set(found.scaling) == {1, 2}
    assert found.full
    points = [event for event in said(stream) if event["kind"] == "point"]
    assert {point["curve"] for point in points} == {*rates, "matmul", "scaling_read", "scaling_matmul", "scaling_matvec"}


def test_a_point_that_cannot_be_measured_is_left_out(small):
    """A probe that finds nothing leaves no point."""
    made, stream = bench()
    made.work_off([made.plan.memory()[0]._replace(measure=lambda: None)])

    assert "point" not in {event["kind"] for event in said(stream)}


def test_the_time_left_falls_to_nothing(small, monkeypatch):
    """Each rest tells how long it will still take; the last one almost nothing."""
    monkeypatch.setattr(ceilings, "BETWEEN_RESTS", 0.0)
    monkeypatch.setattr(ceilings, "REST", 0.0)
    made, stream = bench()
    probe = made.plan.memory()[0]._replace(measure=lambda: 1.0)
    made.work_off([probe] * 5)
    left = [event["left"] for event in said(stream) if event["kind"] == "phase" and event["name"] == "rest"]

    assert len(left) == 5
    assert left[-1] == pytest.approx(0)


@pytest.mark.parametrize(("scope", "curves"), [("memory", {"read", "copy", "triad"}), ("matmul", {"matmul", "matvec"})])
def test_a_single_curve_is_no_ceiling(small, monkeypatch, scope, curves):
    """Points of that curve, and nothing that later runs would be judged by."""
    monkeypatch.setattr(ceilings.Bench, "_enter", lambda *args: None)
    real = Plan.memory if scope == "memory" else Plan.matmul
    monkeypatch.setattr(Plan, scope, lambda plan: [probe._replace(measure=lambda: 1.0) for probe in real(plan)])
    stream = io.StringIO()
    job = Job(spec=RunSpec(work=MeasureCeilings(scope=scope), setup=SETUP), hardware=MACHINE, ceilings=None, cache="", warm=False)
    ceilings.run(job, Channel(stream))

    assert {event["curve"] for event in said(stream) if event["kind"] == "point"} == curves
    assert "ceilings" not in {event["kind"] for event in said(stream)}


def test_a_quick_measurement_is_real(small):
    """All numbers are there, positive, and of this set-up."""
    job = Job(spec=RunSpec(work=MeasureCeilings(), setup=SETUP), hardware=MACHINE, ceilings=None, cache="", warm=False)
    found = ceilings.measure(job, Channel(io.StringIO()), Canary(SETUP, MACHINE.cache))

    assert {"float32", "bfloat16"} <= found.matmul.keys()
    assert found.matvec.keys() == {"float32", "bfloat16"}
    assert min(found.triad_rate, found.copy_rate, found.dram, *found.matmul.values(), *found.matvec.values()) > 0
    assert (found.device, found.threads, found.dtype, found.full) == ("cpu", 2, "bfloat16", False)


@pytest.mark.parametrize("setup", [SETUP, Setup(threads=2, dtype="float32", layout="columns")])
def test_every_kernel_of_a_model_is_timed(small, setup):
    """Rates and times are positive, at the sizes that the prediction asks for."""
    found = kernels(setup)
    several = (found.narrow, found.many, found.cut, found.call, found.prompt)

    assert min(found.across, found.across_many, found.cut_aligned, found.recall, *(min(held.values()) for held in several)) > 0
    assert [sorted(held) for held in several] == [[1, 4], [128, 512], [1 << 12, 1 << 13], [1, 4], [128, 512]]


def test_a_busy_neighbour_disturbs(small):
    """A process that keeps a core busy is seen in the system's accounts, and the ceilings are not to be kept."""
    made, _ = bench()
    probe = made.plan.memory()[0]._replace(measure=lambda: time.sleep(0.6) or 1.0)
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            hurried = made.work_off([probe])
        finally:
            busy.kill()

    assert hurried == [probe]
    assert made.disturbed()


def test_own_work_is_no_neighbour(monkeypatch):
    """Two busy seconds of three are the system's, one of them ours: a third of a core is foreign."""
    clocks = iter([(0.0, 10.0, 5.0), (3.0, 12.0, 6.0)])
    monkeypatch.setattr(Neighbours, "_clocks", lambda self: next(clocks))
    with Neighbours().watched() as stretch:
        pass

    assert foreign_cores([stretch]) == pytest.approx(1 / 3)
    assert foreign_cores([stretch, Stretch(wall=7.0, foreign=0.0)]) == pytest.approx(0.1)
    assert foreign_cores([]) == 0


@pytest.mark.parametrize("again", [0.0, 1.0])
def test_a_hurried_point_is_measured_once_more(small, monkeypatch, again):
    """Beside one of all points a core was busy: that one is measured again at the end, and its second account counts."""
    made, stream = bench()
    probes = [probe._replace(measure=lambda: 1e9) for probe in made.plan.full()]
    moments = itertools.chain([Stretch(1.0, 0.9)], [Stretch(1.0, 0.0)] * (len(probes) - 1), [Stretch(1.0, again)])
    monkeypatch.setattr(made.neighbours, "watched", lambda: nullcontext(next(moments)))
    monkeypatch.setattr(made.canary, "reads", lambda: [1.0])
    made.ceilings(probes, full=True)
    points = [event for event in said(stream) if event["kind"] == "point"]

    assert len(points) == len(probes) + 1
    assert (points[-1]["series"], points[-1]["x"]) == (probes[0].series, probes[0].x)
    assert foreign_cores(made.stretches.values()) == pytest.approx(again / len(made.stretches))


def test_uneven_reads_disturb(small, monkeypatch):
    """When most reads take half as long again as the best one, time and again, something is in the way."""
    made, _ = bench()
    monkeypatch.setattr(made.canary, "reads", lambda: [1.0, 1.6, 1.6])

    assert made.disturbed()


@pytest.mark.parametrize(("read", "matmul", "wanted"), [(1.0, 1.0, False), (1.2, 1.0, True), (1.0, 1.2, True), (0.3, 0.5, False)])
def test_kept_ceilings_are_beaten_by_a_faster_canary(small, monkeypatch, read, matmul, wanted):
    """More than a tenth faster, in reading or in multiplying."""
    kept, canary = roofs(), Canary(SETUP, None)
    monkeypatch.setattr(canary, "read", lambda: read * kept.dram)
    monkeypatch.setattr(canary, "matmul", lambda: matmul * kept.canary_matmul)

    assert ceilings.beaten(kept, canary) is wanted
