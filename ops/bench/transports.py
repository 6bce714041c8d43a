"""What carries the client's requests and answers: keep-alive HTTP, and a process's pipes."""

import asyncio
import re
from typing import cast, override

from ops.bench.lanes import Lane

# The answer's id stands at its begin or at its end. Rows have no column of that name.
_ID = re.compile(rb'"id": ?(\d+)')
_NEAR = 80


class HttpLane(asyncio.Protocol):
    """A keep-alive connection; an answer is as long as its head says, or ends with its last chunk."""

    def __init__(self, number: int) -> None:
        self.lane = Lane(number, self._write)
        self.head = b""
        self._transport: asyncio.Transport | None = None
        self._begun = b""
        self._parts: list[bytes] = []
        self._missing = 0  # bytes; below 0 when they are chunks

    @classmethod
    async def open(cls, port: int, number: int) -> "HttpLane":
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(lambda: cls(number), "127.0.0.1", port))[1]

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are none by inheritance.
        self._transport = cast("asyncio.Transport", transport)

    def _write(self, request: bytes) -> None:
        assert self._transport is not None
        self._transport.write(request)

    @override
    def data_received(self, data: bytes) -> None:
        if not self._parts:
            head, whole, data = (self._begun + data).partition(b"\r\n\r\n")
            self._begun = b"" if whole else head
            if not whole:
                return None
            self.head = head = head.lower()
            if not head.startswith((b"http/1.1 200", b"http/1.1 202")):
                return self.lane.failed(f"the server refused: {head.decode()!r} {data[:500]!r}")
            _, _, length = head.partition(b"content-length:")
            self._missing = int(length.split(b"\r\n", 1)[0]) if length else -1
            if head.startswith(b"http/1.1 202"):
                self._missing = 0
        self._parts.append(data)
        if self._missing >= 0:
            self._missing -= len(data)
            if self._missing > 0:
                return None
        elif not (data if len(data) >= 7 else b"".join(self._parts)).endswith(b"\r\n0\r\n\r\n"):
            return None
        body = data if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        return self.lane.answered(body)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.lane.failed(f"the server closed the connection: {exc}")

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Pipe(asyncio.Protocol):
    """One end of a pipe; `lost` when it is closed."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


class Lines(Pipe):
    """The output of a process: JSON-RPC messages, a line each, for whoever waits for the answer of that number."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes: dict[int, Lane] = {}
        self._parts: list[bytes] = []

    @override
    def data_received(self, data: bytes) -> None:
        if b"\n" not in data:
            self._parts.append(data)
            return
        *lines, rest = data.split(b"\n")
        if self._parts:
            lines[0] = b"".join((*self._parts, lines[0]))
        self._parts = [rest] if rest else []
        for line in lines:
            found = _ID.search(line[:_NEAR]) or _ID.search(line[-_NEAR:])
            lane = self.lanes.get(int(found[1])) if found else None
            if lane is not None:
                lane.answered(line)

    @override
    def eof_received(self) -> None:
        for lane in self.lanes.values():
            lane.failed("the server closed its output")
