"""The prediction card: what theory says before anything is measured."""

import streamlit as st

from pages._backend import ago, jobs
from profiler.analysis.foretold import span
from profiler.catalog.machine import available_memory, this_machine
from profiler.spec.machine import Ceilings
from profiler.spec.run import RunSpec
from profiler.spec.units import words
from profiler.theory.local import Expected, expected
from profiler.theory.memory import Memory, capacity, predict_memory
from profiler.theory.predict import Bound, predict
from profiler.theory.step import step_cost


def prediction(spec: RunSpec) -> None:
    """Five figures, each with where it comes from."""
    assert spec.model
    known = jobs().ceilings(spec)
    origin = f"on ceilings measured here {ago(known.at)}" if known else "time follows from the first run's ceilings"
    assumed = " Its family is not known, so the layout of Llama is assumed." if spec.model.assumed else ""
    st.markdown(
        "##### Predicted, before measuring",
        help=f"From counting operations and bytes (exact for known families), and {origin}.{assumed}",
    )
    for column, (title, value, beside, meaning) in zip(st.columns(5), [*_counts(spec), *_times(spec, known, origin)]):
        column.metric(title, value, beside, delta_color="off", delta_arrow="off", border=True, help=meaning)
    if known and expected(spec, known):
        least = predict(spec, known)
        st.caption(
            f"Physics needs at least {words(least['prefill'].time, 's')} until the first token and {words(least['decode'].time, 's')} "
            "per token here; the rest is the library's kernels and the framework."
        )


def _counts(spec: RunSpec) -> list[tuple[str, str, str, str]]:
    """(title, value, beside it, meaning) of what can be counted without any measurement."""
    assert spec.model
    work, memory = spec.generate, predict_memory(spec)
    costs = step_cost(spec.model, work.batch, work.prompt_tokens, work.new_tokens, spec.setup.precision)
    room = capacity(this_machine(), spec.setup.device, available_memory())
    return [
        ("Fits in memory", words(memory.total, "B"), f"of {words(room, 'B')} free", _purposes(memory)),
        (
            "Read per token",
            words(costs["decode"].bytes, "B"),
            f"{words(costs['decode'].weights, 'B')} of it weights",
            "Every decode step must read all weights it uses, and the KV cache so far. Exact count.",
        ),
        (
            "Arithmetic for the prompt",
            words(costs["prefill"].flops, "FLOP"),
            f"{words(costs['decode'].flops, 'FLOP')} per decode step",
            "Floating-point operations, a multiply and an add counted as two; causal attention; logits of the last position only.",
        ),
    ]


def _times(spec: RunSpec, known: Ceilings | None, origin: str) -> list[tuple[str, str, str, str]]:
    """What the prompt and one token will take, or at least; dashes before any ceilings were measured."""
    titles = {"prefill": "Time to first token", "decode": "Time per token"}
    if known is None:
        why = "Needs this machine's ceilings, which a measurement finds in about 7 s; those of a busy machine are not kept."
        return [(title, "–", "after a run on a quiet machine", why) for title in titles.values()]
    found, bounds = expected(spec, known), predict(spec, known)
    return [
        _expected(title, found[phase], bounds[phase], origin) if found else _bound(title, bounds[phase], origin)
        for phase, title in titles.items()
    ]


def _expected(title: str, found: Expected, bound: Bound, origin: str) -> tuple[str, str, str, str]:
    taken = ", ".join(
        f"{name.replace('_', ' ')} {words(seconds, 's')}" for name, seconds in found.parts.items() if seconds > 0.01 * found.time
    )
    meaning = (
        f"Expected on this machine ({found.origin}; {origin}), with the interval that four of five runs fall into. It is made of: {taken}. "
        f"No software can be faster than {words(found.least, 's')}, by the {bound.binding} roof."
    )
    return title, words(found.time, "s"), span(found), meaning


def _bound(title: str, bound: Bound, origin: str) -> tuple[str, str, str, str]:
    meaning = f"No software can be faster on this machine: the {bound.binding} roof, {origin}. Measure finds out what it takes."
    return f"{title}, at least", words(bound.time, "s"), f"{bound.binding} roof", meaning


def _purposes(memory: Memory) -> str:
    parts = {"weights": memory.weights, "KV cache": memory.kv, "activations": memory.activations, "libraries": memory.runtime}
    return "By accounting: " + ", ".join(f"{name} {words(size, 'B')}" for name, size in parts.items()) + "."
