"""What runs in a session, how it fails, and what that leaves of the transaction."""

import asyncio
from typing import Any

import pytest

from coldquery.errors import Code
from coldquery.sessions import SessionRoot
from coldquery.sessions.commands import (
    Batch,
    Commit,
    Explain,
    Inspect,
    Operation,
    Query,
    Release,
    RollbackTo,
    Savepoint,
)
from coldquery.sessions.replies import Outcome
from tests.integration.sessions.asking import LIMITS, Session, until


async def count(observer: Any) -> int:
    return int(await observer.fetchval("SELECT count(*) FROM t"))


async def test_a_transaction_is_held_open_across_calls_and_committed(root: SessionRoot, observer: Any) -> None:
    session = await Session.begin(root)
    wrote = await session.run("INSERT INTO t VALUES ($1), ($2)", 1, 2)
    assert (wrote.result.command, wrote.result.row_count) == ("INSERT", 2)
    assert wrote.echo.state == "idle in transaction"
    assert await count(observer) == 0
    finished = await session.commit()
    assert (finished.outcome, finished.echo.state) == (Outcome.COMMITTED, "committed")
    assert finished.xid is not None
    assert await observer.fetchval("SELECT pg_xact_status($1::text::xid8)", finished.xid) == "committed"
    assert await count(observer) == 2


async def test_a_rollback_undoes_everything(root: SessionRoot, observer: Any) -> None:
    session = await Session.begin(root)
    await session.run("INSERT INTO t VALUES (1)")
    finished = await session.rollback()
    assert finished.outcome is Outcome.ROLLED_BACK
    assert await count(observer) == 0


async def test_two_calls_at_once_are_both_answered_in_order(root: SessionRoot) -> None:
    session = await Session.begin(root)
    calls = [session.run(f"INSERT INTO t SELECT {n} FROM pg_sleep(0.02)") for n in range(4)]
    await asyncio.gather(*calls)
    assert await session.rows("SELECT i FROM t") == [(0,), (1,), (2,), (3,)]


async def test_an_error_then_commit_is_a_rollback_and_told_as_one(root: SessionRoot, observer: Any) -> None:
    session = await Session.begin(root)
    await session.run("INSERT INTO t VALUES (1)")
    await session.refused("SELECT 1/0")
    finished = await session.commit()
    assert (finished.outcome, finished.echo.state) == (Outcome.ROLLED_BACK, "rolled_back")
    assert await count(observer) == 0
    late = await session.refused("SELECT 1")
    assert late.code is Code.SESSION_ENDED
    assert "rolled back" in late.message


async def test_a_failed_transaction_lists_its_savepoints_and_goes_on_from_one(root: SessionRoot) -> None:
    session = await Session.begin(root)
    await session.ask(Savepoint(name="first"))
    await session.run("INSERT INTO t VALUES (1)")
    await session.ask(Savepoint(name='odd "name"; COMMIT'))
    await session.run("INSERT INTO t VALUES (2)")
    failure = await session.refused("SELECT 1/0")
    assert failure.session is not None
    assert failure.session["state"] == "idle in transaction (aborted)"
    refusal = await session.refused("SELECT 1")
    assert refusal.code is Code.TRANSACTION_ABORTED
    assert 'one of: odd "name"; COMMIT, first' in refusal.next
    assert (await session.refused(Savepoint(name="x"))).code is Code.TRANSACTION_ABORTED
    assert (await session.refused(RollbackTo(name="nowhere"))).code is Code.INVALID_ARGUMENT
    moved = await session.ask(RollbackTo(name='odd "name"; COMMIT'))
    assert moved.echo.state == "idle in transaction"
    assert await session.rows("SELECT i FROM t") == [(1,)]
    assert (await session.ask(Release(name="first"))).echo.savepoints == ()
    assert (await session.commit()).outcome is Outcome.COMMITTED


