"""FastMCP's and the SDK's private names, all of them, and why. fastmcp is pinned for their sake.

tests/e2e/test_fastmcp_contract.py holds each of them to what is relied on here.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from fastmcp.server.context import Context, reset_transport, set_transport
from fastmcp.server.dependencies import get_context, get_http_request
from fastmcp.server.mixins.mcp_operations import _normalize_call_tool_result
from mcp.server.context import ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp_types import CallToolRequestParams

from coldquery.telemetry.call import own_request_id
from coldquery.telemetry.tracing import name_span, trace_id

if TYPE_CHECKING:
    from fastmcp import FastMCP

STDIO_CLIENT = "stdio"
_CLIENT = "coldquery.client"
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")

# A line of the stdio transport is one JSON-RPC message; a larger one than this is refused.
LARGEST_LINE_BYTES = 64 * 2**20


async def install_schema_lookup(server: FastMCP) -> None:
    """Give the SDK each tool's schema by name.

    Without it the SDK runs a full tools/list before every tools/call, to look for parameters that travel as headers.
    """
    schemas = {tool.name: tool.parameters for tool in await server.list_tools()}
    server._mcp_server.get_tool_input_schema = schemas.get  # noqa: SLF001


async def install_direct_calls(server: FastMCP) -> None:
    """Have the SDK call our tools by themselves, without the layers of FastMCP that look for other things in a call.

    Those are its middleware, its extensions, versions of tools and mounted servers, of which this server has none. They
    take longer than all that the gateway does for a read. What names no tool of ours goes their way.
    """
    tools = {tool.name: tool for tool in await server.list_tools()}
    layers = server._on_call_tool  # noqa: SLF001

    async def call_tool(context: ServerRequestContext[Any], params: CallToolRequestParams) -> Any:
        if (tool := tools.get(params.name)) is None:
            return await layers(context, params)
        name_span(f"tools/call {params.name}")
        async with Context(server):
            result = (await tool.run(params.arguments or {})).to_mcp_result()
        return _normalize_call_tool_result(result)

    server._mcp_server.add_request_handler("tools/call", CallToolRequestParams, call_tool)  # noqa: SLF001


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
    for name, value in headers:
        if name == b"traceparent" and (told := _TRACEPARENT.fullmatch(value.decode("latin-1"))):
            return told[1]
    return own_request_id()


async def run_stdio(server: FastMCP) -> None:
    """Serve MCP on standard input and output until the input ends or the task is cancelled.

    FastMCP's own runner reads the input in a thread that can't be stopped, so a signal would hang or skip the teardown.
    """
    token = set_transport("stdio")
    try:
        async with (
            server._lifespan_manager(),  # noqa: SLF001
            stdio_server(stdin=await _input_lines()) as (incoming, outgoing),
        ):
            low_level = server._mcp_server  # noqa: SLF001
            await low_level.run(incoming, outgoing, low_level.create_initialization_options())
    finally:
        reset_transport(token)


class _Lines:
    """Standard input as the SDK wants it, an asynchronous iterator of lines, read by the event loop."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    def __aiter__(self) -> _Lines:
        return self

    async def __anext__(self) -> str:
        line = await self._line()
        if not line:
            raise StopAsyncIteration
        return line.decode("utf-8", "replace")

    async def _line(self) -> bytes:
        """The next line; of one that is too long something that is no JSON, so that it is answered with an error."""
        too_long = False
        while True:
            try:
                line = await self._reader.readline()
            except ValueError:
                too_long = True
            else:
                return b"too long" if too_long else line


async def _input_lines(source: TextIO | None = None) -> Any:
    reader = asyncio.StreamReader(limit=LARGEST_LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), source or sys.stdin
    )
    return _Lines(reader)
