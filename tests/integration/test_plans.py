"""Plans of real queries on filled tables, read; and indexes that are only imagined."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from fastmcp import Client, FastMCP
from mcp_types import TextContent

from coldquery.gateway import Gateway
from coldquery.mcp.pg_query import PgQuery
from coldquery.mcp.pg_tx import PgTx
from coldquery.postgres.target import Target
from coldquery.settings import Settings
from tests.conftest import TestDatabase

SCHEMA = """
CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL, status text NOT NULL, note text);
INSERT INTO orders
SELECT i, i % 5000, CASE WHEN i % 1000 = 0 THEN 'lost' ELSE 'paid' END, repeat('x', 50)
FROM generate_series(1, 50000) AS i;
ANALYZE orders;
GRANT SELECT ON orders TO PUBLIC;
"""

WANTED = "CREATE INDEX ON orders (customer_id)"
USELESS = "CREATE INDEX ON orders (note)"


@pytest.fixture
async def gateway(database: TestDatabase) -> AsyncIterator[Gateway]:
    connection = await asyncpg.connect(database.owner_dsn)
    await connection.execute(SCHEMA)
    await connection.close()
    reader, writer = (Target(dsn, "coldquery/test/1/x", 2) for dsn in (database.reader_dsn, database.owner_dsn))
    settings = Settings(pool_acquire_timeout_s=1, drain_timeout_s=1, spare_connections=0)
    async with Gateway(settings, reader, writer) as gateway:
        yield gateway


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[Client[Any]]:
    async with Client(FastMCP("test", tools=[PgQuery(gateway), PgTx(gateway)])) as client:
        yield client


async def explain(client: Client[Any], sql: str, **more: Any) -> dict[str, Any]:
    arguments = {"action": "explain", "sql": sql, **more}
    result = await client.call_tool("pg_query", arguments, raise_on_error=False)
    (block,) = result.content
    assert isinstance(block, TextContent)
    body: dict[str, Any] = json.loads(block.text)
    assert more.get("format") == "objects" or result.structured_content == body
    return body


async def test_a_slow_query_is_read_down_to_the_index_that_it_lacks(client: Client[Any]) -> None:
    body = await explain(client, "SELECT id FROM orders WHERE customer_id = $1", params=[7], analyze=True)
    kinds = [each["kind"] for each in body["reading"]]
    assert kinds[:2] == ["slowest", "seq_scan_filter"]
    assert "CREATE INDEX ON public.orders (customer_id)" in body["reading"][1]["advice"]
    assert body["plan"].startswith("Seq Scan on public.orders  (cost=")
    assert "Rows Removed by Filter: 49990" in body["plan"]
    assert body["execution_ms"] > 0
    assert body["planning_ms"] > 0
    assert "session" not in body


async def test_the_index_that_was_read_off_is_used_once_it_is_there(
    client: Client[Any], database: TestDatabase
) -> None:
    sql = "SELECT id FROM orders WHERE customer_id = 7 AND status = 'lost'"
    advice = (await explain(client, sql, analyze=True))["reading"][1]["advice"]
    connection = await asyncpg.connect(database.owner_dsn)
    await connection.execute(advice.partition("A candidate: ")[2].partition(". ")[0])
    await connection.close()
    body = await explain(client, sql, analyze=True)
    assert "Index" in body["plan"]
    assert "seq_scan_filter" not in [each["kind"] for each in body["reading"]]


async def test_a_sort_that_spills_is_told_with_the_memory_that_it_needs(client: Client[Any]) -> None:
    begun = await client.call_tool("pg_tx", {"action": "begin"})
    session = {"session_id": begun.data["session_id"]}
    arguments = {"action": "write", "sql": "SET LOCAL work_mem = '64kB'", **session}
    await client.call_tool("pg_query", arguments)
    sql = "SELECT note, id FROM orders ORDER BY note, id DESC"
    body = await explain(client, sql, analyze=True, **session)
    spilt = next(each for each in body["reading"] if each["kind"] == "sort_spill")
    assert "sorted on disk" in spilt["figure"]
    assert "work_mem = '64kB'" in body["plan"].replace("work_mem = 64kB", "work_mem = '64kB'")
    needed = spilt["advice"].partition(" in its")[0]
    await client.call_tool("pg_query", {**arguments, "sql": needed})
    body = await explain(client, sql, analyze=True, **session)
    assert "sort_spill" not in [each["kind"] for each in body["reading"]]
    assert body["session"]["state"] == "idle in transaction"


async def test_an_analyzed_write_in_a_session_is_read_and_undone(client: Client[Any]) -> None:
    begun = await client.call_tool("pg_tx", {"action": "begin"})
    session = {"session_id": begun.data["session_id"]}
    body = await explain(client, "DELETE FROM orders WHERE note = 'none'", analyze=True, **session)
    assert body["plan"].startswith("Delete on public.orders")
    body = await explain(client, "SELECT count(*) FROM orders", analyze=True, **session)
    assert "rows=50000" in body["plan"]


async def test_postgresqls_own_json_comes_if_it_is_asked_for(client: Client[Any]) -> None:
    body = await explain(client, "SELECT 1", format="objects")
    assert body["plan_json"][0]["Plan"]["Node Type"] == "Result"
    assert body["plan"].startswith("Result  (cost=")
    assert body["reading"] == []
    refused = await explain(client, "SELECT 1", format="csv")
    assert refused["error"]["code"] == "invalid_argument"


async def test_an_error_in_the_statement_is_told_as_in_any_other(client: Client[Any]) -> None:
    error = (await explain(client, "SELECT nothing FROM orders"))["error"]
    assert (error["code"], error["sqlstate"], error["position"]) == ("sql_error", "42703", 8)


async def test_an_error_is_told_the_same_where_indexes_are_imagined(client: Client[Any]) -> None:
    error = (await explain(client, "SELECT nothing FROM orders", hypothetical_indexes=[WANTED]))["error"]
    assert (error["code"], error["sqlstate"], error["position"]) == ("sql_error", "42703", 8)


async def test_a_view_with_rules_has_a_plan_for_each(client: Client[Any], database: TestDatabase) -> None:
    connection = await asyncpg.connect(database.owner_dsn)
    await connection.execute("CREATE TABLE log (i int); CREATE RULE r AS ON DELETE TO orders DO ALSO DELETE FROM log")
    await connection.close()
    body = await explain(client, "DELETE FROM orders")
    assert "Delete on public.log" in body["plan"]
    assert "Delete on public.orders" in body["plan"]


# HypoPG, which imagines indexes. It is an extension of its own, which the embedded server does not have.


@pytest.fixture
async def hypopg(database: TestDatabase) -> None:
    connection = await asyncpg.connect(database.superuser_dsn)
    try:
        if not await connection.fetchval("SELECT count(*) FROM pg_available_extensions WHERE name = 'hypopg'"):
            pytest.skip("this PostgreSQL has no hypopg")
        await connection.execute('CREATE SCHEMA "Odd"; GRANT USAGE ON SCHEMA "Odd" TO PUBLIC')
        await connection.execute('CREATE EXTENSION hypopg SCHEMA "Odd"')
    finally:
        await connection.close()


@pytest.mark.usefixtures("hypopg")
async def test_imagined_indexes_are_tried_and_forgotten(client: Client[Any]) -> None:
    sql = "SELECT id FROM orders WHERE customer_id = $1"
    for _ in range(3):
        body = await explain(client, sql, params=[7], hypothetical_indexes=[USELESS, WANTED])
        assert body["used"] == [WANTED]
        assert body["cost_with"] < body["cost_without"] / 2
        assert "btree_orders_customer_id" in body["plan"]
        assert "Seq Scan" in (await explain(client, sql, params=[7]))["plan"]


@pytest.mark.usefixtures("hypopg")
async def test_an_imagined_index_on_what_is_not_there_is_postgresqls_error(client: Client[Any]) -> None:
    error = (await explain(client, "SELECT 1", hypothetical_indexes=["CREATE INDEX ON nothing (a)"]))["error"]
    assert error["code"] == "sql_error"


async def test_without_the_extension_it_is_refused_with_what_to_do(client: Client[Any]) -> None:
    error = (await explain(client, "SELECT 1", hypothetical_indexes=[WANTED]))["error"]
    assert error["code"] == "invalid_argument"
    assert "CREATE EXTENSION hypopg" in error["next"]


@pytest.mark.parametrize(
    "more",
    [
        {"hypothetical_indexes": ["DROP TABLE orders"]},
        {"hypothetical_indexes": [f"{WANTED}; {USELESS}"]},
        {"hypothetical_indexes": ["SELECT ' index '"]},
        {"hypothetical_indexes": [WANTED], "analyze": True},
        {"hypothetical_indexes": [WANTED], "session_id": "x"},
        {"hypothetical_indexes": []},
    ],
)
async def test_what_can_not_be_imagined_is_refused(client: Client[Any], more: dict[str, Any]) -> None:
    error = (await explain(client, "SELECT 1", **more))["error"]
    assert error["code"] in {"invalid_argument", "statement_not_allowed"}
