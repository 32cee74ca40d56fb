import json
from dataclasses import replace
from math import exp, log

import pytest

from profiler.analysis.compression import aims, best, drift, undominated, variants
from profiler.analysis.compression_table import brief, table
from profiler.analysis.compression_words import falls, finding, foretold, judged, times, why
from profiler.analysis.duration import expected
from profiler.analysis.labs import LABS, command, conclude, planned
from profiler.analysis.moment import ideal
from profiler.analysis.outcome import told
from profiler.spec.methods import COMPRESSION, METHODS, method_of
from profiler.spec.run import Setup
from tests.builders import MACHINE, SPEC, ceilings, generate_run, kernels
from tests.compressed import OUTCOMES, comparison, scored, variant
from tests.experiments import conditions

LAB = LABS["compression"]
BF16 = Setup(threads=2, dtype="bfloat16")
FULL = ceilings(dtype="bfloat16", kernels=kernels(), packed={"int8-rows": 20e9})


def asked(**changes):
    return conditions(**({"model": SPEC.model, "setup": BF16} | changes))


def by_name(experiment):
    return {one.name: one for one in variants(experiment)}


# --- the recipe


def test_the_uncompressed_model_comes_first():
    """Whatever was chosen, each method once, in the table's order; traced and scored."""
    specs = planned(LAB, asked(methods=("wanda", "int8"))).specs

    assert [method_of(spec.setup) for spec in specs] == ["none", "int8", "wanda"]
    assert all(spec.generate.quality == 1024 and spec.generate.trace and spec.generate.seconds == 1.5 for spec in specs)
    assert {spec.generate.quality for spec in planned(LAB, asked(methods=("int8",), thorough=True)).specs} == {4096}


def test_the_quick_preset_is_what_nobody_has_to_choose():
    """Its rows say so, and it takes less than four minutes on a usual machine."""
    specs = planned(LAB, asked()).specs

    assert [method_of(spec.setup) for spec in specs] == ["none", *COMPRESSION.quick]
    assert set(COMPRESSION.quick) == {name for name, row in METHODS.items() if row.quick} - {"none"}
    assert sum(expected(spec, ceilings()) for spec in specs) < 240


def test_random_weights_are_not_scored():
    """Speed and size do not depend on them, quality does."""
    assert {spec.generate.quality for spec in planned(LAB, conditions(methods=("int8",), setup=BF16)).specs} == {0}


def test_a_users_text_is_scored():
    """In every run, the reference's too."""
    assert {spec.generate.text for spec in planned(LAB, asked(methods=("int8",), text="my.txt")).specs} == {"my.txt"}


def test_what_cannot_run_is_left_out_with_its_reason():
    """By its title, and what would help."""
    found = planned(LAB, asked(methods=("int8", "gguf-q4"), refused={"gguf-q4": "It needs a package: pip install cyllama."}))

    assert found.left_out == ("Q4_0 by llama.cpp (it needs a package: pip install cyllama)",)
    assert [method_of(spec.setup) for spec in found.specs] == ["none", "int8"]
    assert [method_of(spec.setup) for spec in found.absent] == ["gguf-q4"]


def test_nothing_that_can_run_is_one_sentence():
    """No experiment of the uncompressed model alone."""
    with pytest.raises(ValueError, match=r"None of the chosen methods can run here: .*Choose others\."):
        planned(LAB, asked(methods=(), refused={"int8": "No."}))


def test_a_machine_without_room_does_nothing():
    """Without the uncompressed model there is nothing to compare with."""
    with pytest.raises(ValueError, match="Nothing of this experiment fits here"):
        planned(LAB, asked(room=1e8))


def test_the_command_repeats_it():
    """Methods, text, thoroughness; the sensitivity its format."""
    said = command(LAB, asked(methods=("int8", "wanda"), text="a b.txt", thorough=True))

    assert said.endswith("--methods int8,wanda --text 'a b.txt' --thorough")
    four = asked(setup=BF16.model_copy(update={"quantization": "int8-rows"}))
    assert "--quantization int8-rows" in command(LABS["sensitivity"], four)


def test_scoring_and_compressing_take_their_time():
    """The expected seconds grow with the text, and with another engine's file."""
    plain, int8, gguf = (planned(LAB, asked(methods=("int8", "gguf-q4"))).specs[at] for at in range(3))
    unscored = plain.model_copy(update={"work": plain.generate.model_copy(update={"quality": 0})})

    assert expected(unscored, ceilings()) < expected(plain, ceilings())
    assert expected(gguf, ceilings()) > expected(int8, ceilings()) - 5


# --- variants


def test_variants_are_judged_against_the_uncompressed_model():
    """12 ms and 7.5 ms: 1.6 times; half the bytes; the same bytes as told by the worker."""
    found = by_name(comparison())

    assert found["none"].gain is None
    assert found["int8"].gain[0] == pytest.approx(1.6)
    assert found["int8"].gain[1] < 1.6 < found["int8"].gain[2]
    assert found["int8"].weights == pytest.approx(0.5 * found["none"].weights)
    assert found["int8"].faster
    assert not found["magnitude"].faster


