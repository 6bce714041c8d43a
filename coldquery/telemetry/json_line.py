"""JSON for the lines of logs and of the audit, in which half a character stops nothing."""

import json
from collections.abc import Callable
from typing import Any

import msgspec


def encoder(hook: Callable[[Any], str]) -> Callable[[Any], bytes]:
    """Encodes a value as JSON.

    Args:
        hook: makes text of what JSON has no form for.
    """
    quick = msgspec.json.Encoder(enc_hook=hook).encode

    def encode(value: Any) -> bytes:
        try:
            return quick(value)
        except UnicodeEncodeError:  # half a character, which JSON can escape and UTF-8 can't hold
            return json.dumps(value, default=hook).encode()

    return encode
