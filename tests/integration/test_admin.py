"""pg_admin on a real PostgreSQL, as an MCP client calls it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from fastmcp import Client, FastMCP
from mcp_types import TextContent

from coldquery.gateway import Caller, Gateway
from coldquery.mcp.admin_maintenance import maintain
from coldquery.mcp.admin_subject import TABLES, Asking, find_relation
from coldquery.mcp.pg_admin import PgAdmin
from coldquery.postgres.catalog import records
from coldquery.postgres.maintenance.statements import Maintenance
from coldquery.postgres.target import Target
from coldquery.sessions import Begin
from coldquery.sessions.commands import Commit, Query
from coldquery.sessions.replies import Ran
from coldquery.settings import Settings
from tests.conftest import TestDatabase
from tests.integration.sessions.asking import until

CALLER = Caller("anonymous")
ROWS = 4_000

SCHEMA = f"""
SET ROLE coldquery_owner;
CREATE SCHEMA shop;
CREATE TABLE shop.orders (id int PRIMARY KEY, note text) WITH (autovacuum_enabled = false);
CREATE INDEX orders_note ON shop.orders (note);
INSERT INTO shop.orders SELECT i, repeat('x', 100) || i FROM generate_series(1, {ROWS}) AS i;
CREATE TABLE "Odd ""Name""." (i int);
CREATE TABLE public.parted (i int PRIMARY KEY) PARTITION BY RANGE (i);
CREATE TABLE public.parted_1 PARTITION OF public.parted FOR VALUES FROM (0) TO (1000);
INSERT INTO public.parted SELECT generate_series(1, 500);
CREATE VIEW shop.a_view AS SELECT 1 AS one;
RESET ROLE;
CREATE TABLE public.not_ours (i int);
GRANT SELECT ON public.not_ours TO PUBLIC;
"""
RUNNING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state = 'active' AND query ~* '^(vacuum|reindex|analyze)'
"""

type Call = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
async def observer(database: TestDatabase) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(database.superuser_dsn)
    await connection.execute(SCHEMA)
    yield connection
    await connection.close()


@pytest.fixture
async def gateway(database: TestDatabase, observer: object) -> AsyncIterator[Gateway]:
    reader, writer = (Target(dsn, "coldquery/test/1/admin", 2) for dsn in (database.reader_dsn, database.owner_dsn))
    settings = Settings(pool_acquire_timeout_s=1, drain_timeout_s=1, spare_connections=0)
    async with Gateway(settings, reader, writer) as gateway:
        yield gateway


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[Client[Any]]:
    server = FastMCP("test", tools=[PgAdmin(gateway)], strict_input_validation=True)
    async with Client(server) as client:
        yield client


@pytest.fixture
def call(client: Client[Any]) -> Call:
    async def call(action: str, **arguments: Any) -> dict[str, Any]:
        result = await client.call_tool("pg_admin", {"action": action, **arguments}, raise_on_error=False)
        (block,) = result.content
        assert isinstance(block, TextContent)
        body: dict[str, Any] = json.loads(block.text)
        assert body == result.structured_content
        assert result.is_error == ("error" in body)
        return body

    return call


async def begin(gateway: Gateway) -> str:
    return (await gateway.begin(CALLER, Begin())).id


async def in_session(gateway: Gateway, session_id: str, sql: str, access: Any = "write") -> list[dict[str, Any]]:
    reply = await gateway.ask(CALLER, session_id, Query(sql=sql, access=access, limits=gateway.limits(None)))
    assert isinstance(reply, Ran)
    return records(reply.result)


async def delete_half(observer: Any) -> None:
    """So that there are dead tuples, and PostgreSQL has counted them."""
    await observer.execute("DELETE FROM shop.orders WHERE id % 2 = 0")
    await observer.execute("SELECT pg_stat_force_next_flush()")


# Maintenance.


