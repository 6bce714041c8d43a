"""Numbers as Grafana writes them, by the units that the dashboards use."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

_BEHIND = {"reqps": " req/s", "ops": " ops/s", "cpm": " / min", "short": ""}


def shown(value: float, unit: str) -> str:
    """The value with its unit, in as few digits as tell it."""
    return _WRITTEN[unit](value) if unit in _WRITTEN else _plain(value) + _BEHIND[unit]


def _plain(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def _seconds(value: float) -> str:
    if value in {0, inf}:
        return "0 s" if value == 0 else "more"
    for factor, name in ((3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms")):
        if value >= factor:
            return f"{_plain(value / factor)} {name}"
    return f"{_plain(value * 1e6)} µs"


def _bytes(value: float) -> str:
    for factor, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if value >= factor:
            return f"{_plain(value / factor)} {name}"
    return f"{_plain(value)} B"


_WRITTEN: dict[str, Callable[[float], str]] = {
    "s": _seconds,
    "bytes": _bytes,
    "percentunit": lambda value: f"{value * 100:.2g} %" if value < 0.1 else f"{value:.0%}".replace("%", " %"),
    "bool_yes_no": lambda value: "Yes" if value else "No",
}
