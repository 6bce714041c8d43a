"""What a real MCP client reads: rows in each format, notices, errors with their place, the wall."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastmcp import Client
from mcp_types import TextContent

from tests.e2e.conftest import RunningGateway, StdioClients
from tests.e2e.test_clients import ERAS, TRANSPORTS, call, fastmcp_client
from tests.e2e.test_transactions import Agent

READ = {"action": "read", "sql": "SELECT id, name, NULL AS none, '' AS empty FROM customer ORDER BY id LIMIT 1"}


async def blocks(client: Client[Any], **arguments: Any) -> list[str]:
    result = await client.call_tool("pg_query", arguments)
    assert result.structured_content is None
    return [block.text for block in result.content if isinstance(block, TextContent)]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_rows_come_in_the_form_that_is_asked_for(
    transport: str, era: str, gateway: RunningGateway, shop_over_stdio: StdioClients
) -> None:
    async with fastmcp_client(transport, era, gateway, shop_over_stdio) as client:
        (table,) = await blocks(client, **READ)
        assert json.loads(table)["rows"] == [[1, "Ada", None, ""]]
        (objects,) = await blocks(client, **READ, format="objects")
        assert json.loads(objects)["rows"] == [{"id": 1, "name": "Ada", "none": None, "empty": ""}]
        csv, rest = await blocks(client, **READ, format="csv")
        assert csv == 'id,name,none,empty\n1,Ada,,""\n'
        assert json.loads(rest).keys() == {"row_count", "command", "duration_ms"}
        markdown, _ = await blocks(client, **READ, format="markdown")
        assert markdown == "| id | name | none | empty |\n| --- | --- | --- | --- |\n| 1 | Ada | NULL |  |\n"
        error, answer = await call(client, **READ, format="xml")
        assert error
        assert "`format` must be 'table', 'objects', 'csv' or 'markdown'" in answer["error"]["message"]


async def test_a_cut_answer_is_cut_in_each_form_and_says_so(gateway: RunningGateway) -> None:
    sql = "SELECT i, repeat('x', 1000) AS long_column_name FROM generate_series(1, 5000) AS i"
    async with Client(gateway.url) as client:
        for form in ("table", "objects", "csv", "markdown"):
            texts = await blocks(client, action="read", sql=sql, format=form, max_rows=3)
            truncated = json.loads(texts[-1])["truncated"]
            assert (truncated["by"], truncated["limit"]) == ("rows", 3)
            assert "WHERE key > last ORDER BY key" in truncated["next"]
            assert sum(text.count("x" * 1000) for text in texts) == 3
        for form in ("table", "objects"):
            (text,) = await blocks(client, action="read", sql=sql, format=form, max_rows=5000)
            assert json.loads(text)["truncated"]["by"] == "bytes"
            assert len(text) < 1.001 * 2**20
        (text,) = await blocks(client, action="read", sql="SELECT repeat('x', 90000)")
        answer = json.loads(text)
        assert answer["rows"][0][0].endswith("… [cut: 65536 of 90000 bytes]")
        assert answer["truncated"]["by"] == "cell"


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_what_json_holds_becomes_what_the_statement_wants_or_is_told_by_name(
    transport: str, era: str, gateway: RunningGateway, shop_over_stdio: StdioClients
) -> None:
    sql = "SELECT $1::date, $2::numeric, $3::int[], $4::jsonb, $5::bytea, $6::numeric, $7::int8, $8::bool, $9::text"
    params = ["2026-01-01", "123.45", [1, None], {"a": [1.5, 2**63]}, "\\xdead", 2**70, 2**53, True, None]
    back = ["2026-01-01", "123.45", [1, None], {"a": [1.5, 2**63]}, "\\xdead", str(2**70), 2**53, True, None]
    unfit: dict[str, tuple[Any, str]] = {
        "int": (True, "Parameter $1 does not fit int4: a boolean was given."),
        "bool": (1, "Parameter $1 does not fit bool: a number was given."),
        "text": ("a\0b", "Parameter $1 does not fit text: it holds a NUL character, which PostgreSQL's text can't."),
        "date[]": (["2026-01-01", 5], "Parameter $1[2] does not fit date: a number was given."),
        "uuid": ("s3cret", 'Parameter $1 does not fit uuid: invalid input syntax for type uuid: "…".'),
    }
    async with fastmcp_client(transport, era, gateway, shop_over_stdio) as client:
        (text,) = await blocks(client, action="read", sql=sql, params=params)
        assert json.loads(text)["rows"] == [back]
        (text,) = await blocks(client, action="read", sql="SELECT 1, 1")
        assert [each["name"] for each in json.loads(text)["columns"]] == ["?column?", "?column?"]
        for kind, (value, words) in unfit.items():
            error, answer = await call(client, action="read", sql=f"SELECT $1::{kind}", params=[value])
            assert (error, answer["error"]["code"], answer["error"]["message"]) == (True, "invalid_argument", words)
            assert ", such as " in answer["error"]["next"]


async def test_sessions_and_batches_answer_in_the_same_forms(ledger_gateway: RunningGateway) -> None:
    async with Client(ledger_gateway.url) as client:
        agent = Agent(client)
        await agent.begin()
        wanted = {"session_id": agent.session_id, "format": "csv"}
        csv, rest = await blocks(client, action="write", sql="SELECT 1 AS a, 'b' AS b", **wanted)
        assert csv == "a,b\n1,b\n"
        assert json.loads(rest)["session"]["state"] == "idle in transaction"
        operations = [{"sql": "SELECT 1 AS a"}, {"sql": "SET LOCAL work_mem = '1MB'"}]
        (text,) = await blocks(client, action="transaction", operations=operations, **wanted)
        first, second = json.loads(text)["results"]
        assert (first["csv"], "csv" in second) == ("a\n1\n", False)
        (nothing,) = await blocks(client, action="write", sql="SET LOCAL work_mem = '1MB'", **wanted)
        assert json.loads(nothing)["command"] == "SET"
        await agent.tx("rollback")


@pytest.mark.parametrize("era", ERAS)
async def test_an_error_shows_its_place_and_the_nearest_names(era: str, gateway: RunningGateway) -> None:
    async with Client(gateway.url, mode=era) as client:
        _, answer = await call(client, action="read", sql="SELECT *\nFROM custommer")
        # Another test's tables may be there too.
        assert answer["error"].pop("hint").startswith("There is public.customer")
        assert answer["error"] == {
            "code": "sql_error",
            "message": 'relation "custommer" does not exist',
            "sqlstate": "42P01",
            "position": 15,
            "excerpt": "LINE 2: FROM custommer\n             ^",
            "next": "Correct the name and call again; pg_schema list and describe tell what there is.",
        }


async def test_what_postgresql_says_by_the_way_is_told(ledger_gateway: RunningGateway) -> None:
    async with Client(ledger_gateway.url) as client:
        _, answer = await call(
            client, action="write", sql="DO $$ BEGIN RAISE NOTICE E'look \\u009b[31m here'; END $$", autocommit=True
        )
        assert answer["notices"] == [{"severity": "NOTICE", "message": "look \x9b[31m here"}]
        (text,) = await blocks(client, action="read", sql="SELECT E'\\u009b[31m\\u202e'::text AS hidden")
        assert '"\\u009b[31m\\u202e"' in text


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT U&\"pg\\005fread\\005ffile\"('/etc/passwd')",
        "SELECT query_to_xml('SELECT 1', true, false, '')",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT * FROM customer FOR UPDATE",
        "DO $$ BEGIN END $$",
        "ANALYZE customer",
    ],
)
async def test_what_a_read_only_transaction_would_allow_is_refused_by_name(gateway: RunningGateway, sql: str) -> None:
    async with Client(gateway.url) as client:
        error, answer = await call(client, action="read", sql=sql)
        assert (error, answer["error"]["code"]) == (True, "statement_not_allowed")
        assert answer["error"]["next"]
        assert "FOR UPDATE" not in sql or "pg_tx begin" in answer["error"]["next"]
