"""Real MCP clients read real data, over both transports and in both protocol eras."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx2
import pytest
from fastmcp import Client
from mcp.client.session import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from coldquery.mcp.server import INSTRUCTIONS
from tests.conftest import TestDatabase
from tests.e2e.conftest import COLDQUERY, RunningGateway, StdioClients, clean_environment

ERAS = ["auto", "legacy"]
TRANSPORTS = ["http", "stdio"]
TOOLS = ["pg_query", "pg_tx", "pg_schema", "pg_admin", "pg_monitor"]


@asynccontextmanager
async def fastmcp_client(
    transport: str, era: str, gateway: RunningGateway, over_stdio: StdioClients
) -> AsyncIterator[Client[Any]]:
    if transport == "stdio":
        yield await over_stdio(era)
    else:
        async with Client(gateway.url, mode=era) as client:
            yield client


def body(result: Any) -> dict[str, Any]:
    """The JSON of a tool result's one text block."""
    (block,) = result.content
    answer: dict[str, Any] = json.loads(block.text)
    return answer


async def call(client: Client[Any], **arguments: Any) -> tuple[bool, dict[str, Any]]:
    result = await client.call_tool("pg_query", arguments, raise_on_error=False)
    return result.is_error, body(result)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_lists_the_tool_and_reads_rows(
    transport: str, era: str, gateway: RunningGateway, shop_over_stdio: StdioClients
) -> None:
    async with fastmcp_client(transport, era, gateway, shop_over_stdio) as client:
        assert [tool.name for tool in await client.list_tools()] == TOOLS
        error, answer = await call(client, action="read", sql="SELECT * FROM customer WHERE id = $1", params=[1])
        assert not error
        assert answer["columns"] == [
            {"name": "id", "type": "int4"},
            {"name": "name", "type": "text"},
            {"name": "balance", "type": "numeric"},
            {"name": "since", "type": "date"},
        ]
        assert answer["rows"] == [[1, "Ada", "12.50", "2026-01-31"]]
        assert (answer["row_count"], answer["command"]) == (1, "SELECT")
        assert "truncated" not in answer


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_every_bad_call_is_an_error_result_with_a_code_and_a_next_step(
    transport: str, era: str, gateway: RunningGateway, shop_over_stdio: StdioClients
) -> None:
    bad: list[tuple[dict[str, Any], str, str]] = [
        ({"action": "read", "sql": "DELETE FROM customer"}, "read_only", "read-only transaction"),
        ({"action": "read", "sql": "CREATE TABLE x (i int)"}, "read_only", "read-only transaction"),
        ({"action": "read", "sql": "SELECT 1; SELECT 2"}, "statement_not_allowed", "several statements"),
        ({"action": "read", "sql": "-- nothing"}, "statement_not_allowed", "no statement"),
        ({"action": "read", "sql": "SELECT * FROM custommer"}, "sql_error", "does not exist"),
        ({"action": "read", "sql": "SELECT $1::int", "params": ["x"]}, "invalid_argument", "$1"),
        ({"action": "read", "sql": "SELECT $1::int"}, "invalid_argument", "1 parameter"),
        ({"action": "write", "sql": "DELETE FROM customer"}, "write_denied", "`session_id`"),
        ({"action": "reed", "sql": "SELECT 1"}, "invalid_argument", "`action`"),
        ({"action": "read"}, "invalid_argument", "`sql` is missing"),
        ({"action": "read", "sql": "SELECT 1", "parms": []}, "invalid_argument", "did you mean `params`?"),
        ({"action": "read", "sql": 7}, "invalid_argument", "`sql`"),
        ({"action": "read", "sql": "SELECT 1", "max_rows": 0}, "invalid_argument", "`max_rows`"),
        ({"action": "read", "sql": "SELECT pg_sleep(9)", "timeout_ms": 50}, "statement_timeout", "timeout"),
    ]
    async with fastmcp_client(transport, era, gateway, shop_over_stdio) as client:
        for arguments, code, words in bad:
            error, answer = await call(client, **arguments)
            told = answer["error"]
            assert error, arguments
            assert told["code"] == code, (arguments, told)
            assert words in told["message"], (arguments, told)
            assert told["next"], arguments
        error, answer = await call(client, action="read", sql="SELECT count(*) FROM customer")
        assert (error, answer["rows"]) == (False, [[2]])


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_cancelled_call_stops_its_statement(
    transport: str, era: str, gateway: RunningGateway, shop: TestDatabase, shop_over_stdio: StdioClients
) -> None:
    observer = await asyncpg.connect(shop.superuser_dsn)

    async def until_sleeping(wanted: int) -> None:
        sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        while await observer.fetchval(sql) != wanted:
            await asyncio.sleep(0.01)

    async with fastmcp_client(transport, era, gateway, shop_over_stdio) as client:
        sleeping = asyncio.create_task(call(client, action="read", sql="SELECT pg_sleep(60)", timeout_ms=60_000))
        async with asyncio.timeout(10):
            await until_sleeping(1)
        sleeping.cancel()
        await asyncio.wait([sleeping])
        async with asyncio.timeout(1):
            await until_sleeping(0)
        assert (await call(client, action="read", sql="SELECT 1"))[1]["rows"] == [[1]]
    await observer.close()


