"""Writes without a session, through the gateway, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from coldquery.errors import Code, Refusal
from coldquery.gateway import Answer, Committed, Gateway
from coldquery.postgres.target import Target
from coldquery.sessions import Begin
from coldquery.sessions.commands import Explain, IsolationLevel, Operation
from coldquery.settings import Settings
from tests.conftest import TestDatabase
from tests.integration.sessions.asking import SLEEPING, until


def target(dsn: str) -> Target:
    return Target(dsn=dsn, application_name="coldquery/test/1/write", connect_timeout_s=2)


@pytest.fixture
async def observer(database: TestDatabase) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(database.superuser_dsn)
    await connection.execute("CREATE TABLE t (i int PRIMARY KEY, u int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    await connection.execute("GRANT ALL ON t TO coldquery_owner; GRANT SELECT ON t TO coldquery_reader")
    yield connection
    await connection.close()


@pytest.fixture
async def gateway(database: TestDatabase, observer: object) -> AsyncIterator[Gateway]:
    settings = Settings(write_pool_size=1, pool_acquire_timeout_s=1, drain_timeout_s=1)
    async with Gateway(settings, target(database.reader_dsn), target(database.owner_dsn)) as gateway:
        yield gateway


async def write(gateway: Gateway, sql: str, params: tuple[Any, ...] = (), **more: Any) -> Committed:
    committed = await gateway.write(sql, params, **more)
    assert isinstance(committed, Committed)
    return committed


async def transact(gateway: Gateway, *sql: str, **more: Any) -> Committed:
    return await gateway.transact([Operation(sql=each) for each in sql], **more)


async def refused(gateway: Gateway, *sql: str, **more: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await (gateway.write(sql[0], **more) if len(sql) == 1 else transact(gateway, *sql, **more))
    return caught.value


async def test_a_write_is_committed_when_it_returns(gateway: Gateway, observer: Any) -> None:
    committed = await write(gateway, "INSERT INTO t VALUES ($1) RETURNING i", (7,))
    (result,) = committed.results
    assert (result.command, result.row_count, result.rows) == ("INSERT", 1, [(7,)])
    assert committed.xid == await observer.fetchval("SELECT xmin::text FROM t")


async def test_all_operations_take_effect_or_none_and_the_failed_one_is_named(gateway: Gateway, observer: Any) -> None:
    committed = await transact(gateway, "INSERT INTO t VALUES (1)", "SELECT count(*) FROM t")
    assert [result.row_count for result in committed.results] == [1, 1]
    refusal = await refused(gateway, "INSERT INTO t VALUES (2)", "INSERT INTO t VALUES (1)", "SELECT 1")
    assert refusal.message.startswith("Operation 2 of 3 failed, and nothing of them was kept")
    assert (refusal.code, refusal.cause.sqlstate) == (Code.SQL_ERROR, "23505")
    assert await observer.fetchval("SELECT count(*) FROM t") == 1


async def test_an_error_at_commit_is_told_and_nothing_is_kept(gateway: Gateway, observer: Any) -> None:
    refusal = await refused(gateway, "INSERT INTO t VALUES (1, 1), (2, 1)")
    assert refusal.cause.sqlstate == "23505"
    assert await observer.fetchval("SELECT count(*) FROM t") == 0


async def test_a_batch_can_choose_its_isolation_level(gateway: Gateway) -> None:
    options = Begin(isolation_level=IsolationLevel.SERIALIZABLE)
    committed = await transact(gateway, "SHOW transaction_isolation", options=options)
    assert committed.results[0].rows == [("serializable",)]


@pytest.mark.parametrize("sql", ["CREATE INDEX CONCURRENTLY ti ON t (u)", "VACUUM t", "DROP INDEX CONCURRENTLY tj"])
async def test_what_postgresql_refuses_in_a_transaction_block_runs_alone(
    gateway: Gateway, observer: Any, sql: str
) -> None:
    await observer.execute("CREATE INDEX tj ON t (u); ALTER TABLE t OWNER TO coldquery_owner")
    answer = await gateway.write(sql)
    assert isinstance(answer, Answer)
    assert answer.result.command.split()[0] == sql.split(maxsplit=1)[0]


async def test_in_a_batch_such_a_statement_is_refused_before_anything_runs(gateway: Gateway, observer: Any) -> None:
    refusal = await refused(gateway, "INSERT INTO t VALUES (1)", "VACUUM t")
    assert (refusal.code, refusal.message.partition(":")[0]) == (Code.STATEMENT_NOT_ALLOWED, "Operation 2 of 2")
    assert "autocommit: true" in refusal.next
    assert await observer.fetchval("SELECT count(*) FROM t") == 0


async def test_a_statement_that_raises_what_such_a_one_would_is_not_run_again(gateway: Gateway, observer: Any) -> None:
    await observer.execute(
        "CREATE SEQUENCE sq; GRANT ALL ON SEQUENCE sq TO PUBLIC; CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM nextval('sq'); RAISE 'no' USING ERRCODE = '25001'; END $$"
    )
    assert (await refused(gateway, "SELECT f()")).cause.sqlstate == "25001"
    assert await observer.fetchval("SELECT last_value FROM sq") == 1


async def test_a_procedure_may_commit_and_an_error_says_that_what_it_committed_stays(
    gateway: Gateway, observer: Any
) -> None:
    await gateway.write("DO 'BEGIN INSERT INTO t VALUES (1); COMMIT; INSERT INTO t VALUES (2); ROLLBACK; END'")
    assert await observer.fetch("SELECT i FROM t") == [(1,)]
    refusal = await refused(gateway, "DO 'BEGIN INSERT INTO t VALUES (3); COMMIT; PERFORM 1/0; END'")
    assert (refusal.code, refusal.retryable) == (Code.SQL_ERROR, False)
    assert "what it had committed by itself stays" in refusal.message
    assert await observer.fetchval("SELECT count(*) FROM t") == 2


@pytest.mark.parametrize("sql", ["SET search_path = x", "LOCK TABLE t", "BEGIN", "COMMIT", "PREPARE p AS SELECT 1", ""])
async def test_what_a_lone_call_can_not_do_is_refused_with_what_to_use(gateway: Gateway, sql: str) -> None:
    assert (await refused(gateway, sql)).code is Code.STATEMENT_NOT_ALLOWED


async def test_nothing_that_a_write_left_behind_meets_the_next(gateway: Gateway) -> None:
    await transact(
        gateway,
        "SELECT set_config('search_path', 'nowhere', false), set_config('DateStyle', 'German', false)",
        "CREATE TEMP TABLE left_behind (i int)",
        "SELECT pg_advisory_lock(1)",
        "PREPARE left_over AS SELECT 1",
    )
    (found,) = (
        await write(
            gateway,
            "SELECT current_setting('search_path') = 'nowhere', to_regclass('left_behind'), DATE '2026-01-02',"
            " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),"
            " (SELECT count(*) FROM pg_prepared_statements WHERE name = 'left_over')",
        )
    ).results
    assert found.rows == [(False, None, "2026-01-02", 0, 0)]


async def test_a_cancelled_write_leaves_nothing_and_the_connection_serves_on(gateway: Gateway, observer: Any) -> None:
    call = asyncio.create_task(transact(gateway, "INSERT INTO t VALUES (1)", "SELECT pg_sleep(60)"))
    await until(observer, SLEEPING, wanted=1)
    call.cancel()
    await asyncio.wait([call])
    await until(observer, SLEEPING, wanted=0, within_s=1)
    await write(gateway, "INSERT INTO t VALUES (1)")
    assert await observer.fetchval("SELECT count(*) FROM t") == 1


@pytest.mark.parametrize("alone", [False, True])
async def test_postgresql_ends_a_write_at_its_time_limit(gateway: Gateway, alone: bool) -> None:
    sql = "DO 'BEGIN PERFORM pg_sleep(60); END'" if alone else "SELECT pg_sleep(60)"
    assert (await refused(gateway, sql, timeout_ms=50)).code is Code.STATEMENT_TIMEOUT
    (found,) = (await write(gateway, "SHOW statement_timeout")).results
    assert found.rows == [("30s",)]


async def test_a_full_pool_is_told_within_the_wait(gateway: Gateway, observer: Any) -> None:
    call = asyncio.create_task(write(gateway, "SELECT pg_sleep(2)"))
    await until(observer, SLEEPING, wanted=1)
    refusal = await refused(gateway, "SELECT 1")
    assert (refusal.code, refusal.retryable) == (Code.POOL_EXHAUSTED, True)
    await call


async def test_a_plan_of_a_write_needs_no_session_and_writes_nothing(gateway: Gateway, observer: Any) -> None:
    limits = gateway.limits(None)
    answer = await gateway.explain(Explain(sql="INSERT INTO t VALUES (1)", limits=limits))
    assert answer.result.rows[0][0].startswith("Insert on t")
    with pytest.raises(Refusal) as caught:
        await gateway.explain(Explain(sql="INSERT INTO t VALUES (1)", analyze=True, limits=limits))
    assert caught.value.code is Code.READ_ONLY
    assert "session_id" in caught.value.next
    with pytest.raises(Refusal) as caught:
        await gateway.explain(Explain(sql="SELECT nothing FROM t", limits=limits))
    assert caught.value.cause.position == len("SELECT n")
    with_update = "WITH gone AS (DELETE FROM t RETURNING i) SELECT * FROM gone"
    assert "Delete on t" in str((await gateway.explain(Explain(sql=with_update, limits=limits))).result.rows)
    analyzed = await gateway.explain(Explain(sql="SELECT i FROM t", analyze=True, limits=limits))
    assert "actual" in analyzed.result.rows[0][0]
    assert await observer.fetchval("SELECT count(*) FROM t") == 0


async def test_rows_written_beyond_the_cap_are_counted(gateway: Gateway, observer: Any) -> None:
    committed = await write(gateway, "INSERT INTO t SELECT generate_series(1, 500) RETURNING i", max_rows=10)
    (result,) = committed.results
    assert (result.command, result.row_count, len(result.rows)) == ("INSERT", 500, 10)
    assert await observer.fetchval("SELECT count(*) FROM t") == 500


async def test_a_reload_while_a_write_runs_holds_up_no_close(
    gateway: Gateway, database: TestDatabase, observer: Any
) -> None:
    call = asyncio.create_task(gateway.write("SELECT pg_sleep(60)"))
    await until(observer, SLEEPING, wanted=1)
    reload = asyncio.create_task(gateway.reload(gateway.settings, target(database.reader_dsn)))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(4):
        await gateway.close()
    with pytest.raises(Refusal) as caught:
        await call
    assert caught.value.code is Code.CONNECTION_LOST
    await asyncio.wait([reload], timeout=5)
    await until(observer, SLEEPING, wanted=0)
