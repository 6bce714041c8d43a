"""`pg_schema describe`: everything about an object, by whatever name."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from tests.conftest import TestDatabase
from tests.integration.catalog.conftest import Ask

ODD = '"Odd ""Schema""."."Weird ""Name""."'


def by_name(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in items}


async def test_a_tables_columns_say_all_that_an_insert_must_know(describe: Ask) -> None:
    table = await describe("shop.customers")
    assert (table["kind"], table["comment"], table["rows"]) == ("table", "Who buys", 100)
    columns = by_name(table["columns"])
    assert columns["id"] == {"name": "id", "type": "integer", "not_null": True, "identity": "always"}
    assert columns["email"] == {
        "name": "email", "type": "shop.email", "domain_of": "text", "comment": "Where to write to"
    }  # fmt: skip
    assert columns["name"] == {"name": "name", "type": "text", "not_null": True, "collation": '"C"'}
    assert columns["shout"]["generated"] == "upper(name)"
    assert "default" not in columns["shout"]
    assert list(columns)[-1] == "referrer"
    status = by_name((await describe("shop.orders"))["columns"])["status"]
    assert status["default"] == "'placed'::shop.status"
    assert status["labels"] == ["placed", "paid", "shipped"]


async def test_constraints_and_keys_both_ways(describe: Ask) -> None:
    table = await describe("shop.customers")
    assert table["primary_key"] == ["id"]
    assert by_name(table["constraints"]) == {
        "customers_age_check": {
            "name": "customers_age_check", "definition": "CHECK (age > 0)", "comment": "The born"
        },
        "customers_email_key": {"name": "customers_email_key", "definition": "UNIQUE (email)"},
    }  # fmt: skip
    assert [each["table"] for each in table["foreign_keys"]] == ["shop.customers"]
    assert [each["table"] for each in table["referenced_by"]] == [ODD, "shop.customers", "shop.orders"]
    orders = await describe("shop.orders")
    (key,) = orders["foreign_keys"]
    assert key["definition"] == "FOREIGN KEY (customer_id) REFERENCES shop.customers(id) ON DELETE CASCADE"
    assert by_name(orders["constraints"])["note_is_short"]["definition"].endswith("NOT VALID")
    (exclusion,) = (await describe("shop.bookings"))["constraints"]
    assert exclusion["definition"].startswith("EXCLUDE USING gist (during WITH &&)")


async def test_a_key_to_a_partitioned_table_is_told_once(describe: Ask) -> None:
    (key,) = (await describe("shop.event_notes"))["foreign_keys"]
    assert key["table"] == "shop.events"
    (back,) = (await describe("shop.events"))["referenced_by"]
    assert back["table"] == "shop.event_notes"


async def test_indexes_come_with_size_use_and_validity(describe: Ask) -> None:
    table = await describe("shop.customers")
    indexes = by_name(table["indexes"])
    assert table["indexes"][0]["name"] == "customers_pkey"
    assert indexes["customers_pkey"]["primary"]
    assert indexes["customers_email_key"]["unique"]
    partial = indexes["customers_lower_idx"]
    assert partial["definition"] == "btree (lower(name)) WHERE (age > 18)"
    assert partial["comment"] == "For the search"
    assert partial["size_bytes"] == 8192 or partial["size_bytes"] > 0
    assert partial["scans"] == 0
    assert "invalid" not in partial
    assert table["size_bytes"]["total"] == sum(
        table["size_bytes"][part] for part in ("main", "toast_and_maps", "indexes")
    )


async def test_an_index_that_a_failed_build_left_is_told_as_invalid(
    ask: Ask, describe: Ask, populated: TestDatabase
) -> None:
    connection = await asyncpg.connect(populated.superuser_dsn)
    await connection.execute("CREATE TABLE public.twice AS SELECT 1 AS i FROM generate_series(1, 2)")
    try:
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute("CREATE UNIQUE INDEX CONCURRENTLY twice_i ON public.twice (i)")
        (index,) = (await describe("public.twice"))["indexes"]
        assert index["invalid"]
        (listed,) = (await ask(action="list", target="index", pattern="twice_i"))["indexes"]
        assert (listed["invalid"], listed["definition"]) == (True, "unique btree (i)")
    finally:
        await connection.execute("DROP TABLE public.twice")
        await connection.close()


async def test_row_security_policies_and_triggers(describe: Ask) -> None:
    orders = await describe("shop.orders")
    assert orders["row_security"] == "on, for the owner too"
    policies = by_name(orders["policies"])
    assert policies["own"] == {
        "name": "own", "command": "select", "roles": ["coldquery_reader"], "using": "(customer_id = 1)"
    }  # fmt: skip
    assert policies["careful"]["restrictive"]
    assert policies["careful"]["check"] == "(note IS NOT NULL)"
    (trigger,) = orders["triggers"]
    assert trigger["enabled"] == "never"
    assert trigger["definition"].startswith("CREATE TRIGGER stamp_orders BEFORE INSERT OR UPDATE ON shop.orders")
    alone = await describe("stamp_orders", target="trigger")
    assert (alone["table"], alone["function"], alone["comment"]) == ("shop.orders", "shop.stamp", "When")
    assert "RETURN NEW" in alone["source"]


async def test_partitions_fold_and_unfold(describe: Ask) -> None:
    table = await describe("shop.events")
    assert table["partitioned_by"] == "RANGE (at)"
    assert table["partition_count"] == 3
    assert table["rows"] == 60
    assert table["size_bytes"]["total"] > 0
    first, second = table["partitions"]
    assert first["bounds"] == "FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')"
    assert second["partitioned_by"] == "LIST (region)"
    leaf = await describe("shop.events_2026_rest")
    assert leaf["partition_of"] == {"name": "shop.events_2026", "bounds": "DEFAULT"}
    assert "inherits" not in leaf
    assert "inherited_by" not in table


async def test_inheritance_storage_and_foreign_tables(describe: Ask) -> None:
    machines = await describe("shop.machines")
    assert machines["inherits"] == ["shop.things"]
    assert by_name(machines["columns"])["made"]["inherited"]
    assert (await describe("shop.things"))["inherited_by"] == ["shop.machines"]
    assert (await describe("shop.scratch"))["persistence"] == "unlogged"
    remote = await describe("shop.remote")
    assert (remote["kind"], remote["foreign"]) == ("foreign table", {"server": "far"})
    assert "size_bytes" not in remote


async def test_views_indexes_and_sequences_tell_what_they_are(describe: Ask) -> None:
    view = await describe("shop.adults")
    assert "age >= 18" in view["definition"]
    assert (await describe("shop.totals"))["unpopulated"]
    index = await describe("shop.customers_pkey")
    assert (index["table"], index["constraint"]) == ("shop.customers", "customers_pkey")
    assert index["size_bytes"] > 0
    assert index["definition"] == "CREATE UNIQUE INDEX customers_pkey ON shop.customers USING btree (id)"
    sequence = await describe("shop.ticket")
    expected = {"type": "bigint", "start": 100, "min": 1, "max": 1000, "increment": 5, "cycle": True}
    assert expected.items() <= sequence.items()
    owned = await describe("shop.orders_id_seq")
    assert owned["owned_by"] == "shop.orders.id"


async def test_functions_with_all_their_overloads(ask: Ask, describe: Ask) -> None:
    one, two = (await ask(action="describe", name="shop.total"))["objects"]
    assert (one["name"], one["returns"], one["volatility"], one["comment"]) == (
        "shop.total(integer)", "bigint", "stable", "Of one"
    )  # fmt: skip
    assert two["arguments"] == "customer integer, since date DEFAULT '2020-01-01'::date"
    assert two["security_definer"]
    assert two["settings"] == ["search_path=shop"]
    assert "SELECT 1.0" in two["definition"]
    assert (await describe("shop.total(int, date)"))["name"] == two["name"]
    assert (await describe("shop.tidy"))["kind"] == "procedure"
    product = await describe("shop.product")
    assert product["aggregate"]["initial"] == "1"
    assert "definition" not in product
    error = (await ask(action="describe", name="shop.total(text)"))["error"]
    assert "shop.total(integer)" in error["hint"]


async def test_types_schemas_extensions_and_roles(describe: Ask) -> None:
    enum = await describe("shop.status")
    assert (enum["labels"], enum["comment"]) == (["placed", "paid", "shipped"], "How far an order is")
    assert enum["used_by"] == ["shop.orders.status"]
    domain = await describe("shop.email")
    assert (domain["base"], domain["not_null"]) == ("text", True)
    assert domain["constraints"][0]["definition"] == "CHECK (VALUE ~~ '%@%'::text)"
    composite = await describe("shop.address")
    assert composite["columns"] == [
        {"name": "street", "type": "text"},
        {"name": "zip", "type": "character varying(10)"},
    ]
    assert (await describe("shop.span"))["subtype"] == "integer"
    assert (await describe("shop", target="schema"))["comment"] == "What is sold"
    assert (await describe("crowd"))["tables"] == 2000
    assert (await describe("plpgsql", target="extension"))["schema"] == "pg_catalog"
    assert (await describe("coldquery_reader"))["login"]


async def test_odd_names_are_found_as_sql_writes_them_and_told_so(describe: Ask) -> None:
    table = await describe(ODD)
    assert table["name"] == ODD
    assert table["comment"] == """It's "odd" \\ {}"""
    assert [each["name"] for each in table["columns"]] == ['"select"', '"Größe (cm) USING btree ("', '"from"']
    assert by_name(table["indexes"])['"a USING b"']["definition"] == 'btree ("Größe (cm) USING btree (")'
    assert (await describe('"Weird ""Name""."', schema='"Odd ""Schema""."'))["name"] == ODD


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("plain", "public.plain"),
        ("PLAIN", "public.plain"),
        ("Orders", 'public."Orders"'),
        ('"Orders"', 'public."Orders"'),
        ("orders", "shop.orders"),  # not on the search_path, but there is only one
        (" shop . orders ", "shop.orders"),
        ("SHOP.Orders", "shop.orders"),
        ("pg_class", "pg_catalog.pg_class"),
    ],
)
async def test_a_name_is_resolved_as_postgresql_does_and_then_kindly(describe: Ask, written: str, meant: str) -> None:
    assert (await describe(written))["name"] == meant


