"""Below the comparison of methods: where the time of a token went before and after, and how well the speed was foretold."""

import streamlit as st

from profiler.analysis.compression import Variant, best, variants
from profiler.analysis.compression_words import falls, foretold, why
from profiler.analysis.experiment import Experiment
from profiler.analysis.waterfall import Waterfall
from profiler.catalog.machine import this_machine
from profiler.figures.compression import same_scale
from profiler.figures.waterfall import waterfall_figure
from profiler.spec.machine import Ceilings
from profiler.spec.methods import BASELINE
from profiler.spec.units import words

LEGEND = (
    "Green: the least this hardware allows. Orange: what the library's code for each part of the model (its kernels) takes beyond that. "
    "Red: Python and the framework. Both figures have the same scale."
)
FORETOLD = (
    "torch's own kernels from this machine's probes, another engine from constants that were fitted to published measurements; nothing of "
    "the models' own times is in it. A forecast holds if its interval meets that of the measurement."
)


def result_view(experiment: Experiment) -> None:
    """How well the speed was foretold; two waterfalls on one scale: the uncompressed model, and a variant of the person's choice."""
    if said := foretold(experiment, this_machine().name):
        st.markdown(said, help=FORETOLD)
    known = {one.name: one for one in variants(experiment) if one.name != BASELINE and falls(one)}
    if not known:
        return
    usual = best(list(known.values())) or max(known.values(), key=lambda one: one.rate)
    name = st.selectbox(
        "Where a token's time went, uncompressed and with",
        list(known),
        index=list(known).index(usual.name),
        format_func=lambda name: known[name].title,
        key=f"falls_{experiment.whole}",
        width=420,
    )
    falls_of(known[name], "uncompressed")
    st.caption(LEGEND)


def falls_of(one: Variant, before: str, roofs: Ceilings | None = None) -> None:
    """Two waterfalls beside each other, on one scale: before, and with this variant."""
    both = falls(one, roofs)
    assert both
    assert one.base
    st.markdown(why(*both, one.title))
    for column, title, fall, figure in zip(st.columns(2), (before, one.title), both, same_scale([waterfall_figure(fall) for fall in both])):
        column.markdown(f"###### {title[0].upper()}{title[1:]}: {words(fall.measured, 's')} per token")
        column.plotly_chart(figure, key=f"fall_{one.run.id}_{title}", alt=f"Waterfall, {title}: {_parts(fall)}")


def _parts(fall: Waterfall) -> str:
    return ", ".join(f"{part.name} {words(part.seconds, 's')}" for part in fall.parts)
