"""Figures of the page Hardware: every axis with its unit, nothing lost, the border where memory ends."""

import numpy as np
import pytest

from profiler.analysis.fleet import OWN, Stack, Workload, choice, fleet, shortlist, standing
from profiler.analysis.what_if import at, doubled, grid
from profiler.catalog import devices, models
from profiler.figures.hardware import Seen, devices_roofline, front_figure, shares_figure, times_figure
from profiler.figures.hardware_one import doubled_figure, grid_figure, outline

WORK = Workload()


def model(name="llama-3.1-8b"):
    row = models.find(name)
    assert row
    return row.spec()


def everything(name="llama-3.1-8b", prices=None):
    own = devices.rows()["l4"].model_copy(update={"id": OWN, "title": "mine"})
    return fleet(model(name), [*devices.rows().values(), own], Stack(), WORK, prices)


CHOICES = everything()
SHORT = shortlist(CHOICES)


def named(plot, name: str):
    return next(trace for trace in plot.data if trace.name == name)


def test_times_have_a_dot_a_whisker_and_a_row_each():
    """Milliseconds on a logarithmic axis; whiskers reach to the interval's ends; the own device is a star."""
    plot = times_figure(SHORT, "decode")
    dots = named(plot, "predicted")
    first = SHORT[0].estimate.decode

    assert plot.layout.xaxis.type == "log"
    assert "(ms)" in plot.layout.xaxis.title.text
    assert dots.x[0] == pytest.approx(1e3 * first.time)
    assert dots.x[0] + dots.error_x.array[0] == pytest.approx(1e3 * first.high)
    assert dots.x[0] - dots.error_x.arrayminus[0] == pytest.approx(1e3 * first.low)
    assert list(named(plot, "your device").y) == ["★ mine"]
    assert len(plot.layout.yaxis.categoryarray) == len(SHORT)


def test_what_does_not_fit_is_drawn_hollow():
    """The time that it would take if it had room, told apart."""
    too_small = [one for one in CHOICES if not one.fits][:2]
    plot = times_figure([*SHORT[:1], *too_small], "decode")
    hollow = named(plot, "memory too small: if it had room")

    assert hollow.marker.symbol == "circle-open"
    assert len(hollow.x) == 2


def test_this_machine_has_a_row_of_its_own():
    """Measured as a diamond beside its prediction, inside the axis."""
    plot = times_figure(SHORT, "decode", Seen("this machine", (2.0, 1.9, 2.1), (1.5, 1.2, 1.8)))

    assert list(named(plot, "measured here").x) == [2000]
    assert list(named(plot, "predicted, on its own ceilings").x) == [1500]
    assert plot.layout.yaxis.categoryarray[-1] == "this machine"
    assert 10 ** plot.layout.xaxis.range[1] > 2100


@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_shares_add_up_to_the_whole(phase):
    """100 percent for each device."""
    plot = shares_figure(SHORT, phase)

    assert np.sum([trace.x for trace in plot.data], axis=0) == pytest.approx(100, abs=0.3)
    assert {trace.name for trace in plot.data} >= {"moving bytes", "overhead"}


def test_the_roofline_has_a_roof_and_both_phases_of_each_device():
    """Points lie under their own roof."""
    standings = [(one, standing(model(), one)) for one in SHORT[:3]]
    plot = devices_roofline(standings)
    lines = [trace for trace in plot.data if trace.mode == "lines"]
    points = [trace for trace in plot.data if trace.mode == "markers" and trace.legendgroup]

    assert plot.layout.xaxis.type == plot.layout.yaxis.type == "log"
    assert len(lines) == len(points) == 3
    for line, point in zip(lines, points):
        assert len(point.x) == 2
        assert max(point.y) < max(line.y)


def test_the_front_rises_and_leaves_nobody_better_out():
    """Along the line both energy and speed grow; no other device is up and left of it."""
    fitting = [one for one in CHOICES if one.fits]
    plot = front_figure(fitting, "energy", SHORT)
    best = named(plot, "none beats it in both")
    rest = named(plot, "other devices")

    assert list(best.x) == sorted(best.x)
    assert list(best.y) == sorted(best.y)
    for x, y in zip(rest.x, rest.y):
        assert any(bx <= x and by >= y for bx, by in zip(best.x, best.y))
    assert "(J)" in plot.layout.xaxis.title.text


def test_only_priced_devices_are_set_against_cost():
    """Two prices, two points."""
    found = [one for one in everything(prices={"h100-sxm": 3.0, "rtx-4090": 0.4}) if one.fits]
    plot = front_figure(found, "cost")
    shown = [x for trace in plot.data if trace.mode == "markers" for x in trace.x]

    assert len(shown) == 2
    assert len(front_figure(everything(), "cost").data) > 0  # nothing known: an empty figure, not an error


def test_cells_that_do_not_fit_are_blank_and_ruled_off():
    """No number in them, a cross each, and a border just above the last that fits."""
    one = choice(model(), devices.rows()["rtx-4090"], Stack(), WORK)
    view = grid(model(), one)
    plot = grid_figure(view, "rate", at(view, WORK), one.device.memory)
    cells, crosses = plot.data[0], named(plot, "does not fit")

    assert np.array_equal(np.isnan(np.array(cells.z, float)), ~view.fits)
    assert len(crosses.x) == int((~view.fits).sum())
    corners = outline(view.fits)
    assert corners[0] == (-0.5, np.count_nonzero(view.fits[:, 0]) - 0.5)
    assert corners[-1][0] == len(view.contexts) - 0.5
    assert "needs" in crosses.hovertemplate
    assert list(plot.layout.xaxis.ticktext)[-1] == "128k"


def test_what_if_bars_add_up_and_carry_their_gain():
    """Stacked parts are the whole answer; the number behind a bar is how many times faster."""
    variants = doubled(model(), SHORT[0])
    plot = doubled_figure(variants)
    bars = [trace for trace in plot.data if trace.type == "bar"]
    texts = next(trace for trace in plot.data if trace.type == "scatter").text

    assert np.sum([bar.x for bar in bars], axis=0) == pytest.approx([1e3 * one.seconds for one in variants], rel=0.01)
    assert f"{variants[0].seconds / variants[1].seconds:.2f} ×" in texts[1]
    assert "×" not in texts[0]
