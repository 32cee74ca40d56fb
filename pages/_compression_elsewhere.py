"""On other hardware: what compressing would bring on a device of the catalogue, predicted."""

import streamlit as st

from pages._form import checked
from pages._hardware_form import facts, shape
from profiler.analysis.elsewhere import compressed, sentence, title
from profiler.analysis.fleet import Workload
from profiler.catalog import devices, models
from profiler.figures.published import elsewhere_figure
from profiler.spec.units import words

MODEL, DEVICE = "llama-3.1-8b", "rtx-4090"  # where nobody has chosen
HELP = {
    "batch": "Sequences generated side by side. With many, calculating takes longer than reading, and fewer bits bring less.",
    "context": "Tokens that were read before; the KV cache stays in 16 bits.",
}


def elsewhere_view() -> None:
    """Model, device, workload; bars of tokens/s by format."""
    columns = st.columns([2, 2, 1.5, 1.5], vertical_alignment="bottom")
    names = list(models.rows())
    text = columns[0].selectbox("Model", names, index=names.index(MODEL), key="other_model", bind="query-params", accept_new_options=True)
    known = {device.title: device for device in devices.rows().values() if device.peak}
    usual = devices.find(DEVICE)
    first = list(known).index(usual.title) if usual and usual.title in known else 0
    device = known[columns[1].selectbox("Device", list(known), index=first, key="other_device", bind="query-params")]
    powers = [1 << power for power in range(9)]
    batch = columns[2].select_slider("Batch", powers, value=1, key="other_batch", bind="query-params", help=HELP["batch"])
    lengths = [1 << power for power in range(7, 16)]
    context = columns[3].select_slider("Prompt tokens", lengths, value=512, key="other_prompt", bind="query-params", help=HELP["context"])
    model = checked(lambda: shape(text or ""))
    found = checked(lambda: compressed(model, device, Workload(batch, context, 128))) if model else None
    if model is None or found is None:
        return
    st.caption(facts(model))
    st.subheader(title(found), anchor=False)
    alt = f"Predicted decode speed on {device.title}: " + ", ".join(f"{one.title} {words(one.rate, 'tok/s')}" for one in found)
    st.plotly_chart(elsewhere_figure(found), key="elsewhere", alt=alt)
    st.markdown(sentence(found))
    st.caption("Whiskers: four of five measurements of this kind lay within. Beside the bars: times the speed of 16 bits, memory in all.")
