"""The prediction card: what theory says before anything is measured."""

import streamlit as st

from pages._backend import ago, jobs
from profiler.catalog.machine import available_memory, this_machine
from profiler.spec.run import RunSpec
from profiler.spec.units import words
from profiler.theory.memory import Memory, capacity, predict_memory
from profiler.theory.predict import predict
from profiler.theory.step import step_cost


def prediction(spec: RunSpec) -> None:
    """Four figures, each with where it comes from."""
    assert spec.model
    work, known = spec.generate, jobs().ceilings(spec)
    costs = step_cost(spec.model, work.batch, work.prompt_tokens, work.new_tokens, spec.setup.dtype)
    memory, room = predict_memory(spec), capacity(this_machine(), spec.setup.device, available_memory())
    bounds = predict(spec, known) if known else {}
    origin = f"on ceilings measured here {ago(known.at)}" if known else "time follows from the first run's ceilings"
    assumed = " Layout assumed to be Llama's, for this family is not known." if spec.model.assumed else ""
    st.markdown(
        "##### Predicted, before measuring", help=f"From counting operations and bytes (exact for known families) and {origin}.{assumed}"
    )
    columns = st.columns(4)
    columns[0].metric(
        "Fits in memory",
        words(memory.total, "B"),
        f"of {words(room, 'B')} free",
        delta_color="off",
        delta_arrow="off",
        border=True,
        help=_purposes(memory),
    )
    columns[1].metric(
        "Read per token",
        words(costs["decode"].bytes, "B"),
        f"{words(costs['decode'].weights, 'B')} of it weights",
        delta_color="off",
        delta_arrow="off",
        border=True,
        help="Every decode step must read all weights it uses and the KV cache so far. Exact count.",
    )
    columns[2].metric(
        "Arithmetic for the prompt",
        words(costs["prefill"].flops, "FLOP"),
        f"{words(costs['decode'].flops, 'FLOP')} per decode step",
        delta_color="off",
        delta_arrow="off",
        border=True,
        help="Floating-point operations, a multiply and an add counted as two; causal attention; logits of the last position only.",
    )
    if bounds:
        columns[3].metric(
            "Time per token, at least",
            words(bounds["decode"].time, "s"),
            f"first token: {words(bounds['prefill'].time, 's')}",
            delta_color="off",
            delta_arrow="off",
            border=True,
            help=f"No software can be faster on this machine: the {bounds['decode'].binding} roof, {origin}. "
            f"What it really takes is what Measure finds out.",
        )
    else:
        columns[3].metric(
            "Time per token, at least",
            "–",
            "after the first run",
            delta_color="off",
            delta_arrow="off",
            border=True,
            help="The first measurement takes about 3 s to find this machine's ceilings; from then on this figure comes at once.",
        )


def _purposes(memory: Memory) -> str:
    parts = {"weights": memory.weights, "KV cache": memory.kv, "activations": memory.activations, "libraries": memory.runtime}
    return "By accounting: " + ", ".join(f"{name} {words(size, 'B')}" for name, size in parts.items()) + "."
