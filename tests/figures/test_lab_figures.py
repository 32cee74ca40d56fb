import pytest

from profiler.analysis.labs import LABS, planned
from profiler.analysis.planner import frontier, purposes
from profiler.figures.arithmetic import attention_figure, operators_figure
from profiler.figures.capacity import capacity_figure, frontier_figure
from profiler.figures.curves import matmul_figure, staircase_figure
from profiler.figures.lab import View, figures
from profiler.figures.style import COLOURS, RED
from profiler.theory.memory import predict_memory
from tests.builders import SPEC, ceilings
from tests.experiments import conditions, curves, experiment

ROOFS = {"float32": ceilings()}


def before(name, roofs=ROOFS) -> View:
    asked = conditions(model=SPEC.model) if name == "sensitivity" else conditions()  # random weights have no quality to lose
    return View(LABS[name], list(planned(LABS[name], asked).specs), roofs, None, 32 << 20)


def traces(view, which=0) -> dict:
    return {trace.name: trace for trace in figures(view)[which][1].data}


@pytest.mark.parametrize("roofs", [ROOFS, {}], ids=["known", "unknown"])
@pytest.mark.parametrize("name", LABS)
def test_the_prediction_is_drawn_before_anything_is_measured(name, roofs):
    """Axes with their titles and an alternative text; lines where the roofs are known."""
    for _, plot, alt in figures(before(name, roofs)):
        assert plot.layout.xaxis.title.text
        named = plot.layout.yaxis.title.text or plot.layout.xaxis.title.text  # bars that lie have names for an axis, and a unit below
        assert "(" in named
        assert "0 points measured" in alt
        if roofs and name != "sensitivity":  # which layers matter, nothing foretells
            assert any(trace.mode == "lines" or trace.name in ("predicted", "at least, by physics") for trace in plot.data)


def test_the_batch_figure_marks_the_predicted_crossing():
    """A line in the figure, named with its batch; the bound is the larger of both roofs."""
    lines = traces(before("batch"))

    assert any(name.startswith("predicted crossing, batch 10") for name in lines)
    longer, reading, arithmetic = (lines[f"physics: {name}"].y for name in ("the longer of both", "reading memory", "arithmetic"))
    assert all(both == pytest.approx(max(pair)) for both, pair in zip(longer, zip(reading, arithmetic)))


def test_points_land_where_they_were_measured():
    """Batches on x, milliseconds on y; the walk goes from left to right."""
    view = View(LABS["batch"], [], ROOFS, experiment("batch", lambda spec: 0.02 * spec.generate.batch))
    view = View(view.lab, view.experiment.specs, ROOFS, view.experiment)
    measured, walk = traces(view)["measured, float32"], traces(view, 1)["measured"]

    assert list(measured.x) == [1, 4, 16, 64]
    assert list(measured.y) == [pytest.approx(value) for value in (20, 80, 320, 1280)]
    assert list(walk.x) == sorted(walk.x)


def test_a_disturbed_point_is_hollow():
    """Other programs were busy: seen at a glance."""
    made = experiment("batch", lambda spec: 0.02, foreign=1.0)

    assert set(traces(View(LABS["batch"], made.specs, ROOFS, made))["measured, float32"].marker.symbol) == {"circle-open"}


@pytest.mark.parametrize("name", ["bytes", "context"])
def test_a_line_goes_through_measured_points(name):
    """Prediction, points and fitted line of one series share a colour."""
    made = experiment(name, lambda spec: 0.05 + 1e-5 * spec.generate.prompt_tokens + 1e-6 * spec.model.hidden)
    lines = traces(View(LABS[name], made.specs, ROOFS, made))
    series = "float32" if name == "bytes" else "batch 4"

    assert lines[f"line through {series}"].line.color == lines[f"physics, {series}"].line.color
    assert lines[f"measured, {series}"].marker.color == lines[f"physics, {series}"].line.color


def test_curves_of_the_machine_are_drawn_as_they_come():
    """A staircase and products, one line a series, over what is known."""
    steps = curves("staircase", {"read": {"1 thread": [(8192, 1e11), (1 << 26, 2e10)]}})
    plot = figures(View(LABS["staircase"], steps.specs, ROOFS, steps, 32 << 20))[0][1]

    assert list(plot.data[0].y) == [100, 20]
    assert plot.layout.xaxis.type == "log"
    assert any("33.6 MB" in note.text for note in plot.layout.annotations)


def test_threads_share_the_colour_of_their_format():
    """float32 with one and with two threads: one colour, two dashes."""
    plot = matmul_figure(
        {"float32 · 1 thread": ([256], [1e11]), "float32 · 2 threads": ([256], [2e11]), "int8 · 2 threads": ([256], [8e11])}
    )
    one, two, other = plot.data

    assert one.line.color == two.line.color != other.line.color
    assert (one.line.dash, two.line.dash) == ("dot", "solid")


def test_an_empty_staircase_has_its_axes():
    """The first moment of a live view."""
    assert staircase_figure({}, None).layout.yaxis.title.text == "read again and again (GB/s)"


def test_the_capacity_bar_turns_red_beyond_the_memory():
    """Parts in the colours of the one palette; the limit red where the bar goes beyond."""
    parts = purposes(predict_memory(SPEC))

    assert [bar.marker.color for bar in capacity_figure(parts, 1e12).data] == [COLOURS[name] for name in parts]
    assert capacity_figure(parts, 1e6).layout.shapes[0].line.color == RED


def test_a_choice_beyond_the_frontier_is_red():
    """Below the line it fits, above it does not."""
    line = frontier(SPEC, 4e9)

    assert frontier_figure(*line, (1024, 100_000)).data[1].marker.color == RED
    assert frontier_figure(*line, (1024, 1)).data[1].marker.color != RED


def test_the_operators_fill_their_bars():
    """Shares sum to 100 % for the prompt and for the token."""
    plot = operators_figure(SPEC.model, 512)

    assert [sum(bar.x[row] for bar in plot.data) for row in (0, 1)] == [pytest.approx(100)] * 2
    assert max(attention_figure(SPEC.model, 512, 6144).data[0].y) > 50
