"""Prices per hour that a person types, kept in the address as `prices=h100-sxm:2.5,rtx-4090:0.4`; none is known beforehand."""

from collections.abc import Set
from math import isfinite

import streamlit as st

from profiler.catalog import devices
from profiler.spec.device import Device

MOST = 1e6  # an hour
HELP = "What one device costs an hour, in any currency, the same for all: rent, or price and power over its life."


def prices(known: dict[str, Device], complaints) -> dict[str, float]:
    """The editor; device id → price of one hour. A bad price of the address gets one sentence in `complaints`, and is left out."""
    if "price_rows" not in st.session_state:
        own = {device.id for device in known.values()}
        st.session_state["price_rows"], st.session_state["price_complaints"] = parsed(st.query_params.get("prices", ""), own)
    for sentence in st.session_state["price_complaints"]:
        complaints.error(sentence, icon=":material/block:")
    st.caption("Choose a device and type what an hour of it costs, to you, in any one currency. No price is known beforehand.")
    titles = {device.id: title for title, device in known.items()}
    rows = [{"device": titles[id], "price": price} for id, price in st.session_state["price_rows"].items() if id in titles]
    edited = st.data_editor(
        rows or [{"device": None, "price": None}],
        num_rows="dynamic",
        width="stretch",
        height=180,
        key="price_table",
        hide_index=True,
        column_config={
            "device": st.column_config.SelectboxColumn("device", options=list(known), width="large"),
            "price": st.column_config.NumberColumn("price of one hour", min_value=0.0, max_value=MOST, help=HELP),
        },
    )
    found = {known[row["device"]].id: row["price"] for row in edited if row.get("device") in known and row.get("price")}
    _to_address(written(found))
    return found


def _to_address(wanted: str) -> None:
    if wanted == st.query_params.get("prices", ""):
        return
    if wanted:
        st.query_params["prices"] = wanted
    elif not st.session_state["price_complaints"]:
        del st.query_params["prices"]


def written(found: dict[str, float]) -> str:
    """Prices as the address has them."""
    return ",".join(f"{id}:{price:g}" for id, price in sorted(found.items()))


def parsed(text: str, own: Set[str] = frozenset()) -> tuple[dict[str, float], list[str]]:
    """(device id → price, one sentence for each part that is none) of what an address says."""
    found, bad = {}, []
    for part in filter(None, text.split(",")):
        name, _, number = part.rpartition(":")
        device = devices.find(name) if name else None
        id = name if name in own else device.id if device else None
        price = _price(number)
        if id is None:
            near = devices.nearest(name or number)
            hint = f"; did you mean {' or '.join(near)}?" if near else "."
            bad.append(f"A price is given for {(name or number)!r}, which names no device{hint}")
        elif price is None:
            bad.append(f"The price of {name} is {number!r}; it must be a number above 0, per hour.")
        else:
            found[id] = price
    return found, bad


def _price(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) and 0 < value <= MOST else None
