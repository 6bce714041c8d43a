"""What we rely on of FastMCP's and the SDK's private names: coldquery/mcp/internals.py."""

import inspect
from importlib.metadata import version
from itertools import product
from typing import Any, override

import pytest
from fastmcp import Client, FastMCP
from fastmcp.server.dependencies import get_context
from fastmcp.server.http import HostOriginGuardMiddleware
from mcp.server import _streamable_http_modern
from mcp.server.stdio import stdio_server
from mcp_types.version import LATEST_MODERN_VERSION
from starlette.types import Message, Receive, Scope, Send

from coldquery.mcp.internals import install_direct_calls


def test_it_is_the_version_that_we_read() -> None:
    assert version("fastmcp").startswith("4.1.")


def test_a_call_over_http_looks_schemas_up_by_name_where_we_set_the_look_up() -> None:
    assert hasattr(FastMCP("x")._mcp_server, "get_tool_input_schema")
    assert "app.get_tool_input_schema" in inspect.getsource(_streamable_http_modern)


async def test_the_stdio_runners_parts_are_there() -> None:
    server = FastMCP("x")
    async with server._lifespan_manager():
        assert server._mcp_server.create_initialization_options().server_name == "x"
    assert "stdin" in inspect.signature(stdio_server).parameters


async def test_a_call_knows_its_connection_which_has_an_id_room_for_state_and_an_end() -> None:
    server = FastMCP("x")
    ended: list[str] = []

    @server.tool
    def look() -> str:
        connection = get_context().session._connection
        connection.state["mark"] = "set"
        connection.exit_stack.callback(ended.append, connection.state["mark"])
        return str(connection.session_id)

    async with Client(server, mode="legacy") as client:
        assert (await client.call_tool("look")).data == "None"
        assert ended == []
    assert ended == ["set"]


async def test_a_tool_is_called_past_fastmcps_layers_and_an_unknown_one_through_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = FastMCP("x")
    through: list[str] = []
    layers = server.call_tool

    async def call_tool(name: str, *arguments: Any, **more: Any) -> Any:
        through.append(name)
        return await layers(name, *arguments, **more)

    @server.tool
    def look() -> str:
        return str(get_context().fastmcp.name)

    monkeypatch.setattr(server, "call_tool", call_tool)
    versions: list[str] = []
    await install_direct_calls(server, versions.append)
    async with Client(server) as client:
        assert (await client.call_tool("look")).data == "x"
        assert through == []
        assert versions == [LATEST_MODERN_VERSION]
        assert (await client.call_tool("nothing", raise_on_error=False)).is_error
        assert set(through) == {"nothing"}
        assert len(versions) == 1


class Watched(dict[str, Any]):
    """A scope that knows what was looked at."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self.seen: set[str] = set()

    @override
    def __getitem__(self, key: str) -> Any:
        self.seen.add(key)
        return super().__getitem__(key)

    @override
    def get(self, key: str, default: Any = None) -> Any:
        self.seen.add(key)
        return super().get(key, default)


async def _verdict(guard: HostOriginGuardMiddleware, scope: Scope) -> int:
    statuses: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def receive() -> Message:
        raise AssertionError("the guard read the body")

    await guard(scope, receive, send)
    return statuses[0]


async def test_the_guards_verdict_is_made_of_scheme_server_host_and_origin_alone() -> None:
    passed: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        passed.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    guard = HostOriginGuardMiddleware(app, allowed_hosts=["db.example"], allowed_origins=None, mode="strict")
    hosts = (b"db.example", b"localhost:1", b"10.0.0.1", b"evil.example", b"", None)
    origins = (b"http://db.example", b"http://localhost:2", b"http://evil.example", b"null", b"", None)
    others: list[dict[str, Any]] = [
        {},
        {"path": "/x", "method": "GET", "client": ("10.9.9.9", 9), "query_string": b"host=evil.example"},
        {"http_version": "1.0", "root_path": "/r", "extensions": {}, "state": {"host": "evil.example"}},
    ]
    more = (
        (b"x-forwarded-host", b"db.example"),
        (b"forwarded", b"host=db.example"),
        (b"referer", b"http://evil.example"),
    )
    verdicts = set()
    for host, origin, scheme, server in product(
        hosts, origins, ("http", "https"), (("127.0.0.1", 1), ("10.0.0.1", 1), None)
    ):
        named = [(name, value) for name, value in ((b"host", host), (b"origin", origin)) if value is not None]
        found = set()
        for other, headers in product(others, (named, [*more, *named], [*named, *more])):
            seen = Watched({"type": "http", "scheme": scheme, "server": server, "headers": headers, **other})
            found.add(await _verdict(guard, seen))
            assert seen.seen <= {"type", "scheme", "server", "headers"}
        assert len(found) == 1, named
        verdicts |= found
    assert verdicts == {200, 403, 421}
    assert passed


async def test_of_headers_that_come_twice_the_guard_looks_at_the_first() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    guard = HostOriginGuardMiddleware(app, allowed_hosts=[], allowed_origins=None, mode="strict")
    good, bad = (b"host", b"localhost"), (b"host", b"evil.example")
    scope = {"type": "http", "scheme": "http", "server": None}
    assert await _verdict(guard, {**scope, "headers": [good, bad]}) == 200
    assert await _verdict(guard, {**scope, "headers": [bad, good]}) == 421
