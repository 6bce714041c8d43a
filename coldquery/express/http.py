"""The express lane over HTTP: calls of the 2026-07-28 revision, each a POST of its own.

https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable
from functools import lru_cache

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coldquery.express.calls import Calls
from coldquery.express.frames import MODERN, CallFrame, understood

LARGEST_BODY_BYTES = 2**20
# A client that leaves is looked for from then on: most calls have ended before.
WATCH_AFTER_S = 0.02
# From then on, and so often, a call that still runs tells that it does: else a proxy may cut the connection.
PING_EVERY_S = 15.0

_VERSION = MODERN.encode()
_SINGLE = frozenset(
    (b"accept", b"content-type", b"content-length", b"mcp-protocol-version", b"mcp-method", b"mcp-name", b"traceparent")
)
_STREAM = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"connection", b"keep-alive"),
    (b"x-accel-buffering", b"no"),
]


class ExpressLane:
    """An application that answers the calls it understands, and hands all else to another as it came.

    Args:
        app: that other one. It has been through the same guards, which are in front of this.
        path: where MCP is served.
        calls: that can be answered.
    """

    def __init__(self, app: ASGIApp, path: str, calls: Calls) -> None:
        self._app = app
        self._path = path
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        messages: deque[Message] = deque()

        async def replayed() -> Message:
            return messages.popleft() if messages else await receive()

        headers = self._headers(scope)
        frame = None if headers is None else understood(await _body(receive, messages))
        if headers is None or frame is None or not self._serves(frame, headers):
            await self._app(scope, replayed, send)
        else:
            traceparent = headers.get(b"traceparent", b"").decode("latin-1")
            await _Exchange(receive, send).run(self._calls.answer(frame, None, traceparent))

    def _serves(self, frame: CallFrame, headers: dict[bytes, bytes]) -> bool:
        names_the_tool = frame.params.name.encode() == headers.get(b"mcp-name")
        return frame.is_modern and names_the_tool and self._calls.serve(frame)

    def _headers(self, scope: Scope) -> dict[bytes, bytes] | None:
        """Of a request that may be such a call, what there must be one of; None for all others."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != self._path:
            return None
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in _SINGLE:
                if name in headers:
                    return None
                headers[name] = value
        fits = (
            headers.get(b"mcp-protocol-version") == _VERSION
            and headers.get(b"mcp-method") == b"tools/call"
            and headers.get(b"content-type", b"").lower().startswith(b"application/json")
            and _accepts_both(headers.get(b"accept", b""))
            and _is_small(headers.get(b"content-length", b""))
        )
        return headers if fits else None


@lru_cache(maxsize=64)
def _accepts_both(accept: bytes) -> bool:
    kinds = {each.partition(b";")[0].strip().lower() for each in accept.split(b",")}
    return kinds >= {b"application/json", b"text/event-stream"}


def _is_small(length: bytes) -> bool:
    return length.isdigit() and len(length) < 9 and int(length) <= LARGEST_BODY_BYTES  # noqa: PLR2004 - digits


async def _body(receive: Receive, messages: deque[Message]) -> bytes:
    """The body; nothing of one that the client has not sent whole. `messages` gets what was received."""
    parts = []
    while True:
        messages.append(message := await receive())
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts) if message["type"] == "http.request" else b""


class _Exchange:
    """The answer to one request: JSON, or, after a while, a stream with the JSON at its end."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._is_stream = False
        self._is_gone = False
        self._watching: asyncio.Task[None] | None = None

    async def run(self, work: Awaitable[bytes]) -> None:
        """Answer with what comes of the work, unless the client leaves before: then the work is cancelled."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - an application runs in one
        timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._watch, task)
        try:
            body = await work
        except asyncio.CancelledError:
            if not self._is_gone:
                raise
        finally:
            timer.cancel()
            if self._watching is not None:
                self._watching.cancel()
        if self._is_gone:
            task.uncancel()
        elif self._is_stream:
            await self._continue(b"event: message\r\ndata: " + body + b"\r\n\r\n")
        else:
            await self._start((b"content-length", str(len(body)).encode()), (b"content-type", b"application/json"))
            await self._continue(body)

    def _watch(self, task: asyncio.Task[object]) -> None:
        self._watching = asyncio.get_running_loop().create_task(self._keep(task), name="express watch")

    async def _keep(self, task: asyncio.Task[object]) -> None:
        while not self._is_gone:
            try:
                async with asyncio.timeout(PING_EVERY_S):
                    self._is_gone = (await self._receive())["type"] == "http.disconnect"
            except TimeoutError:
                if not self._is_stream:
                    await self._start(*_STREAM)
                    self._is_stream = True
                await self._continue(b": ping\r\n\r\n", more_body=True)
        task.cancel()

    async def _start(self, *headers: tuple[bytes, bytes]) -> None:
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _continue(self, body: bytes, *, more_body: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more_body})