async def test_a_savepoint_that_is_not_there_fails_nothing(root: SessionRoot) -> None:
    session = await Session.begin(root)
    refusal = await session.refused(Release(name="nowhere"))
    assert refusal.code is Code.INVALID_ARGUMENT
    assert "There is none." in refusal.message
    assert await session.rows("SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("COMMIT", Code.STATEMENT_NOT_ALLOWED),
        ("PREPARE TRANSACTION 'x'", Code.STATEMENT_NOT_ALLOWED),
        ("SET TRANSACTION READ ONLY", Code.STATEMENT_NOT_ALLOWED),
        ("COPY t FROM STDIN", Code.STATEMENT_NOT_ALLOWED),
        ("", Code.STATEMENT_NOT_ALLOWED),
        ("-- nothing", Code.STATEMENT_NOT_ALLOWED),
        ("SELECT '\0'", Code.INVALID_ARGUMENT),
    ],
)
@pytest.mark.parametrize("access", ["read", "write"])
async def test_what_has_no_place_in_a_session_leaves_it_intact(
    root: SessionRoot, sql: str, code: Code, access: str
) -> None:
    session = await Session.begin(root)
    refusal = await session.refused(sql, access=access)
    assert refusal.code is code
    assert refusal.session is not None
    assert refusal.session["state"] == "idle in transaction"
    assert await session.rows("SELECT 1") == [(1,)]


@pytest.mark.parametrize("params", [(), (1, 2), ("x",), ([1],), ("\ud800",)])
async def test_params_that_do_not_fit_leave_the_session_intact(root: SessionRoot, params: tuple[Any, ...]) -> None:
    session = await Session.begin(root)
    await session.run("INSERT INTO t VALUES (1)")
    refusal = await session.refused("INSERT INTO t VALUES ($1::int)", *params)
    assert refusal.code is Code.INVALID_ARGUMENT
    assert await session.rows("SELECT i FROM t") == [(1,)]


async def test_several_statements_are_refused_and_cost_nothing(root: SessionRoot) -> None:
    session = await Session.begin(root)
    read = await session.refused("SELECT 1; COMMIT", access="read")
    assert read.code is Code.STATEMENT_NOT_ALLOWED
    assert await session.rows("SELECT 1") == [(1,)]
    write = await session.refused("INSERT INTO t VALUES (1); COMMIT")
    assert write.code is Code.STATEMENT_NOT_ALLOWED
    assert write.session is not None
    assert write.session["state"] == "idle in transaction"


WRITES = [
    "INSERT INTO t VALUES (2)",
    "WITH gone AS (DELETE FROM t RETURNING i) SELECT * FROM gone",
    "SELECT * FROM t FOR UPDATE",
    "SELECT set_config('transaction_read_only', 'off', false), wipe()",
    "DO $$ BEGIN SET TRANSACTION READ WRITE; DELETE FROM t; END $$",
    "SELECT wipe()",
    "CALL wipe_and_commit()",
    "DROP TABLE t",
]


@pytest.mark.usefixtures("no_policy")
@pytest.mark.parametrize("isolation_level", ["read committed", "serializable"])
@pytest.mark.parametrize("sql", WRITES)
async def test_a_read_in_a_session_never_writes_even_after_a_write(
    root: SessionRoot, observer: Any, sql: str, isolation_level: str
) -> None:
    await observer.execute(
        "CREATE FUNCTION wipe() RETURNS void LANGUAGE sql AS 'DELETE FROM t';"
        "CREATE PROCEDURE wipe_and_commit() LANGUAGE plpgsql AS $$ BEGIN COMMIT; DELETE FROM t; END $$"
    )
    session = await Session.begin(root, isolation_level=isolation_level)
    await session.run("INSERT INTO t VALUES (1)")
    refusal = await session.refused(sql, access="read")
    assert refusal.code in {Code.READ_ONLY, Code.SQL_ERROR}
    assert refusal.session is not None
    assert refusal.session["state"] == "idle in transaction"
    assert await session.rows("SELECT i FROM t") == [(1,)]
    await session.run("INSERT INTO t VALUES (3)")
    assert (await session.commit()).outcome is Outcome.COMMITTED
    assert await count(observer) == 2


