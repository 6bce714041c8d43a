"""Standard input and output as the transport: lines of bytes, read and written by the event loop.

https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/stdio
"""

from __future__ import annotations

import asyncio
import os
import stat
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol

# A line is one JSON-RPC message; a larger one than this is none.
LARGEST_LINE_BYTES = 64 * 2**20
# While so much waits for a client that does not read, nothing more is read from it.
MOST_UNREAD_BYTES = 16 * 2**20
# How long the end waits for a client that does not read.
LAST_LINES_S = 1.0


class Lines:
    """What comes in, a line at a time.

    Args:
        reader: where from.
        room: waits until the other side has read enough of what went out; whether it is still there.
    """

    def __init__(self, reader: asyncio.StreamReader, room: Callable[[], Awaitable[bool]]) -> None:
        self._reader = reader
        self._room = room

    def __aiter__(self) -> Lines:
        return self

    async def __anext__(self) -> bytes:
        """The next line; in the place of one that is too long something that is no JSON."""
        too_long = False
        while True:
            try:
                line = await self._reader.readuntil()
            except asyncio.IncompleteReadError as end:
                line = end.partial
            except OSError:  # the other side was cut off
                line = b""
            except asyncio.LimitOverrunError as overrun:
                # `readline` drops the line's end too, if that has come, so that the next line would be lost with it.
                await self._reader.readexactly(overrun.consumed)
                too_long = True
                continue
            if not line or not await self._room():
                raise StopAsyncIteration
            return b"too long" if too_long else line


class Output(Protocol):
    """Where all that goes out is written, whole lines, whoever writes."""

    async def write(self, line: bytes) -> None:
        """Write a line with its end, and wait while the other side is behind with reading.

        Nothing is told where there is no other side any more: the input ends then.
        """


@asynccontextmanager
async def standard_streams() -> AsyncIterator[tuple[Lines, Output]]:
    """Input and output of this process. Meanwhile what others print goes to standard error."""
    sys.stdout.flush()
    wire = os.dup(1)
    os.dup2(2, 1)
    try:
        async with _output(wire) as output:
            yield Lines(await _input(), output.room), output
    finally:
        # What others printed may still be in a buffer.
        with suppress(OSError):
            sys.stdout.flush()
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
        with suppress(OSError):  # the terminal has
            while data := os.read(0, 2**16):
                loop.call_soon_threadsafe(reader.feed_data, data)
        loop.call_soon_threadsafe(reader.feed_eof)


@asynccontextmanager
async def _output(wire: int) -> AsyncIterator[_Pipe | _File]:
    if not _is_pipe(wire):
        yield _File(wire)
        return
    loop = asyncio.get_running_loop()
    pipe = os.fdopen(os.dup(wire), "wb", buffering=0)
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), pipe
    )
    transport.set_write_buffer_limits(MOST_UNREAD_BYTES)
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    try:
        yield _Pipe(writer)
    finally:
        writer.close()
        try:
            async with asyncio.timeout(LAST_LINES_S):
                await writer.wait_closed()
        except TimeoutError:
            transport.abort()
        except OSError:
            pass


class _Pipe:
    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def write(self, line: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(line)
            await self.room()

    async def room(self) -> bool:
        with suppress(ConnectionError):
            await self._writer.drain()
        return not self._writer.is_closing()


class _File:
    def __init__(self, wire: int) -> None:
        self._wire = wire
        self._is_there = True

    async def write(self, line: bytes) -> None:
        try:
            while line:
                line = line[os.write(self._wire, line) :]
        except OSError:  # a terminal that has ended, a full disk
            self._is_there = False

    async def room(self) -> bool:
        return self._is_there


def _is_pipe(fd: int) -> bool:
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
