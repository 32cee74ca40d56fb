import json
from dataclasses import replace

import pytest

from profiler.analysis.duration import SPAWN, expected, left
from profiler.analysis.experiment import Experiment, by_batch, by_bytes, by_context
from profiler.analysis.findings import crossing
from profiler.analysis.labs import LABS, alike, command, conclude, lab, planned, predicted
from profiler.analysis.outcome import rows, told
from profiler.catalog.models import rows as catalogue
from profiler.record.run import fold
from profiler.spec.run import Setup
from profiler.theory.predict import predict
from tests.builders import SPEC, ceilings, generate_run
from tests.experiments import conditions, curves, experiment

ROOFS = {"float32": ceilings()}


@pytest.mark.parametrize("name", LABS)
def test_every_lab_has_a_plan_a_promise_and_rows(name):
    """Each row of the table works from end to end."""
    recipe = LABS[name]
    asked = conditions(model=SPEC.model) if name == "sensitivity" else conditions()  # random weights have no quality to lose
    specs = list(planned(recipe, asked).specs)

    assert recipe.promise(specs, ROOFS).split(":")[0] in ("Predicted", "On record")
    assert bool(predicted(recipe, specs, ROOFS)) == (recipe.place is not None)
    assert command(recipe, conditions()).startswith(f"python -m profiler lab {name}")


def test_the_batch_sweep_goes_well_beyond_the_predicted_crossing():
    """Powers of two from 1; quick ones leave every second out; the last is at least four times the crossing."""
    specs = planned(LABS["batch"], conditions(thorough=True)).specs
    at = crossing(specs[0].model, 8, 16, "float32", ceilings())

    assert [by_batch(spec)[0] for spec in specs] == [1, 2, 4, 8, 16, 32, 64]
    assert at == pytest.approx(10.4, abs=0.1)
    assert [spec.generate.batch for spec in planned(LABS["batch"], conditions()).specs] == [1, 4, 16, 64]


def test_at_the_crossing_both_roofs_take_as_long():
    """The crossing is where FLOPs ÷ peak equals bytes ÷ bandwidth."""
    spec = planned(LABS["batch"], conditions()).specs[0]
    at = crossing(spec.model, 8, 16, "float32", ceilings())
    bound = predict(spec.model_copy(update={"work": spec.generate.model_copy(update={"batch": at})}), ceilings())["decode"]

    assert bound.compute == pytest.approx(bound.bandwidth, rel=0.01)


def test_with_a_long_context_no_batch_crosses():
    """Each sequence brings its own cache to read, so reading stays ahead."""
    model = catalogue()["smollm2-135m"].spec()

    assert crossing(model, 8000, 16, "float32", ceilings()) is None


def test_what_does_not_fit_is_left_out_by_name():
    """Too little memory for a large batch, too little time for a large model: each with its reason."""
    small = planned(LABS["batch"], conditions(room=1.2e9))
    models = planned(LABS["bytes"], conditions())

    assert "Batch 64 would need" in small.left_out[-1]
    assert "longer than one point may; so would every larger model" in models.left_out[0]
    assert len(models.specs) >= 3


def test_nothing_that_fits_is_refused_in_one_sentence():
    """With no memory at all there is no experiment, and the sentence says what to do."""
    with pytest.raises(ValueError, match="Choose a smaller model"):
        planned(LABS["batch"], conditions(room=1e6))


def test_an_unknown_lab_is_refused_with_the_known_ones():
    """One sentence that lists them."""
    with pytest.raises(ValueError, match="batch, matmul, staircase, bytes, context"):
        lab("nothing")


def test_models_of_the_ladder_differ_clearly_in_size():
    """Each reads at least a third more than the one before, in each number format."""
    specs = planned(LABS["bytes"], conditions(dtypes=("float32", "bfloat16"))).specs
    sizes = [by_bytes(spec)[0] for spec in specs if spec.setup.dtype == "bfloat16"]

    assert {spec.setup.dtype for spec in specs} == {"float32", "bfloat16"}
    assert all(larger > 1.3 * smaller for smaller, larger in zip(sizes, sizes[1:]))


