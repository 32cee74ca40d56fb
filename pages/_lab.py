"""An experiment on a page: its few fields, the prediction, one button, and what came out. Compute and Memory share it."""

import time
from collections.abc import Callable

import streamlit as st

from pages._backend import ago, jobs, sample_machine, store
from pages._form import checked
from pages._lab_fields import held
from pages._lab_form import conditions_of
from pages._lab_live import Race, cancel_all, gathered, lab_panel
from profiler.analysis.duration import expected
from profiler.analysis.experiment import Experiment, name_of
from profiler.analysis.labs import LABS, Lab, alike, command, conclude, planned
from profiler.analysis.outcome import wide
from profiler.analysis.recipes import Conditions, Plan
from profiler.catalog.machine import available_memory, this_machine
from profiler.figures.lab import View, figures
from profiler.record.run import Run
from profiler.record.store import new_id
from profiler.spec.machine import Ceilings
from profiler.spec.run import RunSpec
from profiler.theory.memory import check

LOOKED_AT = 20  # newest experiments that are compared with the form


def choose(key: str, titles: dict[str, str]) -> str:
    """Which experiment of this page; name → title. The address keeps it under `key`, which no other page may use."""
    asked = Experiment(st.query_params.get("lab", ""), ()).name
    names = list(titles)
    return st.segmented_control(
        "Experiment",
        names,
        default=asked if asked in names else names[0],
        format_func=lambda name: titles[name],
        required=True,
        key=key,
        bind="query-params",
        label_visibility="collapsed",
    )


def lab_view(name: str, more: Callable[[Experiment], None] | None = None, race: Race | None = None) -> None:
    """Everything there is to see and do of one experiment; `more` draws what only this one's result has, `race` what is written live."""
    lab = LABS[name]
    linked = _linked(lab)
    conditions = conditions_of(lab)
    plan = checked(lambda: _plan(lab, conditions)) if conditions else None
    experiment = _shown(lab, plan, linked) if plan else linked
    roofs, origin = _roofs(plan.specs if plan else ())
    if conditions and plan and _button(plan, conditions, experiment):
        _start(lab, plan)
    if experiment and not experiment.done:
        lab_panel(experiment, lambda now: figures(_view(lab, now.specs, now.roofs or roofs, now)), race)
    elif experiment:
        _result(lab, experiment, roofs, more)
    elif plan:
        _prediction(lab, plan, roofs, origin)
    _earlier(lab, experiment)
    if conditions and plan:
        _repeat(lab, conditions)


def _linked(lab: Lab) -> Experiment | None:
    """The experiment that the address names; its settings fill the fields, once."""
    whole = st.query_params.get("lab", "")
    if not whole.startswith(name_of(lab.name, "")):
        return None
    experiment = gathered(whole)
    if not experiment.runs:
        st.warning(f"There is no experiment {whole} in this machine's store; it may have been deleted.")
        return None
    if st.session_state.get("adopted_lab") != whole:
        first = experiment.runs[0].spec
        fields = {"model": first.model.reference} if first.model and "model" in lab.asks else {}
        dtypes = list(dict.fromkeys(run.spec.setup.dtype for run in experiment.runs))
        setup = {"dtype": dtypes[0], "dtypes": dtypes, "threads": first.setup.threads, "device": first.setup.device}
        st.session_state.update(fields | setup | held(lab, experiment.specs) | {"adopted_lab": whole})
    return experiment


def _plan(lab: Lab, conditions: Conditions) -> Plan:
    """The runs to do. Raises ValueError of one sentence when they cannot be."""
    plan = planned(lab, conditions)
    check(plan.specs[0], this_machine(), available_memory())
    return plan


def _shown(lab: Lab, plan: Plan, linked: Experiment | None) -> Experiment | None:
    """The experiment that belongs to the fields: the linked one, else the newest that asked the same. The address follows."""
    if linked and _answers(lab, plan, linked.specs):
        return linked
    for whole, runs in _newest(lab):
        worth = any(run.status == "finished" or not run.done for run in runs)
        if worth and _answers(lab, plan, [run.spec for run in runs]):
            st.query_params["lab"] = st.session_state["adopted_lab"] = whole
            return gathered(whole)
    st.query_params.pop("lab", None)
    return None


def _answers(lab: Lab, plan: Plan, specs: list[RunSpec]) -> bool:
    """Whether an experiment is what the fields ask for, made here or where more of it can run."""
    return any(alike(lab, specs, list(asked)) for asked in (plan.specs, plan.specs + plan.absent))


def _newest(lab: Lab) -> list[tuple[str, list[Run]]]:
    return [(whole, store().parts(whole)) for whole in store().wholes(name_of(lab.name, ""))[:LOOKED_AT]]


def _roofs(specs: tuple[RunSpec, ...]) -> tuple[dict[str, Ceilings], str]:
    """Number format → roofs to predict on, and where they come from: measured here, else those of a recorded machine."""
    setups: dict[str, RunSpec] = {spec.setup.dtype: spec for spec in specs}
    here = {dtype: found for dtype, spec in setups.items() if (found := jobs().ceilings(spec))}
    if here:
        return here, f"on ceilings measured here {ago(min(found.at for found in here.values()))}"
    recorded = sample_machine().ceilings
    assert recorded
    known = {dtype: recorded.model_copy(update={"dtype": dtype}) for dtype in setups if dtype in recorded.matmul}
    return known, "on the ceilings recorded on another machine: this one's are found by a run on a quiet machine"


