"""Serving: a server under more and more requests, until it does not keep up. Its points land in the live element."""

import time

import streamlit as st

from pages._backend import ago, default_setup, jobs, store
from pages._form import checked, resolved
from pages._live_chart import live_figures, payload
from profiler.analysis.serving import Serving
from profiler.analysis.serving_plan import asked, expected
from profiler.analysis.serving_words import finding, rows
from profiler.catalog import models
from profiler.catalog.machine import available_memory, this_machine
from profiler.figures.serving import figures
from profiler.record.events import Entered, Served
from profiler.record.run import Run
from profiler.spec.run import BYTES, RunSpec, Setup
from profiler.spec.work import LoadTest

EVERY, LOOK, PATIENCE = 0.2, 0.1, 2.0  # seconds: between questions, between looks at the store, until the time left is told anew
USUAL = LoadTest()
LOOKED_AT = 200  # newest runs among which load tests are looked for
HERE, THERE = "Start llama.cpp's server", "One that runs already"
FORMATS = {"bfloat16": "BF16 (16 bits)", "q8_0": "Q8_0 (8 bits)", "q4_0": "Q4_0 (4 bits)"}
HELP = {
    "where": "The server that is started here runs in a process of its own on this machine's cores, which it shares with the test.",
    "model": "Pick one, or type: a Hugging Face id, a folder with config.json and safetensors, a .gguf file, or random:NAME.",
    "format": "How the weights are held. Smaller ones are read faster; many requests at once are limited by arithmetic instead.",
    "slots": "Answers that the server writes at once. Further requests wait in its queue.",
    "url": "An address that speaks OpenAI's protocol, on this machine: vLLM, SGLang, llama.cpp, Ollama. For vLLM: `vllm serve MODEL`.",
    "served": "The model's name on the server; the first one that it lists if left empty.",
    "prompt": "Tokens of each prompt, English text. Each begins elsewhere, so that no kept prefix answers it.",
    "new": "Tokens of each answer.",
    "seconds": "Of arrivals at each rate. More seconds make more requests, and so surer numbers.",
    "rates": "Requests per second, separated by commas. Empty: from a rate that leaves it idle to one that drowns it, by itself.",
    "patience": "Seconds without a token after which a request is given up, and counted as stalled.",
}
OPEN_LOOP = (
    "**Open loop**: requests are sent at their moments, whoever still waits for an answer, as strangers do. **Poisson**: the moments are "
    "random and independent, so some come in crowds. A test whose users wait for each other never sees the queue that this one shows."
)


def serving_view() -> None:
    """The fields, the button, and the newest load test or the one that the address names."""
    spec = checked(_asked)
    run = _shown()
    busy = run is not None and not run.done
    label = f"Test under load (about {_rounded(expected(spec.work))})" if spec and isinstance(spec.work, LoadTest) else "Test under load"
    if st.button(label, key="serve_go", type="primary", icon=":material/play_arrow:", disabled=busy or spec is None):
        _start(spec)
    if run is None:
        _before()
    elif busy:
        with st.container(key="serve_live"):
            _live_view(run)
    else:
        with st.container(key="serve_over"):
            _over(run)


