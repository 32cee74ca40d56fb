"""What came out of comparing engines and choices of the loop, in words; and what to take for somebody's own work."""

from dataclasses import dataclass
from typing import Literal

from profiler.analysis.compression import aims
from profiler.analysis.compression_words import FELT, falls, why
from profiler.analysis.experiment import Experiment
from profiler.analysis.findings import Finding, nothing
from profiler.analysis.libraries import Racer, fastest, racers
from profiler.spec.libraries import CHUNK, LIBRARIES, LOOPS, PREFIX
from profiler.spec.machine import Ceilings
from profiler.spec.methods import Table
from profiler.spec.run import RunSpec
from profiler.spec.units import number, words

Goal = Literal["latency", "throughput"]
ANSWER = 200  # tokens of a usual answer
DAY = 86_400.0  # seconds


def engines(experiment: Experiment) -> Finding:
    """Who is how far from physics, and what the fastest one left out."""
    found = racers(experiment, LIBRARIES)
    base = next((racer for racer in found if racer.first), None)
    won = fastest(found)
    if base is None or won is None or len(found) < 2:
        return nothing()
    told = [_baseline(base), _winner(won), _torch(found), _prompt(found), _compiled(found), _wrong(found)]
    return Finding(_title(base, won, found), "\n".join(line for line in told if line), numbers=_numbers(found))


def _title(base: Racer, won: Racer, found: list[Racer]) -> str:
    checked = [racer for racer in found if racer.answer]
    right = [racer for racer in checked if not racer.wrong]
    count = f"all {len(checked)}" if len(right) == len(checked) else f"{len(right)} of {len(checked)}"
    same = f"{count} engines say the same" if checked else ""
    if won is base or not won.one.gain or won.one.gain[1] <= 1:
        return f"No engine here is faster than {base.one.title}" + (f"; {same}" if same else "")
    return f"{won.one.title} writes {number(won.one.gain[0], 2)} times as fast as {base.one.title}" + (f"; {same}" if same else "")


def _baseline(base: Racer) -> str:
    fall = base.fall
    share = f", of which physics needs {words(fall.ideal, 's')}" if fall else ""
    return f"With {base.one.title} a token takes {words(base.one.seconds, 's')}{share}."


def _winner(won: Racer) -> str:
    both = falls(won.one, won.roofs)
    return why(*both, won.one.title) if both else ""


def _torch(found: list[Racer]) -> str:
    """What can be had without another engine."""
    own = [racer for racer in found if not racer.first and racer.run.spec.setup.engine == "transformers"]
    best = fastest(own)
    if best is None or not best.one.gain or best.one.gain[0] < FELT or best.one.gain[1] <= 1:
        return ""
    return f"Without another engine, {best.one.title} is {number(best.one.gain[0], 2)} times as fast."


def _prompt(found: list[Racer]) -> str:
    """Who reads the prompt fastest: that may be somebody else."""
    timed = [racer for racer in found if racer.one.prefill]
    first = fastest(timed, lambda racer: -racer.one.prefill.median if racer.one.prefill else 0.0)
    if first is None or first.one.prefill is None:
        return ""
    return f"The prompt is read fastest by {first.one.title}: {words(first.one.prefill.median, 's')} until the first token."


def _compiled(found: list[Racer]) -> str:
    """When compiling has paid off."""
    paid = [racer for racer in found if racer.run.spec.setup.compile and racer.pays_off and not racer.wrong]
    return " ".join(
        f"With {racer.one.title}, {words(racer.seconds('compile_time'), 's')} of compiling pay off after {racer.pays_off:,.0f} tokens."
        for racer in paid
        if racer.pays_off
    )


def _wrong(found: list[Racer]) -> str:
    wrong = [racer for racer in found if racer.wrong]
    return " ".join(f"Wrong, and no winner however fast: {racer.one.title}; {racer.answer.wrong}." for racer in wrong if racer.answer)


def batches(found: list[Racer]) -> str:
    """Who gains most by writing several answers at once."""
    told = [racer for racer in found if len(racer.throughput) > 1 and not racer.wrong]
    best = max(told, key=lambda racer: max(racer.throughput.values()), default=None)
    if best is None:
        return ""
    size, rate = max(best.throughput.items(), key=lambda pair: pair[1])
    at = f"with {size} at once" if size > 1 else "one at a time: batches bring nothing here"
    return f"{best.one.title} writes most, {words(rate, 'tok/s')} {at}"


def choices(experiment: Experiment) -> Finding:
    """What each choice of the loop brought, in tokens/s or until the first token."""
    found = racers(experiment, LOOPS)
    base = next((racer for racer in found if racer.first), None)
    others = [racer for racer in found if not racer.first and racer.one.gain]
    if base is None or not others:
        return nothing()
    best = max((racer for racer in others if not racer.wrong and racer.one.calm), key=_most, default=None)
    told = [_choice(racer) for racer in others] + [_wrong(found)]
    title = "No choice of the loop is felt here"
    if best and _most(best) > FELT:
        title = f"With {best.one.title}, {_what(best)} is {number(_most(best), 2)} times as fast"
    return Finding(title, "\n".join(line for line in told if line), numbers=_numbers(found))


def _most(racer: Racer) -> float:
    """The larger of both gains."""
    return max(gain[0] for gain in (racer.one.gain, racer.one.prefill_gain) if gain)