def test_contexts_are_spaced_evenly_for_batch_1_and_4():
    """At least four points for each line."""
    specs = planned(LABS["context"], conditions()).specs
    lines = {batch: [by_context(spec)[0] for spec in specs if spec.generate.batch == batch] for batch in (1, 4)}

    assert all(len(line) == 4 for line in lines.values())
    assert lines[1][0] == lines[4][0] == 40


def test_the_batch_finding_is_made_of_its_numbers():
    """A step of 20 ms plus 1 ms a sequence: from 21 to 84 ms, doubled at about batch 22, 16 times the tokens a second."""
    found = conclude(LABS["batch"], experiment("batch", lambda spec: 0.020 + 0.001 * spec.generate.batch))

    assert found.title == "Batch 64 makes 16 times the tokens per second of batch 1"
    assert "From batch 1 to 64 a step took 4.0 times as long (21.0 ms to 84.0 ms) and made 64 times the tokens" in found.sentence
    assert "crossing from memory to arithmetic at batch 10" in found.sentence
    assert "at batch 64 the step was faster than the ceilings allow" in found.sentence
    assert found.numbers["doubled_at"] == pytest.approx(22, abs=3)
    assert "reads 18.0 GB/s of the machine's 30.0 GB/s" in found.sentence


def test_batching_that_gains_nothing_says_so():
    """Time in proportion to the batch: no gain."""
    found = conclude(LABS["batch"], experiment("batch", lambda spec: 0.1 * spec.generate.batch))

    assert "gains nothing" in found.title


def test_the_slope_of_time_against_bytes_is_the_bandwidth():
    """2 ms plus bytes at 15 GB/s: exactly that comes out."""
    found = conclude(LABS["bytes"], experiment("bytes", lambda spec: 0.002 + by_bytes(spec)[0] / 15e9))

    assert found.title == "Decode time grows with the bytes of the model, at 15.0 GB/s in float32"
    assert "this machine reads 30.0 GB/s" in found.sentence
    assert "2.00 ms (2.00 ms to 2.00 ms) per token do not shrink" in found.sentence


def test_points_off_any_line_are_inconclusive():
    """The same time for every size is no bandwidth."""
    found = conclude(LABS["bytes"], experiment("bytes", lambda spec: 0.1 if by_bytes(spec)[0] < 1e9 else 0.05))

    assert not found.conclusive
    assert found.title.startswith("Inconclusive")


def test_the_growth_with_context_stands_beside_the_bytes():
    """50 ms plus 10 µs a token and sequence: 10 ms and 40 ms for each 1,000 tokens; 46 MB need 1.5 ms."""
    found = conclude(LABS["context"], experiment("context", lambda spec: 0.05 + 1e-5 * by_context(spec)[0] * spec.generate.batch))

    assert found.title == "Each 1,000 tokens of context add 10.0 ms at batch 1, 40.0 ms at batch 4 to every step"
    assert "46.1 MB of KV cache takes 1.54 ms" in found.sentence


def test_busy_neighbours_make_an_experiment_inconclusive():
    """More than half of the points were disturbed: no conclusion, and the reason."""
    found = conclude(LABS["batch"], experiment("batch", lambda spec: 0.02, foreign=1.0))

    assert found.title == "Inconclusive: other programs were busy meanwhile"
    assert "4 of the 4 points were measured" in found.sentence


def test_a_line_leaves_disturbed_points_out():
    """Three calm points on a line and a slow one beside busy neighbours: the line is that of the three."""
    made = experiment("bytes", lambda spec: by_bytes(spec)[0] / 15e9, thorough=True)
    slow = replace(generate_run(decode=(9.0,) * 96, spec=made.runs[0].spec, foreign=1.0), id="slow")
    found = conclude(LABS["bytes"], replace(made, runs=(slow, *made.runs[1:])))

    assert len(made.runs) >= 4
    assert found.title.endswith("15.0 GB/s in float32")
    assert "1 of the" in found.sentence


@pytest.mark.parametrize("name", LABS)
def test_an_experiment_without_a_point_says_so(name):
    """Every run failed: no number is invented."""
    failed = Experiment(f"lab-{name}-x", (generate_run(status="failed"),))

    assert conclude(LABS[name], failed).title == "Inconclusive: too few points"
    assert rows(LABS[name], failed) == []
    assert json.loads(json.dumps(told(LABS[name], failed)))["lost"][0]["reason"] == "why"


