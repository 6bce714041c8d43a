"""Rows as JSON text in which nothing hides, and cells cut to size."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

# JSON itself escapes what is below U+0020. Beside that: DEL, C1, the line and paragraph separators, what changes the
# direction of writing, and the invisible tags. https://www.unicode.org/reports/tr9, https://www.unicode.org/reports/tr36
_IN_JSON = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa6-\xa9]|\xf3\xa0[\x80\x81][\x80-\xbf]")

_ENCODER = msgspec.json.Encoder(enc_hook=str)

encode: Callable[[object], bytes] = _ENCODER.encode
"""A value as compact JSON text: a row (a tuple of decoded values) becomes an array."""


def escaped_json(text: bytes) -> bytes:
    """A JSON text without unseen characters, in their place their escapes: the same to every reader of JSON."""
    if b"\x7f" in text or not text.isascii():
        return _IN_JSON.sub(lambda found: escape(found.group().decode()).encode(), text)
    return text


def escape(character: str) -> str:
    """A character as JSON escapes it."""
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def cut_cells(row: tuple[Any, ...], limit_bytes: int) -> tuple[Any, ...]:
    """Shorten each cell whose text is longer than `limit_bytes`, and say in it how much is missing."""

    def shorten(value: Any) -> Any:
        data = value.encode() if isinstance(value, str) else encode(value)
        if len(data) <= limit_bytes:
            return value
        kept = data[:limit_bytes].decode(errors="ignore")
        return f"{kept}… [cut: {limit_bytes} of {len(data)} bytes]"

    return tuple(map(shorten, row))
