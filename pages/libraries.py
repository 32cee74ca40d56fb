"""Code & libraries: the same model in every engine, the loop around it, many requests at once, and a server under load."""

import streamlit as st

from pages._backend import warm_up
from pages._guard import guard
from pages._lab import choose, lab_view
from pages._libraries_result import choices_view, engines_view, race_of
from pages._libraries_serving import serving_view
from profiler.spec.libraries import LIBRARIES, LOOPS

VIEWS = {
    "libraries": "Race of engines",
    "choices": "Choices of the loop",
    "batching": "Many requests",
    "serving": "A server under load",
}
WHY = {
    "libraries": "The cheapest speed-up is other code: the same weights, the same answers, less time. Every engine has a fresh process; "
    "its answer is compared with that of the uncompressed model in float32, its time with what physics needs on this machine.",
    "choices": "Around every model there is a loop: what it keeps, guesses, and reads at once. Here the engine stays the same.",
    "batching": "One answer at a time leaves most of the arithmetic idle: all weights are read for one token. A batch shares them; a "
    "continuous one fills a place as soon as an answer ends.",
    "serving": "People do not wait for each other before they ask. Requests arrive at random moments, whether the server keeps up or not, "
    "and what counts is how long each of them waits.",
}
MORE = {"libraries": engines_view, "choices": choices_view}
RACES = {"libraries": race_of(LIBRARIES), "choices": race_of(LOOPS)}

guard()
st.header("What would other code make of this model?", anchor=False)
name = choose("libraries_view", VIEWS)
st.caption(WHY[name])
if name == "serving":
    serving_view()
else:
    lab_view(name, MORE.get(name), RACES.get(name))
warm_up()
