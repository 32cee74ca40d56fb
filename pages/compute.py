"""Compute: when does arithmetic become the limit? Experiments, and the count of a model's own arithmetic."""

import streamlit as st

from pages._backend import warm_up
from pages._form import about, checked, model_box, resolved
from pages._guard import guard
from pages._lab import choose, lab_view
from profiler.analysis.arithmetic import attention_share, overtaking, prompt_flops, token_flops
from profiler.catalog.machine import this_machine
from profiler.figures.arithmetic import attention_figure, operators_figure
from profiler.spec.units import words

VIEWS = {"batch": "Batch sweep", "matmul": "Matrix products", "operators": "Arithmetic by operator"}
WHY = {
    "batch": "Every step reads all weights once, however many sequences share it. So more sequences at once cost little, until "
    "arithmetic takes longer than reading: the crossing.",
    "matmul": "Almost all arithmetic of a model is matrix products. How fast they are depends on their size, the number format and "
    "the threads: this is the flat roof of every other prediction.",
    "operators": "Counted, not measured: which part of the model does the arithmetic. Attention alone grows with the square of the prompt.",
}


def _operators() -> None:
    text = model_box(st)
    model = checked(lambda: resolved(text or ""))
    if model is None:
        return
    st.caption(about(model))
    lengths = sorted({1 << power for power in range(4, 24) if 1 << power <= 4 * model.context} | {model.context})
    tokens = st.select_slider(
        "Tokens of prompt", lengths, value=min(512, model.context), format_func=lambda length: f"{length:,}", key="length"
    )
    prompt, overtakes = prompt_flops(model, tokens), overtaking(model)
    st.subheader(
        f"A prompt of {tokens:,} tokens takes {words(sum(prompt.values()), 'FLOP')}, "
        f"{words(attention_share(prompt), '%')} of it attention itself",
        anchor=False,
    )
    st.plotly_chart(
        operators_figure(model, tokens),
        key="operators",
        alt="Share of the arithmetic by operator: " + ", ".join(f"{name} {words(count, 'FLOP')}" for name, count in prompt.items()),
    )
    st.plotly_chart(attention_figure(model, tokens, overtakes), key="attention", alt="Attention's share of the arithmetic by prompt length")
    when = (
        f"From {overtakes:,} tokens on, attention takes more than all the rest together"
        if overtakes
        else "Attention never takes most of it"
    )
    beyond = f", beyond the {model.context:,} that this model was made for" if overtakes and overtakes > model.context else ""
    st.markdown(f"{when}{beyond}. Writing the next token takes {words(sum(token_flops(model, tokens).values()), 'FLOP')}.")


guard()
st.header("When does arithmetic become the limit?", anchor=False)
name = choose("compute_view", VIEWS)
st.caption(WHY[name])
if name == "matmul" and not this_machine().gpus:
    st.caption("There is no accelerator here to set beside the processor; the page Machine tells what a data sheet would say.")
if name == "operators":
    _operators()
else:
    lab_view(name)
warm_up()
