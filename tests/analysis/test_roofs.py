"""What ceilings say, on hand-made ones with exact numbers."""

import pytest

from profiler.analysis.roofs import (
    highest,
    levels,
    matmul_finding,
    scaling_finding,
    sheet_rows,
    speedups,
    staircase_finding,
    summary,
)
from profiler.analysis.table import ceilings_rows, point_rows
from profiler.record.events import Point
from profiler.record.run import fold
from profiler.spec.machine import Scaling
from profiler.spec.run import RunSpec
from profiler.spec.work import MeasureCeilings
from tests.builders import ceilings

READ = {64: 400e9, 128: 400e9, 256: 200e9, 512: 196e9, 1024: 190e9, 2048: 60e9, 4096: 40e9}
SCALING = {
    1: Scaling(read=20e9, matmul=80e9, matvec=10e9),
    2: Scaling(read=25e9, matmul=150e9, matvec=19e9),
}


def full(**changes):
    return ceilings(read=40e9, full=True, scaling=SCALING).model_copy(update={"read": READ} | changes)


def test_the_steps_of_the_staircase():
    """Neighbours within a tenth are one step, a lone point on a slope is none, main memory is the last."""
    found = levels(full())

    assert [level.size for level in found] == [128, 1024, 4096]
    assert [level.rate for level in found] == [400e9, 196e9, 40e9]
    assert found[-1].name == "main memory"


def test_a_quick_measurement_has_its_one_cache():
    """Two points are two levels."""
    assert [level.rate for level in levels(ceilings(read=30e9))] == [120e9, 30e9]


def test_the_best_of_two_visits_counts():
    """The same place measured twice: the higher one, in the place of the first."""
    assert highest({"a": ([1.0, 2.0, 1.0], [5.0, 6.0, 7.0])}) == {"a": ([1.0, 2.0], [7.0, 6.0])}


def test_findings_are_made_of_the_numbers():
    """Ridge, staircase, formats without a kernel, threads: each as a sentence of what was measured."""
    found = full(matmul={"float32": 150e9, "bfloat16": 300e9, "float16": 15e9, "int8": 600e9})

    assert "below 3.8 operations per byte" in summary(found)
    assert staircase_finding(found) == "Read again and again, 128 B come 10 times as fast as from main memory"
    assert matmul_finding(found) == "bfloat16 multiplies 2.0 times as fast as float32; float16 has no real kernel here"
    assert scaling_finding(found) == "2 threads multiply 1.9 times and read 1.2 times as fast as one"


def test_where_float32_is_fastest_that_is_said():
    """Two formats without a kernel."""
    found = full(matmul={"float32": 150e9, "bfloat16": 30e9, "float16": 15e9})

    assert matmul_finding(found) == "float32 multiplies fastest, 150 GFLOP/s; bfloat16 and float16 have no real kernel here"


def test_speedups_are_over_one_thread():
    """All begin at 1; without a measurement of one thread there are none."""
    assert speedups(full())["matrix product"] == ([1.0, 2.0], [1.0, pytest.approx(1.875)])
    assert speedups(ceilings(scaling={})) == {}


def test_a_data_sheet_stands_beside():
    """Shares of the promised bandwidth and of each format that both know."""
    rows = sheet_rows(full(), 80e9, {"float32": 300e9, "int8": 1e12})

    assert [row["ceiling"] for row in rows] == ["read from main memory", "triad in main memory", "matrix product, float32"]
    assert [row["share"] for row in rows] == ["50 %", "50 %", "50 %"]


def test_every_ceiling_is_a_row():
    """Cache, memory, products, vectors, dispatch and threads; what a processor has not is absent."""
    rows = {row["ceiling"]: row for row in ceilings_rows(full(matmul={"float32": 150e9, "int8": 15e9}))}

    assert rows["triad in main memory"]["reached"] == "40.0 GB/s"
    assert rows["matrix product, int8"] == {
        "ceiling": "matrix product, int8",
        "reached": "15.0 GOP/s",
        "note": "no real kernel here: slower than float32",
    }
    assert rows["matrix-vector product, bfloat16"]["note"] == "50 % of reading"
    assert "2 threads" in rows
    assert "launching a kernel" not in rows


def test_every_point_is_a_row():
    """Curve, series, place and value, each in its unit."""
    points = [Point(at=0, curve="read", series="1 thread", x=8192, value=2e11)]
    points += [Point(at=1, curve="matmul", series="int8 · 1 thread", x=1024, value=4e11)]
    rows = point_rows(fold("r", RunSpec(work=MeasureCeilings()), "finished", 0.0, points))

    assert rows[0] == {"curve": "read", "series": "1 thread", "at": "8.19 kB per thread", "reached": "200 GB/s"}
    assert rows[1] == {"curve": "matrix product", "series": "int8 · 1 thread", "at": "1,024 rows", "reached": "400 GFLOP/s"}
