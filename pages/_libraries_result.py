"""Below a comparison of engines: the race, advice for somebody's own work, and one waterfall before and after."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from pages._compression_result import LEGEND, falls_of
from pages._race import race_view
from profiler.analysis.compression import title_of
from profiler.analysis.compression_words import falls
from profiler.analysis.experiment import Experiment
from profiler.analysis.libraries import fastest, racers, wrong_of
from profiler.analysis.libraries_words import ANSWER, Goal, advice, batches
from profiler.figures.libraries import batches_figure
from profiler.spec.libraries import LIBRARIES, LOOPS
from profiler.spec.methods import Table

GOALS: dict[Goal, str] = {"latency": "Short waiting", "throughput": "Many at once"}
HELP = {
    "tokens": f"New tokens that your users read in a day, in answers of {ANSWER} tokens.",
    "goal": "Short waiting: the least time for one answer alone. Many at once: the most tokens per second at any batch that was measured.",
}


def race_of(table: Table) -> Callable[[Experiment, bool], None]:
    """The race of an experiment, live or replayed."""
    return lambda experiment, live: race_view(experiment, partial(title_of, table=table), wrong_of, live)


def engines_view(experiment: Experiment) -> None:
    """The race, what to take, and where the time went."""
    st.markdown("##### The race: each as fast as it was measured, all started together")
    race_of(LIBRARIES)(experiment, False)
    _batches(experiment)
    _advice(experiment)
    _compared(experiment, LIBRARIES)


def choices_view(experiment: Experiment) -> None:
    """The race, and where the time went."""
    st.markdown("##### The race: each as fast as it was measured, all started together")
    race_of(LOOPS)(experiment, False)
    _compared(experiment, LOOPS)


def _batches(experiment: Experiment) -> None:
    """Throughput by batch, where it was measured."""
    found = racers(experiment)
    wider = batches_figure(found)
    if wider:
        st.markdown(f"##### {batches(found)}")
        st.plotly_chart(wider, key=f"batches_{experiment.whole}", alt=f"Throughput by batch: {batches(found)}")


def _advice(experiment: Experiment) -> None:
    """What to take for the person's own work."""
    st.markdown("##### For your own work")
    columns = st.columns([1.4, 2, 4], vertical_alignment="bottom")
    tokens = columns[0].number_input(
        "Tokens a day", 1_000, 10_000_000_000, value=1_000_000, step=100_000, key="day_tokens", bind="query-params", help=HELP["tokens"]
    )
    goal = columns[1].segmented_control(
        "What matters", list(GOALS), default="latency", format_func=GOALS.__getitem__, required=True, key="goal", bind="query-params",
        help=HELP["goal"],
    )  # fmt: skip
    said = advice(racers(experiment), float(tokens), goal)
    if said:
        st.markdown(f"**{said.title}.** {said.sentence}")


def _compared(experiment: Experiment, table: Table) -> None:
    """Two waterfalls on one scale: the baseline, and one of the person's choice."""
    known = {racer.one.name: racer for racer in racers(experiment, table) if not racer.first and falls(racer.one, racer.roofs)}
    if not known:
        return
    usual = fastest(list(known.values())) or next(iter(known.values()))
    name = st.selectbox(
        f"Where a token's time went, with {table.rows[table.baseline].title} and with",
        list(known),
        index=list(known).index(usual.one.name),
        format_func=lambda name: table.rows[name].title,
        key=f"falls_{experiment.whole}",
        width=520,
    )
    falls_of(known[name].one, table.rows[table.baseline].title, known[name].roofs)
    st.caption(LEGEND)
