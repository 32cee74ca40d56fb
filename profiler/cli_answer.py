"""A prediction as JSON has it and as a person reads it: what the commands for devices on paper and for this machine share."""

from typing import Any, Protocol

from rich.markup import escape
from rich.table import Table

from profiler.cli_setups import line, show_table
from profiler.spec.units import words

ORIGINS = {
    "measured here": "from measurements on this machine",
    "calibrated": "the constants are fitted to measurements of this software on devices of this family",
    "transferred": "nobody measured this software on such devices; the constants are those of its relatives",
    "data sheet": "from the data sheet alone",
}
PARTS = {"compute": "calculating", "memory": "moving bytes", "overhead": "starting operators", "communication": "between devices"}
TIMES = {
    "time_to_first_token": ("time to first token", "s"),
    "time_to_read": ("time to read", "s"),
    "time_per_token": ("time per token", "s"),
    "time_of_answer": ("whole answer", "s"),
    "tokens_per_second": ("tokens/s while writing", "tok/s"),
    "throughput": ("tokens/s, prompt included", "tok/s"),
    "reading_rate": ("tokens read/s", "tok/s"),
}

Interval = dict[str, float]


class Ends(Protocol):
    """Seconds with their interval."""

    @property
    def time(self) -> Any:
        """Seconds."""

    @property
    def low(self) -> Any:
        """What one of ten measurements falls below."""

    @property
    def high(self) -> Any:
        """What one of ten lies above."""


def times(first: Ends, each: Ends, new: int, rate: float, throughput: float) -> dict[str, Interval]:
    """What generating takes: seconds and tokens/s, each with the interval that four of five measurements fall into."""
    one, token = _interval(first), _interval(each)
    whole = {end: one[end] + new * token[end] for end in one}
    return {
        "time_to_first_token": one,
        "time_per_token": token,
        "time_of_answer": whole,
        "tokens_per_second": _rate(rate, token),
        "throughput": _rate(throughput, whole),
    }


def reading(whole: Ends, tokens: float) -> dict[str, Interval]:
    """What reading takes, of a model that writes nothing."""
    taken = _interval(whole)
    return {"time_to_read": taken, "reading_rate": _rate(tokens / taken["value"], taken)}


def _interval(ends: Ends) -> Interval:
    return {"value": float(ends.time), "low": float(ends.low), "high": float(ends.high)}


def _rate(value: float, taken: Interval) -> Interval:
    """A rate whose interval is that of the time behind it."""
    return {"value": value, "low": value * taken["value"] / taken["high"], "high": value * taken["value"] / taken["low"]}


def show(found: dict[str, Any]) -> None:
    """A prediction as a person reads it."""
    line(f"[bold]{escape(found['title'])}[/bold]")
    for problem in found["problems"]:
        line(f"[red]impossible: {escape(problem)}[/]")
    table = Table("", "predicted", "4 of 5 measurements are within", box=None)
    for name, (title, unit) in TIMES.items():
        if one := found.get(name):
            table.add_row(title, words(one["value"], unit), f"{words(one['low'], unit)} – {words(one['high'], unit)}")
    show_table(table)
    line(f"[dim]{found['origin']}: {ORIGINS.get(found['origin'], '')}[/dim]")
    for phase, parts in found["spent"].items():
        line(f"[bold]{phase}[/bold] {_shares(parts)}.")
    held = found["memory"]
    served = found.get("serving")
    if served and (held["fits"] or served["batch"] > 1):  # where nothing fits, one request is what is left to calculate with
        rate, each = words(served["throughput"], "tok/s"), words(served["per_token"], "s")
        many = f"{served['batch']:,} request{'s' if served['batch'] > 1 else ''} at a time"
        where = " on each copy" if found["setup"]["replicas"] > 1 else ""
        line(f"[bold]serving[/bold] {many}{where}: {rate} in all, {each} from token to token.")
    parts = ", ".join(f"{name.replace('_', ' ')} {words(held[name], 'B')}" for name in ("weights", "kv_cache", "activations_and_software"))
    room = "fits" if held["fits"] else "does not fit"
    each = " on each device" if found["setup"]["devices"] > 1 else ""
    line(f"[bold]memory[/bold] {words(held['total'], 'B')} of {words(held['capacity'], 'B')}{each}, {room}: {parts}.")
    if found["energy_per_token"] is not None:
        line(f"[bold]energy[/bold] about {words(found['energy_per_token'], 'J')} per new token, prompt included.")
    for note in found["notes"]:
        line(f"[yellow]note: {escape(note)}[/]")
    line(f"Again: [bold]{escape(found['command'])}[/bold]")


def _shares(parts: dict[str, float]) -> str:
    """What seconds are spent on, without the crumbs."""
    whole = sum(parts.values())
    told = ((PARTS.get(name, name.replace("_", " ")), part / whole) for name, part in parts.items())
    shares = [f"{name} {words(share, '%')}" for name, share in told if share >= 0.005]
    return f"{words(whole, 's')}: {', '.join(shares)}"
