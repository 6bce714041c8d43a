"""What HTTP is served with: listening sockets, uvicorn as we need it, and the operator's own pages."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast, override

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from coldquery.errors import StartError
from coldquery.gateway import Gateway
from coldquery.web.health import health_routes
from coldquery.web.metrics import METRICS_PATH, metrics_route

# A request that has begun must have come whole after so long.
REQUEST_TIMEOUT_S = 30.0
MOST_HELD_BYTES = 2**16


def listen(host: str, port: int, setting: str) -> socket.socket:
    """A listening socket, opened before anything else so that a port in use is told at once.

    Args:
        host: an address or a name.
        port: 0 takes any free one.
        setting: that names the port, for the error.

    Raises:
        StartError: the port is in use, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        flag = setting.replace("_", "-")
        raise StartError(
            f"Can't listen on {host} port {port}: {error.strerror or error}.",
            next=f"Stop what uses the port, or choose another with --{flag} (0 takes any free one).",
        ) from None


def listen_for_pages(address: str | None) -> socket.socket | None:
    """The socket of the operator's own pages, if they have one, by the setting `metrics_address`."""
    if address is None:
        return None
    host, _, port = address.rpartition(":")
    return listen(host.strip("[]"), int(port), "metrics_address")


def server(app: ASGIApp, **options: Any) -> uvicorn.Server:
    """A server that runs until its `should_exit` is set; see uvicorn for the options."""
    return _Server(uvicorn.Config(app, http=_Protocol, ws="none", access_log=False, log_config=None, **options))


@contextlib.asynccontextmanager
async def serve_pages(gateway: Gateway, listener: socket.socket | None) -> AsyncIterator[str | None]:
    """Serve what is for the operator alone on an address of its own, if there is one: the metrics' URL is yielded."""
    if listener is None:
        yield None
        return
    app = Starlette(routes=[*health_routes(gateway), metrics_route(gateway)])
    # Somebody who asks and does not read the answer must not hold up the exit.
    pages = server(app, lifespan="off", timeout_graceful_shutdown=1)
    serving = asyncio.create_task(pages.serve(sockets=[listener]))
    host, port, *_ = listener.getsockname()
    try:
        yield f"http://{url_host(host)}:{port}{METRICS_PATH}"
    finally:
        pages.should_exit = True
        await serving


class _Protocol(HttpToolsProtocol):
    """uvicorn's, which sends a response in one piece, and does not wait for ever for the rest of a request."""

    _late: asyncio.TimerHandle | None = None
    _is_whole = True

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast("asyncio.Transport", _OnePiece(transport, self.loop)))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        super().connection_lost(exc)

    @override
    def eof_received(self) -> None:
        # With what is held back; else the loop would close what lies under it.
        self.transport.close()

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Most requests come whole, and need no timer.
        if not self._is_whole and self._late is None:
            self._late = self.loop.call_later(REQUEST_TIMEOUT_S, self._too_late)

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        # The parser leaves the space behind a value. https://www.rfc-editor.org/rfc/rfc9110#section-5.5
        super().on_header(name, value.strip(b" \t"))

    @override
    def on_message_begin(self) -> None:
        self._is_whole = False
        super().on_message_begin()

    @override
    def on_message_complete(self) -> None:
        self._is_whole = True
        self._in_time()
        super().on_message_complete()

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_late(self) -> None:
        self._late = None
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if self.transport.is_closing():
            return
        if self.pipeline or (cycle is not None and not cycle.more_body and not cycle.response_complete):
            # One before it came whole, and is owed its answer.
            self._late = self.loop.call_later(REQUEST_TIMEOUT_S, self._too_late)
            return
        if cycle is None or cycle.response_complete or not cycle.response_started:
            # https://www.rfc-editor.org/rfc/rfc9110#section-15.5.9
            self.transport.write(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        self.transport.close()


class _OnePiece:
    """A transport that sends together what is written in one turn of the loop, such as a response's head and body.

    Each sending wakes the other side.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self._held = 0

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._send)
        self._parts.append(data)
        self._held += len(data)
        # More than that is for the transport to hold, which tells who writes to wait.
        if self._held > MOST_HELD_BYTES:
            self._send()

    def close(self) -> None:
        self._send()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _send(self) -> None:
        if self._parts and not self._transport.is_closing():
            self._transport.write(b"".join(self._parts))
        self._parts.clear()
        self._held = 0


class _Server(uvicorn.Server):
    """uvicorn, but the signals are ours: it would end the process before our teardown has run."""

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def url_host(host: str) -> str:
    """A host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host
