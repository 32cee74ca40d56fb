"""The fit: the same formulas as predictions, slopes that are right, constants that can be found again, and the stored ones."""

from collections import Counter
from dataclasses import replace
from math import log

import numpy as np
import pytest

from profiler.theory.rates import calibration, rates
from profiler.theory.timing import step_seconds
from profiler.validation.fit import entries, left_out, medians, spreads
from profiler.validation.inference import SERVING
from profiler.validation.least_squares import EVIDENCE, LOOSE, NOISE, Objective, flatten, predicted, reach, solve, spread
from profiler.validation.report import summary
from profiler.validation.tables import judged, published


@pytest.fixture(scope="module")
def found():
    return entries()


@pytest.fixture(scope="module")
def table(found):
    return flatten(found)


@pytest.fixture(scope="module")
def few(found):
    """Every twelfth measurement: enough to fit, and quick."""
    return flatten(found[::12])


def stored(table):
    return np.array([calibration()["constants"].get(name, 0.0) for name in table.names])


def sound(table):
    return ~np.array([entry.doubtful for entry in table.entries])


def test_every_published_row_is_fitted(found):
    """All rows of models, and kernels beside them."""
    assert sum(not entry.phase.startswith("kernel") for entry in found) == len(published("inference").rows)
    assert {entry.source for entry in found} == {row["source_id"] for row in published("inference").rows} | {"mamf", "infersim_kernels"}


def test_flattened_entries_are_what_single_predictions_say(table):
    """Times of the arrays equal those of one step after the other, with the stored constants."""
    together = predicted(table, reach(table, stored(table)))
    for index in range(0, len(table.entries), 37):
        entry = table.entries[index]
        reached = rates(entry.deployment)
        alone = sum(times * step_seconds(step, reached) for times, step in entry.parts) / (reached.serving if entry.serving else 1)
        assert together[index] == pytest.approx(alone, rel=1e-9)


def test_slopes_are_those_of_finite_differences(few):
    """Of the whole objective, in a random direction."""
    goal, dice = Objective(few, sound(few)), np.random.default_rng(7)
    at, way = dice.normal(0, 0.2, len(few.names)), dice.normal(0, 1, len(few.names))
    difference = (goal.value(at + 1e-5 * way) - goal.value(at - 1e-5 * way)) / 2e-5

    assert goal.gradient(at) @ way == pytest.approx(difference, rel=2e-3)


def test_curvature_is_positive(few):
    """The prior alone makes it so: no direction is left to chance."""
    assert np.linalg.eigvalsh(Objective(few, sound(few)).hessian(stored(few))).min() > 0


def test_measurements_that_follow_the_model_are_found_again(few):
    """Times made with planted constants are predicted within 3 % by constants fitted to them."""
    planted = np.array([0.3 * np.sin(7.0 * index) * spread(name) for index, name in enumerate(few.names)])
    true = predicted(few, reach(few, planted))
    made = replace(few, measured=true)
    error = predicted(made, reach(made, solve(made, sound(made)))) / true - 1

    assert np.median(np.abs(error)) < 0.01
    assert np.quantile(np.abs(error[[not entry.serving for entry in few.entries]]), 0.9) < 0.05


def test_what_nobody_measured_stays_what_it_physically_was(few):
    """Without entries of llama.cpp nothing pulls at its constants, and the prior pulls them back to nothing."""
    others = sound(few) & np.array(["llama.cpp" not in entry.deployment.engine for entry in few.entries])
    alone = [index for index, name in enumerate(few.names) if ":llama.cpp" in name]
    at = np.full(len(few.names), 0.1)

    assert len(alone) > 5
    assert Objective(few, others).gradient(at)[alone] == pytest.approx([2 * 0.1 / spread(few.names[index]) ** 2 for index in alone])


def test_doubtful_rows_teach_nothing(few):
    """Whatever their numbers, loss and slopes are the same; the rows are there to be judged."""
    assert 0 < (~sound(few)).sum() < 0.2 * len(few.entries)
    other = replace(few, measured=np.where(sound(few), few.measured, 1e3 * few.measured))
    here, there = Objective(few, sound(few)), Objective(other, sound(other))

    assert here.value(stored(few)) == there.value(stored(few))
    assert np.array_equal(here.gradient(stored(few)), there.gradient(stored(few)))
    assert not np.array_equal(here.errors(stored(few)), there.errors(stored(few)))


