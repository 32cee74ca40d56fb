"""Compression: quantization and pruning, their speed, memory and quality measured at once; and what others measured."""

import streamlit as st

from pages._backend import warm_up
from pages._compression_duel import duel_view
from pages._compression_elsewhere import elsewhere_view
from pages._compression_published import published_view
from pages._compression_result import result_view
from pages._guard import guard
from pages._lab import choose, lab_view

VIEWS = {
    "compression": "Compare methods",
    "sensitivity": "Layer by layer",
    "duel": "Side by side",
    "elsewhere": "On other hardware",
    "published": "What others measured",
}
WHY = {
    "compression": "To write a token, a model reads all its weights, so smaller weights can be faster; whether they are depends on the "
    "kernels. What is lost is measured too: how much worse each model foretells a text that nothing else here reads, beside the "
    "uncompressed model in float32, token by token.",
    "sensitivity": "Each part of each layer is quantized alone, and the answers are compared with those of the whole model. The parts that "
    "matter most are worth their 16 bits.",
    "duel": "One prompt, one model, two ways of holding its weights. Numbers tell how much worse; here it can be read. The two answer one "
    "after the other, so that neither takes time from the other.",
    "elsewhere": "Predicted, not measured: counted bytes and operations over what a device and its usual software reach.",
    "published": "How much models of other sizes lose, and by which methods: numbers of others, with their sources.",
}
PAGES = {"duel": duel_view, "elsewhere": elsewhere_view, "published": published_view}

guard()
st.header("Does a smaller model run faster, and is it still as good?", anchor=False)
name = choose("compression_view", VIEWS)
st.caption(WHY[name])
if name in PAGES:
    PAGES[name]()
else:
    lab_view(name, result_view if name == "compression" else None)
warm_up()
