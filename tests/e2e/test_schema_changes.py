"""A real MCP client changes a schema, in a session and without."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastmcp import Client

from tests.e2e.conftest import RunningGateway
from tests.e2e.test_transactions import Agent


@pytest.fixture
async def agent(ledger_gateway: RunningGateway) -> AsyncIterator[Agent]:
    async with Client(ledger_gateway.url) as client:
        yield Agent(client)


async def change(agent: Agent, **arguments: Any) -> dict[str, Any]:
    return await agent.call("pg_schema", autocommit=True, **arguments)


async def columns(agent: Agent, name: str, **arguments: Any) -> list[str]:
    answer = await agent.call("pg_schema", action="describe", name=name, **arguments)
    return [each["name"] for each in answer["objects"][0]["columns"]]


async def test_a_table_is_made_changed_and_dropped_by_arguments(agent: Agent) -> None:
    made = await change(
        agent,
        action="create",
        target="table",
        name="note",
        columns=[
            {"name": "id", "type": "int", "primary_key": True},
            {"name": "Body", "type": "text", "default": "'-'"},
        ],
    )
    assert made["command"] == "CREATE TABLE"
    assert made["sql"] == "CREATE TABLE note (id int, \"Body\" text DEFAULT '-', PRIMARY KEY (id))"
    steps: list[dict[str, Any]] = [
        {"change": "add_column", "columns": [{"name": "at", "type": "timestamptz"}]},
        {"change": "rename_column", "columns": [{"name": "Body"}], "new_name": "body"},
        {"change": "set_type", "columns": [{"name": "id", "type": "bigint"}]},
        {"change": "drop_column", "columns": [{"name": "at"}]},
        {"change": "comment", "comment": "it's ours"},
        {"change": "comment", "columns": [{"name": "id"}], "comment": "key"},
    ]
    for step in steps:
        assert "error" not in await change(agent, action="alter", target="table", name="note", **step), step
    assert await columns(agent, "note") == ["id", "body"]
    index = {"action": "create", "target": "index", "table": "note", "columns": [{"name": "body"}], "name": "note_body"}
    assert (await change(agent, **index, concurrently=True))["command"] == "CREATE INDEX"
    assert (await change(agent, action="alter", target="table", name="note", change="rename", new_name="memo"))[
        "outcome"
    ]
    assert "error" not in await change(agent, action="create", sql="CREATE VIEW memos AS SELECT * FROM memo")
    refused = (await change(agent, action="drop", target="table", name="memo"))["error"]
    assert (refused["sqlstate"], refused["detail"]) == ("2BP01", "view memos depends on table memo")
    assert "cascade: true" in refused["next"]
    dropped = await change(agent, action="drop", target="table", name="memo", cascade=True)
    assert dropped["notices"][0]["message"] == "drop cascades to view memos"
    again = await change(agent, action="drop", target="table", name="memo", if_exists=True)
    assert again["outcome"] == "committed"


async def test_an_index_is_dropped_as_it_was_made_and_one_that_a_key_needs_is_not(agent: Agent) -> None:
    column = [{"name": "id", "type": "int"}]
    assert "error" not in await change(agent, action="create", target="table", name="pad", columns=column)
    index = {"table": "pad", "columns": [{"name": "id"}], "unique": True, "concurrently": True, "if_not_exists": True}
    for _ in range(2):
        assert "error" not in await change(agent, action="create", target="index", name="pad_id", **index)
    dropped = await change(agent, action="drop", target="index", name="pad_id", concurrently=True)
    assert dropped["sql"] == "DROP INDEX CONCURRENTLY pad_id"
    key = {"columns": [{"name": "key", "type": "int", "primary_key": True}]}
    assert "error" not in await change(agent, action="alter", target="table", name="pad", change="add_column", **key)
    described = await agent.call("pg_schema", action="describe", name="pad")
    assert described["objects"][0]["primary_key"] == ["key"]
    refused = (await change(agent, action="drop", target="index", name="pad_pkey"))["error"]
    assert (refused["sqlstate"], "detail" in refused, "cascade" in refused["next"]) == ("2BP01", False, False)
    await change(agent, action="drop", target="table", name="pad")


async def test_columns_of_views_are_renamed_and_spoken_of(agent: Agent) -> None:
    await change(agent, action="create", target="view", sql="CREATE VIEW seen AS SELECT id FROM entry")
    await change(agent, action="create", sql="CREATE MATERIALIZED VIEW kept AS SELECT id FROM entry")
    for target, name in (("view", "seen"), ("materialized_view", "kept")):
        about = {"action": "alter", "target": target, "name": name, "columns": [{"name": "id"}]}
        assert "error" not in await change(agent, **about, change="comment", comment="which")
        assert "error" not in await change(agent, **about, change="rename_column", new_name="key")
        (item,) = (await agent.call("pg_schema", action="describe", name=name))["objects"]
        assert item["columns"][0].items() >= {"name": "key", "comment": "which"}.items()
        about["columns"] = [{"name": "key"}]
        assert "error" not in await change(agent, **about, change="comment", comment="")
        assert "error" not in await change(agent, action="drop", target=target, name=name)


async def test_a_refused_drop_in_a_session_tells_what_depends_and_costs_nothing(agent: Agent) -> None:
    await agent.begin()
    inside = {"session_id": agent.session_id}
    for sql in ("CREATE TABLE base (i int)", "CREATE VIEW above AS SELECT i FROM base"):
        assert "error" not in await agent.call("pg_schema", action="create", sql=sql, **inside)
    drop = {"action": "drop", "target": "table", "name": "base", **inside}
    refused = await agent.call("pg_schema", **drop)
    assert refused["error"]["detail"] == "view above depends on table base"
    assert refused["session"]["state"] == "idle in transaction"
    assert await columns(agent, "above", **inside) == ["i"]
    assert "error" not in await agent.call("pg_schema", **drop, cascade=True)
    await agent.tx("rollback")


async def test_in_a_session_a_change_is_a_part_of_the_transaction(agent: Agent) -> None:
    await agent.begin()
    inside = {"session_id": agent.session_id}
    made = await agent.call(
        "pg_schema", action="create", sql="CREATE TABLE draft (i int, j text)", target="table", **inside
    )
    assert made["session"]["state"] == "idle in transaction"
    assert await columns(agent, "draft", **inside) == ["i", "j"]
    assert "error" in await agent.call("pg_schema", action="describe", name="draft")
    index = {"action": "create", "target": "index", "table": "draft", "columns": [{"name": "i"}]}
    refused = (await agent.call("pg_schema", **index, concurrently=True, **inside))["error"]
    assert refused["code"] == "statement_not_allowed"
    made = await agent.call("pg_schema", **index, **inside)
    assert (made["command"], made["session"]["state"]) == ("CREATE INDEX", "idle in transaction")
    await agent.tx("rollback")
    assert "error" in await agent.call("pg_schema", action="describe", name="draft")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ({"action": "create", "sql": "DROP TABLE entry"}, "statement_not_allowed", "is the drop of a table"),
        ({"action": "drop", "sql": "DELETE FROM entry"}, "statement_not_allowed", "changes no schema"),
        ({"action": "alter", "target": "view", "sql": "ALTER TABLE t ADD x int"}, "statement_not_allowed", "a table"),
        ({"action": "create", "target": "table"}, "invalid_argument", "`name` is missing"),
        ({"action": "create", "target": "function", "name": "f"}, "invalid_argument", "`sql` is missing"),
        ({"action": "alter", "target": "table", "name": "entry"}, "invalid_argument", "`change` is missing"),
        ({"action": "alter", "target": "table", "name": "entry", "change": "rename"}, "invalid_argument", "`new_name`"),
        ({"action": "drop", "name": "entry"}, "invalid_argument", "`target` is missing"),
        ({"action": "create", "target": "table", "name": "x", "columns": [{"name": "a", "type": "int; DROP TABLE x"}]},
         "statement_not_allowed", "syntax error"),
        ({"action": "drop", "target": "table", "name": "entry", "columns": []}, "invalid_argument", "has no place"),
        ({"action": "drop", "sql": "DROP TABLE entry", "cascade": True}, "invalid_argument", "`cascade` has no place"),
        ({"action": "drop", "target": "table", "name": ["entry", "other"]}, "invalid_argument", "2 names"),
        ({"action": "drop", "sql": "DROP TABLE entry; DROP TABLE other"}, "statement_not_allowed", "2 statements"),
    ],
)  # fmt: skip
async def test_a_bad_change_is_told_and_changes_nothing(
    agent: Agent, arguments: dict[str, Any], code: str, words: str
) -> None:
    error = (await change(agent, **arguments))["error"]
    assert error["code"] == code
    assert words in error["message"]
    assert error["next"]


async def test_a_change_must_be_asked_for(agent: Agent) -> None:
    error = (await agent.call("pg_schema", action="drop", target="table", name="entry"))["error"]
    assert error["code"] == "write_denied"
