"""Every device as a row of one table that a person sorts and searches."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from pages._hardware_here import Here
from profiler.analysis.fleet import Choice
from profiler.figures.hardware import named
from profiler.spec.units import number

HELP = {
    "first": "From the request to the first token, of all sequences of the batch.",
    "token": "One decode step, half-way through the answer.",
    "interval": "Four of five measurements of this kind lay within such an interval around their prediction.",
    "rate": "New tokens a second of all sequences and devices together, with the reading of prompts counted in.",
    "used": "Memory needed, of what one device has: weights, KV cache at the full length, activations, what the software keeps.",
    "spare": "Memory left on each device; below zero, what is missing.",
    "needed": "So many devices would hold it, if they could share weights and cache evenly.",
    "energy": "Rough: from the power limit, less of it while waiting for memory. A dash where the limit is not known.",
    "cost": "Of new tokens, prompts included, at this batch and never idle; where a price is typed under More.",
    "origin": "calibrated: constants are fitted to measurements of this software on this family of devices, not necessarily on this one. "
    "transferred: from its relatives. measured here: this machine's own run, at its own workload.",
}


def row(one: Choice) -> dict:
    """One device as plain values; speeds are empty where the memory is too small."""
    first, each = one.estimate.prefill, one.estimate.decode
    speeds = {
        "first": 1e3 * first.time,
        "token": 1e3 * each.time if one.writes else None,
        "interval": _range(each.low, each.high) if one.writes else _range(first.low, first.high),
        "rate": one.rate,
        "energy": one.energy,
        "cost": one.cost,
    }
    return {
        "device": named(one),
        "fits": "✓" if one.fits else "✗",
        **{name: value if one.fits else None for name, value in speeds.items()},
        "used": float(one.estimate.memory / one.device.memory),
        "spare": one.spare / 1e9,
        "needed": one.needed,
        "memory": one.device.memory / 1e9,
        "bandwidth": one.device.bandwidth / 1e9,
        "year": one.device.year,
        "engine": one.deployment.engine,
        "origin": one.estimate.origin,
    }


def _range(low: float, high: float) -> str:
    return f"{number(1e3 * low)} – {number(1e3 * high)}"


def measured_row(found: Here) -> dict:
    """The run of this machine, at its own workload."""
    work = found.run.spec.generate
    first, each = found.measured.get("prefill"), found.measured.get("decode")
    return {
        "device": f"this machine, {work.prompt_tokens:,} + {work.new_tokens:,} × {work.batch}",
        "fits": "✓",
        "first": 1e3 * first.median if first else None,
        "token": 1e3 * each.median if each else None,
        "interval": _range(*each.interval) if each else None,
        "rate": work.batch / each.median if each else None,
        "engine": "transformers",
        "origin": "measured here",
    }


def table(choices: Sequence[Choice], found: Here | None = None) -> None:
    """The table; columns that say nothing for this model or these devices are left out."""
    rows = [measured_row(found)] if found else []
    rows += [row(one) for one in choices]
    unit = "tokens/s" if choices[0].writes else "texts/s"
    figure = st.column_config.NumberColumn
    columns: dict[str, Any] = {
        "device": st.column_config.TextColumn("device", pinned=True, width="medium"),
        "fits": st.column_config.TextColumn("fits", width="small"),
        "first": figure("first token (ms)" if choices[0].writes else "a batch (ms)", format="%.3g", help=HELP["first"]),
        "token": figure("per token (ms)", format="%.3g", help=HELP["token"]),
        "interval": st.column_config.TextColumn("interval (ms)", help=HELP["interval"]),
        "rate": figure(unit, format="%.4g", help=HELP["rate"]),
        "energy": figure("J per token", format="%.3g", help=HELP["energy"]),
        "cost": figure("cost per million", format="%.3g", help=HELP["cost"]),
        "used": st.column_config.ProgressColumn("memory used", format="percent", min_value=0, max_value=1, help=HELP["used"]),
        "spare": figure("spare (GB)", format="%.1f", help=HELP["spare"]),
        "needed": figure("devices needed", help=HELP["needed"]),
        "memory": figure("memory (GB)", format="%.0f"),
        "bandwidth": figure("bandwidth (GB/s)", format="%.0f"),
        "year": figure("year", format="%d"),
        "engine": "engine",
        "origin": st.column_config.TextColumn("origin", help=HELP["origin"]),
    }
    empty = {name: None for name in ("token", "energy", "cost") if all(line.get(name) is None for line in rows)}
    held = sum(one.fits for one in choices)
    st.dataframe(
        rows,
        hide_index=True,
        width="stretch",
        height=min(36 * (len(rows) + 1) + 3, 460),
        column_order=list(columns),
        column_config=columns | empty,
        placeholder="–",
        alt=f"{len(choices)} devices with their predicted times; {held} hold the model",
    )