async def test_a_read_leaves_no_setting_behind(root: SessionRoot) -> None:
    session = await Session.begin(root)
    await session.run("SELECT set_config('search_path', 'nowhere', false)", access="read")
    assert await session.rows("SELECT count(*) FROM t") == [(0,)]


async def test_a_read_only_session_refuses_writes(root: SessionRoot) -> None:
    session = await Session.begin(root, read_only=True)
    assert (await session.refused("INSERT INTO t VALUES (1)")).code is Code.READ_ONLY


async def test_auto_savepoint_makes_an_error_cost_only_itself(root: SessionRoot, observer: Any) -> None:
    session = await Session.begin(root, auto_savepoint=True)
    await session.run("INSERT INTO t VALUES (1)", timeout_ms=4_000)
    refusal = await session.refused("INSERT INTO t VALUES (1/0)")
    assert refusal.session is not None
    assert refusal.session["state"] == "idle in transaction"
    assert "as it was before" in refusal.next
    await session.run("INSERT INTO t VALUES (2)")
    assert (await session.commit()).outcome is Outcome.COMMITTED
    assert await count(observer) == 2


@pytest.mark.parametrize("analyze", [False, True])
async def test_explaining_a_write_changes_nothing(root: SessionRoot, analyze: bool) -> None:
    session = await Session.begin(root)
    await session.run("INSERT INTO t VALUES (1)")
    explain = Explain(sql="DELETE FROM t WHERE i = $1", params=(1,), analyze=analyze, format="json", limits=LIMITS)
    reply = await session.ask(explain)
    assert b"Delete" in reply.result.rows_json
    assert (b"Actual Rows" in reply.result.rows_json) is analyze
    assert await session.rows("SELECT i FROM t") == [(1,)]


async def test_a_plan_cannot_be_talked_into_running(root: SessionRoot) -> None:
    session = await Session.begin(root)
    await session.run("INSERT INTO t VALUES (1)")
    assert (await session.refused(Explain(sql="ANALYZE DELETE FROM t", limits=LIMITS))).code is Code.SQL_ERROR
    assert await session.rows("SELECT i FROM t") == [(1,)]


def batch(*operations: Any, **more: Any) -> Batch:
    return Batch(operations=tuple(Operation(sql=sql) for sql in operations), limits=LIMITS, **more)


async def test_a_batch_in_a_session_is_all_or_nothing_and_says_which_failed(root: SessionRoot) -> None:
    session = await Session.begin(root)
    await session.run("INSERT INTO t VALUES (1)")
    refusal = await session.refused(batch("INSERT INTO t VALUES (2)", "SELECT 1/0", "SELECT 1", timeout_ms=3_000))
    assert refusal.message.startswith("Operation 2 of 3 failed")
    assert await session.rows("SELECT i FROM t") == [(1,)]
    reply = await session.ask(batch("INSERT INTO t VALUES (2) RETURNING i", "SELECT count(*) FROM t"))
    assert [result.rows for result in reply.results] == [[(2,)], [(2,)]]


async def test_a_batch_with_a_word_of_transaction_control_runs_nothing(root: SessionRoot) -> None:
    session = await Session.begin(root)
    assert (await session.refused(batch("INSERT INTO t VALUES (1)", "COMMIT"))).code is Code.STATEMENT_NOT_ALLOWED
    assert await session.rows("SELECT i FROM t") == []


async def test_a_batch_bounds_the_bytes_of_all_answers_together(root: SessionRoot) -> None:
    session = await Session.begin(root)
    sql = "SELECT repeat('x', 60000) FROM generate_series(1, 12)"
    reply = await session.ask(batch(sql, sql, sql))
    assert sum(len(result.rows_json) for result in reply.results) <= LIMITS.max_bytes + 10
    assert reply.results[2].truncated.by == "bytes"


