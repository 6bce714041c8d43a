"""The gateway's end of the control socket: one JSON line in, one JSON line out, and the connection closes.

{"command": "list"}                         {"answer": [{"short_id": …, "state": …, …}, …]}
{"command": "evict", "session": SHORT_ID}   {"answer": true}, or false if no session has that short id
anything else                               {"error": …}
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import structlog

from coldquery.control.directory import control_directory, require_private
from coldquery.errors import StartError
from coldquery.gateway import Gateway

REQUEST_LIMIT_BYTES = 1024
MAX_CLIENTS = 16
# For a whole conversation. The answer is at hand, so only a client that dawdles meets it.
TIMEOUT_S = 2.0

_log = structlog.get_logger(__name__)


@contextlib.asynccontextmanager
async def serve_control(gateway: Gateway) -> AsyncIterator[None]:
    """Let this user list and evict the gateway's sessions. Where no socket can be made, a warning says so instead."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(_serving(gateway))
        except (OSError, StartError) as error:
            _log.warning("control_unavailable", reason=str(error))
        yield


@contextlib.asynccontextmanager
async def _serving(gateway: Gateway) -> AsyncIterator[None]:
    clients: set[asyncio.StreamWriter] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(clients) >= MAX_CLIENTS:
            writer.transport.abort()
            return
        clients.add(writer)
        try:
            await _converse(gateway, reader, writer)
        finally:
            clients.remove(writer)

    listener, path = _listen()
    server = await asyncio.start_unix_server(accept, sock=listener, limit=REQUEST_LIMIT_BYTES)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        server.close()
        for writer in clients:
            writer.transport.abort()
        await server.wait_closed()


def _listen() -> tuple[socket.socket, Path]:
    directory = control_directory()
    directory.mkdir(mode=0o700, exist_ok=True)
    require_private(directory)
    path = directory / f"{os.getpid()}.sock"
    # It gets its name once it listens: whoever meets one that refuses takes it for a dead gateway's and removes it.
    unready = path.with_suffix(".unready")
    unready.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(unready))
        unready.chmod(0o600)
        listener.listen()
        unready.replace(path)
    except OSError:
        listener.close()
        raise
    return listener, path


async def _converse(gateway: Gateway, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            answer = _answer(gateway, await _request(reader))
            writer.write(json.dumps(answer).encode() + b"\n")
            writer.close()
            await writer.wait_closed()
    except (ConnectionError, TimeoutError):
        """Whoever asked has gone, or does not read."""
    finally:
        writer.transport.abort()


async def _request(reader: asyncio.StreamReader) -> Any:
    try:
        return json.loads(await reader.readline())
    except (ValueError, RecursionError):  # a line that is too long is a ValueError
        return None


def _answer(gateway: Gateway, request: Any) -> dict[str, Any]:
    match request:
        case {"command": "list"}:
            return {"answer": [dataclasses.asdict(session) for session in gateway.sessions()]}
        case {"command": "evict", "session": str(short_id)}:
            evicted = gateway.evict(short_id)
            if evicted:
                _log.info("evicted_by_operator", session=short_id)
            return {"answer": evicted}
        case _:
            return {"error": "not a command that this gateway knows"}