async def test_many_names_at_once_and_those_that_are_not_there(ask: Ask) -> None:
    names = ["shop.orders", "shop.custmers", "shop.total", "crowd.t_0007", "shop.orders"]
    answer = await ask(action="describe", name=names, detail="summary")
    found = [each["name"] for each in answer["objects"]]
    assert sorted(found) == ["crowd.t_0007", "shop.orders", "shop.total(integer)", "shop.total(integer, date)"]
    assert answer["not_found"] == [
        {"name": "shop.custmers", "why": "There is no object shop.custmers.", "hint": "There is shop.customers."}
    ]
    assert "indexes" not in answer["objects"][0]
    columns = (await ask(action="describe", name="crowd.t_0007", detail="names"))["objects"][0]["columns"]
    assert columns == ["id", "a"]


async def test_what_is_not_there_is_an_error_with_the_nearest(ask: Ask) -> None:
    error = (await ask(action="describe", name="custmers"))["error"]
    assert (error["code"], error["hint"]) == ("invalid_argument", "There is shop.customers.")
    error = (await ask(action="describe", name="shop.orders", target="view"))["error"]
    assert error["hint"] == "There is table shop.orders."


@pytest.mark.parametrize(
    ("target", "name", "hint"),
    [
        ("table", "shop.custmers", "There is shop.customers."),
        ("view", "adultz", "There is shop.adults."),
        ("materialized_view", "shop.totls", "There is shop.totals."),
        ("sequence", "shop.tickets", "There is shop.ticket."),
        ("index", "shop.order_pkey", "There is shop.orders_pkey and shop.customers_pkey."),
        ("function", "shop.totl", "There is shop.total."),
        ("function", "shop.tidyy", "There is shop.tidy."),
        ("type", "shop.statuss", "There is shop.status."),
        ("trigger", "stamp_order", "There is shop.stamp_orders."),
        ("schema", "shopp", "There is shop."),
        ("extension", "plpgsq", "There is plpgsql."),
        ("role", "coldquery_readr", "There is coldquery_reader and coldquery_owner."),
        (None, "shop.tickt", "There is sequence shop.ticket."),
        (None, '"Weird ""Name"""', 'There is "Odd ""Schema""."."Weird ""Name"".".'),
        (None, "nothing_like_that", None),
    ],
)
async def test_of_each_kind_the_nearest_names_are_told(
    ask: Ask, target: str | None, name: str, hint: str | None
) -> None:
    error = (await ask(action="describe", name=name, target=target))["error"]
    assert (error["code"], error.get("hint")) == ("invalid_argument", hint)


