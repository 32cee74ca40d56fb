"""What others measured: bits against quality and speed, zeros by how they are chosen; the catalogue's tables with their sources."""

import streamlit as st

from profiler.catalog.quality import SPEED, Table, tables
from profiler.figures.published import bits_figure, pruning_figure, speed_figure
from profiler.spec.units import number

GGUF = ("llama-3-8b", "llama-3-70b", "llama-7b")
WANDA = ("wanda-llama-2-7b", "wanda-llama-2-13b", "wanda-llama-2-70b")
PATTERNS = {"50%": "half of them, anywhere", "2:4": "two of every four"}
CRITERIA = ("magnitude", "SparseGPT", "Wanda")


def published_view() -> None:
    """Three questions, each with its figure and the numbers in a sentence."""
    known = tables()
    _bits(known)
    left, right = st.columns(2)
    with left:
        _speed(known[SPEED])
    with right:
        _zeros([known[id] for id in WANDA])
    _activations(known)
    with st.expander("The tables, and where they come from"):
        for table in known.values():
            st.markdown(f"**{table.model}**, {table.test}. {table.source}. {table.note}")
        st.dataframe(_rows(known), hide_index=True, width="stretch", alt="Every published row")


def _percent(share: float) -> str:
    return f"{'+' if share >= 0 else '−'}{number(100 * abs(share), 2)} %"


def _bits(known: dict[str, Table]) -> None:
    """Perplexity and divergence against bits."""
    small, large, old = (known[id] for id in GGUF)
    eight, four, two = (small.rise(small.score(name)) for name in ("q8_0", "q4_K_M", "q2_K"))
    told = f"{_percent(eight)}, {_percent(four)} and {_percent(two)}"
    st.subheader(f"8 bits cost nothing, 4 bits little, 2 bits a lot: {told} perplexity on {small.model}", anchor=False)
    lines = {
        table.model: [(score.bits, table.rise(score), score.method) for score in table.lossy if table.rise(score) > 0]
        for table in (small, large, old)
    }
    left, right = st.columns(2)
    left.plotly_chart(
        bits_figure(lines, "rise of perplexity (%)", 100), key="bits", alt="Rise of perplexity against bits of a weight, three models"
    )
    divergent = {small.model: [(score.bits, score.divergence, score.method) for score in small.lossy if score.divergence]}
    right.plotly_chart(bits_figure(divergent, "divergence from 16 bits (nats)"), key="nats", alt="Divergence against bits of a weight")
    plain, careful = small.score("q4_0"), small.score("q4_K_M")
    guided = small.score("q2_K + matrix")
    st.markdown(
        f"On {small.model}, Q4_K_M costs {_percent(small.rise(careful))} of perplexity with {careful.bits:.1f} bits, the plain Q4_0 "
        f"{_percent(small.rise(plain))} with {plain.bits:.1f}: how the bits are spent matters as much as how many there are. An importance "
        f"matrix, which tells from real text which weights matter, lowers Q2_K from {_percent(two)} to {_percent(small.rise(guided))}. "
        f"The relative loss is not always smaller in a larger model: Q4_K_M costs {large.model} "
        f"{_percent(large.rise(large.score('Q4_K_M')))}, {old.model} {_percent(old.rise(old.score('Q4_K_M')))}."
    )
    st.caption(f"Sources: {small.source}; {large.source}; {old.source}. {small.note}")


def _speed(table: Table) -> None:
    """Speed against bits."""
    base = table.score(table.baseline)
    points = [(score.bits, score.value / base.value, score.method) for score in table.lossy]
    by_name = {method: (bits, gain) for bits, gain, method in points}
    fast, tiny = by_name["Q4_K_M"], by_name["IQ1_S"]
    st.markdown(f"###### Q4_K_M is {fast[1]:.1f} times as fast as 16 bits; with {tiny[0]:.0f} bits it is {tiny[1]:.1f} times")
    st.plotly_chart(speed_figure(points, table.model), key="published_speed", alt="Decode speed over 16 bits against bits of a weight")
    st.markdown(
        f"Reading alone would make {16 / fast[0]:.1f} and {16 / tiny[0]:.1f} times of it. The fewer bits, the more unpacking costs: below "
        "about 4 bits, a model becomes smaller, but hardly faster."
    )
    st.caption(f"Source: {table.source}. {table.note}")


def _zeros(found: list[Table]) -> None:
    """Magnitude against methods that look at real text."""
    pattern = st.session_state.get("pattern") or "50%"
    rises = {
        table.model: {each: {criterion: table.rise(table.score(f"{each} {criterion}")) for criterion in CRITERIA} for each in PATTERNS}
        for table in found
    }
    small, large = rises[found[0].model], rises[found[-1].model]
    st.markdown(
        f"###### Half of the weights at zero cost {found[0].model} {_percent(small['50%']['Wanda'])}, if they are chosen with care; "
        f"by size alone {_percent(small['50%']['magnitude'])}"
    )
    st.plotly_chart(pruning_figure(rises, pattern), key="zeros", alt=f"Rise of perplexity by model and criterion, {pattern} zeros")
    st.segmented_control(
        "Zeros", list(PATTERNS), default="50%", format_func=PATTERNS.__getitem__, key="pattern", required=True, label_visibility="collapsed"
    )
    st.markdown(
        f"Two of every four, the pattern that tensor cores skip, costs more: {_percent(small['2:4']['Wanda'])} on {found[0].model}, "
        f"{_percent(large['2:4']['Wanda'])} on {found[-1].model}. Wanda needs one pass over a little text, SparseGPT solves a problem for "
        f"each layer; they end up close together."
    )
    st.caption(f"Source: {found[0].source}; {found[0].test}.")


def _activations(known: dict[str, Table]) -> None:
    """What quantizing the activations adds."""
    table = known["torchao-llama-3.1-8b"]
    told = {score.method: _percent(table.rise(score)) for score in table.lossy}
    st.markdown(
        f"**Weights alone, or activations too?** On {table.model}, int8 weights cost {told['int8 rowwise W8A16']}. With activations in "
        f"int8 as well it is {told['int8 rowwise W8A8']}, with both in float8 {told['float8 rowwise W8A8']}, and with both in 4 bits "
        f"(NVFP4) {told['nvfp4 W4A4']}."
    )
    st.caption(f"Source: {table.source}; {table.test}.")


def _rows(known: dict[str, Table]) -> list[dict]:
    return [
        {
            "model": table.model,
            "method": score.method,
            "bits": f"{score.bits:.2f}" if score.bits else "–",
            "perplexity": "–" if table.id == SPEED else number(score.value),
            "rise": "–" if table.id == SPEED else _percent(table.rise(score)),
            "divergence (nats)": number(score.divergence, 3) if score.divergence else "–",
            "tokens/s": number(score.value) if table.id == SPEED else "–",
            "test": table.test,
            "source": table.source,
        }
        for table in known.values()
        for score in table.scores
    ]
