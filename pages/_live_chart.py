"""The one element that draws live figures in place (assets/live_figures.js)."""

import json

import streamlit as st
from plotly.graph_objects import Figure
from plotly.offline import get_plotlyjs

from profiler.record.process import ROOT

CSS = (
    ".live-figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(320px, 1fr)); gap: 0.5rem; min-height: 260px }"
    ".live-figure { min-width: 0; overflow: hidden }"
)
ELEMENT = st.components.v2.component(
    "live_figures",
    html="<div class='live-figures'></div>",
    css=CSS,
    js=(ROOT / "assets" / "live_figures.js").read_text("utf-8"),
    isolate_styles=False,
)


@st.cache_resource(show_spinner=False)
def _plotly_loader():
    """Brings window.Plotly where no static chart has; 4.8 MB, once per browser session."""
    return st.components.v2.component(
        "plotly_loader", html="<span></span>", js=get_plotlyjs() + "\nexport default function () {}\n", isolate_styles=False
    )


def payload(figures: list[tuple[str, Figure, str]], stamp: float) -> dict:
    """(id, figure, alt text) triples as the element takes them; `stamp` is the time of the newest event in them."""

    def one(id: str, figure: Figure, alt: str) -> dict:
        plain = json.loads(figure.to_json())
        plain["layout"].pop("template", None)  # colours come from the page's theme
        return {"id": id, "alt": alt, **plain}

    return {"stamp": stamp, "figures": [one(*figure) for figure in figures]}


def live_figures(data: dict, key: str) -> None:
    """Draw a payload; equal data are not drawn again."""
    ELEMENT(key=key, data=data, on_need_plotly_change=lambda: st.session_state.update(need_plotly=True))
    if st.session_state.get("need_plotly"):
        _plotly_loader()(key=f"{key}_loader", height=1)
