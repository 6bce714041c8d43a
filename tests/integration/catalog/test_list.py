"""`pg_schema list`: what there is, by kind, schema and pattern, a page at a time."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import pytest
from fastmcp import Client

from tests.conftest import TestDatabase
from tests.integration.catalog.conftest import Ask

ODD = '"Odd ""Schema""."'


def names(items: list[dict[str, Any]]) -> list[str]:
    return [each["name"] for each in items]


async def test_without_arguments_the_schemas_with_counts(ask: Ask) -> None:
    answer = await ask(action="list")
    assert names(answer["schemas"]) == [ODD, "crowd", "public", "shop"]
    shop = answer["schemas"][3]
    assert shop == {
        "name": "shop", "tables": 9, "partitions": 4, "views": 1, "materialized_views": 1, "sequences": 3,
        "indexes": 6, "functions": 7, "types": 5, "comment": "What is sold"
    } | {name: shop[name] for name in ("functions", "types")}  # fmt: skip
    assert answer["total"] == 4
    assert "truncated" not in answer
    sized = await ask(action="list", target="schema", include_sizes=True)
    assert all(each["size_bytes"] >= 0 for each in sized["schemas"])


async def test_tables_with_row_estimates_comments_and_folded_partitions(ask: Ask) -> None:
    answer = await ask(action="list", target="table", schema="shop")
    tables = {each["name"]: each for each in answer["tables"]}
    assert tables["shop.customers"] == {"name": "shop.customers", "rows": 100, "columns": 7, "comment": "Who buys"}
    assert tables["shop.events"] == {
        "name": "shop.events", "kind": "partitioned table", "rows": 60, "columns": 3, "partitions": 3
    }  # fmt: skip
    assert "shop.events_2025" not in tables
    assert tables["shop.remote"]["kind"] == "foreign table"
    assert tables["shop.scratch"]["persistence"] == "unlogged"
    assert "rows" not in tables["shop.scratch"]  # never analysed
    sized = await ask(action="list", target="table", schema="shop", pattern="events", include_sizes=True)
    assert sized["tables"][0]["size_bytes"] > 3 * 8192


async def test_a_dropped_column_counts_no_more(ask: Ask, populated: TestDatabase) -> None:
    connection = await asyncpg.connect(populated.superuser_dsn)
    await connection.execute(
        'CREATE SCHEMA dropping; CREATE TABLE dropping.t (a int, "B" int, c int, "........pg.dropped.9" int);'
        'ALTER TABLE dropping.t DROP a, DROP "B"; CREATE TABLE dropping.u (); CREATE TABLE dropping.v (a int, b int)'
    )
    try:
        answer = await ask(action="list", target="table", schema="dropping")
        assert [each["columns"] for each in answer["tables"]] == [2, 0, 2]
    finally:
        await connection.execute("DROP SCHEMA dropping CASCADE")
        await connection.close()


async def test_ten_thousand_tables_would_fit_one_screen(ask: Ask) -> None:
    answer = await ask(action="list", target="table")
    assert answer["total"] == 2012
    assert len(answer["tables"]) == 50
    assert list(answer["by_schema"].items())[:2] == [("crowd", 2000), ("shop", 9)]
    assert answer["truncated"] == {
        "by": "rows",
        "limit": 50,
        "next": "Pass offset=50 for more, or narrow by schema or pattern or detail=names.",
    }
    assert len(json.dumps(answer)) < 5_000
    every = await ask(action="list", target="table", detail="names", limit=2000, offset=0, schema="crowd")
    assert (len(every["tables"]), every["tables"][6]) == (2000, "crowd.t_0007")
    assert "truncated" not in every


async def test_pages_follow_one_another_and_end(ask: Ask) -> None:
    seen: list[str] = []
    while True:
        answer = await ask(action="list", target="table", schema="shop", detail="names", limit=4, offset=len(seen))
        seen += answer["tables"]
        if "truncated" not in answer:
            break
    assert len(seen) == len(set(seen)) == answer["total"] == 9
    past = await ask(action="list", target="table", schema="shop", offset=9)
    assert (past["tables"], past["next"]) == ([], "offset=9 is past the end of 9.")


async def test_a_long_page_keeps_its_order(ask: Ask) -> None:
    page = {"schema": "crowd", "limit": 120, "offset": 30}
    answer = await ask(action="list", target="table", **page)
    assert names(answer["tables"]) == [f"crowd.t_{i:04}" for i in range(31, 151)]
    assert answer["truncated"]["next"].startswith("Pass offset=150 for more")
    every = await ask(action="list", target="table", limit=2000, offset=5)
    crowd = [each for each in every["tables"] if each["name"].startswith("crowd.")]
    assert names(crowd) == [f"crowd.t_{i:04}" for i in range(5, 2001)]
    assert {tuple(each) for each in crowd} == {("name", "columns")}
    functions = await ask(action="list", target="function", schema="pg_catalog", detail="names", limit=2000)
    assert len(set(functions["functions"])) == 2000


async def test_each_kind_is_found_by_its_comment(ask: Ask) -> None:
    for target, comment, name in (
        ("schema", "is sold", "shop"),
        ("index", "for the search", "shop.customers_lower_idx"),
        ("function", "of one", "shop.total(integer)"),
        ("trigger", "when", "stamp_orders"),
        ("type", "how far", "shop.status"),
        ("extension", "procedural", "plpgsql"),
        ("view", "of age", "shop.adults"),
        ("materialized_view", "per buyer", "shop.totals"),
        ("sequence", "of the queue", "shop.ticket"),
    ):
        schema = {"schema": "shop"} if target in {"index", "function", "trigger", "type"} else {}
        answer = await ask(action="list", target=target, pattern=comment, **schema)
        assert names(next(iter(answer.values()))) == [name], target


async def test_sizes_come_with_names_too(ask: Ask) -> None:
    answer = await ask(
        action="list", target="index", schema="shop", pattern="events_pkey", detail="names", include_sizes=True
    )
    (index,) = answer["indexes"]
    assert index == {"name": "shop.events_pkey", "table": "shop.events", "size_bytes": index["size_bytes"]}
    assert index["size_bytes"] >= 3 * 8192  # of its partitions
    (sequence,) = (await ask(action="list", target="sequence", pattern="ticket", include_sizes=True))["sequences"]
    assert sequence["size_bytes"] == 8192


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("custom", ["shop.customers"]),
        ("CUSTOM", ["shop.customers"]),
        ("%notes", ["shop.event_notes"]),
        ("t_note", ["shop.event_notes"]),
        ("who b", ["shop.customers"]),
        ("t_19%", [f"crowd.t_19{i:02}" for i in range(100)]),
        ('"Name"', ['"Odd ""Schema""."."Weird ""Name""."']),
        ("\\ {", ['"Odd ""Schema""."."Weird ""Name""."']),
        ("%\\", []),
        ("nothing like it", []),
    ],
)
async def test_a_pattern_is_looked_for_in_names_and_comments(ask: Ask, pattern: str, found: list[str]) -> None:
    answer = await ask(action="list", target="table", pattern=pattern, detail="names")
    assert answer["tables"] == found


async def test_without_a_target_a_schema_has_all_that_has_rows(ask: Ask) -> None:
    answer = await ask(action="list", schema="shop", pattern="t%s")
    assert [(each["name"], each["kind"]) for each in answer["relations"]] == [
        ("shop.things", "table"),
        ("shop.totals", "materialized view"),
    ]


async def test_each_other_kind_has_a_list(ask: Ask) -> None:
    views = await ask(action="list", target="view", schema="shop")
    assert views["views"] == [{"name": "shop.adults", "columns": 2, "comment": "Of age"}]
    views = await ask(action="list", target="materialized_view", schema="shop")
    assert views["materialized_views"] == [
        {"name": "shop.totals", "columns": 2, "unpopulated": True, "comment": "Orders per buyer"}
    ]
    sequences = await ask(action="list", target="sequence", schema="shop")
    assert sequences["sequences"] == [
        {"name": "shop.customers_id_seq", "owned_by": "shop.customers.id"},
        {"name": "shop.orders_id_seq", "owned_by": "shop.orders.id"},
        {"name": "shop.ticket", "comment": "Of the queue"},
    ]
    indexes = await ask(action="list", target="index", schema="shop", pattern="customers_")
    by_name = {each["name"]: each for each in indexes["indexes"]}
    assert by_name["shop.customers_email_key"]["definition"] == "unique btree (email)"
    assert by_name["shop.customers_lower_idx"]["table"] == "shop.customers"
    partitioned = await ask(action="list", target="index", schema="shop", pattern="events_pkey")
    assert partitioned["indexes"][0]["partitions"] == 3
    functions = await ask(action="list", target="function", schema="shop", pattern="t%")
    assert [(each["name"], each.get("kind")) for each in functions["functions"]] == [
        ("shop.tidy()", "procedure"),
        ("shop.total(integer)", None),
        ("shop.total(integer, date)", None),
    ]
    triggers = await ask(action="list", target="trigger", schema="shop")
    assert triggers["triggers"] == [
        {"name": "stamp_events", "table": "shop.events", "timing": "before", "events": "insert", "for_each": "row",
         "function": "shop.stamp"},
        {"name": "stamp_orders", "table": "shop.orders", "timing": "before", "events": "insert or update",
         "for_each": "row", "function": "shop.stamp", "enabled": "never", "comment": "When"},
    ]  # fmt: skip
    types = await ask(action="list", target="type", schema="shop")
    kinds = {each["name"]: each["kind"] for each in types["types"]}
    assert kinds == {
        "shop.address": "composite", "shop.email": "domain", "shop.span": "range", "shop.status": "enum"
    }  # fmt: skip
    extensions = await ask(action="list", target="extension")
    assert "plpgsql" in names(extensions["extensions"])
    roles = await ask(action="list", target="role")
    assert {"coldquery_owner", "coldquery_reader"} <= set(names(roles["roles"]))
    assert "pg_monitor" in names((await ask(action="list", target="role", pattern="pg_mon"))["roles"])


@pytest.mark.parametrize("target", ["table", "function", "type", "trigger", "sequence", "index"])
async def test_in_full_each_is_as_described(ask: Ask, target: str) -> None:
    answer = await ask(action="list", target=target, schema="shop", detail="full", limit=2)
    items = next(iter(answer.values()))
    described = (await ask(action="describe", name=items[0]["name"], target=target, schema="shop"))["objects"]
    assert items[0] in described


@pytest.mark.parametrize(("target", "name"), [("schema", "shop"), ("extension", "plpgsql"), ("role", "pg_monitor")])
async def test_in_full_what_has_no_schema_is_as_described_too(ask: Ask, target: str, name: str) -> None:
    answer = await ask(action="list", target=target, pattern=name, detail="full")
    (item,) = next(iter(answer.values()))
    assert [item] == (await ask(action="describe", name=name, target=target))["objects"]
    short = await ask(action="describe", name=name, target=target, detail="summary")
    assert short["objects"][0].items() <= item.items()


async def test_a_schema_is_described_with_the_counts_that_it_is_listed_with(ask: Ask) -> None:
    (listed,) = (await ask(action="list", target="schema", pattern="shop", include_sizes=True))["schemas"]
    (full,) = (await ask(action="list", target="schema", pattern="shop", detail="full", include_sizes=True))["schemas"]
    assert listed.items() <= full.items()
    assert full["owner"]
    (ticket,) = (await ask(action="list", target="sequence", pattern="ticket", detail="full", include_sizes=True))[
        "sequences"
    ]
    assert (ticket["size_bytes"], ticket["start"]) == (8192, 100)


async def test_the_systems_own_are_listed_when_they_are_named(ask: Ask) -> None:
    answer = await ask(action="list", target="table", schema="pg_catalog", pattern="pg_cla%", detail="names")
    assert answer["tables"] == ["pg_catalog.pg_class"]
    assert (await ask(action="list", target="function", schema="pg_catalog"))["total"] > 3000


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"schema": "shpo", "target": "table"}, "There is no schema shpo. There is shop."),
        ({"schema": '"SHOP"', "target": "type"}, 'There is no schema "SHOP". There is shop.'),
        ({"schema": "two words"}, "is not a name as SQL writes it"),
        ({"target": "tables"}, "`target` must be"),
        ({"target": "role", "schema": "shop"}, "`schema` has no place with target=role"),
        ({"target": "type", "include_sizes": True}, "`include_sizes` has no place with target=type"),
        ({"offset": -1}, "`offset` is -1"),
        ({"limit": 0}, "`limit` is 0"),
        ({"limit": 21, "detail": "full"}, "with detail=full it must lie between 1 and 20"),
        ({"name": "shop"}, "`name` has no place in action=list"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_a_next_step(ask: Ask, arguments: Any, told: str) -> None:
    error = (await ask(action="list", **arguments))["error"]
    assert error["code"] == "invalid_argument"
    assert told in error["message"]
    assert error["next"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "`name` is missing"),
        ({"name": []}, "`name`"),
        ({"name": ["x"] * 21}, "`name`"),
        ({"name": "a.b.c"}, "has 3 parts"),
        ({"name": "two words"}, "is not a name as SQL writes it"),
        ({"name": "shop.orders", "schema": "crowd"}, "names one schema, and `schema` another"),
        ({"name": "orders", "limit": 1}, "`limit` has no place in action=describe"),
    ],
)
async def test_a_description_of_nothing_is_refused(ask: Ask, arguments: Any, told: str) -> None:
    error = (await ask(action="describe", **arguments))["error"]
    assert error["code"] == "invalid_argument"
    assert told in error["message"]
    assert error["next"]


async def test_the_tool_costs_a_client_few_tokens(client: Client[Any]) -> None:
    tool = next(each for each in await client.list_tools() if each.name == "pg_schema")
    shown = tool.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"meta"})
    assert len(json.dumps(shown, ensure_ascii=False, separators=(",", ":"))) <= 1_800
    assert shown["inputSchema"]["properties"]["name"] == {"type": ["string", "array"], "items": {"type": "string"}}
