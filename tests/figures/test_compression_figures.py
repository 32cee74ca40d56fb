import pytest

from profiler.analysis.compression import aims, variants
from profiler.analysis.elsewhere import compressed
from profiler.analysis.fleet import Workload
from profiler.analysis.labs import LABS, planned
from profiler.analysis.sensitivity import cells, kept
from profiler.catalog import devices, models
from profiler.figures.compression import DIM, bars_figure, forecast_figure, pareto_figure, same_scale, squeezed, stretched
from profiler.figures.lab import View, figures
from profiler.figures.published import bits_figure, elsewhere_figure, pruning_figure, speed_figure
from profiler.figures.sensitivity import kept_figure, sensitivity_figure
from profiler.figures.style import figure
from profiler.spec.run import Setup
from tests.builders import SPEC, ceilings, kernels
from tests.compressed import comparison, sensitivity
from tests.experiments import conditions

ROOFS = {"bfloat16": ceilings(dtype="bfloat16", kernels=kernels())}


def planned_specs(**changes):
    return list(planned(LABS["compression"], conditions(model=SPEC.model, setup=Setup(threads=2, dtype="bfloat16"), **changes)).specs)


def traces(plot) -> dict:
    return {trace.name: trace for trace in plot.data}


def test_the_axis_of_losses_takes_nothing_and_a_thousandfold():
    """0 stays 0, signs are kept, and the way back is exact."""
    assert squeezed(0) == 0
    assert squeezed(-3) == -squeezed(3)
    assert stretched(squeezed(12_345)) == pytest.approx(12_345)
    assert squeezed(1000) < 10 * squeezed(1)


def test_bubbles_stand_at_their_speed_and_loss():
    """int8 at 133 tokens/s and +0.4 %; as large as its weights; the front is not dimmed, the rest is."""
    plot = pareto_figure(variants(comparison()), [])
    weights = traces(plot)["weights"]

    assert list(weights.text) == ["int8", "int4", "gguf-q4"]
    assert weights.x[0] == pytest.approx(133.3, abs=0.1)
    assert stretched(weights.y[0]) == pytest.approx(0.4, abs=0.01)
    assert weights.marker.size[0] > weights.marker.size[1]
    assert list(weights.marker.opacity)[1] == DIM < weights.marker.opacity[0]
    assert traces(plot)["baseline"].marker.size[0] == max(traces(plot)["zeros"].marker.size)


def test_the_best_is_at_the_top_right():
    """The axis of losses is turned round."""
    low, high = pareto_figure(variants(comparison()), []).layout.yaxis.range

    assert low > high


def test_what_has_not_landed_is_hollow():
    """Predicted speeds before anything is measured; each goes when it has landed."""
    expected = aims(planned_specs(), ROOFS)
    before, after = pareto_figure([], expected), pareto_figure(variants(comparison()), expected)

    assert any(trace.marker.symbol in ("diamond-open", "line-ns-open") for trace in before.data if trace.mode == "markers+text")
    assert "predicted speed; quality is not foretold" in traces(before)
    assert "predicted speed; quality is not foretold" not in traces(after)


def test_equal_predictions_are_one_mark():
    """Zeros do not change the speed: three names would lie on each other."""
    said = traces(pareto_figure([], aims(planned_specs(methods=("magnitude", "wanda")), ROOFS)))

    assert "uncompressed and 2 more" in next(trace.text for name, trace in said.items() if name.startswith("predicted"))


def test_a_disturbed_variant_is_hollow():
    """Other programs were busy: seen at a glance."""
    plot = pareto_figure(variants(comparison(foreign=1.0)), [])

    assert set(traces(plot)["weights"].marker.symbol) == {"circle-open"}


def test_a_forecast_stands_beside_what_was_measured():
    """Physics, expectation and measurement in one column of each method; 1 is no change."""
    said = traces(forecast_figure(variants(comparison()), aims(planned_specs(), ROOFS)))

    assert list(said["measured"].x) == ["int8", "int4", "gguf-q4", "magnitude", "wanda", "channels", "layers"]
    assert said["measured"].y[0] == pytest.approx(1.6)
    assert set(said["by fewer bytes alone"].x) == set(said["measured"].x)
    assert set(said["as fast"].y) == {1.0}
    assert said["expected"].x


