"""The race of an experiment's runs: tokens of several engines streaming side by side (assets/race.js, race.css)."""

import streamlit as st

from profiler.analysis.experiment import Experiment
from profiler.analysis.race import Lane, TitleOf, WrongOf, finding, lanes, placed, standing
from profiler.record.process import ROOT
from profiler.spec.units import words

ELEMENT = st.components.v2.component(
    "race",
    html="<div class='race'></div>",
    css=(ROOT / "assets" / "race.css").read_text("utf-8"),
    js=(ROOT / "assets" / "race.js").read_text("utf-8"),
    isolate_styles=False,
)
NOTE = "A bar is an answer of {} tokens; pale is what was written after the first had arrived. It is the first round of each."


def race_view(experiment: Experiment, title_of: TitleOf, wrong_of: WrongOf, live: bool) -> None:
    """The lanes and below them the finding; nothing where no run generates.

    live: as far as they are, without motion, for the measured cores draw too; else all start together and run as they were timed.
    In a live panel, call it with the experiment of the last quiet moment: equal data are not drawn again.
    """
    all = lanes(experiment, title_of, wrong_of)
    if not all:
        return
    ELEMENT(key="race_live" if live else "race", data=payload(experiment.whole, all, live))
    said = finding(all)
    note = NOTE.format(max(lane.goal for lane in all))
    st.caption(f"**{said}.** {note}" if said else note)


def payload(id: str, all: list[Lane], live: bool) -> dict:
    """What the element takes; it begins anew only where `id` changes. `pace`: seconds after which what is written is pale."""
    order = [lane.id for lane in placed(all)]
    pace = next((lane.last for lane in placed(all)), None)
    return {
        "id": id,
        "live": live,
        "goal": max(lane.goal for lane in all),
        "pace": pace,
        "label": f"Race. {standing(all)}",
        "lanes": [_row(lane, order.index(lane.id) + 1 if lane.id in order else 0) for lane in all],
    }


def _row(lane: Lane, place: int) -> dict:
    """One lane; place 0: none."""
    first = f"first {words(lane.first, 's')}" if lane.times else ""
    return {
        "id": lane.id,
        "title": lane.title,
        "times": [round(second, 6) for second in lane.times],
        "texts": list(lane.texts),
        "status": lane.status,
        "complete": lane.complete,
        "place": place,
        "rate": words(lane.rate, "tok/s") if lane.rate else "",
        "first": first,
        "detail": f"{first} · all {words(lane.last, 's')}" if lane.complete else first,
        "wrong": lane.wrong,
        "note": lane.reason or _state(lane),
    }


def _state(lane: Lane) -> str:
    """What a lane without tokens waits for."""
    if lane.times or lane.over:
        return ""
    return "waits for its turn" if lane.status == "queued" else f"{lane.doing} …"
