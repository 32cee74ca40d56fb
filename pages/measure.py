"""Measure: pick a model, see what theory says, measure it, read where the time went."""

import streamlit as st

from pages._backend import sample_run, shown_run, store, warm_up
from pages._form import adopt, form, submit
from pages._guard import guard
from pages._live import live_panel
from pages._prediction import prediction
from pages._result import other_view, result_view

guard()
st.header("Why is this model as slow as it is, here?", anchor=False)
st.caption(
    "A language model reads a prompt, then writes one token after another. This page measures both on this "
    "machine, and compares them with what physics needs."
)

run = shown_run(st.query_params.get("run"))
adopt(run, st.query_params.get("run"))
spec = form()
if spec:
    prediction(spec)
pressed = st.button(
    "Queue after what is running" if store().open_runs() else "Measure",
    type="primary",
    icon=":material/play_arrow:",
    disabled=spec is None,
    shortcut="Ctrl+Enter",
    help="Runs the model in a fresh process: about half a minute for a small model, several minutes from a billion parameters on.",
)
if spec and (pressed or st.session_state.pop("submit", False)):
    submit(spec)

if run is None:
    run = sample_run()
    st.info(f"Until you measure: a recorded run of a real measurement, on another machine. {run.spec.title}.", icon=":material/movie:")
else:
    st.caption(f"Run {run.id} · {run.spec.title}")
if not run.done:
    live_panel(run.id)
elif run.status == "finished" and run.spec.work.task == "generate":
    result_view(run)
else:
    other_view(run)
warm_up()
