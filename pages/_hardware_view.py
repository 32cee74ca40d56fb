"""The comparison: its finding, four figures in words, the table, and every figure of many devices."""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from pages._hardware_here import Here, here, seen, told
from pages._hardware_one import closely
from pages._hardware_table import table
from profiler.analysis.fleet import Choice, Stack, Workload, choice, commands, finding, fleet, front, obstacles, shortlist, standing
from profiler.figures.hardware import AGAINST, devices_roofline, front_figure, shares_figure, spending, times_figure
from profiler.spec.device import Device
from profiler.spec.model import ModelSpec
from profiler.spec.units import number, words

ALIKE = 1.05  # times that differ by less are told as equal
UNDER_ROOFS = 5  # devices in one roofline
HELP = {
    "held": "By accounting: weights, KV cache at the full length, activations, and what the software keeps for itself.",
    "times": "A dot is the prediction; four of five measurements of its kind lay within such a whisker. Both ends of the axis are far "
    "apart, so it is logarithmic. The star is a device of your own.",
    "shares": "Moving bytes: weights and cache through memory. Calculating: multiplications. Overhead: starting operators, and what an "
    "engine does once a step. Between devices: results exchanged over links.",
    "roofline": "Few operations for each byte: memory (the slope) is the limit. Many: arithmetic (the flat part) is. Lines are paper "
    "figures, points are what is predicted; a few of the compared devices. Both axes are logarithmic.",
    "front": "Up is faster, left is less. Whoever is not on the line is beaten by one that is, in both. Both axes are logarithmic.",
}


def comparison(
    model: ModelSpec,
    setup: Stack,
    work: Workload,
    devices: Sequence[Device],
    costs: dict[str, float],
    chosen_by: Callable[[], list[Device]],
) -> None:
    """All there is to see of one question."""
    choices = fleet(model, devices, setup, work, costs)
    if not choices:
        st.error("No device passes the filters under More; widen them.", icon=":material/filter_alt_off:")
        return
    for problem, count in obstacles(choices).items():
        whom = "" if count == len(choices) else f" This concerns {count} of the {len(choices)} devices."
        st.warning(f"{problem}{whom} What is shown is as if it could be.", icon=":material/warning:")
    st.subheader(finding(model, choices), anchor=False)
    _numbers(choices)
    wanted = {one.id: one for one in chosen_by()}
    known = {one.device.id: one for one in choices}
    own = [one for one in choices if one.own and one.device.id not in wanted]
    asked = [known.get(id) or choice(model, one, setup, work, costs.get(id)) for id, one in wanted.items()]
    compared = asked + own if asked else shortlist(choices)
    found = here(model)
    _times(model, compared, found)
    table(choices, found)
    left, right = st.columns(2)
    with left:
        _front(choices, compared)
    with right:
        _roofline(model, compared)
    closely(model, choices, compared[0])
    with st.expander("Repeat or share this comparison"):
        st.code("\n".join(commands(model, compared[0])), language="bash", wrap_lines=True)
        st.caption("The address of this page opens the same comparison again.")


def _numbers(choices: Sequence[Choice]) -> None:
    """Four cards: how many hold it, the fastest, the most frugal, the cheapest."""
    fitting = [one for one in choices if one.fits]
    columns = st.columns(4)
    held = f"{len(fitting)} of {len(choices)}"
    need = words(choices[0].estimate.memory, "B")
    columns[0].metric("Hold it", held, f"needs {need} on each", **CARD, help=HELP["held"])
    phase = "decode" if choices[0].writes else "prefill"
    fastest = fitting[0] if fitting else None
    frugal = min((one for one in fitting if one.energy is not None), key=lambda one: one.energy or 0.0, default=None)
    cheapest = min((one for one in fitting if one.cost is not None), key=lambda one: one.cost or 0.0, default=None)
    per = "token" if choices[0].writes else "batch"
    _card(columns[1], "Fastest", fastest, lambda one: f"{words(one.timed(phase).time, 's')} per {per}", _interval(fastest, phase))
    _card(columns[2], "Least energy", frugal, lambda one: f"{words(one.energy, 'J')} per token", "Rough: from power limits.")
    _card(columns[3], "Cheapest", cheapest, lambda one: f"{words(one.cost, '1')} per million", "Type prices under More, Prices.")


NOTHING = {"Fastest": "none holds it", "Least energy": "not known", "Cheapest": "type prices under More"}
CARD: dict[str, Any] = {"delta_color": "off", "delta_arrow": "off", "border": True, "height": "stretch"}


def _card(column, title: str, one: Choice | None, value: Callable[[Choice], str], meaning: str) -> None:
    if one is None:
        column.metric(title, "–", NOTHING[title], **CARD, help=meaning)
    else:
        column.metric(title, value(one), one.device.title, **CARD, help=meaning)


