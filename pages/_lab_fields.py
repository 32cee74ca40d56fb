"""The fields that only some labs have: which methods or engines, which format, which text; and what cannot run here, and why."""

from pathlib import Path
from typing import Any

import streamlit as st

from profiler.analysis.labs import Lab
from profiler.analysis.sensitivity import CHOICES
from profiler.catalog.machine import this_machine
from profiler.catalog.methods import unavailable
from profiler.spec.formats import FORMATS
from profiler.spec.methods import Table
from profiler.spec.model import ModelSpec
from profiler.spec.run import RunSpec, Setup
from profiler.spec.work import Generate, Sensitivity

PRESETS = {"quick": "Quick", "all": "All that run here"}
HELP = {
    "ways": "Each is one run in a fresh process. First always comes: {}. All others are compared with it.",
    "quantization": "The format that each part is quantized to, one at a time.",
    "text": "A file of text in UTF-8 that quality is judged by. Empty: Python's language reference, the half that no prompt is taken from.",
}


def ways_box(table: Table) -> list[str]:
    """The ways to run a model that a person chose, the presets above them."""
    key = f"{table.key}_preset"
    st.segmented_control(
        "Presets",
        list(PRESETS),
        format_func=PRESETS.__getitem__,
        key=key,
        on_change=_preset,
        args=(table,),
        label_visibility="collapsed",
    )
    return st.multiselect(
        table.title,
        table.choices,
        default=list(table.quick),
        format_func=lambda name: table.rows[name].title,
        key=table.key,
        bind="query-params",
        help=HELP["ways"].format(table.rows[table.baseline].title),
        placeholder="Choose at least one",
    )


def _preset(table: Table) -> None:
    """Fill the field; what can run was found out when the page was drawn before."""
    chosen = st.session_state.get(f"{table.key}_preset")
    if chosen:
        quick = list(table.quick)
        st.session_state[table.key] = quick if chosen == "quick" else st.session_state.get(f"{table.key}_possible", quick)


def quantization_box(where) -> str:
    """The format of the sensitivity experiment."""
    return where.selectbox(
        "Quantized to",
        CHOICES,
        format_func=lambda name: FORMATS[name].title.partition(",")[0],
        key="quantization",
        bind="query-params",
        help=HELP["quantization"],
    )


def text_box(where) -> str:
    """A file of text of the user's, if any."""
    return where.text_input("Text to judge by", key="text", bind="query-params", placeholder="built in, or a file", help=HELP["text"])


def existing(text: str) -> str:
    """The name of a file that is there. Raises ValueError of one sentence for another one."""
    name = text.strip()
    if name and not Path(name).expanduser().is_file():
        raise ValueError(f"There is no file {name}; name a text file on this machine, or leave the field empty.")
    return str(Path(name).expanduser()) if name else ""


def sorted_out(table: Table, chosen: list[str], refused: dict[str, str]) -> tuple[str, ...]:
    """The chosen ways that can run here. Raises ValueError of one sentence where none is chosen."""
    st.session_state[f"{table.key}_possible"] = [name for name in table.choices if name not in refused]
    if not chosen:
        raise ValueError(f"No {table.noun} is chosen; choose at least one, or a preset.")
    return tuple(name for name in chosen if name not in refused)


def refusals(table: Table, setup: Setup, model: ModelSpec | None) -> dict[str, str]:
    """Every way that cannot run here, and why."""
    return {name: why for name in table.choices if model and (why := unavailable(name, setup, model, this_machine(), table))}


def refusals_view(table: Table, found: dict[str, str]) -> None:
    """The list of what cannot run here, folded."""
    if not found:
        return
    with st.expander(f"{len(found)} of {len(table.choices)} {table.key} cannot run here, and why"):
        rows = [{table.noun: table.rows[name].title, "reason": why, "what it is": table.rows[name].why} for name, why in found.items()]
        st.dataframe(rows, hide_index=True, width="stretch", alt=f"{table.title} that cannot run here, with the reason")


def held(lab: Lab, specs: list[RunSpec]) -> dict[str, Any]:
    """What these fields hold for the runs of an experiment, by key."""
    found: dict[str, Any] = {}
    if lab.ways:
        found[lab.ways.key] = [name for name in dict.fromkeys(lab.ways.name_of(spec.setup) for spec in specs) if name in lab.ways.choices]
    if "quantization" in lab.asks:
        found["quantization"] = specs[0].setup.quantization
    work = specs[0].work
    return found | ({"text": work.text} if "text" in lab.asks and isinstance(work, Generate | Sensitivity) else {})
