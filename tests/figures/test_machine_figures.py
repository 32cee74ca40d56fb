"""The machine's figures: roofs, staircases, threads."""

import pytest

from profiler.analysis.roofs import speedups
from profiler.figures.machine import growing_figures, kernel_figure, products_figure, roofs_figure, scaling_figure
from profiler.record.events import Point
from profiler.record.run import fold
from profiler.spec.run import RunSpec
from profiler.spec.work import MeasureCeilings
from tests.analysis.test_roofs import full
from tests.builders import ceilings

SPEC = RunSpec(work=MeasureCeilings(scope="full"))


def run(*points):
    return fold("r", SPEC, "running", 0.0, [Point(at=0, curve=c, series=s, x=x, value=v) for c, s, x, v in points])


def test_every_roof_is_a_line():
    """A slope for each step of the staircase, a flat for each format, a mark for each matrix-vector product; log axes."""
    plot = roofs_figure(full())
    lines = [trace for trace in plot.data if trace.mode.startswith("lines")]

    assert plot.layout.xaxis.type == plot.layout.yaxis.type == "log"
    assert len(lines) == 3 + 2
    assert {trace.marker.symbol for trace in plot.data if trace.mode == "markers"} == {"diamond"}
    assert any("40.0 GB/s" in trace.name for trace in lines)
    slope = next(trace for trace in lines if "main memory" in trace.name)
    assert slope.y[0] / slope.x[0] == pytest.approx(40e9)
    assert slope.y[-1] == pytest.approx(300e9)


def test_a_matrix_vector_product_lies_under_its_slope():
    """float32 does half an operation per byte of weights."""
    marks = [trace for trace in roofs_figure(ceilings(read=40e9)).data if trace.mode == "markers"]
    single = next(trace for trace in marks if "float32" in trace.name)

    assert single.x[0] == 0.5
    assert single.y[0] == pytest.approx(0.5 * 24e9)
    assert "60%" in single.name


def test_a_format_without_a_kernel_says_so():
    """float16 far below float32."""
    plot = roofs_figure(full(matmul={"float32": 150e9, "float16": 15e9}))

    assert any("no real kernel" in trace.name for trace in plot.data)


@pytest.mark.parametrize(("kernel", "title"), [("read", "read"), ("copy", "copied"), ("triad", "triad")])
def test_a_staircase_names_its_kernel(kernel, title):
    """The axis says what is done again and again."""
    plot = kernel_figure(run((kernel, "1 thread", 8192.0, 2e11)), kernel)

    assert title in plot.layout.yaxis.title.text
    assert plot.data[0].y[0] == pytest.approx(200)


def test_threads_are_compared_with_a_perfect_gain():
    """The dotted line is y = x; each measured line begins at 1."""
    plot = scaling_figure(speedups(full()))

    assert list(plot.data[0].y) == [1, 2]
    assert {trace.y[0] for trace in plot.data} == {1.0}


def test_curves_grow_while_they_are_measured():
    """The kernel under way and the products, with how many points there are; before the first point both are empty."""
    names = ["staircase", "products"]
    assert [name for name, *_ in growing_figures(run())] == names
    grown = growing_figures(run(("read", "1 thread", 8192.0, 2e11), ("copy", "1 thread", 8192.0, 2e11)))

    assert [name for name, *_ in grown] == names
    assert grown[0][2] == "Bandwidth of copy by working set, points so far: 1"


def test_products_are_drawn_by_size():
    """One line a format and thread count."""
    plot = products_figure(run(("matmul", "float32 · 1 thread", 512.0, 1e11), ("matmul", "int8 · 1 thread", 512.0, 4e11)))

    assert {trace.name for trace in plot.data} == {"float32 · 1 thread", "int8 · 1 thread"}