async def test_rows_written_beyond_the_cap_are_counted(root: SessionRoot) -> None:
    session = await Session.begin(root)
    few = {"max_rows": 10, "max_bytes": 1 << 20, "max_cell_bytes": 1 << 16}
    wrote = await session.run("INSERT INTO t SELECT generate_series(1, 500) RETURNING i", limits=few)
    assert (wrote.result.command, wrote.result.row_count, len(wrote.result.rows)) == ("INSERT", 500, 10)
    read = await session.run("SELECT i FROM t", access="read", limits=few)
    assert (read.result.row_count, len(read.result.rows)) == (10, 10)
    assert await session.rows("SELECT count(*) FROM t") == [(500,)]


async def test_a_statement_has_its_own_time_limit_and_the_next_has_the_sessions(root: SessionRoot) -> None:
    session = await Session.begin(root)
    await session.ask(Savepoint(name="a"))
    assert (await session.refused("SELECT pg_sleep(60)", timeout_ms=50)).code is Code.STATEMENT_TIMEOUT
    await session.ask(RollbackTo(name="a"))
    assert await session.rows("SHOW statement_timeout", access="write") == [("30s",)]
    read = await session.refused("SELECT pg_sleep(60)", access="read", timeout_ms=50)
    assert read.code is Code.STATEMENT_TIMEOUT
    assert await session.rows("SHOW statement_timeout", access="write") == [("30s",)]
    await session.run("SELECT 1", timeout_ms=1234)
    assert await session.rows("SHOW statement_timeout", access="write") == [("30s",)]


async def test_an_error_at_commit_is_told_and_nothing_is_kept(root: SessionRoot, observer: Any) -> None:
    await observer.execute(
        "CREATE TABLE u (i int UNIQUE DEFERRABLE INITIALLY DEFERRED); GRANT ALL ON u TO PUBLIC;INSERT INTO u VALUES (1)"
    )
    session = await Session.begin(root)
    await session.run("INSERT INTO u VALUES (1)")
    refusal = await session.refused(Commit())
    assert (refusal.code, refusal.cause.sqlstate) == (Code.SQL_ERROR, "23505")
    assert "Nothing was kept" in refusal.next
    assert refusal.session is not None
    assert refusal.session["state"] == "rolled_back"
    assert await observer.fetchval("SELECT count(*) FROM u") == 1


async def test_status_shows_what_the_transaction_did_and_whom_it_blocks(root: SessionRoot, observer: Any) -> None:
    session = await Session.begin(root, label="moving stock")
    await session.run("INSERT INTO t VALUES (1), (2)")
    await session.run("UPDATE t SET i = 3 WHERE i = 1")
    waiting = asyncio.create_task(observer.execute("TRUNCATE t"))
    status = await session.ask(Inspect())
    async with asyncio.timeout(5):
        while not status.blocks:
            status = await session.ask(Inspect())
    changes = status.changes[0]
    assert (changes.table, changes.inserted, changes.updated, changes.deleted) == ("public.t", 2, 1, 0)
    assert ("public.t", "RowExclusiveLock") in {(lock.relation, lock.mode) for lock in status.locks}
    assert status.label == "moving stock"
    assert "Others wait" in (status.echo.warning or "")
    await session.rollback()
    await waiting


async def test_status_of_a_failed_transaction_says_why_and_asks_nothing(root: SessionRoot) -> None:
    session = await Session.begin(root)
    await session.refused("SELECT 1/0")
    status = await session.ask(Inspect())
    assert (status.sqlstate, status.changes, status.locks, status.blocks) == ("22012", None, None, None)
    assert status.echo.state == "idle in transaction (aborted)"


async def test_isolation_is_postgresqls(root: SessionRoot, observer: Any) -> None:
    loose = await Session.begin(root, isolation_level="read committed")
    strict = await Session.begin(root, isolation_level="repeatable read")
    for session in (loose, strict):
        assert await session.rows("SELECT count(*) FROM t") == [(0,)]
    await observer.execute("INSERT INTO t VALUES (1)")
    assert await loose.rows("SELECT count(*) FROM t") == [(1,)]
    assert await strict.rows("SELECT count(*) FROM t") == [(0,)]


