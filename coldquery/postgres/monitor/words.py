"""Figures as people say them."""

from __future__ import annotations

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_MINUTE_S = 60
_HOUR_S = 3600
_DAY_S = 86_400


def size(count: float) -> str:
    """Bytes in the unit that leaves fewest digits: 1536 is 1.5 KiB."""
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:  # noqa: PLR2004 - four digits are too many
        count /= 1024
        unit += 1
    return f"{count:.3g} {_UNITS[unit]}"


def span(seconds: float) -> str:
    """A time to the second, minute, hour or day."""
    for length, unit in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def percent(share: float) -> str:
    """A share of one: 0.875 is 87.5 %."""
    return f"{share * 100:.3g} %"


def number(count: int, word: str, words: str | None = None) -> str:
    """So many of them: 1 table, 2 tables, 1,000 indexes."""
    return f"{count:,} {word if count == 1 else words or word + 's'}"
