"""What HTTP is served with: listening sockets, uvicorn as we need it, and the operator's own pages."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any, override

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from coldquery.errors import StartError
from coldquery.gateway import Gateway
from coldquery.web.health import health_routes
from coldquery.web.metrics import METRICS_PATH, metrics_route


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
    """uvicorn's, but without the space that the parser leaves at the end of a header's value.

    Source: https://www.rfc-editor.org/rfc/rfc9110#section-5.5
    """

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value.strip(b" \t"))


class _Server(uvicorn.Server):
    """uvicorn, but the signals are ours: it would end the process before our teardown has run."""

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def url_host(host: str) -> str:
    """A host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host
