"""What was measured of each engine, as rows: all of it in words, in a few columns, and as plain values."""

from typing import Any

from profiler.analysis.compression_words import times
from profiler.analysis.experiment import Experiment
from profiler.analysis.libraries import Racer, racers
from profiler.spec.libraries import LIBRARIES, LOOPS
from profiler.spec.methods import Table
from profiler.spec.units import number, words


def table(experiment: Experiment) -> list[dict[str, str]]:
    """One row an engine, in words."""
    return [_row(racer) | {"run": racer.run.id} for racer in _racers(experiment)]


def brief(experiment: Experiment) -> list[dict[str, str]]:
    """The same in as few columns as a terminal has room for."""
    names = ("engine", "answers", "decode", "×", "of it physics", "first token", "pays off after", "run")
    return [{name: row[name] for name in names} for row in (_row(racer) | {"run": racer.run.id} for racer in _racers(experiment))]


def values(experiment: Experiment) -> list[dict[str, Any]]:
    """The same as plain values in SI units, for JSON."""
    return [
        {
            "name": racer.one.name,
            "run": racer.run.id,
            "decode_rate": racer.one.rate,
            "gain": racer.one.gain,
            "time_to_first_token": racer.one.prefill.median if racer.one.prefill else None,
            "throughput": racer.throughput,
            "weights": racer.one.weights,
            "peak": racer.one.peak,
            "load": racer.seconds("load_time"),
            "compile": racer.seconds("compile_time"),
            "convert": racer.once,
            "pays_off": racer.pays_off,
            "answer": vars(racer.answer) | {"agrees": racer.answer.agrees} if racer.answer else None,
            "waterfall": {part.name: part.seconds for part in racer.fall.parts} if racer.fall else None,
        }
        for racer in _racers(experiment)
    ]


def table_of(experiment: Experiment) -> Table:
    """The table whose rows an experiment compares."""
    return LOOPS if experiment.name == LOOPS.key else LIBRARIES


def _racers(experiment: Experiment) -> list[Racer]:
    return racers(experiment, table_of(experiment))


def _row(racer: Racer) -> dict[str, str]:
    one, fall = racer.one, racer.fall
    low, high = one.rate_interval
    made = racer.seconds("compile_time")
    batches = {f"× {size}": words(rate, "tok/s") for size, rate in racer.throughput.items() if size != racer.run.spec.generate.batch}
    return {
        "engine": one.title + (" (other programs were busy)" if one.disturbed else ""),
        "answers": racer.answer.told if racer.answer else "not checked",
        "decode": words(one.rate, "tok/s"),
        "95 % interval": f"{number(low)} to {number(high)}",
        "×": "wrong" if racer.wrong else times(one),
        "time per token": words(one.seconds, "s"),
        "of it physics": words(fall.ideal / fall.measured, "%") if fall else "–",
        "first token": words(one.prefill.median, "s") if one.prefill else "–",
        **batches,
        "weights": words(one.weights, "B"),
        "memory at its peak": words(one.peak, "B"),
        "loading": words(racer.seconds("load_time"), "s"),
        "compiling": words(made, "s") if made else "–",
        "converting, once": words(racer.once, "s") if racer.once else "–",
        "pays off after": f"{racer.pays_off:,.0f} tokens" if racer.pays_off else "–",
        **_guessed(racer),
    }


def _guessed(racer: Racer) -> dict[str, str]:
    """Of guesses: how many were right, and how many tokens a pass made."""
    facts = getattr(racer.run.ended, "facts", {})
    if not facts.get("guesses"):
        return {}
    return {"guesses right": words(facts["right"] / facts["guesses"], "%"), "tokens a pass": number(facts["made"] / facts["passes"])}