@pytest.mark.parametrize(("what", "value"), [("speed", 133.3), ("weights", 0.1345)])
def test_random_weights_are_drawn_as_bars(what, value):
    """Speed in tokens/s, size in GB; the uncompressed model is the dashed line."""
    found = variants(comparison(trained=False, methods=("none", "int8")))
    said = traces(bars_figure(found, [], what))

    assert list(said[None].x) == ["uncompressed", "int8"]
    assert said[None].y[1] == pytest.approx(value, rel=0.01)
    assert said["uncompressed"].y[0] == said[None].y[0]


@pytest.mark.parametrize("trained", [True, False])
def test_a_lab_shows_its_result(trained):
    """Two figures or three, each with a text for those who do not see it."""
    made = comparison(trained=trained, methods=("none", "int8", "int4"))
    drawn = figures(View(LABS["compression"], made.specs, ROOFS, made))

    assert [name for name, _, _ in drawn] == (["pareto", "forecast"] if trained else ["speed", "forecast", "size"])
    assert all("3 points measured" in alt for _, _, alt in drawn)


def test_layers_are_a_heat_map():
    """A row a part, a column a layer, the lm_head after the last; what was not tried is blank."""
    plot = sensitivity_figure(cells(sensitivity({"attention": [0.1], "MLP": [0.01, 0.001], "lm_head": [1.0]})), 30)
    cell = plot.data[0]

    assert list(cell.y) == ["attention", "MLP", "lm_head"]
    assert [round(value, 6) for value in cell.z[1][:2]] == [-2, -3]
    assert cell.z[0][1] is None
    assert cell.z[2][30] == 0
    assert plot.layout.xaxis.ticktext[-1] == "head"
    assert sensitivity_figure([], 30).data[0].showscale is False


def test_what_is_left_falls_with_memory():
    """MB to the right, nats upwards, beginning at everything."""
    line = kept_figure(kept(sensitivity({"attention": [0.1], "MLP": [0.5]}))).data[0]

    assert line.y[0] == pytest.approx(0.6)
    assert line.x[-1] > line.x[0] == 0


def test_two_waterfalls_share_their_scale():
    """The longer one's axis."""
    short, long = (figure(100, "x", "y").add_bar(y=["part"], x=[end]).update_xaxes(range=[0, end]) for end in (5, 20))

    assert {(tuple(plot.layout.xaxis.range), plot.layout.margin.l) for plot in same_scale([short, long])} == {
        ((0, 20), short.layout.margin.l)
    }


def test_published_losses_are_logarithmic():
    """One mark a method, a line a model; nothing without bits."""
    plot = bits_figure({"A": [(8.5, 0.001, "q8_0"), (4.9, 0.028, "q4_K_M"), (0, 9, "none")], "B": [(4.9, 0.05, "Q4_K_M")]}, "rise (%)", 100)

    assert list(plot.data[0].x) == [4.9, 8.5]
    assert list(plot.data[0].y) == [pytest.approx(2.8), pytest.approx(0.1)]
    assert plot.layout.yaxis.type == "log"


def test_published_speeds_stand_under_the_line_of_reading():
    """4 bits read alone: four times; measured less."""
    plot = speed_figure([(4.0, 2.5, "Q4_K_M")], "A")

    assert dict(zip(plot.data[0].x, plot.data[0].y))[4.0] == 4
    assert list(plot.data[1].y) == [2.5]


def test_zeros_by_how_they_are_chosen():
    """A group a model, a bar a criterion, its rise written on it."""
    plot = pruning_figure({"A": {"50%": {"magnitude": 1.9, "SparseGPT": 0.27, "Wanda": 0.25}}}, "50%")

    assert [trace.text[0] for trace in plot.data] == ["+190 %", "+27 %", "+25 %"]


def test_formats_elsewhere_are_bars_with_intervals():
    """What does not fit is hollow."""
    device = devices.find("rtx-4090")
    plot = elsewhere_figure(compressed(models.rows()["llama-3.1-70b"].spec(), device, Workload(1, 512, 128)))
    bars = [trace for trace in plot.data if trace.type == "bar"]

    assert {bar.name for bar in bars} == {"would not fit: as if there were room"}
    assert all(value > 0 for value in bars[0].error_x.array)