async def test_vacuum_removes_dead_tuples_and_tells_how_many(call: Call, observer: Any) -> None:
    await delete_half(observer)
    body = await call("vacuum", table="shop.orders", autocommit=True)
    assert body["dead_tuples"] == {"before": ROWS // 2, "after": 0}
    assert body["command"] == "VACUUM shop.orders"
    assert body["summary"].startswith("Dead tuples: 2,000 before, 0 after; table size: ")
    assert body["last_vacuum"]
    assert "notices" not in body


async def test_vacuum_full_gives_room_back(call: Call, observer: Any) -> None:
    await delete_half(observer)
    body = await call("vacuum", table="orders", schema="shop", full=True, analyze=True, autocommit=True)
    assert body["command"] == "VACUUM (FULL, ANALYZE) shop.orders"
    assert body["table_bytes"]["after"] < 0.6 * body["table_bytes"]["before"]
    assert body["dead_tuples"]["after"] == 0
    assert body["estimated_rows"]["after"] == ROWS // 2
    alone = await call("vacuum", table="shop.orders", full=True, autocommit=True)
    assert "dead_tuples" not in alone


async def test_vacuum_freezes(call: Call, observer: Any) -> None:
    await call("vacuum", table="shop.orders", freeze=True, autocommit=True)
    assert await observer.fetchval("SELECT age(relfrozenxid) FROM pg_class WHERE oid = 'shop.orders'::regclass") < 10


async def test_with_verbose_postgresqls_own_account_comes_along(call: Call) -> None:
    body = await call("vacuum", table="shop.orders", verbose=True, autocommit=True)
    assert {each["severity"] for each in body["notices"]} == {"INFO"}
    assert "shop.orders" in str(body["notices"])


async def test_dead_tuples_that_stay_are_explained(call: Call, observer: Any, database: TestDatabase) -> None:
    other = await asyncpg.connect(database.owner_dsn)
    async with other.transaction(isolation="repeatable_read"):
        await other.fetch("SELECT 1 FROM shop.orders LIMIT 1")
        await delete_half(observer)
        body = await call("vacuum", table="shop.orders", autocommit=True)
    await other.close()
    assert body["dead_tuples"]["after"] == ROWS // 2
    assert "older transaction" in body["summary"]


async def test_analyze_renews_the_statistics(call: Call, observer: Any) -> None:
    body = await call("analyze", table="shop.orders", autocommit=True)
    assert body["estimated_rows"] == {"before": 0, "after": ROWS}
    assert f"{ROWS:,} rows" in body["summary"]


async def test_the_whole_database_can_be_looked_after(call: Call) -> None:
    body = await call("vacuum", analyze=True, autocommit=True)
    assert body["command"] == "VACUUM (ANALYZE)"
    assert body["database_bytes"]["after"] > 0
    assert "notices" not in body
    assert (await call("analyze", autocommit=True))["command"] == "ANALYZE"


@pytest.mark.parametrize("concurrently", [False, True])
@pytest.mark.parametrize(
    "what",
    [{"table": "shop.orders"}, {"index": "shop.orders_note"}, {"schema": "shop"}],
    ids=["table", "index", "schema"],
)
async def test_reindex_rebuilds(call: Call, observer: Any, what: dict[str, str], concurrently: bool) -> None:
    question = "SELECT relfilenode FROM pg_class WHERE oid = 'shop.orders_note'::regclass"
    before = await observer.fetchval(question)
    body = await call("reindex", **what, concurrently=concurrently, autocommit=True)
    ((kind, name),) = what.items()
    option = "(CONCURRENTLY) " if concurrently else ""
    assert (body[kind], body["command"]) == (name, f"REINDEX {option}{kind.upper()} {name}")
    assert body["index_bytes"]["after"] > 0
    assert await observer.fetchval(question) != before
    assert await observer.fetchval("SELECT bool_and(indisvalid) FROM pg_index")


async def test_a_partitioned_table_is_all_its_partitions(call: Call) -> None:
    body = await call("vacuum", table="parted", analyze=True, autocommit=True)
    assert body["estimated_rows"]["after"] == 500
    refused = (await call("reindex", table="parted", autocommit=True))["error"]
    assert (refused["code"], "concurrently" in refused["next"]) == ("invalid_argument", True)
    assert (await call("reindex", table="parted", concurrently=True, autocommit=True))["table"] == "public.parted"
    assert (await call("stats", table="parted"))["partitions"] == 1


async def test_names_are_found_as_written_in_sql_and_as_they_stand(call: Call) -> None:
    name = '"Odd ""Name""."'
    assert (await call("vacuum", table=name, autocommit=True))["table"] == f"public.{name}"
    assert (await call("vacuum", table="SHOP.Orders", autocommit=True))["table"] == "shop.orders"


async def test_a_table_of_someone_elses_is_refused_and_not_passed_over(
    call: Call, observer: Any, database: TestDatabase
) -> None:
    # The owner of a database may vacuum all that is in it.
    await observer.execute(
        f"ALTER DATABASE {database.name} OWNER TO CURRENT_USER; GRANT CONNECT ON DATABASE {database.name} TO PUBLIC"
    )
    for action in ("vacuum", "analyze"):
        error = (await call(action, table="not_ours", autocommit=True))["error"]
        assert (error["code"], "not_ours" in error["message"]) == ("permission_denied", True)


async def test_it_can_be_done_without_mcp(gateway: Gateway) -> None:
    asking = Asking(gateway)
    table = await find_relation(asking, "table", "shop.orders", None, TABLES)
    body = await maintain(asking, Maintenance("vacuum", table), timeout_ms=None)
    assert body["command"] == "VACUUM shop.orders"


# Refusals.


@pytest.mark.parametrize("action", ["vacuum", "analyze", "reindex"])
async def test_maintenance_must_be_asked_for(call: Call, action: str) -> None:
    error = (await call(action, table="shop.orders"))["error"]
    assert (error["code"], "autocommit: true" in error["next"]) == ("write_denied", True)


async def test_in_a_session_it_is_refused_with_the_reason(call: Call, gateway: Gateway) -> None:
    session_id = await begin(gateway)
    for action, why in (("vacuum", "does not run VACUUM in a transaction"), ("reindex", "keep its locks")):
        error = (await call(action, table="shop.orders", session_id=session_id))["error"]
        assert (error["code"], why in error["message"]) == ("statement_not_allowed", True)
    assert (await in_session(gateway, session_id, "SELECT 1 AS one"))[0] == {"one": 1}


async def test_analyze_in_a_session_is_a_part_of_its_transaction(call: Call, gateway: Gateway) -> None:
    session_id = await begin(gateway)
    await in_session(gateway, session_id, "CREATE TABLE fresh AS SELECT generate_series(1, 700) AS i")
    body = await call("analyze", table="fresh", session_id=session_id)
    assert (body["table"], body["session"]["id"]) == ("public.fresh", session_id)
    found = await in_session(gateway, session_id, "SELECT reltuples FROM pg_class WHERE relname = 'fresh'", "read")
    assert found == [{"reltuples": 700}]
    assert (await call("stats", table="fresh", session_id=session_id))["estimated_rows"] == 700
    both = (await call("analyze", table="fresh", session_id=session_id, autocommit=True))["error"]
    assert (both["code"], "contradict" in both["message"]) == ("invalid_argument", True)
    unknown = (await call("analyze", table="fresh", session_id="none"))["error"]
    assert unknown["code"] == "session_not_found"
    elsewhere = (await call("analyze", table="fresh", autocommit=True))["error"]
    assert elsewhere["code"] == "invalid_argument"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ({"table": "shop.ordesr"}, "There is shop.orders"),
        ({"table": "order", "schema": "shop"}, "There is shop.orders"),
        ({"index": "shop.order_note"}, "There is shop.orders_note"),
        ({"schema": "shopp"}, "There is shop."),
    ],
)
async def test_what_is_not_found_is_answered_with_the_nearest(call: Call, arguments: dict[str, str], hint: str) -> None:
    error = (await call("reindex", **arguments, autocommit=True))["error"]
    assert error["code"] == "invalid_argument"
    assert error["hint"].startswith(hint)


