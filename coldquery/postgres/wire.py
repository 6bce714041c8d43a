"""asyncpg's transport, which can be given a message to be sent together with the next one.

Each sending wakes PostgreSQL, and costs as much as all else that the driver does for a small statement. For all
connections that asyncpg opens in this process: its protocol has no other place for it.
"""

from __future__ import annotations

import asyncio
from typing import Any, override

import asyncpg


class Wire:
    """A transport around asyncpg's."""

    __slots__ = ("_ahead", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._ahead = b""

    def send_ahead(self, message: bytes) -> None:
        """Send this in front of what is written next, unless it is taken back before."""
        self._ahead = message

    def take_back(self) -> None:
        """Take that back, if it has not been sent."""
        self._ahead = b""

    def write(self, data: bytes | memoryview) -> None:
        """See asyncio."""
        if self._ahead:
            data = self._ahead + data
            self._ahead = b""
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Protocol(asyncpg.protocol.Protocol):
    wire: Wire

    @override
    def connection_made(self, transport: Any) -> None:
        self.wire = Wire(transport)
        super().connection_made(self.wire)


asyncpg.protocol.Protocol = _Protocol  # type: ignore[misc, assignment]  # looked up there for each connection
