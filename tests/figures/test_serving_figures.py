"""The figures of a load test."""

import pytest

from profiler.analysis.serving import Serving
from profiler.figures.serving import figures
from tests.served import load_run


def drawn(**how) -> dict:
    return {name: (plot, alt) for name, plot, alt in figures(Serving(load_run(**how)))}


def test_axes_have_units_and_texts_their_numbers():
    """All three figures; that of failures is not there without any."""
    found = drawn()

    assert set(found) == {"curve", "first", "between"}
    for plot, alt in found.values():
        assert "(" in plot.layout.xaxis.title.text
        assert "(s)" in plot.layout.yaxis.title.text
        assert "4 rates measured" in alt


def test_the_curve_has_a_point_a_rate_and_marks_the_border():
    """Rates as labels, crosses where it does not keep up, a ring around the last point that does."""
    plot, _ = drawn()["curve"]
    alone, curve, ring = plot.data

    assert list(curve.text) == ["1.0/s", "2.0/s", "3.0/s", "6.0/s"]
    assert list(curve.marker.symbol) == ["circle", "circle", "circle", "x"]
    assert ring.x[0] == curve.x[2]
    assert alone.y[0] == pytest.approx(1.0)
    assert all(whisker >= 0 for whisker in curve.error_y.array)


def test_percentiles_are_drawn_only_where_the_samples_carry_them():
    """In five seconds no rate has two hundred first tokens; gaps it has."""
    found = drawn(seconds=5.0)

    assert [trace.name for trace in found["first"][0].data] == ["median", "p90"]
    assert [trace.name for trace in found["between"][0].data] == ["median", "p90", "p99"]


def test_failures_have_a_figure_of_their_own():
    """Shares of a hundred for each rate."""
    plot, alt = drawn(lost=[(6.0, "refused", 10, "503"), (6.0, "error", 5, "broke")])["outcomes"]

    assert [trace.name for trace in plot.data] == ["answered", "refused", "broken"]
    assert sum(trace.y[-1] for trace in plot.data) == 100
    assert "10 failed" in alt


def test_nothing_measured_is_drawn_without_an_error():
    """Axes wait for points; of one without answers, too."""
    assert figures(Serving(load_run(rates=())))
    assert figures(Serving(load_run(rates=(1.0,), lost=[(1.0, "stalled", 10_000, "no token")])))
