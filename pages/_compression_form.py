"""The fields that only labs of compression have: which methods, which format, which text; and what cannot run here, and why."""

from pathlib import Path
from typing import Any

import streamlit as st

from profiler.analysis.compression import QUICK
from profiler.analysis.labs import Lab
from profiler.analysis.sensitivity import CHOICES
from profiler.catalog.machine import this_machine
from profiler.catalog.methods import unavailable
from profiler.spec.formats import FORMATS
from profiler.spec.methods import BASELINE, METHODS, method_of
from profiler.spec.model import ModelSpec
from profiler.spec.run import RunSpec, Setup
from profiler.spec.work import Generate, Sensitivity

ALL = tuple(name for name in METHODS if name != BASELINE)
PRESETS = {"quick": "Quick", "all": "All that run here"}
HELP = {
    "methods": "Each is one run in a fresh process. The uncompressed model always comes first: all others are compared with it.",
    "quantization": "The format that each part is quantized to, one at a time.",
    "text": "A file of text in UTF-8 that quality is judged by. Empty: Python's language reference, the half that no prompt is taken from.",
}


def methods_box() -> list[str]:
    """The methods that a person chose, the presets above them."""
    st.segmented_control(
        "Presets", list(PRESETS), format_func=PRESETS.__getitem__, key="methods_preset", on_change=_preset, label_visibility="collapsed"
    )
    return st.multiselect(
        "Methods",
        ALL,
        default=list(QUICK),
        format_func=lambda name: METHODS[name].title,
        key="methods",
        bind="query-params",
        help=HELP["methods"],
        placeholder="Choose at least one",
    )


def _preset() -> None:
    """Fill the field; what can run was found out when the page was drawn before."""
    chosen = st.session_state.get("methods_preset")
    if chosen:
        st.session_state["methods"] = list(QUICK) if chosen == "quick" else st.session_state.get("methods_possible", list(QUICK))


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


def sorted_out(chosen: list[str], refused: dict[str, str]) -> tuple[str, ...]:
    """The chosen methods that can run here. Raises ValueError of one sentence where none is chosen."""
    st.session_state["methods_possible"] = [name for name in ALL if name not in refused]
    if not chosen:
        raise ValueError("No method is chosen; choose at least one, or a preset.")
    return tuple(name for name in chosen if name not in refused)


def refusals(setup: Setup, model: ModelSpec | None) -> dict[str, str]:
    """Every method that cannot run here, and why."""
    return {name: why for name in ALL if model and (why := unavailable(name, setup, model, this_machine()))}


def refusals_view(found: dict[str, str]) -> None:
    """The list of what cannot run here, folded."""
    if not found:
        return
    with st.expander(f"{len(found)} of {len(ALL)} methods cannot run here, and why"):
        rows = [{"method": METHODS[name].title, "reason": why, "what it is": METHODS[name].why} for name, why in found.items()]
        st.dataframe(rows, hide_index=True, width="stretch", alt="Methods that cannot run here, with the reason")


def compressed(lab: Lab, specs: list[RunSpec]) -> dict[str, Any]:
    """What these fields hold for the runs of an experiment, by key."""
    found: dict[str, Any] = {}
    if "methods" in lab.asks:
        found["methods"] = [name for name in dict.fromkeys(method_of(spec.setup) for spec in specs) if name in ALL]
    if "quantization" in lab.asks:
        found["quantization"] = specs[0].setup.quantization
    work = specs[0].work
    return found | ({"text": work.text} if "text" in lab.asks and isinstance(work, Generate | Sensitivity) else {})
