"""The rows of batches as bars: who writes where, and which rows write nothing."""

from functools import partial

import pytest

from profiler.analysis.batching import steps, ways
from profiler.analysis.labs import LABS, planned
from profiler.figures.batching import measured, placed, schedule
from profiler.figures.lab import View, figures
from profiler.spec.work import Requests
from tests.analysis.test_batching import made
from tests.experiments import conditions

LAB = LABS["batching"]
CONTINUOUS = Requests(count=6, slots=2, batching="continuous")


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Without llama.cpp."""
    refused = partial(conditions, refused={"gguf-q8": "not installed."})
    for module in (__name__, "tests.analysis.test_batching"):
        monkeypatch.setattr(f"{module}.conditions", refused)


def drawn(experiment=None):
    specs = experiment.specs if experiment else list(planned(LAB, conditions()).specs)
    return {name: (plot, alt) for name, plot, alt in figures(View(LAB, specs, {}, experiment))}


def test_a_freed_row_is_the_next_requests():
    """Measured times of two rows: the third request begins where the first ended, in its row."""
    bars = placed(CONTINUOUS, [(None, 1.0, 3.0), (None, 1.0, 9.0), (None, 4.0, 5.0), (None, 6.0, 10.0)])

    assert [bar.slot for bar in bars] == [0, 1, 0, 0]
    assert [bar.begin for bar in bars] == [0, 0, 3, 5]
    assert all(bar.free == bar.end for bar in bars)


def test_a_static_batch_ends_with_its_longest_answer():
    """Its rows are free together, and the next batch begins then."""
    bars = placed(CONTINUOUS.model_copy(update={"batching": "static"}), [(None, 1.0, 3.0), (None, 1.0, 9.0), (None, 10.0, 11.0)])

    assert [bar.slot for bar in bars] == [0, 1, 0]
    assert [bar.begin for bar in bars] == [0, 0, 9]
    assert [bar.free for bar in bars] == [9, 9, 11]


def test_measured_bars_are_the_schedule_where_every_call_takes_as_long():
    """A tenth of a second a call: the same rows, the same picture."""
    for run in ways(made()):
        for bar, told in zip(schedule(run.work), measured(run)):
            assert (bar.request, bar.slot) == (told.request, told.slot)
            assert [told.begin, told.first, told.end, told.free] == pytest.approx(
                [0.1 * at for at in (bar.begin, bar.first, bar.end, bar.free)]
            )


def test_before_it_is_measured_the_rows_are_drawn_in_calls():
    """One figure of all three ways with a common axis; no request is missing."""
    ((plot, alt),) = drawn().values()
    answers = next(trace for trace in plot.data if trace.customdata is not None)

    assert plot.layout.xaxis.title.text.startswith("calls")
    assert "0 points measured" in alt
    assert len(answers.x) == 3 * 16
    assert sum(answers.x) == 3 * 16 * 32
    assert [note.text.split("</b>: ")[1] for note in plot.layout.annotations] == ["512 calls", "232 calls", "161 calls"]


def test_only_static_rows_write_nothing():
    """The hatched bars sum up to the wasted steps; where rows are empty, nothing is calculated."""
    experiment = made()
    plot, alt = drawn(experiment)["rows"]
    bars = {trace.name: trace for trace in plot.data}
    wasted = bars["answer is over, its row goes on"]
    static = ways(experiment)[1]

    assert sum(wasted.x) == pytest.approx(0.1 * static.fact("wasted_rows"))
    assert wasted.marker.pattern.shape == "/"
    assert len(bars["prompt"].x) == 3 * 16
    assert max(bars["all answered"].x[0::3]) == pytest.approx(0.1 * steps(ways(experiment)[0].work))
    assert "3 points measured" in alt


def test_rates_and_times_of_answers_stand_side_by_side():
    """A bar a way: tokens per second above, mean and nine of ten below."""
    plot, _ = drawn(made())["answers"]
    rate, mean, most = plot.data

    assert list(rate.y) == pytest.approx([way.rate for way in ways(made())])
    assert all(early < late for early, late in zip(mean.y, most.y))
    assert plot.layout.yaxis2.title.text == "answered after (s)"
