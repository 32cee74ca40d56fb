"""The one place where plain SI numbers become words."""

from math import isfinite

_STEPS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""))
_SMALL = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def number(value: float, digits: int = 3) -> str:
    """Three significant digits without an exponent: 0.0123, 1.23, 12.3, 1,234."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:#.{digits}g}".rstrip(".")


def _scaled(value: float, unit: str) -> str:
    scale, prefix = next(((s, p) for s, p in _STEPS if abs(value) >= s), (1, ""))
    return f"{number(value / scale)} {prefix}{unit}".rstrip()


def duration(value: float) -> str:
    """Seconds in words: 14.2 ms, 3.10 s, 2 min 5 s, 3 h 20 min, 12 days."""
    if value >= 172_800:
        return f"{number(value / 86_400)} days"
    if value >= 7200:
        return f"{round(value / 60) // 60} h {round(value / 60) % 60} min"
    if value >= 120:
        return f"{round(value) // 60} min {round(value) % 60} s"
    scale, unit = next(((s, u) for s, u in _SMALL if abs(value) >= s), (1e-9, "ns"))
    return f"{number(value / scale)} {unit}" if value else "0 s"


_FORMATS = {
    "s": duration,
    "B": lambda v: _scaled(v, "B") if abs(v) >= 1e3 else f"{v:.0f} B",
    "1": number,
    "%": lambda v: f"{v * 100:.0f} %" if abs(v) >= 0.1 or v == 0 else f"{v * 100:.1f} %",
    "tok/s": lambda v: f"{number(v)} tok/s",
    "°C": lambda v: f"{v:.0f} °C",
}


def words(value: float | None, unit: str) -> str:
    """A value in its unit, as a person reads it; bytes and rates in decimal steps (1 GB = 10⁹ B)."""
    if value is None or not isfinite(value):
        return "–"
    return _FORMATS.get(unit, lambda v: _scaled(v, unit))(value)
