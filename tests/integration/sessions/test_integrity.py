"""What a session holds against SQL and callers that are up to no good, or only unlucky."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from asyncpg import connect_utils

from actors import LoopClock
from actors.testing import ManualClock
from coldquery.errors import Code
from coldquery.sessions import SessionRoot
from coldquery.sessions.commands import Commit, Explain, Inspect, Savepoint
from coldquery.sessions.reaper import Reaper
from coldquery.sessions.replies import Outcome
from tests.conftest import TestDatabase
from tests.integration.sessions.asking import LIMITS, SLEEPING, Session, ended, make_root, until


async def count(observer: Any) -> int:
    return int(await observer.fetchval("SELECT count(*) FROM t"))


@pytest.mark.usefixtures("no_policy")
@pytest.mark.parametrize(
    "sql", ['SET U&"transaction_read_only" = off', "SELECT set_config('transaction_read_only', 'off', false)"]
)
async def test_a_read_only_session_can_not_be_made_to_write(root: SessionRoot, observer: Any, sql: str) -> None:
    session = await Session.begin(root, read_only=True)
    refusal = await session.refused(sql)
    assert refusal.code in {Code.READ_ONLY, Code.SQL_ERROR}
    await session.commit()
    # A deferrable one has no snapshot to seal it until its first statement. Then the gateway commits nothing.
    session = await Session.begin(root, isolation_level="serializable", read_only=True, deferrable=True)
    if sql.startswith("SET"):
        await session.run(sql)
        await session.run("INSERT INTO t VALUES (1)")
        refusal = await session.refused(Commit())
        assert (refusal.code, refusal.session and refusal.session["state"]) == (Code.READ_ONLY, "rolled_back")
    assert await count(observer) == 0


async def test_a_deferrable_session_may_wait_for_its_snapshot(database: TestDatabase, observer: Any) -> None:
    root = make_root(database.owner_dsn, LoopClock(), control_timeout_s=0.2)
    writer = await Session.begin(root, isolation_level="serializable")
    await writer.run("INSERT INTO t VALUES (1)")
    session = await Session.begin(root, isolation_level="serializable", read_only=True, deferrable=True)
    assert (await session.refused(Inspect())).code is Code.CANCELLED
    await writer.commit()
    assert await session.rows("SELECT count(*) FROM t") in ([(0,)], [(1,)])
    assert (await session.commit()).outcome is Outcome.COMMITTED
    await root.drain(0, 5)


@pytest.mark.parametrize("access", ["read", "write"])
async def test_columns_of_a_pseudo_type_are_read_like_others(root: SessionRoot, access: str) -> None:
    session = await Session.begin(root)
    await session.run("SELECT * FROM pg_stats LIMIT 3", access=access)
    assert await session.rows("SELECT 1") == [(1,)]


async def test_a_write_runs_to_its_end_whatever_the_row_limit(root: SessionRoot, observer: Any) -> None:
    await observer.execute(
        "CREATE FUNCTION put(n int) RETURNS int LANGUAGE sql AS 'INSERT INTO t VALUES (n) RETURNING i'"
    )
    session = await Session.begin(root)
    few = {"max_rows": 10, "max_bytes": 1 << 20, "max_cell_bytes": 1 << 16}
    wrote = await session.run("SELECT put(n) FROM generate_series(1, 500) AS n", limits=few)
    assert (wrote.result.row_count, len(wrote.result.rows)) == (500, 10)
    await session.commit()
    assert await count(observer) == 500


async def test_a_commit_that_comes_too_late_to_be_followed_up_is_not_sent(root: SessionRoot, observer: Any) -> None:
    session = await Session.begin(root)
    await session.run("INSERT INTO t VALUES (1)")
    refusal = await session.refused(Commit(), timeout_s=0.5)
    assert refusal.code is Code.DEADLINE_EXCEEDED
    assert refusal.session is not None
    assert refusal.session["state"] == "idle in transaction"
    assert (await session.commit()).outcome is Outcome.COMMITTED
    assert await count(observer) == 1


@pytest.mark.usefixtures("no_policy")
async def test_an_encoding_that_sql_changed_is_changed_back(root: SessionRoot, observer: Any) -> None:
    await observer.execute("CREATE TABLE letters (letter text); GRANT ALL ON letters TO PUBLIC")
    session = await Session.begin(root)
    await session.run("SELECT set_config('client_encoding', 'LATIN1', false)")
    await session.run("INSERT INTO letters VALUES ($1), ('é')", "é")
    assert await session.rows("SELECT letter FROM letters") == [("é",), ("é",)]
    await session.commit()
    assert await observer.fetchval("SELECT count(*) FROM letters WHERE letter = 'é'") == 2


@pytest.mark.usefixtures("no_policy")
@pytest.mark.parametrize("encoding", ["SQL_ASCII", "EUC_TW", "LATIN1"])
async def test_an_answer_in_another_encoding_leaves_the_state_true(root: SessionRoot, encoding: str) -> None:
    session = await Session.begin(root)
    setting = f"set_config('client_encoding', '{encoding}', false)"
    refusal = await session.refused(f"SELECT {setting}, chr(233) || (1/(i-3)) FROM generate_series(1, 90) AS i")
    assert refusal.session is not None
    assert refusal.session["state"] == "idle in transaction (aborted)"
    assert (await session.refused("SELECT 1")).code is Code.TRANSACTION_ABORTED
    assert (await session.rollback()).outcome is Outcome.ROLLED_BACK


async def test_every_abandoned_command_is_told_of(root: SessionRoot, observer: Any) -> None:
    session = await Session.begin(root)
    for number in (1, 2):
        call = asyncio.create_task(session.run(f"INSERT INTO t SELECT {number} FROM pg_sleep(0.2)", timeout_s=9))
        await until(observer, SLEEPING, wanted=1)
        # As if the caller had left when it was too late to cancel.
        held = root._actors[session.id]._held
        assert held is not None
        interrupt, held.connection.interrupt = held.connection.interrupt, lambda: None  # type: ignore[method-assign]
        call.cancel()
        await asyncio.wait([call])
        await until(observer, SLEEPING, wanted=0)
        held.connection.interrupt = interrupt  # type: ignore[method-assign]
    told = (await session.run("SELECT 1")).echo.abandoned or ""
    assert told.count("An earlier query, whose caller had left, ran: INSERT, 1 rows.") == 2


async def test_status_of_a_transaction_that_changed_very_many_tables_stays_small(root: SessionRoot) -> None:
    session = await Session.begin(root)
    make = "EXECUTE format('CREATE TEMP TABLE %I AS SELECT 1', 't' || n)"
    await session.run(f"DO $$ BEGIN FOR n IN 1..150 LOOP {make}; END LOOP; END $$")
    assert len((await session.ask(Inspect())).changes) == 100


async def test_status_finds_postgresqls_own_names_whatever_the_search_path(root: SessionRoot, observer: Any) -> None:
    await observer.execute(
        "CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO PUBLIC;"
        "CREATE FUNCTION evil.pg_current_xact_id() RETURNS xid8 LANGUAGE sql AS $$ SELECT '3'::xid8 $$;"
        "CREATE FUNCTION evil.pg_current_xact_id_if_assigned() RETURNS xid8 LANGUAGE sql AS $$ SELECT '3'::xid8 $$"
    )
    session = await Session.begin(root)
    await session.run("SET search_path = evil, pg_catalog, public")
    await session.run("CREATE TEMP TABLE pg_stat_xact_user_tables (i int)")
    await session.run("INSERT INTO t VALUES (1)")
    assert (await session.ask(Inspect())).changes[0].table == "public.t"
    assert (await session.commit()).xid == await observer.fetchval("SELECT xmin::text FROM t")


async def test_a_serialization_failure_is_the_whole_transactions_even_with_auto_savepoint(
    root: SessionRoot, observer: Any
) -> None:
    await observer.execute("INSERT INTO t VALUES (1)")
    session = await Session.begin(root, isolation_level="repeatable read", auto_savepoint=True)
    assert await session.rows("SELECT i FROM t") == [(1,)]
    await observer.execute("UPDATE t SET i = 2")
    refusal = await session.refused("UPDATE t SET i = 3")
    assert (refusal.code, refusal.retryable) == (Code.SERIALIZATION_FAILURE, True)
    assert "begin again" in refusal.next


@pytest.mark.parametrize("sql", ["PREPARE p AS SELECT 1", "DECLARE c CURSOR FOR SELECT 1", "SET work_mem = '1MB'"])
async def test_a_read_that_would_leave_something_behind_is_refused(root: SessionRoot, sql: str) -> None:
    session = await Session.begin(root)
    assert (await session.refused(sql, access="read")).code is Code.STATEMENT_NOT_ALLOWED
    await session.run(sql)


async def test_analyzing_a_read_changes_not_even_a_sequence(root: SessionRoot, observer: Any) -> None:
    await observer.execute("CREATE SEQUENCE sq; GRANT ALL ON SEQUENCE sq TO PUBLIC")
    session = await Session.begin(root)
    refusal = await session.refused(Explain(sql="SELECT setval('sq', 99)", analyze=True, limits=LIMITS))
    assert refusal.code is Code.READ_ONLY
    assert await observer.fetchval("SELECT last_value FROM sq") == 1


async def test_a_prepared_statement_of_the_driver_that_sql_dropped_is_made_again(
    root: SessionRoot, observer: Any
) -> None:
    session = await Session.begin(root, auto_savepoint=True)
    await session.run("CREATE TYPE one AS ENUM ('a')")
    await session.run("CREATE TYPE two AS ENUM ('b')")
    assert await session.rows("SELECT 'a'::one") == [("a",)]
    await session.run("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")
    await session.refused("SELECT 'b'::two")
    assert await session.rows("SELECT 'b'::two") == [("b",)]


async def test_a_late_cancel_request_never_meets_the_next_statement(
    root: SessionRoot, observer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancel = connect_utils._cancel  # type: ignore[attr-defined]

    async def slowly(**arguments: Any) -> None:
        await asyncio.sleep(0.6)
        await cancel(**arguments)

    monkeypatch.setattr(connect_utils, "_cancel", slowly)
    session = await Session.begin(root)
    call = asyncio.create_task(session.run("SELECT pg_sleep(0.2)"))
    await until(observer, SLEEPING, wanted=1)
    call.cancel()
    await asyncio.wait([call])
    await session.run("SELECT pg_sleep(0.5)")
    assert (await session.commit()).outcome is Outcome.COMMITTED


async def test_a_cancel_request_of_unknown_fate_ends_the_session(
    root: SessionRoot, observer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(**_: Any) -> None:
        raise ConnectionResetError

    monkeypatch.setattr(connect_utils, "_cancel", lost)
    session = await Session.begin(root)
    call = asyncio.create_task(session.run("SELECT pg_sleep(60)", timeout_s=60))
    await until(observer, SLEEPING, wanted=1)
    call.cancel()
    await asyncio.wait([call])
    await ended(root)
    assert "(connection_lost)" in (await session.refused("SELECT 1")).message


async def test_sessions_of_the_database_before_a_reload_are_left_alone(
    root: SessionRoot, clock: ManualClock, database: TestDatabase, observer: Any
) -> None:
    await observer.execute("DROP ROLE IF EXISTS coldquery_other; CREATE ROLE coldquery_other LOGIN")
    await observer.execute(f"GRANT CONNECT ON DATABASE {database.name} TO coldquery_other; GRANT ALL ON t TO PUBLIC")
    reaper = Reaper(root, root.limits, clock)
    old = await Session.begin(root)
    await old.run("INSERT INTO t VALUES (1)")
    assert await reaper.sweep() == ()
    root.retarget(replace(root.target, dsn=database.endpoint.dsn("coldquery_other", database.name)))
    new = await Session.begin(root)
    for _ in range(3):
        assert await reaper.sweep() == ()
    assert await new.rows("SELECT current_user::text") == [("coldquery_other",)]
    assert (await old.commit()).outcome is Outcome.COMMITTED
    await new.rollback()
    reaper._close()


async def test_a_spare_connection_is_taken_and_replaced_and_one_that_died_is_not_used(
    database: TestDatabase, observer: Any
) -> None:
    root = make_root(database.owner_dsn, LoopClock(), spare_connections=2)
    keeping = asyncio.create_task(root.spares.run())

    async def spares(wanted: int) -> None:
        async with asyncio.timeout(5):
            while len(root.spares) != wanted:
                await asyncio.sleep(0.005)

    await spares(2)
    spare = root.spares._idle[0].backend.pid
    session = await Session.begin(root)
    assert (await session.rows("SELECT pg_backend_pid(), current_setting('application_name')")) == [
        (spare, f"{root.tag}/{session.id[:8]}")
    ]
    await spares(2)
    await observer.execute(f"SELECT pg_terminate_backend({root.spares._idle[0].backend.pid})")
    await spares(2)
    # One that is dead, and does not know it.
    dead = root.spares._idle[0]
    dead.remove_termination_listener(root.spares._broke)
    await observer.execute(f"SELECT pg_terminate_backend({dead.backend.pid})")
    assert await (await Session.begin(root)).rows("SELECT 1") == [(1,)]
    root.retarget(root.target)
    await spares(2)
    keeping.cancel()
    await asyncio.wait([keeping])
    assert len(root.spares) == 0
    await root.drain(0, 5)


async def test_spares_wait_for_a_database_that_is_away(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coldquery.sessions.spares.BACKOFF_FIRST_S", 0.01)
    root = make_root("postgresql://nobody@127.0.0.1:1/nothing", clock, spare_connections=1)
    keeping = asyncio.create_task(root.spares.run())
    await asyncio.sleep(0.05)
    assert (len(root.spares), keeping.done()) == (0, False)
    keeping.cancel()
    await asyncio.wait([keeping])


async def test_a_session_can_stand_a_short_idle_limit_of_postgresqls_own(root: SessionRoot) -> None:
    session = await Session.begin(root, idle_timeout_s=30)
    assert await session.rows("SHOW idle_in_transaction_session_timeout") == [("90s",)]
    await session.ask(Savepoint(name="a"))


async def test_a_failed_session_keeps_its_name(root: SessionRoot, observer: Any) -> None:
    session = await Session.begin(root)
    await session.refused("SELECT 1/0")
    state = await observer.fetchval(
        "SELECT state FROM pg_stat_activity WHERE application_name = $1", f"{root.tag}/{session.id[:8]}"
    )
    assert state == "idle in transaction (aborted)"


async def test_a_wire_that_is_cut_just_as_the_answer_comes_is_a_lost_connection(
    root: SessionRoot, observer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(**_: Any) -> None:
        await asyncio.sleep(0.3)
        raise ConnectionResetError

    monkeypatch.setattr(connect_utils, "_cancel", lost)
    session = await Session.begin(root)
    call = asyncio.create_task(session.run("SELECT pg_sleep(0.2)"))
    await until(observer, SLEEPING, wanted=1)
    call.cancel()
    await asyncio.wait([call])
    await ended(root)
    assert "(connection_lost)" in (await session.refused("SELECT 1")).message


async def test_an_error_that_repeats_a_long_value_is_cut(root: SessionRoot) -> None:
    session = await Session.begin(root)
    refusal = await session.refused("SELECT repeat('x', 3000000)::int")
    assert len(refusal.message) == 2_000
    assert refusal.message.endswith("…")


@pytest.mark.usefixtures("no_policy")
async def test_a_time_limit_that_sql_changed_in_a_frame_is_set_anew(root: SessionRoot) -> None:
    session = await Session.begin(root, auto_savepoint=True)
    await session.run("SELECT set_config('statement_timeout', '0', true)", timeout_ms=5_000)
    assert await session.rows("SHOW statement_timeout", access="write") == [("30s",)]
    reply = await session.run("SHOW statement_timeout", timeout_ms=5_000)
    assert reply.result.rows == [("5s",)]
