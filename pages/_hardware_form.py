"""The fields of the page Hardware: model, workload and software; all of them in the address bar."""

from pathlib import Path

import streamlit as st

from pages._form import checked
from profiler.analysis.fleet import SPLITS, Stack, Workload
from profiler.catalog import models
from profiler.catalog.resolve import resolve
from profiler.spec.engines import ENGINES
from profiler.spec.formats import FORMATS, Precision, format_named
from profiler.spec.model import ModelSpec
from profiler.spec.units import words
from profiler.theory.step import active_parameters, parameters

MODEL = "llama-3.1-8b"  # where nobody has chosen
PRESETS: dict[str, dict[str, int]] = {
    "Chat (512 + 256)": {},
    "Long document (16k + 512)": {"prompt_tokens": 16384, "new_tokens": 512},
    "Reasoning (256 + 8k)": {"prompt_tokens": 256, "new_tokens": 8192},
    "Many users (64 × 1024 + 256)": {"batch": 64, "prompt_tokens": 1024, "new_tokens": 256},
}
DEFAULTS = {"batch": 1, "prompt_tokens": 512, "new_tokens": 256}
SLIDERS = {"prompt_tokens": ("Prompt tokens", 1 << 20), "new_tokens": ("New tokens", 1 << 17), "batch": ("Batch", 1 << 10)}  # title, most
LARGEST = 10_000_000  # that an address may ask for
SPLIT_WORDS = {"usual": "as the engine does", "tensor": "tensor parallel", "layers": "pipeline", "copies": "a copy each"}
HELP = {
    "model": "Pick one of the catalogue, or type: a Hugging Face id (owner/name), a folder with config.json, or a config.json itself. "
    "Only the shape matters here; weights need not be there.",
    "prompt_tokens": "Length of the text that the model reads first (prefill). A token is about ¾ of a word.",
    "new_tokens": "Tokens that the model writes, one after another (decode).",
    "batch": "Sequences generated side by side on one copy of the model.",
    "format": "How weights are kept: 2 bytes a number in bfloat16, about half a byte in the 4-bit formats. Type any name that people "
    "use, such as AWQ or Q4_K_M. The cache and the arithmetic stay in 16 bits unless the format says otherwise.",
    "engine": "The software that runs the model. “Usual” assumes vLLM on data-centre graphics processors, JAX on TPUs, the vendor's own "
    "on Gaudi, Neuron and phones, and llama.cpp on everything that stands on a desk or lap, processors included; for a format of GGUF, "
    "MLX or EXL2 the software that reads it. A format that an engine cannot read is predicted as if it could.",
    "devices": "Equal devices together.",
    "split": "How several devices share the model. Tensor parallel: each holds a part of every layer, and they exchange results twice a "
    "layer. Pipeline: each holds some layers. A copy each: more requests at once, none of them faster.",
}


def presets() -> None:
    """Typical questions, which fill the fields below."""
    st.segmented_control("Presets", list(PRESETS), key="preset", on_change=_preset, label_visibility="collapsed")


def _preset() -> None:
    st.session_state.update(DEFAULTS | PRESETS.get(st.session_state.preset or "", {}))


def question() -> tuple[ModelSpec | None, Workload, str]:
    """The compact row: the model (None with one sentence where there is none), the workload, the number format as typed."""
    columns = st.columns([2.2, 1.5, 1.5, 1.2, 1.4], vertical_alignment="bottom")
    text = columns[0].selectbox(
        "Model",
        list(models.rows()),
        index=list(models.rows()).index(MODEL),
        key="model",
        bind="query-params",
        accept_new_options=True,
        help=HELP["model"],
    )
    counts = {name: _slider(columns[number], name) for number, name in enumerate(SLIDERS, 1)}
    written = columns[4].selectbox(
        "Number format",
        list(FORMATS),
        index=list(FORMATS).index("bfloat16"),
        key="format",
        bind="query-params",
        accept_new_options=True,
        help=HELP["format"],
    )
    work = Workload(counts["batch"], counts["prompt_tokens"], counts["new_tokens"])
    return checked(lambda: shape(text or "")), work, written or "bfloat16"


def _slider(where, name: str) -> int:
    """Powers of two, and whatever number an address asks for."""
    title, most = SLIDERS[name]
    steps = {1 << power for power in range(most.bit_length())}
    for asked in (st.query_params.get(name, ""), str(st.session_state.get(name, ""))):
        if asked.isdecimal() and 1 <= int(asked) <= LARGEST:
            steps.add(int(asked))
    return where.select_slider(title, sorted(steps), value=DEFAULTS[name], key=name, bind="query-params", format_func=str, help=HELP[name])


def software() -> tuple[str, int, str]:
    """The fields of the tab *Software*: engine ("": the usual one), devices, how they share."""
    columns = st.columns([2, 1, 2], vertical_alignment="bottom")
    engine = columns[0].selectbox(
        "Engine",
        ["usual", *ENGINES],
        format_func=lambda name: "usual" if name == "usual" else ENGINES[name].title,
        key="engine",
        bind="query-params",
        help=HELP["engine"],
    )
    count = columns[1].number_input("Devices", 1, 4096, key="devices", bind="query-params", help=HELP["devices"])
    split = columns[2].selectbox(
        "Shared", SPLITS, format_func=SPLIT_WORDS.__getitem__, key="split", bind="query-params", help=HELP["split"]
    )
    return "" if engine == "usual" else engine, int(count), split


def stack(written: str, engine: str, count: int, split: str) -> Stack | None:
    """What every device runs; None, with one sentence, where the number format is none."""
    return checked(lambda: Stack(Precision.of(format_named(written)), engine, count, split))


@st.cache_data(show_spinner="Looking at the model …", ttl=60)
def shape(text: str) -> ModelSpec:
    """The shape of the model that a person named, remembered for a minute. Raises ValueError of one sentence."""
    text = text.strip()
    path = Path(text.removeprefix("random:")).expanduser()
    if not models.find(text) and (path.is_dir() or path.suffix == ".json"):
        return resolve(f"random:{path}")
    return resolve(text)


def facts(model: ModelSpec) -> str:
    """One line about the shape of the chosen model."""
    kind = f"{words(active_parameters(model), '')} of them for each token, {model.experts} experts" if model.moe else "dense"
    role = "" if model.head else " · an encoder: it reads, and writes nothing"
    assumed = " · its family is not known, so the layout of Llama is assumed" if model.assumed else ""
    return f"{model.name} · {words(parameters(model), '')} parameters · {kind} · up to {model.context:,} tokens{role}{assumed}"