@pytest.mark.parametrize("era", ERAS)
async def test_many_calls_at_once_are_all_answered(era: str, gateway: RunningGateway) -> None:
    async with Client(gateway.url, mode=era) as client:
        answers = await asyncio.gather(
            *(call(client, action="read", sql="SELECT $1::int", params=[n]) for n in range(60))
        )
    assert [answer["rows"] for _, answer in answers] == [[[n]] for n in range(60)]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_sdks_own_client_reads_too(transport: str, gateway: RunningGateway, shop: TestDatabase) -> None:
    environment = clean_environment({"COLDQUERY_DSN": shop.reader_dsn})
    parameters = StdioServerParameters(command=COLDQUERY, args=["serve", "--transport", "stdio"], env=environment)
    streams: Any = streamable_http_client(gateway.url) if transport == "http" else stdio_client(parameters)
    async with streams as (incoming, outgoing, *_), ClientSession(incoming, outgoing) as session:
        await session.initialize()
        result = await session.call_tool("pg_query", {"action": "read", "sql": "SELECT 42"})
        assert body(result)["rows"] == [[42]]


def modern(method: str, params: dict[str, Any], name: str | None = None) -> dict[str, Any]:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": method,
        **({"Mcp-Name": name} if name else {}),
    }
    return {
        "json": {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}},
        "headers": headers,
    }


async def test_raw_http_reads_in_one_request_without_any_handshake(gateway: RunningGateway) -> None:
    arguments = {"action": "read", "sql": "SELECT 'é' AS letter"}
    async with httpx2.AsyncClient() as http:
        response = await http.post(
            gateway.url, **modern("tools/call", {"name": "pg_query", "arguments": arguments}, "pg_query")
        )
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/json")
    (block,) = response.json()["result"]["content"]
    assert json.loads(block["text"])["rows"] == [["é"]]
    assert "structuredContent" not in response.json()["result"]


async def test_an_error_says_the_same_in_structured_content_and_in_text(gateway: RunningGateway) -> None:
    arguments = {"action": "read", "sql": "SELECT 1/0"}
    async with httpx2.AsyncClient() as http:
        response = await http.post(
            gateway.url, **modern("tools/call", {"name": "pg_query", "arguments": arguments}, "pg_query")
        )
    result = response.json()["result"]
    assert result["isError"] is True
    assert json.loads(result["content"][0]["text"]) == result["structuredContent"]


async def test_the_tool_list_says_how_long_it_may_be_kept_and_is_small(gateway: RunningGateway) -> None:
    async with httpx2.AsyncClient() as http:
        result = (await http.post(gateway.url, **modern("tools/list", {}))).json()["result"]
    assert result["ttlMs"] == 300_000
    assert result["cacheScope"] == "private"
    assert len(json.dumps(result, separators=(",", ":"), ensure_ascii=False)) / 4 <= 2_000
    assert len(INSTRUCTIONS) / 4 <= 250
    assert [tool["name"] for tool in result["tools"] if tool["annotations"]["readOnlyHint"]] == ["pg_monitor"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_a_foreign_host_or_origin_is_turned_away(
    gateway: RunningGateway, headers: dict[str, str], status: int
) -> None:
    request = modern("tools/list", {})
    request["headers"] |= headers
    async with httpx2.AsyncClient() as http:
        assert (await http.post(gateway.url, **request)).status_code == status


@pytest.mark.parametrize(("page", "key"), [("livez", "status"), ("readyz", "status"), ("health", "status")])
async def test_the_health_pages_answer(gateway: RunningGateway, page: str, key: str) -> None:
    async with httpx2.AsyncClient() as http:
        response = await http.get(f"{gateway.base}/{page}")
    assert response.status_code == 200
    assert response.json()[key] == "ok"


async def test_space_around_a_headers_value_is_not_part_of_it(gateway: RunningGateway) -> None:
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
    params = {"name": "pg_query", "arguments": {"action": "read", "sql": "SELECT 1"}, "_meta": meta}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    host, port = gateway.base.removeprefix("http://").split(":")
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        "Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\n"
        "Mcp-Method: tools/call\r\nMcp-Name: \t pg_query \t \r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(head.encode() + body)
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
    finally:
        writer.close()