@pytest.mark.parametrize(
    ("action", "arguments", "words"),
    [
        ("vacuum", {"table": "a b.c"}, "`table` is no name"),
        ("vacuum", {"table": ""}, "`table` is no name"),
        ("vacuum", {"table": "shop.a_view"}, "is a view"),
        ("vacuum", {"table": "shop.orders_note"}, "is an index"),
        ("vacuum", {"schema": "shop"}, "no VACUUM for a schema"),
        ("vacuum", {"full": True}, "lock each of them"),
        ("vacuum", {"table": "shop.orders", "index": "x"}, "`index` has no place"),
        ("reindex", {}, "What to rebuild is missing"),
        ("reindex", {"table": "shop.orders", "index": "x"}, "both given"),
        ("reindex", {"index": "shop.orders"}, "is a table"),
        ("vacuum", {"table": "shop.orders", "timeout_ms": 10**9}, "`timeout_ms`"),
    ],
)
async def test_arguments_that_can_not_be_are_told(
    call: Call, action: str, arguments: dict[str, Any], words: str
) -> None:
    error = (await call(action, **arguments, autocommit=True))["error"]
    assert error["code"] == "invalid_argument"
    assert words in error["message"]
    assert error["next"]


# Cancelling and progress.


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ("vacuum", {}),
        ("vacuum", {"full": True}),
        ("analyze", {}),
        ("reindex", {}),
        ("reindex", {"concurrently": True}),
    ],
)
async def test_a_cancelled_call_leaves_nothing_running(
    client: Client[Any], observer: Any, database: TestDatabase, action: str, arguments: dict[str, Any]
) -> None:
    other = await asyncpg.connect(database.owner_dsn)
    async with other.transaction():
        # A VACUUM or ANALYZE does not wait for those who write.
        is_light = action == "analyze" or (action == "vacuum" and not arguments)
        lock = "LOCK TABLE shop.orders IN SHARE UPDATE EXCLUSIVE MODE" if is_light else "SELECT 1"
        await other.execute(f"INSERT INTO shop.orders VALUES (0); {lock}")
        wanted = {"action": action, "table": "shop.orders", "autocommit": True, **arguments}
        calling = asyncio.create_task(client.call_tool("pg_admin", wanted))
        await until(observer, RUNNING, wanted=1)
        calling.cancel()
        await asyncio.wait([calling])
        await until(observer, RUNNING, wanted=0, within_s=1)
    await other.close()
    assert (await client.call_tool("pg_admin", {**wanted, "concurrently": None, "full": None})).structured_content


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_progress_is_told_while_it_waits_and_while_it_works(
    gateway: Gateway, observer: Any, database: TestDatabase, mode: Any
) -> None:
    heard: list[tuple[float, float | None, str | None]] = []
    told = asyncio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))
        told.set()

    other = await asyncpg.connect(database.owner_dsn)
    async with Client(FastMCP("test", tools=[PgAdmin(gateway)]), mode=mode) as client:
        async with other.transaction():
            await other.execute("INSERT INTO shop.orders VALUES (0)")
            wanted = {"action": "vacuum", "table": "shop.orders", "full": True, "autocommit": True}
            calling = asyncio.create_task(client.call_tool("pg_admin", wanted, progress_handler=hear))
            async with asyncio.timeout(5):
                await told.wait()
        result = await calling
    await other.close()
    assert result.structured_content is not None
    assert heard[0][1:] == (100, f"waiting for a lock; before it comes: process {other.get_server_pid()}")
    assert [each[0] for each in heard] == sorted({each[0] for each in heard})


