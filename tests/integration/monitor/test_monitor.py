"""What runs, who waits for whom, how large things are, what takes long: on a server where it happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from coldquery.errors import Code, Refusal
from coldquery.gateway import Gateway
from coldquery.mcp.monitoring import Monitor
from coldquery.mcp.pg_monitor import MOST
from coldquery.postgres.binaries import find_binaries
from coldquery.postgres.target import Target
from coldquery.sessions import Begin
from coldquery.sessions.commands import Query
from coldquery.settings import Settings
from tests.conftest import TestDatabase
from tests.integration.monitor.conftest import CALLER, Connection, tag_of

type Until = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]
type Connect = Callable[[], Awaitable[Connection]]

TABLE = (
    "CREATE TABLE public.t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1), (2), (3); GRANT ALL ON t TO PUBLIC"
)


async def write(gateway: Gateway, session_id: str, sql: str) -> None:
    await gateway.ask(CALLER, session_id, Query(sql=sql, access="write", limits=gateway.limits()))


def waiting(monitor: Monitor, count: int) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return bool((await monitor.locks())["waiting"] == count)

    return condition


# locks


async def test_who_waits_for_a_session_and_on_what(
    gateway: Gateway, monitor: Monitor, admin: Connection, connect: Connect, until: Until
) -> None:
    await admin.execute(TABLE)
    echo = await gateway.begin(CALLER, Begin(label="import"))
    await write(gateway, echo.id, "UPDATE public.t SET a = 'mine' WHERE id = 1")
    first, second = await connect(), await connect()
    writes = [asyncio.create_task(first.execute("UPDATE public.t SET a = 'secret' WHERE id = 1"))]
    await until(waiting(monitor, 1))
    writes.append(asyncio.create_task(second.execute("UPDATE public.t SET a = 'secret' WHERE id = 1")))
    await until(waiting(monitor, 2))
    body = await monitor.locks()
    (root,) = body["blockers"]
    assert (root["session"], root["label"], root["yours"]) == (echo.id[:8], "import", True)
    assert root["state"] == "idle in transaction"
    assert "pg_tx commit" in root["next"]
    (node,) = root["blocks"]
    assert node["pid"] == first.get_server_pid()
    assert node["query"] == "UPDATE public.t SET a = ? WHERE id = ?"
    assert (node["waits_for"]["what"], node["waits_for"]["lock"]) == ("row of public.t", "transactionid")
    assert node["waits_for"]["since_s"] >= 0
    (last,) = node["blocks"]
    assert (last["pid"], last["waits_for"]["what"]) == (second.get_server_pid(), "row of public.t")
    assert "deadlocks" not in body
    gateway.evict(echo.id[:8])
    await asyncio.gather(*writes)


async def test_a_circle_is_told_while_it_lasts(
    monitor: Monitor, admin: Connection, connect: Connect, until: Until
) -> None:
    await admin.execute(TABLE)
    await admin.execute("ALTER ROLE coldquery_owner SET deadlock_timeout = '60s'")
    try:
        one, two = await connect(), await connect()
    finally:
        await admin.execute("ALTER ROLE coldquery_owner RESET deadlock_timeout")
    for each, row in ((one, 1), (two, 2)):
        await each.execute(f"BEGIN; UPDATE public.t SET a = 'x' WHERE id = {row}")
    tasks = [
        asyncio.create_task(each.execute(f"UPDATE public.t SET a = 'x' WHERE id = {row}"))
        for each, row in ((one, 2), (two, 1))
    ]
    await until(waiting(monitor, 2))
    body = await monitor.locks()
    pids = sorted(each.get_server_pid() for each in (one, two))
    assert body["deadlocks"] == [pids]
    (root,) = body["blockers"]
    assert [root["pid"], *(each["pid"] for each in root["blocks"])] == pids
    one.terminate()
    two.terminate()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(
    ("take", "what"),
    [
        ("LOCK TABLE public.t", "public.t"),
        ("SELECT pg_advisory_xact_lock(-5)", "advisory lock -5"),
        ("SELECT pg_advisory_xact_lock(1, 2)", "advisory lock 1, 2"),
        ("INSERT INTO public.t VALUES (9)", "transaction "),
    ],
)
async def test_what_is_waited_for_is_named(
    monitor: Monitor, admin: Connection, connect: Connect, until: Until, *, take: str, what: str
) -> None:
    await admin.execute(TABLE)
    holder, waiter = await connect(), await connect()
    await holder.execute(f"BEGIN; {take}")
    task = asyncio.create_task(waiter.execute(f"BEGIN; {take}"))
    await until(waiting(monitor, 1))
    (root,) = (await monitor.locks())["blockers"]
    assert root["blocks"][0]["waits_for"]["what"].startswith(what)
    holder.terminate()
    await asyncio.gather(task, return_exceptions=True)


async def test_nobody_waits(monitor: Monitor) -> None:
    assert await monitor.locks() == {"waiting": 0, "blockers": []}


# activity and connections


async def test_what_runs_is_told_without_literals_and_sessions_are_named(
    gateway: Gateway, monitor: Monitor, connect: Connect, until: Until
) -> None:
    echo = await gateway.begin(CALLER, Begin(label="import"))
    stranger = await gateway.begin(type(CALLER)("another"), Begin(label="private"))
    other = await connect()
    sleep = asyncio.create_task(other.execute("SELECT 'secret', pg_sleep(100)"))

    async def runs() -> bool:
        return any("pg_sleep" in each.get("query", "") for each in (await _backends(monitor)).values())

    await until(runs)
    backends = await _backends(monitor)
    assert backends[other.get_server_pid()]["query"] == "SELECT ?, pg_sleep(?)"
    assert backends[other.get_server_pid()]["waits_on"] == "Timeout: PgSleep"
    sessions = {each["session"]: each for each in backends.values() if "session" in each}
    assert sessions[echo.id[:8]]["label"] == "import"
    assert sessions[echo.id[:8]]["yours"] is True
    assert "label" not in sessions[stranger.id[:8]]
    assert sessions[stranger.id[:8]]["yours"] is False
    other.terminate()
    await asyncio.gather(sleep, return_exceptions=True)


async def _backends(monitor: Monitor, *, include_idle: bool = False) -> dict[int, dict[str, Any]]:
    body = await monitor.activity(None, 50, include_idle=include_idle)
    return {each["pid"]: each for each in body["backends"]}


async def test_idle_backends_are_told_on_request_and_what_is_left_out_is_counted(
    monitor: Monitor, connect: Connect
) -> None:
    pids = {(await connect()).get_server_pid() for _ in range(3)}
    assert not pids & set(await _backends(monitor))
    assert pids <= set(await _backends(monitor, include_idle=True))
    body = await monitor.activity(None, 1, include_idle=True)
    assert len(body["backends"]) == 1
    assert body["left_out"] >= 2


async def test_another_databases_activity(monitor: Monitor) -> None:
    body = await monitor.activity("postgres", 50, include_idle=True)
    assert {each["database"] for each in body["backends"]} <= {"postgres"}


async def test_connections_are_counted_against_the_limit(
    gateway: Gateway, monitor: Monitor, admin: Connection, database: TestDatabase
) -> None:
    await gateway.begin(CALLER, Begin())
    await admin.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT 77")
    # The server is shared with gateways of other modules: with some twenty names, and perhaps sessions.
    body = await monitor.connections(MOST)
    assert body["used"] == sum(body["by_state"].values()) == sum(body["by_user"].values()), body
    assert body["usable"] == body["max_connections"] - body["reserved"], body
    sessions = f"{tag_of(database)}/sessions"
    assert body["by_application"].get(sessions) == 1, body
    assert body["by_state"].get("idle in transaction", 0) >= 1, body
    assert body["limits"].get(f"database {database.name}") == 77, body
    assert "left_out" not in body, body
    (row,) = await gateway.look("monitor_connections")
    mine = [each for each in row["groups"] if each["application"] == sessions]
    assert [(each["database"], each["state"], each["connections"]) for each in mine] == [
        (database.name, "idle in transaction", 1)
    ], row


@pytest.mark.usefixtures("admin")  # of another user than the monitor, and without a name
async def test_connections_that_the_limit_leaves_out_are_counted(monitor: Monitor) -> None:
    body = await monitor.connections(1)
    for name in ("by_state", "by_user", "by_application", "by_database"):
        (shown,) = body[name].values()
        assert 0 < body["left_out"].get(name, 0) == body["used"] - shown, body


# size

LARGE = """
CREATE SCHEMA shop;
CREATE TABLE shop.docs (id int PRIMARY KEY, body text);
ALTER TABLE shop.docs ALTER body SET STORAGE EXTERNAL;
INSERT INTO shop.docs SELECT i, repeat('x', 9000) FROM generate_series(1, 200) AS i;
CREATE TABLE public.sales (id int, day int) PARTITION BY RANGE (day);
CREATE TABLE public.sales_1 PARTITION OF public.sales FOR VALUES FROM (1) TO (2);
CREATE TABLE public.sales_2 PARTITION OF public.sales FOR VALUES FROM (2) TO (3);
INSERT INTO public.sales SELECT i, 1 + i % 2 FROM generate_series(1, 20000) AS i;
CREATE TABLE public."Weird ""Name""." (id int);
ANALYZE shop.docs, public.sales;
"""


async def test_sizes_by_schema_and_table_with_toast_indexes_and_partitions(monitor: Monitor, admin: Connection) -> None:
    await admin.execute(LARGE)
    body = await monitor.size(None, None, 2)
    assert body["database"]["bytes"] > 1 << 20
    assert [each["schema"] for each in body["schemas"]] == ["shop", "public"]
    docs, sales = body["tables"]
    assert (docs["table"], sales["table"]) == ("shop.docs", "public.sales")
    assert docs["bytes"] == await admin.fetchval("SELECT pg_total_relation_size('shop.docs')")
    assert docs["toast"].endswith("MiB")
    assert sales["partitions"] == 2
    assert sales["rows"] == 20_000
    assert body["notes"] == ["1 smaller tables are left out; pass a larger limit, or a schema."]
    odd = await monitor.size(None, "public", 5)
    assert [each["table"] for each in odd["tables"]] == ["public.sales", 'public."Weird ""Name""."']
    assert "schemas" not in odd


async def test_a_locked_table_is_estimated_and_not_waited_for(
    monitor: Monitor, admin: Connection, connect: Connect
) -> None:
    await admin.execute(LARGE)
    await admin.execute("VACUUM (ANALYZE) shop.docs")
    real = await admin.fetchval("SELECT pg_total_relation_size('shop.docs')")
    await admin.execute("BEGIN; LOCK TABLE shop.docs")
    body = await asyncio.wait_for(monitor.size(None, "shop", 5), 3)
    await admin.execute("ROLLBACK")
    assert body["tables"][0]["estimated"] is True
    assert abs(body["tables"][0]["bytes"] - real) / real < 0.1
    assert "locked by others" in body["notes"][0]


async def test_of_another_database_the_size_is_told_as_a_whole(monitor: Monitor) -> None:
    body = await monitor.size("postgres", None, 5)
    assert set(body["database"]) == {"name", "size", "bytes"}
    assert "tables" not in body


# slow queries and progress


@pytest.mark.parametrize("order_by", ["total", "mean", "calls", "rows", "io"])
async def test_statements_come_by_what_was_asked_for(
    monitor: Monitor, gateway: Gateway, admin: Connection, order_by: Any
) -> None:
    await admin.execute("SELECT pg_stat_statements_reset()")
    for sql in ("SELECT 'secret' AS once", "SELECT pg_sleep(0.3)", "SELECT * FROM generate_series(1, 500)"):
        await gateway.read(sql)
    for _ in range(3):
        await gateway.read("SELECT 4711 AS often")
    statements = (await monitor.slow_queries(order_by, 100))["statements"]
    texts = [each["query"] for each in statements]
    assert not any("secret" in each or "4711" in each for each in texts)
    key = {"total": "total_ms", "mean": "mean_ms", "calls": "calls", "rows": "rows"}.get(order_by)
    if key:
        assert [each[key] for each in statements] == sorted((each[key] for each in statements), reverse=True)
    first = {"total": "pg_sleep", "mean": "pg_sleep", "rows": "generate_series"}.get(order_by, "")
    assert first in texts[0]


async def test_by_io_what_read_and_wrote_most_comes_first(monitor: Monitor, admin: Connection) -> None:
    await admin.execute("SELECT pg_stat_statements_reset()")
    await admin.execute("SET temp_buffers = '800kB'")
    await admin.execute("CREATE TEMPORARY TABLE large AS SELECT repeat('x', 1000) FROM generate_series(1, 5000)")
    for _ in range(20):
        await admin.execute("SELECT 1 AS often")
    texts = [each["query"] for each in (await monitor.slow_queries("io", 100))["statements"]]
    assert texts[0].startswith("CREATE TEMPORARY TABLE large")


async def test_the_extension_may_be_in_any_schema_or_missing(monitor: Monitor, admin: Connection) -> None:
    await admin.execute("DROP EXTENSION pg_stat_statements")
    body = await monitor.slow_queries("total", 5)
    assert (body["available"], body["why"]) == (
        False, "pg_stat_statements, which counts what statements cost, is not in this database."
    )  # fmt: skip
    assert "CREATE EXTENSION" in body["next"]
    await admin.execute("""
        CREATE SCHEMA "public.Odd ""Name";
        GRANT USAGE ON SCHEMA "public.Odd ""Name" TO PUBLIC;
        CREATE EXTENSION pg_stat_statements SCHEMA "public.Odd ""Name";
    """)
    assert "statements" in await monitor.slow_queries("total", 5)


async def test_a_running_index_build_is_told(
    gateway: Gateway, monitor: Monitor, admin: Connection, connect: Connect, until: Until
) -> None:
    await admin.execute(TABLE)
    echo = await gateway.begin(CALLER, Begin())
    await write(gateway, echo.id, "UPDATE public.t SET a = 'mine' WHERE id = 1")
    build = asyncio.create_task(admin.execute("CREATE INDEX CONCURRENTLY slow ON public.t (a)"))

    async def of_the_build() -> list[dict[str, Any]]:
        # In other databases of the server, autovacuum may be at work.
        return [each for each in (await monitor.progress())["running"] if each["pid"] == admin.get_server_pid()]

    async def seen() -> bool:
        return any(each.get("waits_for") for each in await of_the_build())

    await until(seen)
    (running,) = await of_the_build()
    assert (running["kind"], running["table"]) == ("create index concurrently", "public.t")
    assert running["phase"].startswith("waiting for")
    # An index under construction is not taken for one that failed.
    assert (await monitor.health(["invalid_indexes"]))["verdict"] == "ok"
    gateway.evict(echo.id[:8])
    await build
    assert await of_the_build() == []


async def test_a_vacuum_a_copy_and_a_base_backup_are_told(
    monitor: Monitor, admin: Connection, database: TestDatabase, connect: Connect, until: Until, *, pg_bin: Path | None
) -> None:
    await admin.execute(f"{TABLE}; INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(10, 20000) AS i")
    await admin.execute("ALTER TABLE t OWNER TO coldquery_owner")
    vacuuming, copying = await connect(), await connect()
    await vacuuming.execute("SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1")
    end = asyncio.Event()

    async def rows() -> AsyncIterator[bytes]:
        yield b"1000000\tx\n"
        await end.wait()

    tasks: list[asyncio.Task[Any]] = [
        asyncio.create_task(vacuuming.execute("VACUUM public.t")),
        asyncio.create_task(copying.copy_to_table("t", source=rows())),
    ]
    backup = await asyncio.create_subprocess_exec(
        str(find_binaries(pg_bin).program("pg_basebackup")),
        *("-d", database.superuser_dsn, "-D", "-", "-F", "tar", "-X", "none", "--max-rate", "32k", "-c", "fast"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    seen: dict[str, dict[str, Any]] = {}

    async def all_seen() -> bool:
        ours = {vacuuming.get_server_pid(), copying.get_server_pid()}
        for each in (await monitor.progress())["running"]:
            if each["pid"] in ours or each["kind"] == "base backup":
                seen[each["kind"]] = each
        return {"vacuum", "copy from", "base backup"} <= seen.keys()

    async def is_over() -> bool:
        return not await admin.fetch("SELECT FROM pg_stat_replication")

    try:
        await until(all_seen)
        (replication,) = (await monitor.health(["replication"]))["checks"]
    finally:
        backup.kill()
        await backup.wait()
        # All tests of this server see it.
        await until(is_over)
        end.set()
        vacuuming.terminate()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert (seen["vacuum"]["table"], seen["vacuum"]["unit"]) == ("public.t", "blocks")
    assert seen["vacuum"]["total"] > 0
    assert (seen["copy from"]["table"], seen["copy from"]["unit"]) == ("public.t", "bytes")
    assert seen["base backup"]["phase"]
    # It is no standby.
    assert (replication["verdict"], replication["figure"]) == ("ok", "no standby is connected")


async def test_what_only_receives_is_told_how_far_it_is(
    monitor: Monitor, admin: Connection, database: TestDatabase, until: Until, tmp_path: Path, *, pg_bin: Path | None
) -> None:
    archive = await asyncio.create_subprocess_exec(
        str(find_binaries(pg_bin).program("pg_receivewal")),
        *("-d", database.superuser_dsn, "-D", str(tmp_path), "--status-interval", "1"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )

    async def is_told() -> bool:
        (replication,) = (await monitor.health(["replication"]))["checks"]
        return f"{replication['verdict']}: {replication['figure']}".startswith("ok: 1 connected, at most ")

    async def is_over() -> bool:
        return not await admin.fetch("SELECT FROM pg_stat_replication")

    try:
        await until(is_told)
    finally:
        archive.kill()
        await archive.wait()
        await until(is_over)


# A role that may see little.


@pytest.fixture
async def limited(database: TestDatabase, admin: Connection) -> AsyncIterator[Monitor]:
    """As a role that may see no more of others than that they are there."""
    role = f"limited_{database.name}"
    await admin.execute(f"CREATE ROLE {role} LOGIN; GRANT CONNECT ON DATABASE {database.name} TO {role}")
    settings = Settings(pool_acquire_timeout_s=1, drain_timeout_s=1, spare_connections=0)
    target = Target(database.endpoint.dsn(role, database.name), "coldquery/test/1/x", 2)
    async with Gateway(settings, target) as gateway:
        yield Monitor(gateway, CALLER.principal)
    await admin.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_role_that_sees_less_says_so(
    limited: Monitor, admin: Connection, connect: Connect, until: Until
) -> None:
    await admin.execute(TABLE)
    await admin.execute("CREATE SEQUENCE public.s; SELECT nextval('s')")
    blocked = await connect()
    await admin.execute("BEGIN; LOCK TABLE public.t")
    task = asyncio.create_task(blocked.execute("SELECT 'secret' FROM public.t"))
    await until(waiting(limited, 1))
    body = await limited.locks()
    assert "pg_read_all_stats" in body["note"]
    (root,) = body["blockers"]
    assert (root["pid"], root["hidden"]) == (admin.get_server_pid(), True)
    assert root["blocks"][0]["waits_for"]["what"] == "public.t"
    activity = await limited.activity(None, 50, include_idle=False)
    assert "pg_read_all_stats" in activity["note"]
    assert all("query" not in each for each in activity["backends"] if each.get("hidden"))
    assert (await limited.connections(20))["by_state"]["hidden"] >= 2
    health = await limited.health()
    assert "pg_read_all_stats" in health["note"]
    assert [each for each in health["checks"] if each["verdict"] == "unknown"] == []
    slow = await limited.slow_queries("total", 50)
    assert "pg_read_all_stats" in slow["note"]
    assert any(each["query"] == "hidden" for each in slow["statements"])
    assert (await limited.size(None, None, 5))["tables"][0]["table"] == "public.t"
    assert "hidden" in (await limited.size("postgres", None, 5))["note"]
    await admin.execute("ROLLBACK")
    await task


# What can't be asked.


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda monitor: monitor.activity("postgers", 5, include_idle=False), "There is `postgres`."),
        (lambda monitor: monitor.size("nowhere", None, 5), "There is no database `nowhere`."),
        (lambda monitor: monitor.size("postgres", "public", 5), "can't be seen from here"),
        (lambda monitor: monitor.size(None, "nowhere", 5), "There is no schema `nowhere`."),
        (lambda monitor: monitor.health(["nothing"]), "There is no check `nothing`."),
    ],
)
async def test_what_is_not_there_is_refused_with_the_next_step(
    monitor: Monitor, ask: Callable[[Monitor], Awaitable[Any]], words: str
) -> None:
    with pytest.raises(Refusal) as caught:
        await ask(monitor)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert words in str(caught.value)
    assert caught.value.next


async def test_a_database_that_is_away_is_told_as_such(gateway: Gateway, monitor: Monitor) -> None:
    await gateway.close()
    with pytest.raises(Refusal) as caught:
        await monitor.health()
    assert caught.value.code is Code.SHUTTING_DOWN
