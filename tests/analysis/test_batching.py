"""Many requests: the schedule is arithmetic, the finding is made of measured numbers."""

from dataclasses import replace
from functools import partial

import pytest

from profiler.analysis import batching
from profiler.analysis.batching import begins, brief, kind_of, lengths, name_of, steps, table, values, ways
from profiler.analysis.duration import expected
from profiler.analysis.experiment import Experiment
from profiler.analysis.labs import LABS, conclude, planned
from profiler.catalog.models import rows
from profiler.record.events import Entered, Finished, Request, Sample, Served, Started
from profiler.record.run import fold
from profiler.spec.run import RunSpec
from profiler.spec.work import Requests
from tests.builders import MACHINE, ceilings
from tests.experiments import conditions

LAB = LABS["batching"]
REFUSED = {"gguf-q8": "not installed; pip install cyllama."}
FEW = Requests(count=6, slots=2, new_tokens=5)


def served(spec, call=0.1, foreign=0.0, status="finished"):
    """A run in which each call of the model took `call` seconds."""
    work = spec.work
    wanted = lengths(work)
    told = [
        Request(due=0, first=call * (begin + 1), gaps=(call,) * (length - 1), tokens=length) for begin, length in zip(begins(work), wanted)
    ]
    wide = work.slots if work.batching == "static" else 1
    wasted = sum(max(wanted[at : at + wide]) - length for at in range(0, work.count, wide) for length in wanted[at : at + wide])
    facts = {"useful_tokens": sum(wanted), "wasted_rows": wasted, "row_steps": sum(wanted) - len(wanted) + wasted, "steps": steps(work)}
    events = [
        Started(at=0, hardware=MACHINE, versions={}, warm=False),
        Entered(at=1, name="serve", timed=True),
        Sample(at=5, values={"foreign": foreign}),
        Served(at=9, rate=0, seconds=call * steps(work), requests=tuple(told)),
        Finished(at=10, facts={name: float(value) for name, value in facts.items()}),
    ]
    return fold(f"run-{spec.title}", spec, status, 0.0, events)


def made(call=lambda spec: 0.1, foreign=lambda spec: 0.0, keep=lambda spec: True, **changes) -> Experiment:
    """The lab's runs; `call` and `foreign` by spec."""
    specs = [spec for spec in planned(LAB, conditions(**changes)).specs if keep(spec)]
    return Experiment("lab-batching-test", tuple(served(spec, call(spec), foreign(spec)) for spec in specs))


@pytest.fixture
def alone(monkeypatch):
    """Without llama.cpp."""
    monkeypatch.setattr(f"{__name__}.conditions", partial(conditions, refused=REFUSED))


def test_the_schedule_of_known_lengths_by_hand(monkeypatch):
    """3, 9, 2, 5, 4, 7 tokens in two rows: static 9 + 5 + 7 calls, continuous 17."""
    monkeypatch.setattr(batching, "lengths", lambda work: [3, 9, 2, 5, 4, 7])
    continuous, one = FEW.model_copy(update={"batching": "continuous"}), FEW.model_copy(update={"slots": 1})

    assert begins(FEW) == [0, 0, 9, 9, 14, 14]
    assert steps(FEW) == 21
    assert begins(continuous) == [0, 0, 3, 5, 9, 10]
    assert steps(continuous) == 17
    assert steps(one) == 30


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("slots", [1, 3, 8])
def test_continuous_batches_never_take_more_calls(seed, slots):
    """And no fewer than all tokens over all rows."""
    static = Requests(count=20, slots=slots, seed=seed)
    continuous = static.model_copy(update={"batching": "continuous"})

    assert sum(lengths(static)) / slots <= steps(continuous) <= steps(static)
    assert slots > 1 or steps(continuous) == steps(static)


def test_three_ways_of_each_engine_are_planned():
    """One at a time, static, continuous; llama.cpp with its 8 bits, where it is installed."""
    specs = planned(LAB, conditions()).specs

    assert [kind_of(spec.work) for spec in specs] == ["one", "static", "continuous"] * 2
    assert [spec.setup.engine for spec in specs] == ["transformers"] * 3 + ["llama.cpp"] * 3
    assert {spec.setup.quantization for spec in specs[3:]} == {"q8_0"}
    assert {spec.work.count for spec in planned(LAB, conditions(thorough=True)).specs} == {48}


def test_what_cannot_take_part_is_left_out_with_its_reason(alone, monkeypatch):
    """llama.cpp where it cannot run; a run beyond memory or patience; too little context is a sentence."""
    assert planned(LAB, conditions()).left_out == ("llama.cpp (not installed; pip install cyllama)",)
    with pytest.raises(ValueError, match="of memory"):
        planned(LAB, conditions(room=1e6))
    slow = planned(LAB, conditions(roofs=ceilings(read=6e9, peak=30e9)))
    assert any("longer than one run may" in reason for reason in slow.left_out)
    short = rows()["smollm2-135m"].spec(random=True).model_copy(update={"context": 100})
    with pytest.raises(ValueError, match="more context"):
        planned(LAB, conditions(model=short))