def test_the_machines_drift_widens_a_gain():
    """The canary read 20 % less during the second run: that may be so much of a gain as the step spends on moving bytes."""
    calm, slow = generate_run(canary=(30e9,) * 4), generate_run(canary=(24e9,) * 4)
    made = comparison({"none": OUTCOMES["none"], "int8": (0.0105, 0.5, 0.004)})
    late = replace(made.runs[1], events=tuple(event for event in made.runs[1].events if getattr(event, "name", "") != "canary_read"))
    slower = [event for event in slow.events if getattr(event, "name", "") == "canary_read"]
    late = replace(late, events=(*late.events[:-1], *slower, late.events[-1]))

    most = ideal(slow, "decode").bandwidth / 0.05
    assert drift(calm, slow, "decode") == pytest.approx(log(1.25) * most)
    assert drift(calm, replace(slow, spec=SPEC.model_copy(update={"setup": Setup(threads=1)})), "decode") == 0.0
    calm_gain, late_gain = variants(made)[1].gain, variants(replace(made, runs=(made.runs[0], late)))[1].gain
    assert late_gain[1] < calm_gain[1] < calm_gain[2] < late_gain[2]


def test_the_front_is_what_nobody_beats():
    """int4 is slower than Q4_0 and loses more; zeros are as slow as nothing, and lose."""
    found = variants(comparison())

    assert [one.name for one in undominated(found)] == ["none", "int8", "gguf-q4"]
    assert [one.name for one in undominated(variants(comparison({"none": OUTCOMES["none"], "int8": (0.0075, 0.5, 0.0003)})))] == ["int8"]


def test_the_best_is_the_fastest_that_loses_little():
    """Not Q4_0, which costs 9 %; of random weights the fastest of all."""
    assert best(variants(comparison())).name == "int8"
    assert best(variants(comparison(trained=False, methods=("none", "int8", "int4")))).name == "int4"
    assert best(variants(comparison({"none": OUTCOMES["none"], "magnitude": OUTCOMES["magnitude"]}))) is None


def test_garbage_is_never_the_best():
    """The fastest of all, but its answers are no numbers."""
    made = comparison({"none": OUTCOMES["none"], "int4": (0.003, 0.3, 0.0)})
    broken = variant(made.runs[1].spec, 0.003, 0.3, scored(0.0, broken=3))
    spoiled = replace(made, runs=(made.runs[0], broken))

    assert best(variants(spoiled)) is None
    assert "no numbers" in finding(spoiled).sentence


def test_a_lost_baseline_leaves_no_comparison():
    """The others have their speed, but no gain; the finding says that it cannot tell."""
    made = comparison()
    lost = replace(made, runs=(variant(made.runs[0].spec, 0.012, 1.0, None, status="failed"), *made.runs[1:]))

    assert [one.gain for one in variants(lost)] == [None] * 7
    assert not conclude(LAB, lost).conclusive


# --- what is said


def test_the_finding_says_what_the_numbers_carry():
    """The winner as the title; the floor, the best 4 bits, zeros, Wanda, structure in the sentence."""
    found = conclude(LAB, comparison())

    assert found.title == "With int8 weights it is 1.6 times as fast, for +0.40 % perplexity"
    for said in (
        "is rounding",
        "With int8 weights the weights take 50 % of the bytes",
        "The best of about 4 bits, Q4_0 by llama.cpp, costs +9.4 %",
        "Zeros did not speed it up (magnitude 1.00 ×",
        "by magnitude costs +306 %, by Wanda's score +49 %",
        "With a quarter of the MLP channels out, 84 % of the bytes are left",
    ):
        assert said in found.sentence
    assert found.numbers["gain_gguf-q4"] == pytest.approx(10 / 3)


def test_only_what_was_measured_is_said():
    """Two runs: not a word about zeros, Wanda or structure."""
    said = finding(comparison({"none": OUTCOMES["none"], "int8": OUTCOMES["int8"]})).sentence

    assert not any(word in said for word in ("Zeros", "Wanda", "channels", "4 bits"))


def test_random_weights_have_no_quality():
    """The title says so, the table too."""
    made = comparison(trained=False, methods=("none", "int8"))

    assert conclude(LAB, made).title == "With int8 weights it is 1.6 times as fast; of random weights there is no quality to lose"
    assert {row["perplexity"] for row in table(made)} == {"not defined"}


def test_busy_machines_are_inconclusive():
    """As in every lab."""
    assert conclude(LAB, comparison(foreign=1.0)).title.startswith("Inconclusive: other programs")


def test_float32_is_its_own_reference():
    """It says so instead of naming a floor."""
    made = comparison({"none": (0.02, 2.0, 0.0), "channels": (0.018, 1.7, 1.1)}, setup=Setup(threads=2))

    assert "is itself what the others' perplexity" in finding(made).sentence


