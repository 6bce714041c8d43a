"""Each check of health, provoked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from coldquery.gateway import Gateway
from coldquery.mcp.monitoring import Monitor
from coldquery.postgres.monitor import health, health_server
from coldquery.sessions import Begin
from coldquery.sessions.commands import Query
from tests.integration.monitor.conftest import CALLER, Connection

type Until = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]
type Patch = pytest.MonkeyPatch
type Connect = Callable[[], Awaitable[Connection]]


async def check(monitor: Monitor, name: str) -> dict[str, Any]:
    (found,) = (await monitor.health([name]))["checks"]
    assert isinstance(found, dict)
    return found


async def test_an_empty_database_is_well(monitor: Monitor) -> None:
    body = await monitor.health()
    assert {each["check"] for each in body["checks"]} == set(health.CHECKS)
    # Others' databases in the same server may have old transactions, or slots.
    ill = [each for each in body["checks"] if each["verdict"] != "ok"]
    assert ill == []
    assert "note" not in body


async def test_an_index_that_could_not_be_built(admin: Connection, monitor: Monitor) -> None:
    await admin.execute("CREATE TABLE public.twice (a int); INSERT INTO public.twice VALUES (1), (1)")
    with pytest.raises(asyncpg.UniqueViolationError):
        await admin.execute("CREATE UNIQUE INDEX CONCURRENTLY twice_a ON public.twice (a)")
    found = await check(monitor, "invalid_indexes")
    assert (found["verdict"], found["figure"]) == ("warn", "1 index")
    assert found["items"] == [
        {"name": "public.twice_a", "table": "public.twice", "unique": True, "partitioned": False}
    ]  # fmt: skip


async def test_indexes_that_are_the_same(admin: Connection, monitor: Monitor) -> None:
    await admin.execute("""
        CREATE TABLE public.t (id int PRIMARY KEY, a int, b int, c text);
        CREATE INDEX again ON t (id);
        CREATE UNIQUE INDEX a_unique ON t (a);
        CREATE INDEX a_first ON t (a);
        CREATE INDEX a_second ON t (a);
        CREATE INDEX a_down ON t (a DESC);
        CREATE INDEX a_some ON t (a) WHERE b > 0;
        CREATE INDEX a_with ON t (a) INCLUDE (b);
        CREATE INDEX a_hash ON t USING hash (a);
        CREATE INDEX c_pattern ON t (c text_pattern_ops);
        CREATE INDEX c_plain ON t (c);
        CREATE UNIQUE INDEX b_nulls ON t (b);
        CREATE UNIQUE INDEX b_no_nulls ON t (b) NULLS NOT DISTINCT;
        ALTER TABLE t ADD CONSTRAINT id_too UNIQUE (id);
        CREATE UNIQUE INDEX c_relied_on ON t (c, a);
        CREATE UNIQUE INDEX c_needless ON t (c, a);
        CREATE TABLE public.u (c text, a int, FOREIGN KEY (c, a) REFERENCES t (c, a));
    """)
    found = await check(monitor, "duplicate_indexes")
    assert found["verdict"] == "warn"
    told = [(each["keep"], each["needless"]) for each in found["items"]]
    assert sorted(told) == [
        ("public.a_unique", ["public.a_first", "public.a_second"]), ("public.c_relied_on", ["public.c_needless"]),
        ("public.t_pkey", ["public.again"]),
    ]  # fmt: skip


async def test_an_index_that_nobody_uses(admin: Connection, monitor: Monitor) -> None:
    await admin.execute("""
        CREATE TABLE public.t AS SELECT i AS a, i AS b FROM generate_series(1, 60000) AS i;
        CREATE INDEX idle ON t (a);
        CREATE UNIQUE INDEX needed ON t (b);
        CREATE INDEX small ON t (a) WHERE a < 10;
    """)
    found = await check(monitor, "unused_indexes")
    assert found["verdict"] == "warn"
    assert [each["index"] for each in found["items"]] == ["public.idle"]


async def test_sequences_near_their_end_or_that_of_their_column(admin: Connection, monitor: Monitor) -> None:
    await admin.execute("""
        CREATE SEQUENCE public.near AS int;
        CREATE SEQUENCE public.far;
        CREATE SEQUENCE public.round AS smallint CYCLE;
        CREATE SEQUENCE public.down AS smallint INCREMENT -1;
        CREATE SEQUENCE public.untouched AS smallint;
        CREATE TABLE public."Odd ""Table" (id int);
        CREATE SEQUENCE public.wide OWNED BY public."Odd ""Table".id;
        SELECT setval('near', 2000000000), setval('far', 2000000000), setval('round', 32767), setval('down', -32000),
               setval('wide', 1700000000);
        GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO PUBLIC;
    """)
    found = await check(monitor, "sequences")
    assert found["verdict"] == "critical"
    assert [(each["sequence"], each["used"]) for each in found["items"]] == [
        ("public.down", "97.7 %"), ("public.near", "93.1 %"), ("public.wide", "79.2 %")
    ]  # fmt: skip
    assert found["items"][2]["column"] == 'public."Odd ""Table".id'


async def test_constraints_that_hold_for_new_rows_only(admin: Connection, monitor: Monitor) -> None:
    await admin.execute("""
        CREATE TABLE public.t (a int, b int);
        ALTER TABLE t ADD CONSTRAINT positive CHECK (a > 0) NOT VALID, ADD CONSTRAINT other CHECK (b > 0);
    """)
    if admin.get_server_version().major >= 18:
        await admin.execute("ALTER TABLE t ADD CONSTRAINT wish CHECK (a < 5) NOT ENFORCED")
    found = await check(monitor, "constraints")
    assert found["items"] == [{"table": "public.t", "name": "positive", "kind": "check"}]
    await admin.execute("ALTER TABLE t VALIDATE CONSTRAINT positive")
    assert (await check(monitor, "constraints"))["verdict"] == "ok"


async def test_dead_rows_and_an_autovacuum_that_is_off(admin: Connection, monitor: Monitor, until: Until) -> None:
    await admin.execute("CREATE TABLE public.t (a int) WITH (autovacuum_enabled = off)")
    await admin.execute("INSERT INTO t SELECT generate_series(1, 20000)")
    await admin.execute("UPDATE t SET a = a + 1")
    await admin.execute("SELECT pg_stat_force_next_flush()")

    async def counted() -> bool:
        return not await _is_ok(monitor, "dead_rows")

    await until(counted)
    found = await check(monitor, "dead_rows")
    assert (found["verdict"], found["figure"]) == ("critical", "50 % of public.t (20,000 rows)")
    assert found["items"][0]["vacuumed"] == "never, as far as is known"
    vacuum = await check(monitor, "autovacuum")
    assert vacuum["figure"] == "on; off for 1 table; 1 table overdue"
    assert vacuum["items"][0] == {"table": "public.t", "autovacuum": "off"}
    await admin.execute("VACUUM ANALYZE t")
    await until(lambda: _is_ok(monitor, "dead_rows"))


async def test_autovacuum_is_held_to_what_a_table_has_of_its_own(
    admin: Connection, monitor: Monitor, until: Until
) -> None:
    await admin.execute("""
        CREATE TABLE public.never (a int) WITH (autovacuum_enabled = 0);
        CREATE TABLE public.late (a int) WITH (autovacuum_enabled = no, autovacuum_vacuum_threshold = 100000);
        CREATE TABLE public.at_once (a int) WITH (
            autovacuum_enabled = f, autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0
        );
    """)
    for table in ("never", "late", "at_once"):
        await admin.execute(f"INSERT INTO {table} SELECT generate_series(1, 2000); UPDATE {table} SET a = 1")
    await admin.execute("SELECT pg_stat_force_next_flush()")
    due: dict[str, int] = {}

    async def counted() -> bool:
        items = (await check(monitor, "autovacuum"))["items"]
        due.update({each["table"]: each["due_at"] for each in items if "due_at" in each})
        off = {each["table"] for each in items if each.get("autovacuum") == "off"}
        return len(due) == 2 and off == {"public.never", "public.late", "public.at_once"}

    await until(counted)
    assert due == {"public.never": 50, "public.at_once": 1}


@pytest.mark.parametrize(
    ("name", "thresholds", "verdict"),
    [
        ("connections", {"MOST_CONNECTIONS": (0.0, 0.99)}, "warn"),
        ("connections", {"MOST_CONNECTIONS": (0.0, 0.0)}, "critical"),
        ("cache", {"ENOUGH_BLOCKS": 1, "LEAST_HITS": (1.1, 0.0)}, "warn"),
        ("cache", {"ENOUGH_BLOCKS": 1, "LEAST_HITS": (1.1, 1.1)}, "critical"),
        ("wraparound", {"MOST_AGE": (1, 1)}, "critical"),
        ("long_transactions", {"LONG_TRANSACTION_S": (0.5, 1.0)}, "critical"),
        ("lock_waits", {"LONG_WAIT_S": (0.1, 0.2)}, "critical"),
    ],
)
async def test_the_servers_own_figures_reach_each_verdict(
    admin: Connection, monitor: Monitor, connect: Connect, until: Until, monkeypatch: Patch, *, name: str,
    thresholds: dict[str, Any], verdict: str,
) -> None:  # fmt: skip
    for each, value in thresholds.items():
        monkeypatch.setattr(health_server, each, value)
    holder, waiter = await connect(), await connect()
    await holder.execute("BEGIN; SELECT pg_advisory_xact_lock(4711)")
    waiting = asyncio.create_task(waiter.execute("SELECT pg_advisory_xact_lock(4711)"))

    async def reached() -> bool:
        return bool((await check(monitor, name))["verdict"] == verdict)

    await until(reached)
    found = await check(monitor, name)
    assert found["figure"]
    assert found["next"].endswith(".")
    holder.terminate()
    await asyncio.gather(waiting, return_exceptions=True)


async def _is_ok(monitor: Monitor, name: str) -> bool:
    return bool((await check(monitor, name))["verdict"] == "ok")


async def test_bloat_is_estimated_near_the_truth(admin: Connection, gateway: Gateway) -> None:
    await admin.execute("""
        CREATE TABLE public.full AS
            SELECT i AS id, repeat('x', 100) AS a, now() AS at FROM generate_series(1, 100000) AS i;
        CREATE TABLE public.holes (LIKE public.full) WITH (autovacuum_enabled = off);
        INSERT INTO holes SELECT * FROM public.full;
        DELETE FROM holes WHERE id % 10 <> 0;
        GRANT SELECT ON public.full, public.holes TO PUBLIC;
        CREATE TABLE public.secret AS SELECT * FROM public.full;
        REVOKE ALL ON public.secret FROM PUBLIC, coldquery_reader;
    """)
    await admin.execute("VACUUM")
    await admin.execute("ANALYZE public.full, public.holes, public.secret")
    (row,) = await gateway.look("health_tables")
    shares = {each["name"]: each["wasted"] / each["bytes"] for each in row["bloat"]["tables"]}
    assert 0.85 < shares["public.holes"] < 0.95
    assert shares.get("public.full", 0) < 0.1
    assert (row["bloat"]["measured"], row["bloat"]["unknown"]) == (2, 1)


async def test_a_session_that_is_open_for_long_is_named(
    gateway: Gateway, monitor: Monitor, until: Until, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(health_server, "LONG_TRANSACTION_S", (1.0, 3600.0))
    echo = await gateway.begin(CALLER, Begin(label="import"))

    async def noticed() -> bool:
        return not await _is_ok(monitor, "long_transactions")

    await until(noticed)
    found = await check(monitor, "long_transactions")
    items = [each for each in found["items"] if each.get("session") == echo.id[:8]]
    assert [(each["label"], each["yours"], each["state"]) for each in items] == [
        ("import", True, "idle in transaction")
    ]  # fmt: skip


async def test_waits_for_locks_are_counted(
    gateway: Gateway, admin: Connection, monitor: Monitor, connect: Connect, *, until: Until, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(health_server, "LONG_WAIT_S", (0.05, 60.0))
    await admin.execute("CREATE TABLE public.t (a int); ALTER TABLE t OWNER TO coldquery_owner")
    echo = await gateway.begin(CALLER, Begin())
    await gateway.ask(CALLER, echo.id, Query(sql="LOCK TABLE public.t", access="write", limits=gateway.limits()))
    waiting = asyncio.create_task((await connect()).execute("INSERT INTO public.t VALUES (1)"))

    async def noticed() -> bool:
        return not await _is_ok(monitor, "lock_waits")

    await until(noticed)
    # What another has locked keeps nobody from being told the rest.
    assert "unknown" not in {each["verdict"] for each in (await monitor.health())["checks"]}
    gateway.evict(echo.id[:8])
    await waiting


async def test_a_slot_that_nobody_reads(admin: Connection, monitor: Monitor) -> None:
    await admin.execute("SELECT pg_create_physical_replication_slot('left_behind', true)")
    try:
        found = await check(monitor, "replication_slots")
    finally:
        await admin.execute("SELECT pg_drop_replication_slot('left_behind')")
    assert found["verdict"] == "warn"
    assert [each["slot"] for each in found["items"]] == ["left_behind"]
