"""asyncpg's transport, which can be given messages to be sent together with the next one.

Each sending wakes PostgreSQL, and costs as much as all else that the driver does for a small statement. For all
connections that asyncpg opens in this process: its protocol has no other place for it.
"""

from __future__ import annotations

import asyncio
import struct
from functools import cache
from typing import Any, override

import asyncpg

_SYNC = b"S" + struct.pack("!i", 4)


class Wire:
    """A transport around asyncpg's."""

    __slots__ = ("_ahead", "_behind", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._ahead = self._behind = b""

    def send_around(self, ahead: bytes, behind: bytes = b"") -> None:
        """Send these with what is written next, in front of it and before the Sync that ends it, unless taken back."""
        self._ahead = ahead
        self._behind = behind

    def take_back(self) -> bool:
        """Take that back, if it has not been sent. Returns whether it has been."""
        sent = not self._ahead
        self._ahead = self._behind = b""
        return sent

    def write(self, data: bytes | memoryview) -> None:
        """See asyncio."""
        if self._behind:
            data = bytes(data).removesuffix(_SYNC) + self._behind + _SYNC
        if self._ahead:
            data = self._ahead + data
            self.take_back()
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Protocol(asyncpg.protocol.Protocol):
    wire: Wire

    @override
    def connection_made(self, transport: Any) -> None:
        self.wire = Wire(transport)
        super().connection_made(self.wire)


@cache
def unanswered(*statements: str) -> bytes:
    """Parse, Bind and Execute of statements without parameters and rows, without the Sync that asks for an answer.

    Source: https://www.postgresql.org/docs/current/protocol-message-formats.html
    """
    return b"".join(
        kind + struct.pack("!i", len(body) + 4) + body
        for sql in statements
        for kind, body in (
            (b"P", b"\0" + sql.encode() + b"\0" + struct.pack("!h", 0)),
            (b"B", b"\0\0" + struct.pack("!hhh", 0, 0, 0)),
            (b"E", b"\0" + struct.pack("!i", 0)),
        )
    )


asyncpg.protocol.Protocol = _Protocol  # type: ignore[misc, assignment]  # looked up there for each connection
