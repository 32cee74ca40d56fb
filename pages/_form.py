"""The form: from widgets to a RunSpec, all of it in the address bar."""

from collections.abc import Callable
from typing import TypeVar

import streamlit as st
from pydantic import ValidationError

from pages._backend import default_setup, jobs
from profiler.catalog import models
from profiler.catalog.machine import available_memory, devices, this_machine
from profiler.catalog.methods import unavailable
from profiler.catalog.resolve import resolve
from profiler.record.run import Run
from profiler.spec.frozen import sentence
from profiler.spec.methods import BASELINE, METHODS, method_of, with_method
from profiler.spec.model import ModelSpec
from profiler.spec.run import BYTES, Dtype, RunSpec, Setup
from profiler.spec.units import words
from profiler.spec.work import Generate
from profiler.theory.memory import check
from profiler.theory.step import parameters

PRESETS: dict[str, dict[str, int]] = {
    "Quick look (128 + 32 tokens)": {},
    "Long prompt (1024 + 16)": {"prompt_tokens": 1024, "new_tokens": 16},
    "Long answer (32 + 256)": {"prompt_tokens": 32, "new_tokens": 256},
    "Many at once (batch 8)": {"batch": 8, "prompt_tokens": 64},
}
COUNTS = (("batch", "Batch", 1, 4096), ("prompt_tokens", "Prompt tokens", 1, 10_000_000), ("new_tokens", "New tokens", 2, 1_000_000))
HELP = {
    "model": "Pick one, or type: a Hugging Face id (owner/name), a folder with config.json and safetensors, a .gguf file, or "
    "random:NAME for random weights of that shape.",
    "dtype": "How weights, cache and arithmetic are stored: 4 bytes a number in float32, 2 in bfloat16 and float16. Processors "
    "without 16-bit arithmetic can be slower with the smaller ones.",
    "threads": "Processor threads, each bound to a core of its own.",
    "batch": "Sequences generated side by side.",
    "prompt_tokens": "Length of the text that the model reads first (prefill). A token is about ¾ of a word.",
    "new_tokens": "Tokens that the model writes, one after another (decode).",
}
HELP |= {
    "trace": "After the timed rounds, run once more under torch's profiler: what each operator did, and what passes between them.",
    "compile": "torch.compile turns each layer into fewer, larger operators. Needs a C++ compiler on a processor, and up to a minute.",
    "layout": "How the linear layers' weights lie in memory. The library has a kernel for each; which is faster depends on the machine.",
    "method": "Quantized weights, pruned parts, another engine. What each costs in quality is measured on the page Compression.",
    "hog": "A program on the last core that takes memory bandwidth, or calculates, on purpose: choose one thread fewer than cores.",
}
COMPRESSED = {"engine", "quantization", "kv", "pruning"}  # fields of a set-up that the one field "method" stands for
LOOP = {"compile_mode", "cache", "chunk", "prefix", "speculation", "pinned", "allocator"}  # the page Code & libraries asks for these
DEFAULTS = {"batch": 1, "prompt_tokens": 128, "new_tokens": 32}
Made = TypeVar("Made")


def values(spec: RunSpec) -> dict:
    """What the form's widgets hold for a spec, by key; the same names stand in the address."""
    if spec.model is None:
        return {}
    work = spec.work.model_dump(include=set(DEFAULTS) | {"seconds", "trace"}) if isinstance(spec.work, Generate) else {}
    setup = spec.setup.model_dump(exclude=COMPRESSED | LOOP)
    return {"model": spec.model.reference, **work, **setup, "method": method_of(spec.setup) or BASELINE}


def link(spec: RunSpec) -> dict[str, str]:
    """The query of an address that fills the form with a spec."""
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in values(spec).items()}


def apply(spec: RunSpec) -> None:
    """Fill the form with a spec; call it from a callback, before the widgets are drawn."""
    st.session_state.update(values(spec))


def adopt(run: Run | None, asked: str | None) -> None:
    """Fill the form with the run that an address asks for, once: prediction and result then belong together."""
    if run and asked and st.session_state.get("adopted") != run.id:
        st.session_state["adopted"] = run.id
        apply(run.spec)


def _preset() -> None:
    st.session_state.update(DEFAULTS | PRESETS.get(st.session_state.preset or "", {}))


def form() -> RunSpec | None:
    """The widgets; the spec they make, or None with one sentence on the page."""
    setup = default_setup()
    st.segmented_control(
        "Presets",
        list(PRESETS),
        key="preset",
        on_change=_preset,
        help="Fill the fields below for a typical question.",
        label_visibility="collapsed",
    )
    columns = st.columns([3, 1.4, 1, 1.2, 1.2], vertical_alignment="bottom")
    model = model_box(columns[0])
    chosen = {"dtype": dtype_box(columns[1], setup)}
    work = {
        name: column.number_input(title, least, most, value=DEFAULTS[name], key=name, bind="query-params", help=HELP[name])
        for column, (name, title, least, most) in zip(columns[2:], COUNTS)
    }
    with st.expander("More settings"):
        more = _more(setup)
    work |= {name: more.pop(name) for name in ("seconds", "trace")}
    spec = checked(lambda: _spec(model or "", work, chosen | more))
    if spec:
        st.caption(about(spec.model))
    return spec


