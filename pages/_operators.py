"""What each operator did: the longest ones beside their roofs, the layers, and the whole table."""

import streamlit as st

from profiler.analysis.operators import Operator, notes, operators, totals, uncounted
from profiler.figures.operators import layers_figure, operators_figure, place
from profiler.record.run import Run
from profiler.spec.units import words

HELP = (
    "From a separate pass under torch's profiler, so the timed rounds are undisturbed. An operator's own roof: the larger of its "
    "arithmetic at this machine's peak rate and its bytes at this machine's bandwidth."
)


def operators_view(run: Run, phase: str) -> None:
    """Everything about the operators of one phase; one line where there is no trace."""
    rows, traced, sums = operators(run, phase), run.traced(phase), totals(run, phase)
    if not rows or traced is None or sums is None:
        for note in notes(run):
            st.caption(f"Operators are not told apart: {note}")
        return
    longest = rows[0]
    st.markdown(
        f"###### The longest operator, {longest.op.removeprefix('aten::')} in {place(longest)}, takes "
        f"{words(longest.seconds / traced.wall, '%')} of the time and reaches {words(longest.share, '%')} of its own roof",
        help=HELP,
    )
    alt = "Longest operators: " + ", ".join(f"{row.op} in {row.group} {words(row.seconds, 's')}" for row in rows[:5])
    st.plotly_chart(operators_figure(rows), key=f"operators_{phase}_{run.id}", alt=alt)
    st.caption(
        f"One traced pass took {words(sums['traced'], 's')}, {words(sums['between operators'], 's')} of it between operators; "
        f"untraced the median is {words(sums['untraced'], 's')}. Median of {traced.passes} traced passes. The waterfall scales "
        "these times to the untraced median, and counts each operator's dispatch as framework."
    )
    with st.expander("All operators, and each layer"):
        if traced.layers:
            st.plotly_chart(layers_figure(traced), key=f"layers_{phase}_{run.id}", alt="Time of each layer, by part of the model")
        st.dataframe(
            [_row(row) for row in rows], hide_index=True, width="stretch", alt="All operators with time, FLOPs, bytes, share of roof"
        )
        if missing := uncounted(run, phase):
            spent = words(sum(row.seconds for row in missing) / traced.wall, "%")
            named = ", ".join(list(dict.fromkeys(f"{row.op} ({row.group})" for row in missing))[:6])
            st.caption(
                f"{len(missing)} rows have no FLOP formula: they move numbers or work element by element. Together they took {spent} "
                f"of the traced time; the longest: {named}."
            )


def _row(row: Operator) -> dict[str, str]:
    return {
        "part": row.group,
        "operator": row.op,
        "module": row.module,
        "calls": f"{row.count:.0f}",
        "time": words(row.seconds, "s"),
        "of its roof": words(row.share, "%") if row.roof else "–",
        "FLOPs": words(row.flops, "FLOP") if row.counted else "not counted",
        "weights": words(row.weights, "B"),
        "KV cache": words(row.kv, "B"),
        "activations": words(row.activations, "B"),
        "FLOP per byte": words(row.intensity, "1"),
    }
