"""The few fields of an experiment: from widgets to the conditions that its recipe asks for."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from pages._backend import default_setup, jobs
from pages._form import HELP, checked, dtype_box, model_box, resolved, threads_box
from pages._lab_fields import existing, quantization_box, refusals, refusals_view, sorted_out, text_box, ways_box
from profiler.analysis.labs import Lab
from profiler.analysis.recipes import Conditions
from profiler.catalog import models
from profiler.catalog.machine import available_memory, devices, this_machine
from profiler.spec.methods import COMPRESSION
from profiler.spec.run import BYTES, Dtype, RunSpec, Setup
from profiler.theory.memory import capacity

WIDTHS = {"model": 3, "dtype": 1.4, "dtypes": 2, "quantization": 1.7, "threads": 1, "device": 1, "text": 1.7, "thorough": 1.4}
PUBLISHED: Dtype = "bfloat16"  # most models are; what is compressed starts from there
ROW = 7.0  # at least, so that a few fields do not stretch over the page
THOROUGH = "More points, each measured longer: about four times the time."


def conditions_of(lab: Lab) -> Conditions | None:
    """What the fields make; None, with one sentence, where one of them is bad."""
    usual = default_setup()
    if lab.published:
        usual = usual.model_copy(update={"dtype": PUBLISHED})
    chosen = _fields(lab, usual)
    dtypes = chosen.get("dtypes", [chosen.get("dtype", usual.dtype)])

    def made() -> Conditions:
        if not dtypes:
            raise ValueError("No number format is chosen; choose at least one.")
        fields = {name: chosen[name] for name in ("threads", "device", "quantization") if name in chosen}
        setup = Setup.model_validate(usual.model_dump() | fields | {"dtype": dtypes[0]})
        model = resolved(chosen["model"] or "") if "model" in chosen else None
        refused = refusals(lab.ways or COMPRESSION, setup, model) if lab.ways or lab.needs or "quantization" in lab.asks else {}
        wanted = chosen.get("ways", lab.needs or refused)
        return Conditions(
            setup=setup,
            model=model,
            dtypes=tuple(dtypes),
            devices=tuple(devices()),
            models=tuple(row.spec(random=True) for row in models.rows().values()),
            room=capacity(this_machine(), setup.device, available_memory()),
            roofs=jobs().ceilings(RunSpec.model_construct(setup=setup)),
            thorough=chosen.get("thorough", False),
            methods=sorted_out(lab.ways, chosen["ways"], refused) if lab.ways else (),
            refused={name: why for name, why in refused.items() if name in wanted},
            text=existing(chosen.get("text", "")),
        )

    found = checked(made)
    if found and lab.ways:
        refusals_view(lab.ways, refusals(lab.ways, found.setup, found.model))
    return found


def _fields(lab: Lab, usual: Setup) -> dict[str, Any]:
    """What a person chose, by field; a field that this lab or this machine has no use for is absent."""
    boxes: dict[str, Callable] = {
        "model": model_box,
        "dtype": lambda where: dtype_box(where, usual),
        "dtypes": lambda where: _dtypes_box(where, usual),
        "quantization": quantization_box,
        "threads": lambda where: threads_box(where, usual),
        "device": lambda where: where.selectbox("Device", devices(), key="device", bind="query-params", help="Where the model runs."),
        "text": text_box,
        "thorough": lambda where: where.toggle("Thorough", key="thorough", bind="query-params", help=THOROUGH),
    }
    shown = [name for name in boxes if name in lab.asks and (name != "device" or len(devices()) > 1)]
    widths = [WIDTHS[name] for name in shown]
    columns = st.columns([*widths, max(ROW - sum(widths), 0.1)], vertical_alignment="bottom")
    chosen = {name: boxes[name](column) for name, column in zip(shown, columns)}
    return chosen | ({"ways": ways_box(lab.ways)} if lab.ways else {})


def _dtypes_box(where, usual: Setup) -> list[Dtype]:
    return where.multiselect("Number formats", list(BYTES), default=[usual.dtype], key="dtypes", bind="query-params", help=HELP["dtype"])