def test_a_source_counts_by_its_phases_and_not_by_its_rows(table):
    """Thirty rows at most: 398 of one phase weigh as much as 30; serving is a loose witness."""
    weigh: dict[tuple[str, str], float] = {}
    for entry, weight in zip(table.entries, table.weight):
        weigh[entry.source, entry.phase] = weigh.get((entry.source, entry.phase), 0.0) + weight**2

    assert weigh["xiongjiedai", "decode"] == pytest.approx(EVIDENCE / NOISE**2)
    assert weigh["trtllm_2023", "prefill"] == pytest.approx(24 / NOISE**2)
    assert weigh["mlperf_v4.1", "mlperf-offline"] == pytest.approx(EVIDENCE / LOOSE**2)
    assert {entry.phase for entry in table.entries if entry.serving} == set(SERVING)


def test_the_stored_constants_are_what_the_fit_gives(table):
    """Fitted once more from the physical starting points, every measurement is predicted the same within 2 %."""
    goal = Objective(table, sound(table))
    again = goal.errors(solve(table, goal.chosen))

    assert np.abs(np.expm1(again - goal.errors(stored(table)))).max() < 0.02


def test_the_constants_are_worth_their_fit(table):
    """Less than half of the loss at the physical starting points."""
    goal = Objective(table, sound(table))

    assert goal.value(stored(table)) < 0.5 * goal.value(np.zeros(len(table.names)))


def test_the_stored_figures_are_of_all_rows():
    """Each source was left out once, and each phase of it was judged with all its rows."""
    kept = calibration()["left_out"]
    counted = Counter((row["source_id"], row["phase"].lower()) for row in published("inference").rows)

    assert {(source, phase): kept[source][phase][1] for source, phase in counted} == counted


def test_medians_by_hand(table):
    """Of one source and phase; an error of log 2 is 100 %, of log ½ it is 50 %."""
    three = replace(table, entries=[replace(table.entries[0], source="a", phase="decode") for _ in range(3)])

    assert medians(three, np.array([log(2), log(0.5), 0.0])) == {"a": {"decode": [0.5, 3]}}


def test_an_interval_holds_four_of_five(table):
    """Of log(measured ÷ predicted): of eleven even errors the one-tenth and nine-tenths; two sources weigh the same."""
    many = replace(table, entries=[replace(table.entries[0], source="a")] * 11)
    two = replace(table, entries=[replace(table.entries[0], source="a")] * 99 + [replace(table.entries[0], source="b")])

    assert spreads(many, np.linspace(-0.5, 0.5, 11)) == pytest.approx([-0.4, 0.4])
    assert spreads(many, np.zeros(11)) == [-0.02, 0.02]
    assert spreads(two, np.array([0.0] * 99 + [-1.0])) == [-0.02, 1.0]


def test_residuals_hold_what_they_say(table):
    """With the stored constants about four of five measurements fall into the interval, every source weighing the same."""
    errors = Objective(table, sound(table)).errors(stored(table))
    for phase, names in (("prefill", ("prefill",)), ("decode", ("decode", "end-to-end"))):
        low, high = calibration()["residuals"][phase]["calibrated"]
        by: dict[str, list[bool]] = {}
        for entry, error in zip(table.entries, errors):
            if entry.phase in names:
                by.setdefault(entry.source, []).append(low <= -error <= high)
        assert 0.7 < np.mean([np.mean(each) for each in by.values()]) < 0.9, phase


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_sources_that_the_fit_has_not_seen_are_met(table):
    """Each source is left out once, anew: the mean over sources of the median error stays where it was reached."""
    goal = Objective(table, sound(table))
    outside = medians(table, left_out(table, solve(table, goal.chosen)))
    unseen = {source: outside[source] for source in {row["source_id"] for row in published("inference").rows}}
    groups = {group.name: group.left_out for group in summary("inference", judged(published("inference")), unseen).groups}

    assert groups["decode"] < 0.155
    assert groups["prefill"] < 0.24
    assert groups["end-to-end and serving"] < 0.22