async def test_a_serialization_failure_is_retryable_and_says_to_begin_again(root: SessionRoot, observer: Any) -> None:
    await observer.execute("INSERT INTO t VALUES (1)")
    one, two = [await Session.begin(root, isolation_level="serializable") for _ in range(2)]
    for session in (one, two):
        assert await session.rows("SELECT sum(i) FROM t") == [(1,)]
    await one.run("INSERT INTO t VALUES (10)")
    await two.run("INSERT INTO t VALUES (20)")
    assert (await one.commit()).outcome is Outcome.COMMITTED
    refusal = await two.refused(Commit())
    assert (refusal.code, refusal.retryable) == (Code.SERIALIZATION_FAILURE, True)
    assert "begin again" in refusal.next
    assert await observer.fetchval("SELECT sum(i) FROM t") == 11


async def test_of_a_deadlock_one_session_is_told_and_the_other_goes_on(root: SessionRoot, observer: Any) -> None:
    await observer.execute("INSERT INTO t VALUES (1), (2)")
    one, two = [await Session.begin(root) for _ in range(2)]
    await one.run("UPDATE t SET i = i WHERE i = 1")
    await two.run("UPDATE t SET i = i WHERE i = 2")
    answers = await asyncio.gather(
        one.run("UPDATE t SET i = i WHERE i = 2"), two.run("UPDATE t SET i = i WHERE i = 1"), return_exceptions=True
    )
    refusals = [answer for answer in answers if isinstance(answer, Exception)]
    assert [getattr(refusal, "code", None) for refusal in refusals] == [Code.DEADLOCK]
    assert "Roll back with pg_tx rollback, then begin again" in getattr(refusals[0], "next", "")


async def test_a_statement_that_ends_the_transaction_all_the_same_ends_the_session_truthfully(
    root: SessionRoot, observer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coldquery.sessions.session.check_session_statement", lambda _: None)
    session = await Session.begin(root)
    await session.run("INSERT INTO t VALUES (1)")
    refusal = await session.refused("COMMIT")
    assert refusal.code is Code.SESSION_ENDED
    assert "committed" in refusal.message
    assert await count(observer) == 1
    assert "It was committed" in (await session.refused("SELECT 1")).message


async def test_a_read_of_a_sleeping_statement_waits_its_turn(root: SessionRoot, observer: Any) -> None:
    session = await Session.begin(root)
    sleeping = asyncio.create_task(session.run("SELECT pg_sleep(0.2)"))
    await until(observer, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'", wanted=1)
    assert await session.rows("SELECT 1") == [(1,)]
    assert sleeping.done()
    await sleeping


async def test_a_default_deadline_lies_behind_postgresqls_limit(root: SessionRoot) -> None:
    query = Query(sql="SELECT 1", access="read", limits=LIMITS, timeout_ms=100)
    assert root.deadline_s(query) > 0.1
    assert root.deadline_s(Commit()) > root.limits.commit_timeout_s
    assert root.deadline_s(batch("SELECT 1", "SELECT 1")) > 60


async def test_an_answer_that_cannot_be_understood_says_that_the_statement_ran(root: SessionRoot) -> None:
    session = await Session.begin(root)
    held = root._actors[session.id]._held
    assert held is not None

    def gibberish(_: str) -> str:
        raise ValueError

    held.connection.set_text_type(829, "macaddr", "pg_catalog", str, gibberish)
    await session.run("CREATE TEMP TABLE m (a macaddr)")
    refusal = await session.refused("INSERT INTO m VALUES ('08:00:2b:01:02:03') RETURNING a")
    assert refusal.code is Code.INTERNAL
    assert "has run" in refusal.next
    assert await session.rows("SELECT count(*) FROM m") == [(1,)]