def test_differences_within_noise_are_the_same():
    """Speed whose interval holds 1; a loss within the floor."""
    found = by_name(comparison({"none": OUTCOMES["none"], "magnitude": (0.012, 1.0, 0.0002)}))

    assert times(found["magnitude"]).startswith("≈ same")
    assert judged(found["magnitude"]).startswith("≈ same")


def test_smaller_but_slower_is_said():
    """Half the bytes and twice the time; and a gain that drowns in noise is not."""
    said = finding(comparison({"none": OUTCOMES["none"], "int8": (0.024, 0.5, 0.0)})).sentence

    assert "Smaller, but slower: int8 weights 0.50 ×" in said
    assert "slower" not in finding(comparison()).sentence


def test_a_disturbed_run_proves_nothing():
    """int8 beside busy programs: neither the best nor slower for certain; the warning is a line of its own."""
    made = comparison({name: OUTCOMES[name] for name in ("none", "int8", "channels")})
    busy = variant(made.runs[1].spec, 0.0075, 0.5, scored(0.004), foreign=1.0)
    found = replace(made, runs=(made.runs[0], busy, made.runs[2]))

    assert best(variants(found)) is None
    assert conclude(LAB, found).sentence.splitlines()[-1].startswith("Other programs were busy while 1 of the 3")


def test_a_model_from_a_4_bit_file_is_no_fair_judge_of_4_bits():
    """The default model was unpacked from one, and the finding says so."""
    assert "comes from a 4-bit file here" in finding(comparison()).sentence
    assert "4-bit file" not in finding(comparison({"none": OUTCOMES["none"], "int8": OUTCOMES["int8"]})).sentence


def test_why_names_the_part_that_shrank():
    """int8 halves what physics needs; zeros leave everything as it was."""
    found = by_name(comparison())

    assert "are in what physics needs" in why(*falls(found["int8"]), "int8 weights")
    assert "about as long as before" in why(*falls(found["wanda"]), "half zeros")
    assert "everything beyond physics" in why(*falls(found["gguf-q4"]), "Q4_0")


def test_a_table_has_one_row_a_method():
    """The same columns as far as they are known, the run's id last."""
    rows = table(comparison())

    assert [row["method"] for row in rows][:2] == ["uncompressed", "int8 weights"]
    assert rows[1]["× weights"] == "0.50 ×"
    assert rows[1]["words guessed"] == "70% of 60 (float32: 80%)"
    assert list(rows[0])[-1] == "run"


def test_a_terminal_has_fewer_columns():
    """Name, speed, size and loss."""
    rows = brief(comparison({"none": OUTCOMES["none"], "magnitude": (0.012, 1.0, 4.0)}))

    assert list(rows[0]) == ["method", "decode", "×", "weights", "perplexity", "run"]
    assert rows[0]["perplexity"] == "≈ same (+0.020 %)"
    assert rows[1]["perplexity"] == "garbage"


def test_all_of_it_is_json():
    """Speed, size and quality of each, without a word."""
    row = json.loads(json.dumps(told(LAB, comparison())))["variants"][1]

    assert row["method"] == "int8"
    assert row["quality"]["loss"] == pytest.approx(exp(0.004) - 1)


# --- the forecast


def test_aims_are_on_the_roofs_of_the_baseline():
    """Physics halves with half the bytes; expected speeds only where the kernels are known."""
    specs = list(planned(LAB, asked(methods=("int8", "magnitude"))).specs)
    plain, int8, zeros = aims(specs, {"bfloat16": ceilings(dtype="bfloat16")}, MACHINE.name)

    assert (plain.label, int8.label) == ("uncompressed", "int8")
    assert 1.5 < int8.forecast.physics < 2
    assert zeros.forecast.physics == pytest.approx(1)
    assert int8.most == pytest.approx(plain.most * int8.forecast.physics)
    assert plain.rate is None
    assert aims(specs, {"bfloat16": ceilings(dtype="bfloat16", kernels=kernels())})[0].rate > 0
    assert aims(specs, {}) == []


def test_a_forecast_that_missed_is_named():
    """int8 was measured twenty times as fast, which nothing foretold; zeros were as slow as expected."""
    made = comparison({"none": OUTCOMES["none"], "int8": (0.0006, 0.5, 0.0), "magnitude": OUTCOMES["magnitude"]})
    probed = [event.model_copy(update={"ceilings": FULL}) if event.kind == "ceilings" else event for event in made.runs[0].events]
    known = replace(made, runs=(replace(made.runs[0], events=tuple(probed)), *made.runs[1:]))

    assert foretold(made) == ""
    assert foretold(known).startswith("The forecast of the speed held for 1 of 2 methods: int8 is 20.00 times as fast, expected were")


def test_the_promise_is_about_speed_alone():
    """Quality is not foretold."""
    specs = list(planned(LAB, asked(methods=("int8",))).specs)

    assert "only a measurement tells" in LAB.promise(specs, {"bfloat16": ceilings(dtype="bfloat16")})
