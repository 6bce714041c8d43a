"""The express lane over HTTP: calls of the 2026-07-28 revision, each a POST of its own.

https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coldquery.express.frames import MODERN, Replies, understood
from coldquery.telemetry import tracing
from coldquery.telemetry.call import request_of

if TYPE_CHECKING:
    from coldquery.mcp.rendering import ToolReply
    from coldquery.mcp.tool import GatewayTool

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
        tools: that may be called.
        replies: how they are answered.
    """

    def __init__(self, app: ASGIApp, path: str, tools: Iterable[GatewayTool[Any]], replies: Replies) -> None:
        self._app = app
        self._path = path
        self._tools = {each.name.encode(): each for each in tools}
        self._replies = replies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        headers = self._headers(scope)
        if headers is None:
            await self._app(scope, receive, send)
            return
        messages: deque[Message] = deque()
        tool, frame = self._tools[headers[b"mcp-name"]], understood(await _body(receive, messages))
        if frame is None or not frame.is_modern or not frame.is_for(tool):

            async def replayed() -> Message:
                return messages.popleft() if messages else await receive()

            await self._app(scope, replayed, send)
            return
        request = request_of(frame.params.meta.traceparent, headers.get(b"traceparent", b"").decode("latin-1"))
        work = tool.reply(frame.params.arguments or {}, "express", request=request, client=None)
        await _Exchange(receive, send).run(work, partial(self._replies.encode, frame))

    def _headers(self, scope: Scope) -> dict[bytes, bytes] | None:
        """Of a request that may be such a call, what there must be one of; None for all others."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != self._path or tracing.wanted():
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
            and headers.get(b"mcp-name") in self._tools
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
        message = await receive()
        messages.append(message)
        if message["type"] != "http.request":
            return b""
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


class _Exchange:
    """The answer to one request: JSON, or, after a while, a stream with the JSON at its end."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._is_stream = False
        self._is_gone = False
        self._watching: asyncio.Task[None] | None = None

    async def run(self, work: Awaitable[ToolReply], encode: Callable[[ToolReply], bytes]) -> None:
        """Answer with what comes of the work, unless the client leaves before: then the work is cancelled."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - an application runs in one
        timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._watch, task)
        try:
            body = encode(await work)
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
            body = b"event: message\r\ndata: " + body + b"\r\n\r\n"
            await self._send({"type": "http.response.body", "body": body})
        else:
            length = str(len(body)).encode()
            headers = [(b"content-length", length), (b"content-type", b"application/json")]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._send({"type": "http.response.body", "body": body})

    def _watch(self, task: asyncio.Task[object]) -> None:
        self._watching = asyncio.get_running_loop().create_task(self._keep(task), name="express watch")

    async def _keep(self, task: asyncio.Task[object]) -> None:
        while True:
            try:
                async with asyncio.timeout(PING_EVERY_S):
                    message = await self._receive()
            except TimeoutError:
                await self._ping()
            else:
                if message["type"] == "http.disconnect":
                    self._is_gone = True
                    task.cancel()
                    return

    async def _ping(self) -> None:
        if not self._is_stream:
            await self._send({"type": "http.response.start", "status": 200, "headers": _STREAM})
            self._is_stream = True
        await self._send({"type": "http.response.body", "body": b": ping\r\n\r\n", "more_body": True})
