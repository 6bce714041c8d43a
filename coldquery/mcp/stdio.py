"""Standard input and output as the transport: lines of bytes, read and written by the event loop.

https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/stdio
"""

from __future__ import annotations

import asyncio
import os
import stat
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Protocol

# A line is one JSON-RPC message; a larger one than this is refused.
LARGEST_LINE_BYTES = 64 * 2**20
# How long the end waits for a client that does not read.
LAST_LINES_S = 1.0


class Lines:
    """What comes in, a line at a time."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    def __aiter__(self) -> Lines:
        return self

    async def __anext__(self) -> bytes:
        """The next line; of one that is too long something that is no JSON, so that it is answered with an error."""
        too_long = False
        while True:
            try:
                line = await self._reader.readline()
            except ValueError:
                too_long = True
                continue
            if not line:
                raise StopAsyncIteration
            return b"too long" if too_long else line


class Output(Protocol):
    """Where all that goes out is written, whole lines, whoever writes."""

    async def write(self, line: bytes) -> None:
        """Write a line with its end, and wait while the other side is behind with reading."""


@asynccontextmanager
async def standard_streams() -> AsyncIterator[tuple[Lines, Output]]:
    """Input and output of this process. Meanwhile what others print goes to standard error."""
    sys.stdout.flush()
    wire = os.dup(1)
    os.dup2(2, 1)
    try:
        async with _output(wire) as output:
            yield Lines(await _input()), output
    finally:
        os.dup2(wire, 1)
        os.close(wire)


async def _input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=LARGEST_LINE_BYTES)
    loop = asyncio.get_running_loop()
    if _is_pipe(0):
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    else:
        # A terminal or a file. The thread may be left behind in a read that nothing ends.
        threading.Thread(target=_feed, args=(reader, loop), name="standard input", daemon=True).start()
    return reader


def _feed(reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
    with suppress(RuntimeError):  # the loop has ended
        while data := os.read(0, 2**16):
            loop.call_soon_threadsafe(reader.feed_data, data)
        loop.call_soon_threadsafe(reader.feed_eof)


@asynccontextmanager
async def _output(wire: int) -> AsyncIterator[Output]:
    if not _is_pipe(wire):
        yield _File(wire)
        return
    loop = asyncio.get_running_loop()
    pipe = os.fdopen(os.dup(wire), "wb", buffering=0)
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), pipe
    )
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    try:
        yield _Pipe(writer)
    finally:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(LAST_LINES_S):
                await writer.drain()
        writer.close()


class _Pipe:
    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def write(self, line: bytes) -> None:
        self._writer.write(line)
        await self._writer.drain()


class _File:
    def __init__(self, wire: int) -> None:
        self._wire = wire

    async def write(self, line: bytes) -> None:
        while line:
            line = line[os.write(self._wire, line) :]


def _is_pipe(fd: int) -> bool:
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
