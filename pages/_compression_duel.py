"""Side by side: two ways of holding one model answer the same prompt, one after the other, word by word."""

import time

import streamlit as st

from pages._backend import default_setup, jobs, store
from pages._form import about, checked, model_box, resolved
from pages._lab_live import cancel_all, gathered
from profiler.analysis.duel import PREFIX, Side, name_of, outcome, plan
from profiler.catalog import models
from profiler.catalog.machine import available_memory, this_machine
from profiler.catalog.methods import possible
from profiler.record.run import Run
from profiler.record.store import new_id
from profiler.spec.methods import METHODS
from profiler.spec.model import ModelSpec
from profiler.spec.run import RunSpec
from profiler.spec.work import Write
from profiler.theory.memory import check

EVERY, LOOK, PATIENCE = 0.2, 0.07, 2.0  # seconds: between questions, between looks at the store, until the page is told anew
PROMPT = "Explain in three sentences why the sky is blue."
PAIR = ("none", "int4")  # where nobody has chosen
HELP = {
    "prompt": "Given to both, as one message of a chat where the model was made for chats.",
    "new_tokens": "Tokens of each answer, at most.",
}


def duel_view() -> None:
    """The fields, the button, and both answers."""
    columns = st.columns([3, 1.2, 2.8], vertical_alignment="bottom")
    text = model_box(columns[0])
    tokens = columns[1].number_input(
        "Tokens", 8, 512, value=Write(prompt="?").new_tokens, key="answer_tokens", bind="query-params", help=HELP["new_tokens"]
    )
    model = checked(lambda: resolved(text or ""))
    if model is None:
        return
    if not model.trained:
        _offer(model)
        return
    st.caption(about(model))
    prompt = st.text_area("Prompt", PROMPT, key="prompt", bind="query-params", max_chars=20_000, height=90, help=HELP["prompt"])
    specs = _pickers(model, prompt or "", int(tokens))
    whole = _shown()
    runs = gathered(whole).runs if whole else ()
    busy = bool(runs) and not all(run.done for run in runs)
    if st.button("Let both answer", type="primary", icon=":material/play_arrow:", disabled=busy or specs is None, shortcut="Ctrl+Enter"):
        _start(specs or [])
    if len(runs) == 2:
        if busy:
            if st.button("Cancel", key=f"cancel_{whole}", icon=":material/stop_circle:"):
                cancel_all(whole or "")
                st.rerun()
            _live(runs)
        else:
            _over(runs)


def _offer(model: ModelSpec) -> None:
    st.info(f"{model.name} has random weights here, so its answers mean nothing: there is nothing to compare.", icon=":material/info:")
    st.button(f"Take {models.rows()[models.DEFAULT].name} instead", on_click=lambda: st.session_state.update(model=models.DEFAULT))


def _pickers(model: ModelSpec, prompt: str, tokens: int) -> list[RunSpec] | None:
    """The two runs that the fields make; None with one sentence where they are bad."""
    setup = default_setup()
    names = possible(setup, model, this_machine())
    chosen = []
    for column, key, title, usual in zip(st.columns(2), ("left", "right"), ("On the left", "On the right"), PAIR):
        index = names.index(usual) if usual in names else len(names) - 1
        chosen.append(
            column.selectbox(title, names, index=index, format_func=lambda name: METHODS[name].title, key=key, bind="query-params")
        )

    def made() -> list[RunSpec]:
        specs = plan(model, setup, prompt, (chosen[0], chosen[1]), tokens)
        for spec in specs:
            check(spec, this_machine(), available_memory())
        return specs

    return checked(made)


def _shown() -> str | None:
    """The duel that the address names, else the newest one."""
    asked = st.query_params.get("duel", "")
    known = store().wholes(PREFIX)
    if asked and asked not in known:
        st.warning(f"There is no duel {asked} in this machine's store; it may have been deleted.")
    return asked if asked in known else next(iter(known), None)


def _start(specs: list[RunSpec]) -> None:
    """Queue both, and show them."""
    whole = name_of(new_id())

    def submitted() -> str:
        for spec in specs:
            jobs().submit(spec, part_of=whole)
        return whole

    if checked(submitted):
        st.query_params["duel"] = whole
        st.rerun()
    cancel_all(whole)


@st.fragment(run_every=EVERY)
def _live(runs: tuple[Run, ...]) -> None:
    """Both answers as they come. Like every live panel it waits on the server until there is news."""
    seen = st.session_state.setdefault("live_duel", {})
    if seen.get("ids") == [run.id for run in runs]:
        runs = _news(seen["runs"])
    seen.update(ids=[run.id for run in runs], runs=runs)
    if all(run.done for run in runs):
        seen.clear()
        st.rerun()
    _answers(runs)


def _news(runs: tuple[Run, ...]) -> tuple[Run, ...]:
    """Wait until something was said or a run has ended, or patience ends."""
    end = time.monotonic() + PATIENCE
    while True:
        newer = tuple(run if run.done else store().refresh(run) for run in runs)
        moved = [(run.status, len(Side(run).pieces)) for run in newer] != [(run.status, len(Side(run).pieces)) for run in runs]
        if moved or time.monotonic() > end:
            return newer
        _ = "live_duel" in st.session_state  # a place where Streamlit lets a click interrupt the waiting
        time.sleep(LOOK)


def _answers(runs: tuple[Run, ...]) -> None:
    """Two columns: how fast, and what was said."""
    for column, run in zip(st.columns(2), runs):
        side = Side(run)
        with column.container(border=True):
            st.markdown(f"**{side.title}**")
            st.caption(side.told or _waiting(run))
            st.text(side.text or " ")


def _waiting(run: Run) -> str:
    """What a run does that has not said anything yet."""
    if run.status == "queued":
        return "Waits for its turn: one is measured at a time"
    return f"{run.phases[-1].name.capitalize()} …" if run.phases and not run.done else run.reason or "Starting a fresh process …"


def _over(runs: tuple[Run, ...]) -> None:
    """Both answers and the comparison."""
    left, right = runs
    assert isinstance(left.spec.work, Write)
    lost = [run for run in runs if run.status != "finished"]
    st.subheader("Not both could answer" if lost else outcome(Side(left), Side(right)), anchor=False)
    st.caption(f"Asked: {left.spec.work.prompt}")
    _answers(runs)
    for run in lost:
        st.warning(f"{Side(run).title}: {run.status}. {run.reason}", icon=":material/block:")
    with st.expander("Repeat or share this"):
        st.code("\n".join(run.spec.command for run in runs), language="bash", wrap_lines=True)
        st.caption("The address of this page opens the same answers again.")