async def test_a_table_that_is_locked_is_not_waited_for_long(
    gateway: Gateway, database: TestDatabase, observer: Any, call: Call
) -> None:
    await gateway.reload(
        gateway.settings.model_copy(update={"lock_timeout_ms": 50}),
        *(Target(dsn, "coldquery/test/1/admin", 2) for dsn in (database.reader_dsn, database.owner_dsn)),
    )
    other = await asyncpg.connect(database.owner_dsn)
    async with other.transaction():
        # Its size can't be had then either.
        await other.execute("LOCK TABLE shop.orders")
        error = (await call("vacuum", table="shop.orders", autocommit=True))["error"]
    await other.close()
    assert (error["code"], error["retryable"], "pg_monitor locks" in error["next"]) == ("lock_timeout", True, True)


async def test_progress_that_can_not_be_told_fails_nothing(
    call: Call, client: Client[Any], observer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coldquery.mcp.watching.FIRST_S", 0)

    async def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("fastmcp.server.context.Context.report_progress", broken)
    wanted = {"action": "reindex", "table": "shop.orders", "concurrently": True, "autocommit": True}
    result = await client.call_tool("pg_admin", wanted, progress_handler=lambda *_: asyncio.sleep(0))
    assert result.structured_content is not None


async def test_what_a_failed_reindex_leaves_behind_is_named(
    gateway: Gateway, call: Call, observer: Any, database: TestDatabase
) -> None:
    other = await asyncpg.connect(database.owner_dsn)
    async with other.transaction():
        await other.execute("INSERT INTO shop.orders VALUES (0)")
        error = (await call("reindex", index="shop.orders_note", concurrently=True, autocommit=True, timeout_ms=700))[
            "error"
        ]
    await other.close()
    assert error["code"] == "statement_timeout"
    left = await observer.fetchval("SELECT count(*) FROM pg_index WHERE NOT indisvalid")
    assert ("orders_note_ccnew" in error["next"]) == bool(left)


# Statistics.


async def test_stats_of_a_table_tell_its_figures_and_what_they_suggest(call: Call, observer: Any) -> None:
    await delete_half(observer)
    body = await call("stats", table="shop.orders")
    assert (body["table"], body["dead_tuples"], body["inserted"]) == ("shop.orders", ROWS // 2, ROWS)
    assert body["autovacuum"] is False
    assert body["total_bytes"] == body["heap_bytes"] + body["toast_bytes"] + body["index_bytes"]
    text = " ".join(body["suggestions"])
    assert "2,000 tuples are dead, 50% of all: run pg_admin vacuum" in text
    assert "Autovacuum is off" in text
    assert "never analyzed" in text
    await call("analyze", table="shop.orders", autocommit=True)
    again = await call("stats", table="shop.orders")
    assert again["expected_heap_bytes"] > 0.3 * again["heap_bytes"]
    assert "never analyzed" not in " ".join(again["suggestions"])


async def test_stats_of_an_index(call: Call, observer: Any) -> None:
    await observer.execute("SET enable_seqscan = off; SELECT * FROM shop.orders WHERE note = 'x'")
    await observer.execute("SELECT pg_stat_force_next_flush()")
    body = await call("stats", index="orders_note", schema="shop")
    assert (body["index"], body["table"], body["valid"], body["scans"]) == ("shop.orders_note", "shop.orders", True, 1)
    assert body["definition"] == "CREATE INDEX orders_note ON shop.orders USING btree (note)"
    assert body["suggestions"] == []
    key = await call("stats", index="shop.orders_pkey")
    assert (key["unique"], key["constraint"]) == (True, "orders_pkey")
    await observer.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'shop.orders_note'::regclass")
    assert "invalid" in (await call("stats", index="shop.orders_note"))["suggestions"][0]
    assert (await call("stats", index="parted_pkey"))["table"] == "public.parted"


async def test_stats_of_the_database(call: Call, database: TestDatabase) -> None:
    body = await call("stats")
    assert body["database"] == database.name
    assert {"bytes", "commits", "rollbacks", "deadlocks", "temp_files", "conflicts", "xid_age"} <= body.keys()
    assert (await call("stats", schema="shop"))["error"]["code"] == "invalid_argument"


# Settings.


async def test_a_setting_is_told_with_all_that_postgresql_knows_of_it(call: Call) -> None:
    setting = (await call("settings", setting_name="WORK_MEM"))["setting"]
    assert (setting["name"], setting["value"], setting["raw_value"], setting["unit"]) == (
        "work_mem",
        "4MB",
        "4096",
        "kB",
    )
    assert (setting["default"], setting["min"], setting["context"]) == ("4096", "64", "user")
    assert setting["pending_restart"] is False
    assert setting["description"]
    fixed = (await call("settings", setting_name="shared_buffers"))["setting"]
    assert "restart" in fixed["set_by"]
    level = (await call("settings", setting_name="wal_level"))["setting"]
    assert "logical" in level["allowed"]


async def test_a_setting_that_waits_for_a_restart_says_so(call: Call, observer: Any) -> None:
    try:
        await observer.execute("ALTER SYSTEM SET max_connections = 4711")
        await observer.execute("SELECT pg_reload_conf()")
        async with asyncio.timeout(10):
            while not (setting := (await call("settings", setting_name="max_connections"))["setting"])[
                "pending_restart"
            ]:
                await asyncio.sleep(0.02)
        assert setting["value"] != "4711"
        (found,) = (await call("settings", pattern="max_connections%"))["settings"]
        assert found["pending_restart"] is True
    finally:
        await observer.execute("ALTER SYSTEM RESET max_connections")
        await observer.execute("SELECT pg_reload_conf()")


async def test_an_unknown_setting_is_answered_with_the_nearest(call: Call) -> None:
    error = (await call("settings", setting_name="work_memm"))["error"]
    assert error["hint"].startswith("There is work_mem")


async def test_settings_are_searched_page_by_page(call: Call) -> None:
    found = await call("settings", pattern="autovacuum", limit=5)
    assert len(found["settings"]) == 5
    assert found["total"] > 5
    more = await call("settings", pattern="autovacuum", limit=5, offset=5)
    assert not {each["name"] for each in found["settings"]} & {each["name"] for each in more["settings"]}
    like = await call("settings", pattern="autovacuum%cost%")
    assert {each["name"] for each in like["settings"]} == {
        "autovacuum_vacuum_cost_delay",
        "autovacuum_vacuum_cost_limit",
    }
    in_category = await call("settings", category="query tuning", pattern="enable_")
    assert all(each["name"].startswith("enable_") for each in in_category["settings"])
    error = (await call("settings", category="nothing like this"))["error"]
    assert "Write-Ahead Log" in error["hint"]
    assert (await call("settings", pattern="nothing like this"))["total"] == 0
    nowhere = (await call("settings", pattern="nothing like this", category="query tuning"))["error"]
    assert "No setting in Query Tuning / " in nowhere["message"]
    for out_of_bounds in ({"limit": 0}, {"limit": 501}, {"offset": -1}):
        assert (await call("settings", **out_of_bounds))["error"]["code"] == "invalid_argument"


async def test_a_setting_is_set_for_a_transaction_and_gone_after_it(call: Call, gateway: Gateway) -> None:
    session_id = await begin(gateway)
    body = await call("settings", setting_name="work_mem", setting_value="64MB", session_id=session_id)
    assert (body["setting"], body["was"], body["value"]) == ("work_mem", "4MB", "64MB")
    seen = (await call("settings", setting_name="work_mem", session_id=session_id))["setting"]
    assert (seen["value"], seen["source"]) == ("64MB", "session")
    custom = await call("settings", setting_name="app.tenant", setting_value="'; --", session_id=session_id)
    assert custom["value"] == "'; --"
    await gateway.ask(CALLER, session_id, Commit())
    assert (await call("settings", setting_name="work_mem"))["setting"]["value"] == "4MB"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("statement_timeout", "0", "statement_not_allowed"),
        ("idle_in_transaction_session_timeout", "0", "statement_not_allowed"),
        ("Transaction_Read_Only", "off", "statement_not_allowed"),
        ("shared_buffers", "1GB", "statement_not_allowed"),
        ("autovacuum", "off", "statement_not_allowed"),
        ("server_version", "1", "statement_not_allowed"),
        ("log_statement", "all", "statement_not_allowed"),
        ("work_mem", "much", "sql_error"),
        ("work_memm", "1MB", "invalid_argument"),
        ("x'); DROP TABLE t; --", "1", "invalid_argument"),
    ],
)
async def test_what_may_not_be_set_is_refused_and_the_transaction_goes_on(
    call: Call, gateway: Gateway, name: str, value: str, code: str
) -> None:
    session_id = await begin(gateway)
    error = (await call("settings", setting_name=name, setting_value=value, session_id=session_id))["error"]
    assert error["code"] == code
    assert error["next"]
    assert await in_session(gateway, session_id, "SELECT 1 AS one") == [{"one": 1}]


async def test_a_setting_needs_a_session(call: Call) -> None:
    error = (await call("settings", setting_name="work_mem", setting_value="64MB"))["error"]
    assert (error["code"], "pg_tx begin" in error["next"]) == ("write_denied", True)
    assert (await call("settings", setting_value="64MB"))["error"]["code"] == "invalid_argument"
    assert (await call("settings", setting_name="work_mem", pattern="x"))["error"]["code"] == "invalid_argument"


async def test_the_tool_is_small(client: Client[Any]) -> None:
    (tool,) = await client.list_tools()
    assert len(tool.model_dump_json(exclude_none=True, by_alias=True)) <= 1_200