def _interval(one: Choice | None, phase: str) -> str:
    if one is None:
        return "No device holds it."
    timed = one.timed(phase)
    return f"{words(timed.low, 's')} to {words(timed.high, 's')}; {one.estimate.origin}. Four of five measurements of its kind lay within."


def _times(model: ModelSpec, compared: Sequence[Choice], found: Here | None) -> None:
    """How long each takes, and what on."""
    phases = {"decode": "Writing a token", "prefill": "Reading the prompt"} if model.head else {"prefill": "Reading the texts"}
    phase = st.segmented_control(
        "Phase",
        list(phases),
        default=next(iter(phases)),
        required=True,
        format_func=phases.__getitem__,
        key="phase",
        bind="query-params",
        label_visibility="collapsed",
    )
    left, right = st.columns([3, 2])
    with left:
        st.markdown(f"###### {_range(compared, phase)}", help=HELP["times"])
        st.plotly_chart(times_figure(compared, phase, seen(found, phase)), key="times", alt=_range(compared, phase))
    with right:
        kind = _mostly(compared, phase)
        st.markdown(f"###### {kind}", help=HELP["shares"])
        st.plotly_chart(shares_figure(compared, phase), key="shares", alt=kind)
    if found and phase in found.measured:
        st.caption(told(found, phase))


def _range(compared: Sequence[Choice], phase: str) -> str:
    ordered = sorted(compared, key=lambda one: one.timed(phase).time)
    fast, slow = ordered[0], ordered[-1]
    what = "A token" if phase == "decode" else "The first token" if fast.writes else "A batch of texts"
    if fast is slow:
        return f"{what} takes {words(fast.timed(phase).time, 's')} on {fast.called}"
    times = slow.timed(phase).time / fast.timed(phase).time
    start = f"{what} takes {words(fast.timed(phase).time, 's')} on {fast.called}"
    return f"{start}, {number(times, 2)} times as long on {slow.called}" if times >= ALIKE else f"{start}, as long on {slow.called}"


def _mostly(compared: Sequence[Choice], phase: str) -> str:
    """What most of the time goes into, over the compared devices."""
    kinds = {"memory": "moving bytes", "compute": "calculating", "overhead": "overhead", "communication": "traffic between devices"}
    shares = [{kind: getattr(one.timed(phase).spent, kind) / one.timed(phase).time for kind in kinds} for one in compared]
    largest = [max(share, key=share.__getitem__) for share in shares]
    kind = max(set(largest), key=largest.count)
    count = largest.count(kind)
    whom = "all of them" if count == len(compared) else f"{count} of {len(compared)}"
    return f"It goes mostly into {kinds[kind]} on {whom}"


def _front(choices: Sequence[Choice], compared: Sequence[Choice]) -> None:
    """Speed against what it costs."""
    fitting = [one for one in choices if one.fits] or list(choices)
    count = {kind: sum(spending(one, kind) is not None for one in fitting) for kind in AGAINST}
    kinds = [kind for kind in AGAINST if count[kind] > (kind == "cost")]  # one price is no comparison
    title = st.empty()
    against = st.segmented_control(
        "Against",
        kinds,
        default=kinds[0],
        required=True,
        format_func=lambda kind: kind.capitalize(),
        key="against",
        bind="query-params",
        label_visibility="collapsed",
    )
    known = [(one, cost) for one in fitting if (cost := spending(one, against)) is not None]
    best = [known[at][0] for at in front([(cost, one.rate) for one, cost in known])]
    had = "" if fitting[0].fits else "If they had room: "
    verb = "has" if len(best) == 1 else "have"
    less = "at lower cost" if against == "cost" else f"with less {against}"
    said = f"{had}{len(best)} of {len(known)} devices {verb} no rival that is as fast {less}"
    title.markdown(f"###### {said}", help=HELP["front"])
    st.plotly_chart(front_figure(fitting, against, compared), key="front", alt=f"Speed against {against}: {said}")


def _roofline(model: ModelSpec, compared: Sequence[Choice]) -> None:
    """This workload under the roofs of a few devices."""
    count = min(UNDER_ROOFS, len(compared))
    spread = {round(number * (len(compared) - 1) / max(count - 1, 1)) for number in range(count)}
    standings = [(compared[number], standing(model, compared[number])) for number in sorted(spread)]
    last = [points[-1] for _, points in standings]
    said = f"{last[0].phase.capitalize()} does {words(last[0].intensity, '1')} operations for each byte"
    st.markdown(f"###### {said}", help=HELP["roofline"])
    st.plotly_chart(devices_roofline(standings), key="roofline", alt=f"Roofline of {len(standings)} devices: {said}")
