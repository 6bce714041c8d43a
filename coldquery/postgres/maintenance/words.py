"""Figures as people read them."""

from __future__ import annotations

_STEP = 1024
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


def size(count: float) -> str:
    """So many bytes, as pg_size_pretty writes them but for the fraction: 8 kB, 1.5 MB."""
    value, unit = float(count), 0
    while abs(value) >= _STEP and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    return f"{round(value, 1):g} {_UNITS[unit]}"


def number(count: float) -> str:
    """A whole number with commas: 12,000."""
    return f"{count:,.0f}"
