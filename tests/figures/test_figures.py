import numpy as np
import pytest

from profiler.analysis.report import achieved
from profiler.analysis.waterfall import waterfall
from profiler.figures.memory import split_figure
from profiler.figures.roofline import roofline_figure
from profiler.figures.style import COLOURS, decimate
from profiler.figures.timeline import cores_figure, latency_figure, memory_figure, utilisation_figure
from profiler.figures.waterfall import waterfall_figure
from tests.builders import ceilings, generate_run


def test_the_waterfall_stands_on_itself():
    """Each bar begins where the one before ended; the last one is the measured median from zero."""
    bars = waterfall_figure(waterfall(generate_run(), "decode")).data[0]

    assert bars.base[0] == 0
    assert bars.base[1] == pytest.approx(bars.x[0])
    assert bars.base[-1] == 0
    assert bars.x[-1] == pytest.approx(50)


def test_the_roofline_is_logarithmic_and_has_both_phases():
    """Log axes, one roof, one marker a phase."""
    run = generate_run()
    plot = roofline_figure(ceilings(), {phase: achieved(run, phase) for phase in ("prefill", "decode")})

    assert plot.layout.xaxis.type == plot.layout.yaxis.type == "log"
    assert {"prefill", "decode"} == {trace.name.split(":")[0] for trace in plot.data if trace.mode == "markers"}
    assert max(plot.data[0].y) == pytest.approx(150e9)


@pytest.mark.parametrize("draw", [latency_figure, memory_figure, utilisation_figure, cores_figure])
def test_timelines_have_axes_with_units(draw):
    """Every axis is titled; values carry their unit."""
    plot = draw(generate_run())

    assert plot.layout.xaxis.title.text
    assert "(" in plot.layout.yaxis.title.text
    assert plot.data


@pytest.mark.parametrize("draw", [latency_figure, memory_figure, utilisation_figure, cores_figure])
def test_a_run_without_events_draws_empty_axes(draw):
    """The first tick of a live view has nothing to show, and shows it."""
    from profiler.record.run import fold

    run = generate_run()

    draw(fold("new", run.spec, "queued", 0.0, []))


def test_memory_bars_are_named_and_coloured():
    """Each purpose has its own colour in the one palette."""
    parts = {"weights": 5e8, "KV cache": 1e7}

    assert [bar.marker.color for bar in split_figure(parts).data] == [COLOURS["weights"], COLOURS["KV cache"]]


def test_decimation_keeps_extremes_and_order():
    """A million samples become about 2,000, the largest and smallest among them, times ascending."""
    y = np.random.default_rng(0).normal(size=1_000_000)
    x, kept = decimate(np.arange(len(y)), y)

    assert len(kept) <= 2002
    assert kept.max() == y.max()
    assert kept.min() == y.min()
    assert (np.diff(x) > 0).all()