def _what(racer: Racer) -> str:
    decode, prefill = racer.one.gain, racer.one.prefill_gain
    return "reading the prompt" if prefill and decode and prefill[0] > decode[0] else "writing"


def _choice(racer: Racer) -> str:
    """One choice in one sentence."""
    one, facts = racer.one, getattr(racer.run.ended, "facts", {})
    assert one.gain
    named = f"With {one.title}" if not one.title.startswith("no ") else f"Without a{one.title[2:]}"
    speed = f"a token takes {_times(one.gain)}"
    if one.prefill_gain and racer.run.spec.setup.chunk + racer.run.spec.setup.prefix:
        size = f" ({CHUNK} tokens)" if racer.run.spec.setup.chunk else f" ({PREFIX} of {racer.run.spec.generate.prompt_tokens} tokens)"
        return f"{named}{size}, the first token takes {_times(one.prefill_gain)}."
    if facts.get("guesses"):
        right, made = facts["right"] / facts["guesses"], facts["made"] / facts["passes"]
        return f"{named}, {words(right, '%')} of the guesses are right and a pass makes {number(made, 2)} tokens: {speed}."
    if racer.run.spec.setup.speculation:
        return f"{named}, nothing was ever guessed: {speed}."
    return f"{named}, {speed}."


def _times(gain: tuple[float, float, float]) -> str:
    middle, low, high = gain
    if low <= 1 <= high or 1 / FELT < middle < FELT:
        return "about as long"
    return f"{number(1 / middle, 2)} times as long" if middle < 1 else f"{100 / middle:.0f} % of the time"


def _numbers(found: list[Racer]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for racer in found:
        numbers[f"rate_{racer.one.label}"] = racer.one.rate
        if racer.one.gain:
            numbers[f"gain_{racer.one.label}"] = racer.one.gain[0]
    return numbers


def promised(table: Table):
    """The title before anything is measured."""

    def promise(specs: list[RunSpec], roofs: dict[str, Ceilings]) -> str:
        known = [aim for aim in aims(specs, roofs, table=table) if aim.name != table.baseline]
        if not known:
            return "Not measured yet, and this machine's ceilings are not known"
        best = max(known, key=lambda aim: aim.forecast.expected or 0.0)
        if best.forecast.expected and best.forecast.expected > FELT:
            return f"Predicted: {table.rows[best.name].title} writes {number(best.forecast.expected, 2)} times as fast"
        least = max(known, key=lambda aim: aim.forecast.physics)
        if least.forecast.physics > FELT:
            times = number(least.forecast.physics, 2)
            return f"Predicted: by its bytes alone, {table.rows[least.name].title} writes {times} times as fast"
        return "Predicted: physics needs as long with every choice; what they cost or save is software's"

    return promise


@dataclass(frozen=True)
class Advice:
    """What to take for some work, and why."""

    title: str
    sentence: str


def advice(found: list[Racer], tokens: float, goal: Goal) -> Advice | None:
    """The engine for so many new tokens a day, in answers of a usual length; None where nothing was measured.

    latency: the least time until a whole answer is there. throughput: the most tokens/s at any batch that was measured.
    """
    right = [racer for racer in found if not racer.wrong]
    base = next((racer for racer in found if racer.first), None)
    if base is None or not right or tokens <= 0:
        return None
    requests = tokens / ANSWER
    if goal == "latency":
        best = min(right, key=lambda racer: racer.day(ANSWER, 1))
        took, before = best.day(ANSWER, 1), base.day(ANSWER, 1)
        title = f"Take {best.one.title}: an answer of {ANSWER} tokens is there after {words(took, 's')}"
        compared = f"{base.one.title} needs {words(before, 's')}" if best is not base else "nothing that was measured is faster"
        busy = best.day(tokens, requests)
    else:
        best = max(right, key=lambda racer: max(racer.throughput.values()))
        size, rate = max(best.throughput.items(), key=lambda pair: pair[1])
        title = f"Take {best.one.title}{f', {size} at once' if size > 1 else ''}: {words(rate, 'tok/s')}"
        most = max(base.throughput.values())
        compared = f"{base.one.title} reaches {words(most, 'tok/s')} at most" if best is not base else "nothing that was measured is faster"
        busy = tokens / rate
    return Advice(title, f"{_load(tokens, busy)}; {compared}.{_start(best, tokens)}")


def _load(tokens: float, busy: float) -> str:
    """How busy a day is."""
    if busy > DAY:
        return f"{tokens:,.0f} tokens a day are more than one such machine writes: it takes {number(busy / DAY, 2)} of them"
    return f"{tokens:,.0f} tokens a day keep this machine busy for {_hours(busy)}, {words(busy / DAY, '%')} of the day"


def _hours(seconds: float) -> str:
    return (
        f"{number(seconds / 3600, 2)} hours"
        if seconds > 5400
        else f"{number(seconds / 60, 2)} minutes"
        if seconds > 90
        else words(seconds, "s")
    )


def _start(best: Racer, tokens: float) -> str:
    """Whether its start is worth it."""
    if best.first or not best.pays_off:
        return ""
    paid = f" Its longer start ({words(best.start + best.once, 's')}) pays off after {number(best.pays_off, 2)} tokens"
    return f"{paid}, {number(100 * best.pays_off / tokens, 2)} % of a day's." if best.pays_off < tokens else f"{paid}: more than a day's."
