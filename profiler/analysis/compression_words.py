"""What came out of comparing methods of compression, in words: the finding, the table, and why one became faster or did not."""

from profiler.analysis.compression import Ratio, Variant, aims, best, variants
from profiler.analysis.experiment import Experiment
from profiler.analysis.findings import Finding, nothing
from profiler.analysis.quality import Quality
from profiler.analysis.waterfall import Kind, Waterfall, waterfall
from profiler.spec.machine import Ceilings
from profiler.spec.methods import BASELINE
from profiler.spec.run import RunSpec
from profiler.spec.units import number, words
from profiler.theory.compressed import Forecast

LITTLE = 0.02  # share of perplexity that nobody would notice
FELT = 1.05  # times as fast: less is not worth a word


def loss_words(value: float) -> str:
    """A rise of perplexity, with its sign: +1.2 %, −0.3 %, +4,100 %."""
    return f"{'+' if value >= 0 else '−'}{number(abs(100 * value), 2)} %"


def judged(one: Variant) -> str:
    """The loss of one variant: in numbers, as none that can be told, or as garbage."""
    found = one.quality
    if found is None:
        return "not defined"
    if found.garbage:
        return found.garbage
    low, high = found.loss_interval
    told = f"{loss_words(found.loss)} (95 %: {loss_words(low)} to {loss_words(high)})"
    return f"≈ same, {told}" if one.same else told


def times(one: Variant) -> str:
    """How many times as fast as the uncompressed model, or that no difference can be told."""
    if one.gain is None:
        return "–"
    middle, low, high = one.gain
    return f"≈ same ({middle:.2f} ×)" if low <= 1 <= high else f"{middle:.2f} ×"


def finding(experiment: Experiment) -> Finding:
    """Which method is worth it here, and what the others cost; only of what was measured."""
    found = variants(experiment)
    others = [one for one in found if one.name != BASELINE]
    if not others or others[0].base is None:
        return nothing()
    told = [
        _noise(others[0].base),
        _winner(others),
        _four_bits(others),
        _packed(others),
        _slower(others),
        _zeros(others),
        _wanda(others),
        *_smaller(others),
        _ruined(others),
    ]
    return Finding(_title(others), "\n".join(sentence for sentence in told if sentence), numbers=_numbers(found))


def _title(others: list[Variant]) -> str:
    won = best(others, LITTLE)
    scored = any(one.quality for one in others)
    if won is None:
        return "Nothing here is faster without losing more than 2 % of perplexity" if scored else "Nothing here is faster"
    assert won.gain
    start = f"With {won.title} it is {number(won.gain[0], 2)} times as fast"
    if won.quality is None:
        return f"{start}; of random weights there is no quality to lose"
    return f"{start}, and no loss can be told" if won.same else f"{start}, for {loss_words(won.quality.loss)} perplexity"


def _noise(base: Variant) -> str:
    """The uncompressed model itself, which shows how small a difference can be told."""
    speed = f"Uncompressed, in {base.run.spec.setup.dtype}, it writes {words(base.rate, 'tok/s')}"
    if base.quality is None:
        return f"{speed}."
    if base.run.spec.setup.dtype == "float32":
        return f"{speed}, and is itself what the others' perplexity of {number(base.quality.perplexity)} is compared with."
    return (
        f"{speed}; its perplexity of {number(base.quality.perplexity)} differs from float32's by {loss_words(base.quality.loss)}, so what "
        f"stays within ±{number(100 * base.floor, 2)} % is rounding."
    )


def _winner(others: list[Variant]) -> str:
    won = best(others, LITTLE)
    if won is None or won.gain is None or won.base is None:
        return ""
    size = won.weights / won.base.weights
    return f"With {won.title} the weights take {words(size, '%')} of the bytes, and it is {_sure(won)} times as fast{_loses(won)}."