def checked(make: Callable[[], Made]) -> Made | None:
    """What `make` returns; None, with one sentence on the page, where the input is bad."""
    try:
        return make()
    except ValidationError as error:
        st.error(sentence(error), icon=":material/block:")
    except ValueError as error:
        st.error(str(error), icon=":material/block:")
    return None


def model_box(where) -> str | None:
    """The one field that names a model."""
    return where.selectbox(
        "Model",
        list(models.rows()),
        key="model",
        bind="query-params",
        accept_new_options=True,
        placeholder="or type a hub id, a folder, a .gguf file",
        help=HELP["model"],
    )


def dtype_box(where, setup: Setup) -> Dtype:
    """The number format."""
    dtypes = list(BYTES)
    return where.selectbox("Number format", dtypes, index=dtypes.index(setup.dtype), key="dtype", bind="query-params", help=HELP["dtype"])


def threads_box(where, setup: Setup) -> int:
    """Processor threads."""
    return where.number_input(
        "Threads", 1, this_machine().cores, value=setup.threads, key="threads", bind="query-params", help=HELP["threads"]
    )


def _spec(model: str, work: dict, setup: dict) -> RunSpec:
    """The checked spec. Raises ValueError, ValidationError among them."""
    method, found = setup.pop("method"), resolved(model)
    plain = Setup.model_validate(setup)
    if why := unavailable(method, plain, found, this_machine()):
        raise ValueError(f"{METHODS[method].title} cannot run here. {why}")
    spec = RunSpec(model=found, work=Generate.model_validate(work), setup=with_method(plain, method))
    check(spec, this_machine(), available_memory())
    return spec


def _more(setup: Setup) -> dict:
    """The settings that few people change."""
    columns = st.columns(5, vertical_alignment="bottom")
    return {
        "device": columns[0].selectbox("Device", devices(), key="device", bind="query-params", help="Where the model runs."),
        "threads": threads_box(columns[1], setup),
        "attention": columns[2].selectbox(
            "Attention",
            ["auto", "sdpa", "eager"],
            key="attention",
            bind="query-params",
            help="auto: what transformers has best. sdpa: torch's fused kernel. eager: operators that write out all scores.",
        ),
        "seconds": columns[3].number_input(
            "Seconds",
            1.0,
            3600.0,
            value=Generate().seconds,
            key="seconds",
            bind="query-params",
            help="Stop adding rounds after this much timed work; fewer are taken when the median is known to 2 % before.",
        ),
        "huge_pages": columns[4].checkbox(
            "Huge pages",
            value=True,
            key="huge_pages",
            bind="query-params",
            help="Ask Linux for 2 MB memory pages: fewer address look-ups, up to half as fast again on some machines.",
        ),
        **_experiments(),
    }


def _experiments() -> dict:
    """The settings that are there to learn from."""
    columns = st.columns(5, vertical_alignment="bottom")
    bound: dict = {"bind": "query-params"}
    return {
        "trace": columns[0].checkbox("Trace operators", value=True, key="trace", help=HELP["trace"], **bound),
        "compile": columns[1].checkbox("Compile layers", key="compile", help=HELP["compile"], **bound),
        "layout": columns[2].selectbox("Weights by", ["rows", "columns"], key="layout", help=HELP["layout"], **bound),
        "method": columns[4].selectbox(
            "Compression", list(METHODS), key="method", format_func=lambda name: METHODS[name].title, help=HELP["method"], **bound
        ),
        "hog": columns[3].selectbox("Neighbour", ["none", "memory", "compute"], key="hog", help=HELP["hog"], **bound),
    }


@st.cache_data(show_spinner="Looking at the model …", ttl=60)
def resolved(text: str) -> ModelSpec:
    """The model that a person named, remembered for a minute. Raises ValueError of one sentence."""
    return resolve(text)


def about(model: ModelSpec | None) -> str:
    """One line about the chosen model."""
    assert model
    weights = "trained weights" if model.trained else "random weights (speed does not depend on their values)"
    kind = f"{model.experts} experts, {model.experts_per_token} at a time" if model.moe else "dense"
    return f"{model.name} · {words(parameters(model), '')} parameters · {kind} · {weights} · up to {model.context:,} tokens"


def submit(spec: RunSpec) -> None:
    """Queue the spec and show its run."""
    try:
        st.query_params["run"] = st.session_state["adopted"] = jobs().submit(spec)
    except ValueError as error:
        st.error(str(error), icon=":material/block:")
        return
    st.rerun()
