"""A TCP proxy before PostgreSQL that can cut, swallow, and refuse: the network, at its worst, on demand."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal, Self

from tests.conftest import TestDatabase


class Proxy:
    """Listens on a port of its own and passes bytes on to a Unix socket, as `mode` says.

    `pass`: as they come. `swallow`: connections stay open, bytes vanish. `refuse`: nothing listens.
    """

    def __init__(self, upstream: Path) -> None:
        self._upstream = upstream
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._mode: Literal["pass", "swallow"] = "pass"
        self.port = 0

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()

    async def listen(self) -> None:
        """Accept connections, on the same port as before."""
        self._mode = "pass"
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is not None:
            self._server.close()
            self.cut()
            await self._server.wait_closed()
            self._server = None

    def swallow(self) -> None:
        """Let every byte vanish from now on, both ways."""
        self._mode = "swallow"

    def cut(self) -> None:
        """Reset every connection."""
        for writer in self._writers:
            writer.transport.abort()

    def inspect(self, data: bytes) -> bytes:
        """What becomes of bytes that pass, whichever way: a subclass can lose some, or cut at the right moment."""
        return data

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Known from the first moment, so that a cut meets also those that are just being connected.
        self._writers.add(writer)
        up_writer: asyncio.StreamWriter | None = None
        try:
            up_reader, up_writer = await asyncio.open_unix_connection(self._upstream)
            if writer.transport.is_closing():
                return
            self._writers.add(up_writer)
            await asyncio.gather(self._pump(reader, up_writer), self._pump(up_reader, writer))
        except OSError:
            """The server itself is away."""
        finally:
            for each in filter(None, (writer, up_writer)):
                each.close()
                self._writers.discard(each)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if self._mode == "pass" and (rest := self.inspect(data)):
                    writer.write(rest)
        except OSError:
            pass
        finally:
            writer.close()


def through(proxy: Proxy, database: TestDatabase) -> str:
    """The database's DSN as the reader, through the proxy."""
    return f"postgresql://coldquery_reader@127.0.0.1:{proxy.port}/{database.name}?sslmode=disable"