def _sure(one: Variant) -> str:
    assert one.gain
    middle, low, high = one.gain
    return f"{number(middle)} ({low:.2f} to {high:.2f})"


def _loses(one: Variant) -> str:
    return f"; perplexity: {judged(one)}" if one.quality else ""


def _four_bits(others: list[Variant]) -> str:
    """The best of the narrow formats, if it is not the winner already."""
    narrow = [one for one in others if one.narrow and one.quality and not one.quality.garbage]
    if not narrow:
        return ""
    least = min(narrow, key=lambda one: one.quality.loss if one.quality else 0.0)
    if least is best(others, LITTLE):
        return ""
    return f"The best of about 4 bits, {least.title}, costs {judged(least)} of perplexity at {times(least)} the speed."


def _zeros(others: list[Variant]) -> str:
    """Whether multiplying by zero was any faster."""
    zeros = [one for one in others if one.kind == "zeros" and one.gain]
    if not zeros:
        return ""
    quick = [one for one in zeros if one.faster and one.gain and one.gain[0] > FELT]
    if quick:
        return f"Zeros were faster here: {', '.join(f'{one.title} {times(one)}' for one in quick)}."
    rates = ", ".join(f"{one.label} {one.gain[0]:.2f} ×" for one in zeros if one.gain)
    return f"Zeros did not speed it up ({rates}): the matrices stay as large, and dense kernels multiply zeros too."


def _wanda(others: list[Variant]) -> str:
    """Wanda against magnitude at the same share."""
    known = {one.name: one for one in others if one.quality}
    if not {"magnitude", "wanda"} <= known.keys():
        return ""
    plain, wanda = known["magnitude"].quality, known["wanda"].quality
    assert plain
    assert wanda
    return (
        f"With half of the weights at zero, choosing by magnitude costs {_cost(plain)}, by Wanda's score {_cost(wanda)}: which weights "
        f"matter depends on what they are multiplied with."
        if wanda.loss < plain.loss
        else f"With half of the weights at zero, choosing by magnitude costs {_cost(plain)}, by Wanda's score {_cost(wanda)}, no less."
    )


def _cost(found: Quality) -> str:
    return f"{loss_words(found.loss)}{' (garbage)' if found.garbage else ''}"


def _smaller(others: list[Variant]) -> list[str]:
    """What taking parts out brought."""
    told = []
    for one in others:
        if one.kind == "structure" and one.gain and one.base:
            size = words(one.weights / one.base.weights, "%")
            lost = f", but loses {_cost(one.quality)} without training it again" if one.quality and not one.same else ""
            speed = "as fast" if one.gain[1] <= 1 <= one.gain[2] else f"{number(one.gain[0], 2)} times as fast"
            told.append(f"With {one.title}, {size} of the bytes are left and it is {speed}{lost}.")
    return told


def _ruined(others: list[Variant]) -> str:
    ruined = [one for one in others if one.quality and one.quality.garbage]
    return " ".join(f"{one.title[0].upper()}{one.title[1:]}: {one.quality.garbage}." for one in ruined if one.quality)


def _slower(others: list[Variant]) -> str:
    """What became smaller, and slower for certain."""
    slow = [one for one in others if one.base and one.weights < one.base.weights and one.gain and one.gain[2] < 1 / FELT and one.calm]
    if not slow:
        return ""
    rates = ", ".join(f"{one.title} {one.gain[0]:.2f} ×" for one in slow if one.gain)
    return f"Smaller, but slower: {rates}. Fewer bytes do not help where the kernel takes longer than reading them would."


def _packed(others: list[Variant]) -> str:
    """A model that comes from a 4-bit file has paid for 4 bits already."""
    model = others[0].run.spec.model
    if model is None or model.origin != "package" or not any(one.narrow and one.quality for one in others):
        return ""
    return f"{model.name} comes from a 4-bit file here, so 4 bits take less from it than from a model that never had so few."


