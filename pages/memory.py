"""Memory: is a model waiting for it? Experiments on bandwidth and on the KV cache, and a planner of what fits."""

import streamlit as st

from pages._backend import default_setup, warm_up
from pages._form import HELP, about, checked, dtype_box, model_box, resolved
from pages._guard import guard
from pages._lab import choose, lab_view
from profiler.analysis.planner import frontier, largest_batch, longest_context, purposes, with_context
from profiler.catalog.machine import available_memory, this_machine
from profiler.figures.capacity import capacity_figure, frontier_figure
from profiler.spec.formats import Precision
from profiler.spec.run import RunSpec, Setup
from profiler.spec.units import words
from profiler.theory.cache import kv_per_token
from profiler.theory.memory import capacity, predict_memory

VIEWS = {"bytes": "Time against bytes", "context": "Growth with context", "staircase": "Cache staircase", "capacity": "What fits"}
WHY = {
    "bytes": "To write one token, a model reads all its weights from memory. If reading is the limit, models of different size lie on "
    "one straight line, and its slope is the bandwidth.",
    "context": "Beside the weights, every token reads the KV cache: the model's notes on all text so far, for each sequence of the batch.",
    "staircase": "A core reads its small caches many times faster than main memory. A language model fits none of them.",
    "capacity": "Weights, KV cache and activations against the memory there is: counted, not measured.",
}


def _capacity() -> None:
    usual, columns = default_setup(), st.columns([3, 1.4, 2, 2], vertical_alignment="bottom")
    text, dtype = model_box(columns[0]), dtype_box(columns[1], usual)
    model = checked(lambda: resolved(text or ""))
    if model is None:
        return
    st.caption(about(model))
    contexts = sorted({1 << power for power in range(4, 24) if 1 << power < model.context} | {model.context})
    context = columns[2].select_slider(
        "Context (tokens)", contexts, value=min(contexts, key=lambda one: abs(one - 2048)), format_func="{:,}".format, key="context"
    )
    batches = [1 << power for power in range(11)]
    batch = columns[3].select_slider("Batch", batches, value=1, key="sequences", help=HELP["batch"])
    spec = RunSpec(model=model, setup=Setup(device=usual.device, threads=usual.threads, dtype=dtype))
    spec, room = with_context(spec, context, batch), capacity(this_machine(), usual.device, available_memory())
    need, most, longest = predict_memory(spec), largest_batch(spec, room), longest_context(spec, room)
    verb = "fits" if need.total <= room else "does not fit"
    st.subheader(f"{model.name} {verb}: it needs {words(need.total, 'B')}, and {words(room, 'B')} are free", anchor=False)
    parts = purposes(need)
    alt = "Memory needed: " + ", ".join(f"{name} {words(size, 'B')}" for name, size in parts.items())
    st.plotly_chart(capacity_figure(parts, room), key="capacity", alt=alt)
    st.markdown(
        f"With {context:,} tokens each, up to **{most:,}** sequences fit at once; with batch {batch}, up to **{longest:,}** tokens"
        f"{' (all that the model was made for)' if longest == model.context else ''}. Each token of each sequence keeps "
        f"{words(kv_per_token(model, Precision.of(dtype)), 'B')} in the KV cache."
    )
    if most:
        alt = "Largest batch that fits, by context"
        st.plotly_chart(frontier_figure(*frontier(spec, room), (context, batch)), key="frontier", alt=alt)


guard()
st.header("Is this model waiting for memory?", anchor=False)
name = choose("memory_view", VIEWS)
st.caption(WHY[name])
if name == "capacity":
    _capacity()
else:
    lab_view(name)
warm_up()