def test_the_staircase_compares_first_cache_and_main_memory():
    """200 and 20 GB/s: ten times; two threads double the one and not the other."""
    found = conclude(
        LABS["staircase"],
        curves("staircase", {"read": {"1 thread": [(8192, 100e9), (1 << 26, 16e9)], "2 threads": [(8192, 200e9), (1 << 26, 20e9)]}}),
    )

    assert found.title == "Main memory is 10 times as slow as a core's first cache"
    assert "8.19 kB for each core were read again and again at 200 GB/s, 67.1 MB at 20.0 GB/s" in found.sentence
    assert "gained 2.0 times, main memory 1.2 times" in found.sentence


def test_products_are_told_by_format_threads_and_size():
    """The best of each format; a slow narrow format is named."""
    made = {
        "float32 · 1 thread": [(256, 50e9), (1024, 100e9)],
        "float32 · 2 threads": [(256, 80e9), (1024, 200e9)],
        "float16 · 2 threads": [(256, 10e9)],
        "int8 · 2 threads": [(256, 400e9), (1024, 800e9)],
        "int8 · 1 thread": [(1024, 400e9)],
    }
    found = conclude(LABS["matmul"], curves("matmul", {"matmul": made}))

    assert found.title == "Matrix products reach 800 GOP/s, in int8"
    assert "800 GOP/s in int8, 200 GFLOP/s in float32, 10.0 GFLOP/s in float16" in found.sentence
    assert "2 threads gained 2.0 times over 1 thread" in found.sentence
    assert "float16, though narrower, is slower than float32" in found.sentence


def test_two_devices_are_told_apart():
    """A processor beside an accelerator: the device is in the name of the series."""
    one = curves("matmul", {"matmul": {"float32": [(256, 1e11)]}})
    other = curves("matmul", {"matmul": {"float32": [(256, 1e13)]}}, device="cuda:0")
    both = Experiment("lab-matmul-x", one.runs + other.runs)

    assert list(both.points("matmul")) == ["cpu · float32", "cuda:0 · float32"]


def test_an_experiment_is_found_again_by_what_it_asked():
    """Equal set-up and model; the ladder of models does not ask for one."""
    ours = list(planned(LABS["batch"], conditions()).specs)
    thorough = list(planned(LABS["batch"], conditions(thorough=True)).specs)
    other = list(planned(LABS["batch"], conditions(setup=Setup(threads=1))).specs)

    assert alike(LABS["batch"], ours, thorough)
    assert not alike(LABS["batch"], ours, other)
    assert alike(LABS["bytes"], list(planned(LABS["bytes"], conditions()).specs)[:2], list(planned(LABS["bytes"], conditions()).specs))


def test_rows_and_json_carry_every_point():
    """One row a point, with its run; the same in SI units for JSON."""
    made = experiment("batch", lambda spec: 0.02)
    lines, plain = rows(LABS["batch"], made), json.loads(json.dumps(told(LABS["batch"], made)))

    assert [line["batch"] for line in lines] == ["1", "4", "16", "64"]
    assert lines[0]["step"] == "20.0 ms"
    assert [point["seconds"]["median"] for point in plain["points"]] == [pytest.approx(0.02)] * 4
    assert plain["points"][0]["command"].startswith("python -m profiler run")


def test_time_left_learns_from_what_runs_took():
    """Three of four open, each first taken as expected; a finished one that took 30 s more makes each 30 s longer."""
    made = experiment("batch", lambda spec: 0.02)
    opened = [fold(f"open-{number}", run.spec, "queued", 0.0, []) for number, run in enumerate(made.runs[1:])]
    guess = sum(expected(run.spec, None) for run in opened)
    took = made.runs[0].events[-1].at + SPAWN

    assert left(Experiment(made.whole, tuple(opened)), 0.0) == pytest.approx(guess)
    late = took - expected(made.runs[0].spec, None)
    assert left(Experiment(made.whole, (made.runs[0], *opened)), 0.0) == pytest.approx(guess + 3 * late)


def test_more_work_is_expected_to_take_longer():
    """A larger batch, a slower machine."""
    small, *_, large = planned(LABS["batch"], conditions()).specs

    assert expected(small, ceilings()) < expected(large, ceilings())
    assert expected(large, ceilings()) < expected(large, ceilings(read=1e9, peak=5e9))