def _button(plan: Plan, conditions: Conditions, experiment: Experiment | None) -> bool:
    """The one button, and what is left out."""
    seconds = sum(expected(spec, conditions.roofs) for spec in plan.specs)
    open = experiment is not None and not experiment.done
    count = f"{len(plan.specs)} runs" if len(plan.specs) > 1 else "One run"
    pressed = st.button(
        f"Run this experiment (about {_rounded(seconds)})",
        type="primary",
        icon=":material/play_arrow:",
        disabled=open,
        shortcut="Ctrl+Enter",
        help="It is being measured." if open else f"{count}, one after another, each in a fresh process.",
    )
    if plan.left_out:
        st.caption("Left out: " + "; ".join(plan.left_out) + ".")
    return pressed


def _rounded(seconds: float) -> str:
    return f"{max(round(seconds / 5) * 5, 5)} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _start(lab: Lab, plan: Plan) -> None:
    """Queue all runs and show them."""
    whole = name_of(lab.name, new_id())

    def submitted() -> str:
        for spec in plan.specs:
            jobs().submit(spec, part_of=whole)
        return whole

    if checked(submitted):
        st.query_params["lab"] = st.session_state["adopted_lab"] = whole
        st.rerun()
    cancel_all(whole)  # the queue was full half-way


def _prediction(lab: Lab, plan: Plan, roofs: dict[str, Ceilings], origin: str) -> None:
    st.subheader(lab.promise(list(plan.specs), roofs) if roofs else "Not measured yet", anchor=False)
    _draw(_view(lab, list(plan.specs), roofs), "predicted")
    note = f"Lines: {origin}. " if roofs else "This machine's ceilings are not known yet; a run on a quiet machine finds them. "
    st.caption(note + "Run the experiment, and its points land here.")


def _view(lab: Lab, specs: list[RunSpec], roofs: dict[str, Ceilings], experiment: Experiment | None = None) -> View:
    return View(lab, specs, roofs, experiment, this_machine().cache, this_machine().name)


def _result(lab: Lab, experiment: Experiment, roofs: dict[str, Ceilings], more: Callable[[Experiment], None] | None) -> None:
    """Finding, figures, sentence; folded below, the data."""
    found = conclude(lab, experiment)
    nothing = not experiment.finished and all(run.status == "cancelled" for run in experiment.lost)
    st.subheader("Cancelled before anything was measured" if nothing else found.title, anchor=False)
    _draw(_view(lab, experiment.specs, experiment.roofs or roofs, experiment), experiment.whole)
    lines = found.sentence.split("\n")
    st.markdown(found.sentence if len(lines) == 1 else "\n".join(f"- {line}" for line in lines))
    if more:
        more(experiment)
    for reason in dict.fromkeys(run.reason for run in experiment.lost):
        lost = [run for run in experiment.lost if run.reason == reason]
        st.warning(f"{'; '.join(run.spec.title for run in lost)}: {lost[0].status}. {reason}", icon=":material/block:")
    st.caption(
        f"Measured {ago(experiment.runs[0].created)} · {time.strftime('%Y-%m-%d %H:%M', time.localtime(experiment.runs[0].created))}"
    )
    with st.expander("The data behind it"):
        table = [row | {"open": f"./?run={row['run']}"} if "run" in row else row for row in wide(lab, experiment)]
        open = st.column_config.LinkColumn("open", display_text="this run")
        st.dataframe(table, hide_index=True, width="stretch", column_config={"open": open, "run": None}, alt="Every measured point")


def _draw(view: View, key: str) -> None:
    drawn = figures(view)
    for column, (name, figure, alt) in zip(st.columns(len(drawn)), drawn):
        column.plotly_chart(figure, key=f"{key}_{name}", alt=alt)


def _earlier(lab: Lab, shown: Experiment | None) -> None:
    """The other experiments of this lab, newest first."""
    others = [(whole, runs) for whole, runs in _newest(lab) if runs and (shown is None or whole != shown.whole)]
    if not others:
        return
    with st.popover("Earlier experiments", icon=":material/history:"):
        for whole, runs in others:
            first, setup = runs[0], runs[0].spec.setup
            model = f"{first.spec.model.name} · " if first.spec.model and "model" in lab.asks else ""
            finished = sum(run.status == "finished" for run in runs)
            title = f"{_when(first)} · {model}{setup.dtype} · {setup.threads} threads · {finished} of {len(runs)} measured"
            st.button(title, key=whole, on_click=_open, args=(whole,), type="tertiary")


def _open(whole: str) -> None:
    st.query_params["lab"] = whole


def _when(run: Run) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created))


def _repeat(lab: Lab, conditions: Conditions) -> None:
    with st.expander("Repeat or share this experiment"):
        st.code(command(lab, conditions), language="bash", wrap_lines=True)
        st.caption("The address of this page opens the same experiment again.")