def _rounded(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{round(seconds / 10) * 10} s"


def _asked() -> RunSpec:
    """What the fields ask for. Raises ValueError of one sentence where it cannot be."""
    columns = st.columns([3.1, 2.2, 1.5, 1], vertical_alignment="bottom")
    where = columns[0].segmented_control(
        "Server", [HERE, THERE], default=HERE, required=True, key="serve_where", bind="query-params", help=HELP["where"]
    )
    setup, model, text = default_setup(), None, ""
    work: dict = {}
    if where == HERE:
        text = columns[1].selectbox(
            "Model", list(models.rows()), index=list(models.rows()).index(models.DEFAULT), key="serve_model", bind="query-params",
            accept_new_options=True, help=HELP["model"],
        )  # fmt: skip
        name = columns[2].selectbox(
            "Weights", list(FORMATS), format_func=FORMATS.__getitem__, key="serve_format", bind="query-params", help=HELP["format"]
        )
        work["slots"] = columns[3].number_input("Slots", 1, 256, USUAL.slots, key="serve_slots", bind="query-params", help=HELP["slots"])
        held = {"dtype": name} if name in BYTES else {"dtype": setup.dtype, "quantization": name}
        setup = Setup.model_validate({"threads": setup.threads} | held)
    else:
        work["url"] = columns[1].text_input("Address", "http://localhost:8000/v1", key="serve_url", bind="query-params", help=HELP["url"])
        work["served"] = columns[2].text_input("Model's name", key="serve_served", bind="query-params", help=HELP["served"])
    with st.expander("More"):
        work |= _more()
    if where == HERE:
        model = resolved(text or "")
    elif not work["url"]:
        raise ValueError("The address is empty; give that of a server that runs, like http://localhost:8000/v1.")
    return asked(LoadTest.model_validate(work), model, setup, this_machine(), available_memory())


def _more() -> dict:
    """The fields that few people change."""
    columns = st.columns(5, vertical_alignment="bottom")
    bound: dict = {"bind": "query-params"}
    usual = USUAL
    return {
        "prompt_tokens": columns[0].number_input(
            "Prompt tokens", 1, 100_000, usual.prompt_tokens, key="serve_prompt", help=HELP["prompt"], **bound
        ),
        "new_tokens": columns[1].number_input("New tokens", 2, 100_000, usual.new_tokens, key="serve_new", help=HELP["new"], **bound),
        "seconds": columns[2].number_input(
            "Seconds per rate", 1.0, 3600.0, usual.seconds, key="serve_seconds", help=HELP["seconds"], **bound
        ),
        "patience": columns[3].number_input(
            "Patience (s)", 1.0, 3600.0, usual.patience, key="serve_patience", help=HELP["patience"], **bound
        ),
        "rates": _rates(
            columns[4].text_input("Rates", key="serve_rates", placeholder="found by itself", help=HELP["rates"], **bound) or ""
        ),
    }


def _rates(text: str) -> tuple[float, ...]:
    """Numbers from "0.5, 1, 2". Raises ValueError of one sentence."""
    try:
        return tuple(float(part) for part in text.replace(";", ",").split(",") if part.strip())
    except ValueError as error:
        raise ValueError(f"{text!r} are no rates; write requests per second separated by commas, like 0.5, 1, 2.") from error


def _shown() -> Run | None:
    """The load test that the address names, else the newest one; None before the first."""
    id = st.query_params.get("serve_run", "")
    if id:
        try:
            found = store().run(id)
            if isinstance(found.spec.work, LoadTest):
                return found
        except KeyError:
            pass
        st.warning(f"There is no load test {id} in this machine's store; it may have been deleted.")
    heads = [head for head in store().heads(LOOKED_AT) if isinstance(head.spec.work, LoadTest)]
    worth = next((head for head in heads if head.status in ("queued", "running", "finished")), next(iter(heads), None))
    return store().run(worth.id) if worth else None


def _start(spec: RunSpec | None) -> None:
    """Queue the test and show it."""
    if spec and (id := checked(lambda: jobs().submit(spec))):
        st.query_params["serve_run"] = id
        st.rerun()


def _before() -> None:
    """What will come, while nothing has."""
    st.subheader("How many requests a second can be answered before people wait?", anchor=False)
    st.markdown(
        "First one request alone, then requests at random moments, faster and faster, until the server does not keep up. Here you will see "
        "how many tokens a second it writes against how long an answer takes, when the first token comes at each rate, and the rate up to "
        "which the queue stays short."
    )
    st.caption(OPEN_LOOP)


def _live_view(run: Run) -> None:
    """Progress, cancel and the figures as points land."""
    columns = st.columns([5, 1], vertical_alignment="center")
    if columns[1].button(
        "Cancel", key=f"serve_cancel_{run.id}", icon=":material/stop_circle:", width="stretch", help="What was measured stays."
    ):
        jobs().cancel(run.id)
        st.query_params["serve_run"] = run.id
        st.rerun()
    _panel(run, columns[0].empty())
    st.caption(OPEN_LOOP)


@st.fragment(run_every=EVERY)
def _panel(run: Run, bar) -> None:
    """One answer. Like every live panel it waits on the server until there is news."""
    seen = st.session_state.setdefault("live_serving", {})
    run = _news(seen["run"]) if seen.get("id") == run.id else run
    if run.done:
        seen.clear()
        st.rerun()
    landed = len(Serving(run).points)
    if seen.get("id") != run.id or seen.get("landed") != landed:
        drawn = [(f"{run.id}-{name}", figure, alt) for name, figure, alt in figures(Serving(run))]
        seen.update(id=run.id, landed=landed, data=payload(drawn, float(landed)))
    seen["run"] = run
    bar.progress(*_progress(run, time.time()))
    live_figures(seen["data"], key="live_serving_figures")
    time.sleep(LOOK)  # the browser gathers what is sent for some milliseconds, and forgets it if the next answer begins before that


def _news(run: Run) -> Run:
    """Wait until a rate is over, a phase or the run has begun or ended, or patience ends."""
    end = time.monotonic() + PATIENCE
    while True:
        newer = store().refresh(run)
        fresh = newer.events[len(run.events) :]
        if newer.status != run.status or any(isinstance(event, Served | Entered) for event in fresh) or time.monotonic() > end:
            return newer
        _ = "live_serving" in st.session_state  # a place where Streamlit lets a click interrupt the waiting
        time.sleep(LOOK)


def _progress(run: Run, now: float) -> tuple[float, str]:
    """Share done and a sentence."""
    if run.status == "queued":
        return 0.0, "Waiting for this machine to be free: one is measured at a time"
    if not run.phases:
        return 0.02, "Starting a fresh process (a few seconds)"
    phase, left, over = run.phases[-1], run.left(now), len(Serving(run).points)
    what = phase.note or f"{phase.name.capitalize()} …"
    if left is None:
        return 0.05, what
    spent = now - run.phases[0].at
    measured = f"{over} rate{'s' if over != 1 else ''} measured · " if over else ""
    return min(max(spent / max(spent + left, 1.0), 0.05), 1.0), f"{measured}now {what} · about {left:.0f} s left"


def _over(run: Run) -> None:
    """Finding, figures, sentence, table, and how to repeat it."""
    serving = Serving(run)
    if serving.points:
        found = finding(serving)
        st.subheader(found.title, anchor=False)
        _draw(serving)
        st.markdown(found.sentence)
    else:
        st.subheader("No rate was measured", anchor=False)
    if run.status != "finished":
        told = run.reason if run.reason.lower().startswith(run.status) else f"{run.status.capitalize()}: {run.reason}"
        st.warning(told, icon=":material/block:")
    st.caption(f"{run.spec.title} · measured {ago(run.created)} · {time.strftime('%Y-%m-%d %H:%M', time.localtime(run.created))}")
    if serving.points:
        with st.expander("The numbers at each rate"):
            st.dataframe(rows(serving), hide_index=True, width="stretch", alt="Every rate: answers, failures and waiting times")
            st.caption(
                "A dash: too few samples for this percentile (one in ten needs 20 of them, one in a hundred 200). It keeps up where no "
                "request fails, all but 5 % are answered in time, and those who come later do not wait longer."
            )
    with st.expander("Repeat or share this test"):
        st.code(run.spec.command, language="bash", wrap_lines=True)
        st.caption(OPEN_LOOP)


def _draw(serving: Serving) -> None:
    """The main figure, then the small ones side by side."""
    (name, plot, alt), *small = figures(serving)
    st.plotly_chart(plot, key=f"serve_{serving.run.id}_{name}", alt=alt)
    for column, (name, plot, alt) in zip(st.columns(len(small)), small):
        column.plotly_chart(plot, key=f"serve_{serving.run.id}_{name}", alt=alt)
