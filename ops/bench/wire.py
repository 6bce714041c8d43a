"""How MCP requests are written: HTTP of the 2026-07-28 revision, HTTP of the handshake era, and lines of stdio."""

import asyncio
import json
import subprocess
from typing import Any, Protocol, override

from ops.bench.lanes import Lane, ask, gather
from ops.bench.transports import HttpLane, Lines, Pipe

# Servers close connections that nobody used for so long, uvicorn and Node.js after 5 s; ours are opened anew before.
KEPT_S = 2
MODERN, HANDSHAKE = "2026-07-28", "2025-06-18"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}
_INITIALIZE = {
    "protocolVersion": HANDSHAKE,
    "capabilities": {},
    "clientInfo": {"name": "coldquery-bench", "version": "1"},
}


class Client(Protocol):
    """Talks to one server."""

    def encode(self, number: int, method: str, params: dict[str, Any]) -> bytes: ...

    async def lanes(self, count: int) -> list[Lane]: ...

    async def close(self) -> None: ...


def http_request(headers: list[str], message: dict[str, Any]) -> bytes:
    body = json.dumps(message).encode()
    lines = [
        "POST /mcp HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        *headers,
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def modern_request(number: int, method: str, params: dict[str, Any]) -> bytes:
    """A whole HTTP request that carries one MCP 2026-07-28 request."""
    name = params.get("name")
    headers = [f"MCP-Protocol-Version: {MODERN}", f"Mcp-Method: {method}", *([f"Mcp-Name: {name}"] if name else [])]
    return http_request(headers, _message(number, method, {**params, "_meta": META}))


class HttpClient:
    """Keep-alive connections to a server, as many as were ever wanted at once."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lanes: list[HttpLane] = []

    def encode(self, number: int, method: str, params: dict[str, Any]) -> bytes:
        return modern_request(number, method, params)

    async def lanes(self, count: int) -> list[Lane]:
        for number in range(1, count + 1):
            if number > len(self._lanes):
                self._lanes.append(await HttpLane.open(self._port, number))
            elif self._lanes[number - 1].lane.idle_s() > KEPT_S:
                self._lanes[number - 1].close()
                self._lanes[number - 1] = await HttpLane.open(self._port, number)
        return [each.lane for each in self._lanes[:count]]

    async def start(self) -> None:
        """What goes before the first request of a client."""

    async def close(self) -> None:
        for lane in self._lanes:
            lane.close()
        self._lanes.clear()
        await asyncio.sleep(0)


class HandshakeClient(HttpClient):
    """The same in one session of the handshake era; each connection has a request number of its own."""

    _headers: tuple[str, ...] = ()

    @override
    def encode(self, number: int, method: str, params: dict[str, Any]) -> bytes:
        return http_request(list(self._headers), _message(number, method, params))

    @override
    async def start(self) -> None:
        await self.lanes(1)
        first = self._lanes[0]
        await answer(first.lane, self.encode(0, "initialize", _INITIALIZE))
        self._headers = (f"MCP-Protocol-Version: {HANDSHAKE}",)
        _, given, session = first.head.partition(b"mcp-session-id:")
        if given:
            self._headers += (f"Mcp-Session-Id: {session.split(b'\r\n', 1)[0].decode().strip()}",)
        await answer(first.lane, http_request(list(self._headers), _INITIALIZED))


class LineClient:
    """The one client of a process, over its standard input and output."""

    def __init__(self) -> None:
        self._lines, self._written = Lines(), Pipe()
        self._input: asyncio.ReadTransport | None = None
        self._output: asyncio.WriteTransport | None = None

    @classmethod
    async def open(cls, process: "subprocess.Popen[bytes]") -> "LineClient":
        self, loop = cls(), asyncio.get_running_loop()
        self._input, _ = await loop.connect_read_pipe(lambda: self._lines, process.stdout)
        self._output, _ = await loop.connect_write_pipe(lambda: self._written, process.stdin)
        return self

    def encode(self, number: int, method: str, params: dict[str, Any]) -> bytes:
        return json.dumps(_message(number, method, params)).encode() + b"\n"

    async def lanes(self, count: int) -> list[Lane]:
        assert self._output is not None
        known = self._lines.lanes
        for number in range(len(known) + 1, count + 1):
            known[number] = Lane(number, self._output.write)
        return [known[number] for number in range(1, count + 1)]

    async def start(self) -> None:
        (lane,) = await self.lanes(1)
        await answer(lane, self.encode(1, "initialize", _INITIALIZE))
        assert self._output is not None
        self._output.write(json.dumps(_INITIALIZED).encode() + b"\n")

    async def close(self) -> None:
        """Both pipes are closed: by the loop, which must not find the descriptors gone."""
        for transport in (self._output, self._input):
            if transport is not None:
                transport.close()
        async with asyncio.timeout(5):
            await self._lines.lost.wait()
            await self._written.lost.wait()


_INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def _message(number: int, method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


async def answer(lane: Lane, request: bytes, patience_s: float = 60) -> bytes:
    """Ask one thing."""
    answers: list[bytes] = []
    await gather([lane], lambda _: ask(request, answers), 0, patience_s)
    return answers[0]
