"""What few people change on the page Hardware: which devices are looked at, one of one's own, and prices."""

import re
from collections.abc import Iterable
from typing import get_args

import streamlit as st

from profiler.analysis.fleet import OWN
from profiler.catalog import devices
from profiler.spec.device import Device, Family

KINDS = {"gpu": "graphics processor", "tpu": "TPU", "npu": "other accelerator", "cpu": "processor"}
RATES = {"float32": "float32", "bfloat16": "16 bits", "float8": "float8", "int8": "int8", "float4": "float4"}
OWN_HELP = {
    "like": "Which real hardware it would behave like: how much of its paper figures is reached, and what software it runs.",
    "rate": "Dense, of the matrix units; 0: it has none of that format.",
}
FAMILY_WORDS = {
    "nvidia-hbm": "NVIDIA, data centre",
    "nvidia-gddr": "NVIDIA, graphics card",
    "nvidia-unified": "NVIDIA, shared memory",
    "amd-hbm": "AMD, data centre",
    "amd-gddr": "AMD, graphics card",
    "amd-unified": "AMD, shared memory",
    "apple": "Apple",
    "intel-hbm": "Intel, data centre",
    "intel-gddr": "Intel, graphics card",
    "intel-unified": "Intel, shared memory",
    "tpu": "Google TPU",
    "gaudi": "Intel Gaudi",
    "neuron": "AWS Neuron",
    "mobile-npu": "phone or laptop NPU",
    "cpu-server": "server processor",
    "cpu-client": "desktop or laptop processor",
}


def filters(known: Iterable[Device]) -> list[Device]:
    """The devices that the fields let through; the person's own always is."""
    rows = [one for one in known if one.peak]  # without any rate of arithmetic, nothing can be said
    columns = st.columns([2, 2, 1, 1], vertical_alignment="bottom")
    bound: dict = {"bind": "query-params"}
    vendors = columns[0].multiselect("Vendor", sorted({one.vendor for one in rows}), key="vendor", placeholder="all", **bound)
    kinds = columns[1].multiselect("Kind", list(KINDS), format_func=KINDS.__getitem__, key="kind", placeholder="all", **bound)
    year = columns[2].number_input("Since year", 2010, 2040, key="since", help="The year in which it came out.", **bound)
    least = columns[3].number_input("Memory, at least (GB)", 0, 100_000, key="least", help="Of one device.", **bound)

    def wanted(one: Device) -> bool:
        chosen = (not vendors or one.vendor in vendors) and (not kinds or one.kind in kinds)
        return chosen and (one.year or 2010) >= year and one.memory >= 1e9 * least

    return [one for one in rows if one.id == OWN or wanted(one)]


def own_device() -> Device | None:
    """The form for a device of one's own; None while it has no name, and with one sentence where a figure is missing."""
    bound: dict = {"bind": "query-params"}
    columns = st.columns([2, 1, 1, 1, 2], vertical_alignment="bottom")
    name = columns[0].text_input("Name", key="own", placeholder="a name makes it appear", max_chars=40, **bound)
    memory = columns[1].number_input("Memory (GB)", 0.0, 1e6, key="own_memory", **bound)
    bandwidth = columns[2].number_input("Bandwidth (GB/s)", 0.0, 1e7, key="own_bandwidth", **bound)
    power = columns[3].number_input("Power (W)", 0.0, 1e6, key="own_power", help="Its limit; 0: not known.", **bound)
    like = columns[4].selectbox(
        "Behaves like", get_args(Family), format_func=FAMILY_WORDS.__getitem__, key="own_like", help=OWN_HELP["like"], **bound
    )
    rates = {
        format: column.number_input(f"TFLOP/s, {title}", 0.0, 1e7, key=f"own_{format}", help=OWN_HELP["rate"], **bound)
        for column, (format, title) in zip(st.columns(len(RATES)), RATES.items())
    }
    name = re.sub(r"[^\w .,+()/-]", "", name).strip()  # it is shown in figures and texts, which read some signs as markup
    if not name:
        return None
    given = {"memory": memory, "bandwidth": bandwidth, "TFLOP/s of some format": any(rates.values())}
    missing = [what for what, value in given.items() if not value]
    if missing:
        st.info(f"{name} appears among the others once its {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} given.")
        return None
    return described(name, memory, bandwidth, power, like, rates)


def described(name: str, memory: float, bandwidth: float, power: float, like: Family, rates: dict[str, float]) -> Device:
    """A device of GB, GB/s, W and TFLOP/s."""
    peak = {format: 1e12 * rate for format, rate in rates.items() if rate}
    if "bfloat16" in peak:
        peak["float16"] = peak["bfloat16"]
    return Device(
        id=OWN,
        title=name,
        vendor="your own",
        kind="cpu" if like.startswith("cpu") else "tpu" if like == "tpu" else "gpu",
        family=like,
        generation="",
        memory=1e9 * memory,
        bandwidth=1e9 * bandwidth,
        peak=peak,
        power=power or None,
        source="typed on this page",
    )


def compared(known: dict[str, Device]) -> list[Device]:
    """The devices that a person wants beside each other, titles or any names; one sentence for a name that is none."""
    chosen = st.multiselect(
        "Compare",
        list(known),
        key="compare",
        bind="query-params",
        accept_new_options=True,
        max_selections=12,
        placeholder="The fastest of each family; choose others, or type a name",
        help="The devices of the figures below, at most twelve. Every device is in the table.",
    )
    found = []
    for text in chosen:
        device = known.get(text) or devices.find(text)
        if device is not None and not device.peak:
            st.error(f"No source says how fast {device.title} calculates, so nothing is predicted for it.", icon=":material/block:")
        elif device is None:
            near = devices.nearest(text)
            names = devices.rows()
            hint = f"Did you mean {' or '.join(names[id].title for id in near)}?" if near else "The table lists all there are."
            st.error(f"No device is called {text!r}. {hint}", icon=":material/block:")
        elif device not in found:
            found.append(device)
    return found
