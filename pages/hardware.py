"""Hardware: one model on every device there is, predicted: how fast, whether it fits, at what cost."""

import streamlit as st

from pages._guard import guard
from pages._hardware_form import facts, presets, question, software, stack
from pages._hardware_more import compared, filters, own_device
from pages._hardware_prices import prices
from pages._hardware_view import comparison
from profiler.catalog import devices

guard()
st.header("Which hardware would make this model fast, and what would it cost?", anchor=False)
st.caption(
    "Predicted, not measured: counted operations and bytes over what each device and its software reach. Nothing needs to be owned or run."
)
presets()
model, work, written = question()
complaints = st.container()
with st.expander("More: software, several devices, filters, prices, a device of your own"):
    tabs = st.tabs(["Software", "Filter", "Prices", "Your own device"])
    with tabs[0]:
        engine, count, split = software()
    with tabs[3]:
        own = own_device()
    everything = {device.title: device for device in ([own] if own else []) + list(devices.rows().values())}
    with tabs[1]:
        shown = filters(everything.values())
    with tabs[2]:
        costs = prices(everything, complaints)
with complaints:
    setup = stack(written, engine, count, split)
if model and setup:
    with complaints:
        st.caption(facts(model))
    comparison(model, setup, work, shown, costs, lambda: compared(everything))