def test_the_promise_counts_the_calls_exactly(alone):
    """From the lengths alone where no roofs are known; with roofs, also what several at once can bring."""
    specs = list(planned(LAB, conditions()).specs)
    few, many = steps(specs[2].work), steps(specs[1].work)
    counted = f"continuous batching needs {few} calls of the model, static batches {many}"

    assert LAB.promise(specs, {}) == f"Predicted: {counted}"
    known = LAB.promise(specs, {"float32": ceilings()})
    assert known.startswith("Predicted: 4 at once write up to 3.")
    assert known.endswith(counted)
    assert LAB.promise(specs[:1], {}) == "Predicted: one request after the other"


def test_the_finding_is_made_of_its_numbers(alone):
    """With equal calls the times are the schedule's, and so is the share of rows that wrote nothing."""
    experiment = made()
    found, (one, static, continuous) = conclude(LAB, experiment), ways(experiment)
    share = f"{100 * static.wasted:.0f} %"

    assert found.conclusive
    assert found.title == (
        f"Continuous batching answers 16 requests in {continuous.seconds:.1f} s, static batches in {static.seconds:.1f} s: "
        f"{share} of their rows wrote nothing"
    )
    assert f"transformers took {one.seconds:.1f} s one at a time (10 tok/s)".replace("(10 ", "(10.0 ") in found.sentence
    ratio = f"{steps(continuous.work) / steps(static.work):.3f}"
    assert f"took {ratio} times the time of static batches" in found.sentence
    assert found.sentence.endswith(f"{steps(continuous.work)} calls of the model instead of {steps(static.work)}, it is {ratio}.")
    assert found.numbers["transformers static seconds"] == pytest.approx(static.seconds)
    assert found.numbers["transformers one wasted"] == 0


@pytest.mark.parametrize(("call", "said"), [(0.14, "brings little here"), (0.3, "is slower here")])
def test_continuous_batching_that_gains_nothing_says_so(alone, call, said):
    """Calls that are slower by what the schedule saves, or more."""
    found = conclude(LAB, made(lambda spec: call if spec.work.batching == "continuous" else 0.1))

    assert f"Continuous batching {said}" in found.title


def test_without_continuous_batches_static_ones_are_compared_with_one_at_a_time(alone):
    """And one way alone says nothing."""
    pair = conclude(LAB, made(keep=lambda spec: spec.work.batching == "static"))

    assert pair.title.startswith("Batching answers 16 requests in")
    assert "one at a time in 51.2 s" in pair.title
    assert conclude(LAB, made(keep=lambda spec: spec.work.slots == 1)).title == "Inconclusive: too few points"


def test_the_title_is_of_the_fastest_engine():
    """Its name is said where there are several, and each engine has its line."""
    found = conclude(LAB, made(lambda spec: 0.05 if spec.setup.engine == "llama.cpp" else 0.1))

    assert "in llama.cpp: " in found.title
    assert [line.split(" took")[0] for line in found.sentence.split("\n")] == ["transformers", "llama.cpp"]


def test_busy_neighbours_are_told(alone):
    """Beside one at a time they are a remark; beside what the title compares there is no conclusion."""
    one = conclude(LAB, made(foreign=lambda spec: 1.0 * (spec.work.slots == 1)))
    other = conclude(LAB, made(foreign=lambda spec: 1.0 * (spec.work.batching == "continuous")))

    assert one.conclusive
    assert "busy during 1 of the 3 runs" in one.sentence
    assert other.title == "Inconclusive: other programs were busy meanwhile"
    assert not other.conclusive


def test_the_title_is_of_an_engine_that_had_the_machine_alone():
    """The faster one's static batches ran beside a busy program, so the slower one is compared."""

    def busy(spec):
        return 1.0 * (spec.setup.engine == "llama.cpp" and spec.work.batching == "static")

    found = conclude(LAB, made(lambda spec: 0.05 if spec.setup.engine == "llama.cpp" else 0.1, busy))

    assert found.conclusive
    assert "in transformers: " in found.title


def test_rows_and_values_carry_every_way(alone):
    """In words for a page and a terminal, in SI units for JSON; runs without a result are none of them."""
    experiment = made()
    lost = replace(experiment.runs[0], status="failed")
    plain, wide, short = values(experiment), table(experiment), brief(experiment)

    assert [row["kind"] for row in plain] == ["one", "static", "continuous"]
    assert plain[0]["rate"] == pytest.approx(10)
    assert plain[0]["most"] == plain[0]["ends"][14]  # 15 of 16 are the first nine tenths of them
    assert plain[0]["mean"] == pytest.approx(sum(plain[0]["ends"]) / 16)
    assert wide[1]["its row wrote nothing"] != "0 %" == wide[0]["its row wrote nothing"] == wide[2]["its row wrote nothing"]
    assert [row["way"] for row in short] == [name_of(run.spec) for run in experiment.runs]
    assert len(ways(Experiment("x", (lost, *experiment.runs[1:])))) == 2


def test_more_requests_are_expected_to_take_longer():
    """Static batches longer than continuous ones, one at a time longest."""
    model = rows()["smollm2-135m"].spec(random=True)
    works = [Requests(batching="continuous"), Requests(), Requests(slots=1), Requests(slots=1, count=64)]
    seconds = [expected(RunSpec(model=model, work=work), ceilings()) for work in works]

    assert seconds == sorted(seconds)
    assert seconds[0] < seconds[1]
