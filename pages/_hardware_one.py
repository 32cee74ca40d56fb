"""One device closely: batch against context, and twice of each thing."""

from collections.abc import Sequence

import streamlit as st

from profiler.analysis.fleet import Choice
from profiler.analysis.what_if import LINK, at, doubled, grid, sentence
from profiler.figures.hardware import named
from profiler.figures.hardware_one import doubled_figure, grid_figure
from profiler.spec.model import ModelSpec
from profiler.spec.units import words

HELP = {
    "one": "The device of the two figures below; empty: the first of those compared.",
    "grid": "Along the context the KV cache grows, along the batch the weights are shared by more sequences. Cells behind the dotted "
    "line do not fit in memory.",
    "doubled": "The same prediction for a device with twice of one thing, all else equal. What brings nothing is not what it waits for.",
}
QUANTITIES = {"rate": "Speed", "seconds": "Time per step"}


@st.fragment
def closely(model: ModelSpec, choices: Sequence[Choice], first: Choice) -> None:
    """The part of the page that is about one device; it is redrawn alone when another one is chosen."""
    known = {named(one): one for one in choices}
    columns = st.columns([2, 1.4, 3], vertical_alignment="bottom")
    title = columns[0].selectbox(
        "One device closely", list(known), index=None, key="one", bind="query-params", placeholder=named(first), help=HELP["one"]
    )
    quantity = columns[1].segmented_control(
        "Shown",
        list(QUANTITIES),
        default="rate",
        required=True,
        format_func=QUANTITIES.__getitem__,
        key="shown",
        bind="query-params",
        label_visibility="collapsed",
    )
    one = known.get(title or "", first)
    left, right = st.columns([3, 2])
    with left:
        _grid(model, one, quantity)
    with right:
        _doubled(model, one)


def _grid(model: ModelSpec, one: Choice, quantity: str) -> None:
    view = grid(model, one)
    fitting = int(view.fits.sum())
    if fitting:
        row, column = divmod(int((view.rate * view.fits).argmax()), len(view.contexts))
        unit = "tokens/s" if model.head else "texts/s"
        best = (
            f"up to {words(view.rate[row, column], '1')} {unit}, with {view.batches[row]:,} sequences of {view.contexts[column]:,} tokens"
        )
    else:
        best = f"not even one sequence of {view.contexts[0]:,} tokens fits"
    st.markdown(f"###### {one.device.title}: {best}", help=HELP["grid"])
    figure = grid_figure(view, quantity, at(view, one.work), one.device.memory, "tok/s" if model.head else "texts/s")
    alt = f"Heat map of batch against context on {one.device.title}: {fitting} of {view.fits.size} cells fit"
    st.plotly_chart(figure, key="grid", alt=alt)


def _doubled(model: ModelSpec, one: Choice) -> None:
    variants = doubled(model, one)
    gains = {variant.name: variants[0].seconds / variant.seconds for variant in variants}
    best = max(gains, key=gains.__getitem__)
    what = {"": "nothing", "link": LINK}.get(best, best)
    waits = f"waits most for {what}" if gains[best] > 1.1 else "waits for nothing that could be doubled"
    st.markdown(f"###### {one.device.title} {waits}", help=HELP["doubled"])
    said = sentence(variants)
    st.plotly_chart(doubled_figure(variants), key="doubled", alt=f"What twice of each thing would bring. {said}")
    st.markdown(said)
