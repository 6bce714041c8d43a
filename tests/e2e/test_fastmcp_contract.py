"""What we rely on of FastMCP's and the SDK's private names: coldquery/mcp/internals.py."""

import inspect
from importlib.metadata import version
from typing import Any

import pytest
from fastmcp import Client, FastMCP
from fastmcp.server.dependencies import get_context
from mcp.server import _streamable_http_modern
from mcp.server.stdio import stdio_server
from mcp_types.version import LATEST_MODERN_VERSION

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
