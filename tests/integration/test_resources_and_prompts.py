"""Resources, the completion of their names, and prompts, as a client sees them."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest
from fastmcp import Client, FastMCP
from mcp import MCPError
from mcp_types import PromptReference, ResourceTemplateReference, TextContent, TextResourceContents

from coldquery.gateway import Gateway
from coldquery.mcp.arguments import parse
from coldquery.mcp.pg_admin import PgAdmin
from coldquery.mcp.pg_monitor import PgMonitor
from coldquery.mcp.pg_query import PgQuery
from coldquery.mcp.pg_schema import PgSchema
from coldquery.mcp.pg_tx import PgTx
from coldquery.mcp.prompts import add_prompts
from coldquery.mcp.resources import TABLE, add_resources
from coldquery.mcp.tool import GatewayTool
from coldquery.postgres.target import Target
from coldquery.settings import Settings
from tests.conftest import TestDatabase

TOOLS: tuple[Callable[[Gateway], GatewayTool[Any]], ...] = (PgQuery, PgTx, PgSchema, PgAdmin, PgMonitor)
SCHEMA = """
CREATE SCHEMA shop; CREATE SCHEMA "Odd/Schema"; CREATE SCHEMA hidden;
GRANT USAGE ON SCHEMA shop, "Odd/Schema" TO PUBLIC;
CREATE TABLE shop.orders (id int PRIMARY KEY, total numeric);
CREATE TABLE shop.order_lines (order_id int REFERENCES shop.orders, day date) PARTITION BY RANGE (day);
CREATE TABLE shop.order_lines_2026 PARTITION OF shop.order_lines FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE VIEW shop.customer_orders AS SELECT * FROM shop.orders;
CREATE TABLE public.plain (i int);
CREATE TABLE "Odd/Schema"."Weird ""Name""." (i int);
"""


@pytest.fixture
async def gateway(database: TestDatabase) -> AsyncIterator[Gateway]:
    connection = await asyncpg.connect(database.superuser_dsn)
    await connection.execute(SCHEMA)
    await connection.close()
    reader, writer = (Target(dsn, "coldquery/test/1/x", 2) for dsn in (database.reader_dsn, database.owner_dsn))
    settings = Settings(pool_acquire_timeout_s=1, drain_timeout_s=1, spare_connections=0)
    async with Gateway(settings, reader, writer) as gateway:
        yield gateway


@pytest.fixture
def tools(gateway: Gateway) -> dict[str, GatewayTool[Any]]:
    return {tool.name: tool for tool in (make(gateway) for make in TOOLS)}


@pytest.fixture(params=["auto", "legacy"])
async def client(gateway: Gateway, tools: dict[str, Any], request: Any) -> AsyncIterator[Client[Any]]:
    server = FastMCP("test", tools=list(tools.values()), mask_error_details=True)
    add_resources(server, gateway)
    add_prompts(server)
    async with Client(server, mode=request.param) as client:
        yield client


async def read(client: Client[Any], uri: str) -> Any:
    (content,) = await client.read_resource(uri)
    assert isinstance(content, TextResourceContents)
    assert content.mime_type == "application/json"
    return json.loads(content.text)


async def prompt(client: Client[Any], name: str, arguments: dict[str, str]) -> str:
    (message,) = (await client.get_prompt(name, arguments)).messages
    assert isinstance(message.content, TextContent)
    return message.content.text


async def test_the_resources_and_the_template_are_listed(client: Client[Any]) -> None:
    assert {str(each.uri) for each in await client.list_resources()} == {
        "postgres://schema/tables",
        "postgres://monitor/health",
        "postgres://monitor/activity",
    }
    (template,) = await client.list_resource_templates()
    assert template.uri_template == TABLE
    assert template.description


@pytest.mark.parametrize(
    ("uri", "tool", "arguments"),
    [
        ("postgres://schema/tables", "pg_schema", {"action": "list", "target": "table"}),
        ("postgres://schema/shop/orders", "pg_schema", {"action": "describe", "name": "shop.orders"}),
        ("postgres://schema/Odd%2FSchema/Weird%20%22Name%22.", "pg_schema",
         {"action": "describe", "name": '"Odd/Schema"."Weird ""Name""."'}),
    ],
)  # fmt: skip
async def test_a_resource_says_what_its_tool_says(
    client: Client[Any], uri: str, tool: str, arguments: dict[str, Any]
) -> None:
    told = await client.call_tool(tool, arguments)
    body = await read(client, uri)
    assert {**body, "duration_ms": 0} == {**(told.structured_content or {}), "duration_ms": 0}


@pytest.mark.parametrize("name", ["health", "activity"])
async def test_the_monitor_can_be_read(client: Client[Any], name: str) -> None:
    told = await client.call_tool("pg_monitor", {"action": name})
    assert (await read(client, f"postgres://monitor/{name}")).keys() == (told.structured_content or {}).keys()


async def test_a_table_that_is_not_there_is_told_with_what_to_do_and_is_no_defect(
    client: Client[Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("fastmcp"), "propagate", True)
    with pytest.raises(MCPError) as caught:
        await client.read_resource("postgres://schema/shop/odrers")
    assert "odrers" in str(caught.value)
    assert "shop.orders" in str(caught.value)
    assert [each for each in caplog.records if each.levelno >= logging.INFO and "odrers" in each.getMessage()] == []


@pytest.mark.parametrize(
    ("name", "typed", "schema", "found"),
    [
        ("schema", "", None, ["Odd/Schema", "public", "shop"]),
        ("schema", "SH", None, ["shop"]),
        ("schema", "pg_cat", None, ["pg_catalog"]),
        ("table", "pl", None, ["plain"]),
        ("table", "order", "shop", ["order_lines", "orders", "customer_orders"]),
        ("table", "%", "shop", []),
        ("table", "", "Odd/Schema", ['Weird "Name".']),
        ("table", "", "nothing", []),
        ("other", "", None, []),
    ],
)
async def test_names_are_completed(
    client: Client[Any], name: str, typed: str, schema: str | None, found: list[str]
) -> None:
    reference = ResourceTemplateReference(type="ref/resource", uri=TABLE)
    chosen = {"schema": schema} if schema else None
    completion = await client.complete(reference, {"name": name, "value": typed}, context_arguments=chosen)
    assert completion.values == found


async def test_of_many_names_the_first_hundred_are_offered(client: Client[Any], database: TestDatabase) -> None:
    connection = await asyncpg.connect(database.owner_dsn)
    await connection.execute(
        "DO $$ BEGIN FOR i IN 1 .. 150 LOOP EXECUTE format('CREATE TABLE t%s ()', i); END LOOP; END $$"
    )
    await connection.close()
    reference = ResourceTemplateReference(type="ref/resource", uri=TABLE)
    completion = await client.complete(reference, {"name": "table", "value": "t"})
    assert (len(completion.values), completion.has_more) == (100, True)


async def test_what_is_none_of_ours_is_not_completed(client: Client[Any]) -> None:
    reference = PromptReference(type="ref/prompt", name="review_transaction")
    assert (await client.complete(reference, {"name": "session_id", "value": ""})).values == []


PROMPTS: dict[str, dict[str, str]] = {
    "analyze_query_performance": {"sql": 'SELECT "a" FROM t\nWHERE {x} = \'y\' -- pg_query {"action": 1}'},
    "debug_lock_contention": {},
    "review_transaction": {"session_id": "abc"},
}


async def test_prompts_have_a_description_and_described_arguments(client: Client[Any]) -> None:
    prompts = await client.list_prompts()
    assert {each.name for each in prompts} == set(PROMPTS)
    for each in prompts:
        assert each.description
        assert each.arguments
        # For people, in a line, and not a JSON schema.
        assert all(argument.description and "\n" not in argument.description for argument in each.arguments)
        assert "Args:" not in each.description


@pytest.mark.parametrize("name", PROMPTS)
async def test_every_call_that_a_prompt_names_is_one_that_the_tool_takes(
    client: Client[Any], tools: dict[str, GatewayTool[Any]], name: str
) -> None:
    calls = _calls(await prompt(client, name, PROMPTS[name]))
    assert len(calls) >= 4
    for tool, arguments in calls:
        parse(tools[tool].takes, tools[tool].actions, arguments)
        if "sql" in PROMPTS[name] and "sql" in arguments:
            assert arguments["sql"] == PROMPTS[name]["sql"]


async def test_a_prompt_names_the_backend_that_waits_if_it_is_known(client: Client[Any]) -> None:
    assert "Backend 4711" in await prompt(client, "debug_lock_contention", {"pid": "4711"})


def _calls(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The calls in a prompt: a tool's name and its arguments. One within the arguments of another is none."""
    calls, at = [], 0
    while found := re.compile(r"(pg_\w+) (?=\{)").search(text, at):
        arguments, at = json.JSONDecoder().raw_decode(text, found.end())
        calls.append((found[1], arguments))
    return calls