async def test_a_session_sees_what_it_has_made(ask: Ask) -> None:
    session_id = (await ask("pg_tx", action="begin"))["session_id"]
    try:
        error = (await ask(action="describe", name="shop.nothing_like_it", session_id=session_id))["error"]
        assert error["code"] == "invalid_argument"
        answer = await ask(action="describe", name=["shop.orders", "shop.status"], session_id=session_id)
        assert len(answer["objects"]) == 2
        assert (await ask(action="list", session_id=session_id))["total"] == 4
        status = await ask("pg_tx", action="status", session_id=session_id)
        assert status["session"]["state"] == "idle in transaction"
    finally:
        await ask("pg_tx", action="rollback", session_id=session_id)


async def test_sizes_of_a_locked_table_are_left_out_and_not_waited_for(
    ask: Ask, describe: Ask, populated: TestDatabase
) -> None:
    connection = await asyncpg.connect(populated.superuser_dsn)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("LOCK TABLE shop.scratch IN ACCESS EXCLUSIVE MODE")
    try:
        assert "size_bytes" not in await describe("shop.scratch")
        answer = await ask(action="list", target="table", schema="shop", pattern="scratch", include_sizes=True)
        assert answer["tables"] == [{"name": "shop.scratch", "persistence": "unlogged", "columns": 1}]
        (schema,) = (await ask(action="list", target="schema", pattern="shop", include_sizes=True))["schemas"]
        assert schema["size_bytes"] > 0
    finally:
        await transaction.rollback()
        await connection.close()


async def test_the_widest_table_with_long_comments_is_an_answer_or_an_error_that_says_so(
    ask: Ask, populated: TestDatabase
) -> None:
    connection = await asyncpg.connect(populated.superuser_dsn)
    transaction = connection.transaction()
    columns = ", ".join(f"c{i} text DEFAULT repeat('é', {i})" for i in range(1600))
    await connection.execute(f"CREATE TABLE public.widest ({columns})")
    try:
        (table,) = (await ask(action="describe", name="widest"))["objects"]
        assert len(table["columns"]) == 1600
        async with transaction:
            for i in range(1600):
                await connection.execute(f"COMMENT ON COLUMN public.widest.c{i} IS '{'é' * 600}'")
        error = (await ask(action="describe", name="widest"))["error"]
        assert "more to say" in error["message"]
        (table,) = (await ask(action="list", target="table", pattern="widest"))["tables"]
        assert table["columns"] == 1600
    finally:
        await connection.execute("DROP TABLE public.widest")
        await connection.close()
