"""FastMCP's and the SDK's private names, all of them, and why. fastmcp is pinned for their sake.

tests/e2e/test_fastmcp_contract.py holds each of them to what is relied on here.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any

from fastmcp.server.context import Context, reset_transport, set_transport
from fastmcp.server.dependencies import get_context, get_http_request
from fastmcp.server.http import HostOriginGuardMiddleware
from fastmcp.server.mixins.mcp_operations import _normalize_call_tool_result
from mcp.server.context import ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp_types import CallToolRequestParams

from coldquery.mcp.stdio import Output
from coldquery.telemetry.call import request_of
from coldquery.telemetry.tracing import name_span, trace_id

if TYPE_CHECKING:
    from fastmcp import FastMCP
    from starlette.types import ASGIApp, Receive, Scope, Send

STDIO_CLIENT = "stdio"
_CLIENT = "coldquery.client"
MOST_KNOWN = 100


async def install_schema_lookup(server: FastMCP) -> None:
    """Give the SDK each tool's schema by name.

    Without it the SDK runs a full tools/list before every tools/call, to look for parameters that travel as headers.
    """
    schemas = {tool.name: tool.parameters for tool in await server.list_tools()}
    server._mcp_server.get_tool_input_schema = schemas.get  # noqa: SLF001


async def install_direct_calls(server: FastMCP, on_call: Callable[[str], object]) -> None:
    """Have the SDK call our tools by themselves, without the layers of FastMCP that look for other things in a call.

    Those are its middleware, its extensions, versions of tools and mounted servers, of which this server has none. They
    take longer than all that the gateway does for a read. What names no tool of ours goes their way.

    Args:
        server: that has the tools.
        on_call: told the protocol version of each call to them.
    """
    tools = {tool.name: tool for tool in await server.list_tools()}
    layers = server._on_call_tool  # noqa: SLF001

    async def call_tool(context: ServerRequestContext[Any], params: CallToolRequestParams) -> Any:
        if (tool := tools.get(params.name)) is None:
            return await layers(context, params)
        on_call(context.protocol_version)
        name_span(f"tools/call {params.name}")
        async with Context(server):
            result = (await tool.run(params.arguments or {})).to_mcp_result()
        return _normalize_call_tool_result(result)

    server._mcp_server.add_request_handler("tools/call", CallToolRequestParams, call_tool)  # noqa: SLF001


class Guard:
    """An application behind FastMCP's check of the headers Host and Origin, against DNS rebinding.

    Args:
        app: all that is served.
        hosts: names under which it may be asked, beside this machine's.
        origins: whose pages may ask.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str], origins: Sequence[str]) -> None:
        self._app = app
        self._check = HostOriginGuardMiddleware(
            self._passed, allowed_hosts=hosts, allowed_origins=origins or None, mode="strict"
        )
        # What it looks at, of requests that it has let through: it takes as long as all else before a tool.
        self._known: set[tuple[object, ...]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "http" and _guarded_by(scope) in self._known:
            await self._app(scope, receive, send)
        else:
            await self._check(scope, receive, send)

    async def _passed(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and len(self._known) < MOST_KNOWN:
            self._known.add(_guarded_by(scope))
        await self._app(scope, receive, send)


def _guarded_by(scope: Scope) -> tuple[object, ...]:
    asked = [each for each in scope["headers"] if each[0] in {b"host", b"origin"}]
    return (scope["scheme"], scope.get("server"), *asked)


def client_of_call(on_end: Callable[[str], object]) -> str | None:
    """Who makes the call that runs now, where their end can be known; then `on_end` is called with the same name, once.

    A handshake-era client over HTTP ends when it deletes its session, or has been idle for too long. On standard input
    there is one client, whose end is that of the input, and for `run_stdio`'s caller to tell. A client of the
    2026-07-28 revision over HTTP has no end.
    """
    context = get_context()
    if context.transport == "stdio":
        return STDIO_CLIENT
    connection = context.session._connection  # noqa: SLF001
    if connection.session_id is None:
        return None
    client: str | None = connection.state.get(_CLIENT)
    if client is None:
        # Not the session's own id, which is a secret.
        client = connection.state[_CLIENT] = secrets.token_hex(8)
        connection.exit_stack.callback(on_end, client)
    return client


def request_id() -> str:
    """What joins the events of the call that runs now: its client's trace id, where it told one, else one of our own.

    A client tells it in the request's `_meta`, or in the header of that name. https://www.w3.org/TR/trace-context/
    """
    if found := trace_id():
        return found
    try:
        headers = get_http_request().scope["headers"]
    except RuntimeError:  # on standard input
        headers = ()
    return request_of(*(value.decode("latin-1") for name, value in headers if name == b"traceparent"))


async def run_stdio(server: FastMCP, lines: AsyncIterator[bytes], output: Output) -> None:
    """Serve MCP on a pair of streams until the first ends or the task is cancelled.

    FastMCP's own runner reads standard input in a thread that can't be stopped, so a signal would hang or skip the
    teardown, and goes through threads for each line that it writes.
    """
    token = set_transport("stdio")
    try:
        async with (
            server._lifespan_manager(),  # noqa: SLF001
            stdio_server(stdin=_Incoming(lines), stdout=_Outgoing(output)) as (incoming, outgoing),  # type: ignore[arg-type]
        ):
            low_level = server._mcp_server  # noqa: SLF001
            await low_level.run(incoming, outgoing, low_level.create_initialization_options())
    finally:
        reset_transport(token)


class _Incoming:
    """Lines as the SDK reads them, from what it takes for a file."""

    def __init__(self, lines: AsyncIterator[bytes]) -> None:
        self._lines = lines

    def __aiter__(self) -> _Incoming:
        return self

    async def __anext__(self) -> str:
        return (await anext(self._lines)).decode("utf-8", "replace")


class _Outgoing:
    """Lines as the SDK writes them, to what it takes for a file."""

    def __init__(self, output: Output) -> None:
        self._output = output

    async def write(self, line: str) -> None:
        await self._output.write(line.encode())

    async def flush(self) -> None:
        pass