def _numbers(found: list[Variant]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for one in found:
        numbers[f"rate_{one.label}"] = one.rate
        if one.gain:
            numbers[f"gain_{one.label}"] = one.gain[0]
        if one.quality:
            numbers[f"loss_{one.label}"] = one.quality.loss
    return numbers


def promise(specs: list[RunSpec], roofs: dict[str, Ceilings]) -> str:
    """The best speed-up that is foretold; quality cannot be."""
    known = [aim for aim in aims(specs, roofs) if aim.name != BASELINE]
    foretold = max((aim for aim in known if aim.forecast.expected), key=lambda aim: aim.forecast.expected or 0.0, default=None)
    if foretold:
        return (
            f"Predicted: {foretold.label} decodes {foretold.forecast.expected:.2g} times as fast; what it loses, only a measurement tells"
        )
    if not known:
        return "Not measured yet, and this machine's ceilings are not known"
    most = max(known, key=lambda aim: aim.forecast.physics)
    times = f"{most.forecast.physics:.2g}"
    return f"Predicted: by its bytes alone, {most.label} is {times} times as fast; what it loses, only a measurement tells"


def foretold(experiment: Experiment, processor: str = "") -> str:
    """How many forecasts of speed held, and those that did not; empty where nothing was foretold."""
    known = {aim.name: aim.forecast for aim in aims(experiment.specs, experiment.roofs, processor) if aim.forecast.expected}
    tried = [(one, known[one.name]) for one in variants(experiment) if one.gain and one.calm and one.name in known]
    if not tried:
        return ""
    missed = [(one, said) for one, said in tried if one.gain and not _within(one.gain, said)]
    start = f"The forecast of the speed held for {len(tried) - len(missed)} of {len(tried)} methods"
    told = "; ".join(f"{one.label} is {one.gain[0]:.2f} times as fast, expected were {_span(said)}" for one, said in missed if one.gain)
    return f"{start}: {told}." if told else f"{start}."


def _span(said: Forecast) -> str:
    return f"{said.expected:.2f} ({said.low:.2f} to {said.high:.2f})"


def _within(gain: Ratio, said: Forecast) -> bool:
    """Whether both intervals meet."""
    return (said.low or 0.0) <= gain[2] and gain[1] <= (said.high or 0.0)


NAMES: dict[Kind, str] = {"physics": "what physics needs", "kernels": "slower kernels", "framework": "the framework"}


def why(before: Waterfall, now: Waterfall, title: str) -> str:
    """Which part of a token's time shrank, and which did not."""
    kinds: tuple[Kind, ...] = ("physics", "kernels", "framework") if before.told and now.told else ("physics",)
    parts = {NAMES[kind]: (before.of(kind), now.of(kind)) for kind in kinds}
    if len(kinds) == 1:
        parts["everything beyond physics"] = before.measured - before.ideal, now.measured - now.ideal
    told = "; ".join(f"{name} {words(was, 's')} → {words(left, 's')}" for name, (was, left) in parts.items())
    saved = before.measured - now.measured
    start = f"With {title} a token takes {words(now.measured, 's')} instead of {words(before.measured, 's')}"
    if max(before.measured / now.measured, now.measured / before.measured) < FELT:
        return f"{start}, about as long as before: {told}."
    name, (was, left) = max(parts.items(), key=lambda pair: (pair[1][0] - pair[1][1]) * (1 if saved > 0 else -1))
    verb = "saves" if saved > 0 else "loses"
    return f"{start}. Of the {words(abs(saved), 's')} that it {verb}, {words(abs(was - left), 's')} are in {name}: {told}."


def falls(one: Variant, roofs: Ceilings | None = None) -> tuple[Waterfall, Waterfall] | None:
    """The decode waterfalls of the baseline and of this one, on the same roofs where these are given; None where one is not known."""
    if one.base is None:
        return None
    before, now = (waterfall(run, "decode", roofs=roofs) for run in (one.base.run, one.run))
    return (before, now) if before and now else None
