"""Stateless reads: PostgreSQL refuses writes, nothing is left behind, nobody waits for ever."""

import asyncio
import contextlib
import random
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, override

import asyncpg
import pytest

from coldquery.errors import Code, Refusal
from coldquery.postgres.answer import Limits, Result, Truncation
from coldquery.postgres.connection import Connection
from coldquery.postgres.pool import Pool
from coldquery.postgres.target import Target
from coldquery.postgres.wire import Wire
from coldquery.reads import Read
from tests.conftest import TestDatabase

TIMEOUT_MS = 5_000
LIMITS = Limits(max_rows=1000, max_bytes=1 << 20, max_cell_bytes=1 << 16)


def target(dsn: str) -> Target:
    return Target(dsn=dsn, application_name="coldquery/test/read", connect_timeout_s=2)


@pytest.fixture(params=[True, False], ids=["one trip", "two trips"])
async def pool(database: TestDatabase, request: pytest.FixtureRequest) -> AsyncIterator[Pool]:
    """A pool on the most powerful role there is: the wall must hold even then.

    With the time limit that its connections have anyway, a read's BEGIN travels with its statement.
    """
    limited = replace(target(database.superuser_dsn), statement_timeout_ms=TIMEOUT_MS if request.param else None)
    pool = Pool(limited, size=1, acquire_timeout_s=2)
    await pool.open()
    yield pool
    await pool.close(timeout_s=2)


@pytest.fixture
async def observer(database: TestDatabase) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database.superuser_dsn)
    yield connection
    await connection.close()


async def read(pool: Pool, sql: str, *params: Any, timeout_ms: int = TIMEOUT_MS) -> Result:
    return await pool.run(Read(sql, params, LIMITS, timeout_ms))


async def refused(pool: Pool, sql: str, *params: Any, timeout_ms: int = TIMEOUT_MS) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await read(pool, sql, *params, timeout_ms=timeout_ms)
    return caught.value


async def sleepers(observer: Any) -> int:
    sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    return int(await observer.fetchval(sql))


async def until_sleeping(observer: Any, wanted: int = 1) -> None:
    async with asyncio.timeout(5):
        while await sleepers(observer) != wanted:
            await asyncio.sleep(0.005)


WRITES = [
    "INSERT INTO t VALUES (2)",
    "WITH gone AS (DELETE FROM t RETURNING i) SELECT * FROM gone",
    "DROP TABLE t",
    "CREATE TEMP TABLE x (i int)",
    "SELECT nextval('s')",
    "SELECT * FROM t FOR UPDATE",
    "EXPLAIN ANALYZE DELETE FROM t",
    "DO $$ BEGIN DELETE FROM t; END $$",
    "DO $$ BEGIN PERFORM set_config('transaction_read_only', 'off', false); DELETE FROM t; END $$",
    "DO $$ BEGIN SET TRANSACTION READ WRITE; DELETE FROM t; END $$",
    "SELECT set_config('transaction_read_only', 'off', false), wipe()",
    "SELECT wipe()",
    "CALL wipe_and_commit()",
]


@pytest.mark.parametrize("sql", WRITES)
async def test_a_read_never_writes_even_as_superuser(pool: Pool, observer: Any, sql: str) -> None:
    await observer.execute(
        "CREATE TABLE t (i int); INSERT INTO t VALUES (1); CREATE SEQUENCE s;"
        "CREATE FUNCTION wipe() RETURNS void LANGUAGE sql AS 'DELETE FROM t';"
        "CREATE PROCEDURE wipe_and_commit() LANGUAGE plpgsql AS $$ BEGIN COMMIT; DELETE FROM t; END $$"
    )
    refusal = await refused(pool, sql)
    assert refusal.code in {Code.READ_ONLY, Code.SQL_ERROR}
    assert await observer.fetchval("SELECT count(*) FROM t") == 1
    assert (await read(pool, "SELECT count(*) FROM t")).rows == [(1,)]


@pytest.mark.parametrize(
    "body", ["INSERT INTO t VALUES (2)", "PERFORM nextval('s')", "CREATE TEMP TABLE x ()", "DELETE FROM t"]
)
async def test_a_function_that_is_called_as_the_statement_is_parsed_writes_neither(
    pool: Pool, observer: Any, body: str
) -> None:
    await observer.execute(
        "CREATE TABLE t (i int); INSERT INTO t VALUES (1); CREATE SEQUENCE s; CREATE FUNCTION meddle() RETURNS boolean"
        f" LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN true; END $$;"
        "CREATE DOMAIN checked AS int CHECK (meddle())"
    )
    await read(pool, "SELECT 1")
    # The first asks for the array's type, which would commit what the parsing did before.
    for sql in (
        "SELECT '{1}'::checked[]",
        "SELECT '{1}'::checked[] IS NULL",
        "SELECT '{1}'::checked[] IS NULL, $1::int",
    ):
        assert (await refused(pool, sql, *(["unfit"] if "$" in sql else []))).code is Code.READ_ONLY
    assert await observer.fetchrow("SELECT count(*), sum(i), (SELECT is_called FROM s) FROM t") == (1, 1, False)


LEFTOVERS = {
    "SELECT pg_advisory_lock(42)": "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'",
    "SELECT set_config('search_path', 'nowhere', false)": (
        "SELECT count(*) WHERE current_setting('search_path') = 'nowhere'"
    ),
    "SELECT set_config('default_transaction_read_only', 'off', false)": (
        "SELECT count(*) WHERE current_setting('transaction_read_only') = 'off'"
    ),
    "SELECT set_config('role', 'pg_monitor', false)": "SELECT count(*) WHERE current_user = 'pg_monitor'",
    "LISTEN somewhere": "SELECT count(*) FROM pg_listening_channels()",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1": "SELECT count(*) FROM pg_cursors WHERE is_holdable",
    "SELECT set_config('statement_timeout', '0', false)": (
        "SELECT count(*) WHERE current_setting('statement_timeout') = '0'"
    ),
    "COMMIT": "SELECT count(*) WHERE current_setting('transaction_read_only') = 'off'",
}


@pytest.mark.parametrize("sql", LEFTOVERS)
async def test_nothing_that_a_read_left_behind_meets_the_next(pool: Pool, sql: str) -> None:
    # Once more, for it may be cleaned up after in another way when it is known to be brief.
    for _ in range(3):
        await read(pool, sql)
        assert (await read(pool, LEFTOVERS[sql])).rows == [(0,)]


@pytest.mark.parametrize(
    "body",
    [
        "EXECUTE 'PREPARE left_behind AS SELECT 1'",
        "EXECUTE 'DEALLOCATE ALL'; EXECUTE 'PREPARE __asyncpg_stmt_1__ AS SELECT 666'",
    ],
)
async def test_a_connection_with_statements_of_a_function_is_thrown_away(pool: Pool, observer: Any, body: str) -> None:
    await observer.execute(
        f"CREATE FUNCTION meddle() RETURNS int LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN 1; END $$"
    )
    backend = (await read(pool, "SELECT pg_backend_pid()")).rows
    await read(pool, "SELECT meddle()")
    assert (await read(pool, "SELECT pg_backend_pid()")).rows != backend


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("PERFORM set_config('search_path', 'nowhere', false)", "current_setting('search_path') = 'nowhere'"),
        ("LISTEN somewhere", "EXISTS (SELECT FROM pg_listening_channels())"),
        ("PERFORM set_config('role', 'pg_monitor', false)", "current_user = 'pg_monitor'"),
    ],
)
async def test_a_function_that_is_called_as_the_statement_is_parsed_leaves_nothing(
    pool: Pool, observer: Any, body: str, left: str
) -> None:
    await observer.execute(
        f"CREATE FUNCTION meddle() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN true; END $$;"
        "CREATE DOMAIN checked AS int CHECK (meddle())"
    )
    await read(pool, "SELECT 1")
    with contextlib.suppress(Refusal):
        await read(pool, "SELECT '{1}'::checked[]")
    assert (await read(pool, f"SELECT {left}")).rows == [(False,)]


@pytest.mark.parametrize("way", ["SELECT * FROM view_of_it", "SELECT 1 OPERATOR(public.|+|) 2", "SELECT 'x'::checked"])
async def test_such_a_function_is_noticed_however_it_is_called(pool: Pool, observer: Any, way: str) -> None:
    await observer.execute(
        "CREATE TABLE account (amount int); INSERT INTO account VALUES (100);"
        "CREATE FUNCTION meddle() RETURNS int LANGUAGE plpgsql AS $$ DECLARE kept text; BEGIN"
        " SELECT name INTO kept FROM pg_prepared_statements WHERE statement = 'SELECT amount FROM account';"
        " EXECUTE format('DEALLOCATE %I', kept); EXECUTE format('PREPARE %I AS SELECT 666', kept); RETURN 1; END $$;"
        "CREATE VIEW view_of_it AS SELECT meddle();"
        "CREATE FUNCTION meddle(a int, b int) RETURNS int LANGUAGE sql AS 'SELECT meddle()';"
        "CREATE OPERATOR |+| (FUNCTION = meddle, LEFTARG = int, RIGHTARG = int);"
        "CREATE DOMAIN checked AS text CHECK (meddle() = 1)"
    )
    assert (await read(pool, "SELECT amount FROM account")).rows == [(100,)]
    await read(pool, way)
    assert (await read(pool, "SELECT amount FROM account")).rows == [(100,)]


async def test_a_read_that_is_not_brief_any_more_is_answered_whole(pool: Pool) -> None:
    for n in (1, 2, 3, 4, 4, 900, 0, 2, 3, 5):
        result = await read(pool, "SELECT g, 'x' FROM generate_series(1, $1::int) g", n)
        assert result.rows == [(each + 1, "x") for each in range(n)]
        assert (result.command, result.row_count, result.truncated) == ("SELECT", n, None)


@pytest.mark.parametrize("max_rows", [1, 2, 3, 4, 5])
async def test_a_cut_answer_has_no_command_however_soon_it_is_cut(pool: Pool, max_rows: int) -> None:
    limits = replace(LIMITS, max_rows=max_rows)
    for _ in range(3):
        result = await pool.run(Read("SELECT generate_series(1, 100)", (), limits, TIMEOUT_MS))
        assert (result.command, len(result.rows), result.row_count) == ("", max_rows, max_rows)
        assert result.truncated == Truncation("rows", max_rows)


async def test_a_brief_read_is_one_trip(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    trips = 0
    write = Wire.write

    def counted(wire: Wire, data: bytes | memoryview) -> None:
        nonlocal trips
        trips += 1
        write(wire, data)

    async def made(sql: str, *params: Any) -> int:
        before = trips
        await read(one, sql, *params)
        while one.standing().used:
            await asyncio.sleep(0)
        return trips - before

    monkeypatch.setattr(Wire, "write", counted)
    brief, long, slow = "SELECT 1", "SELECT generate_series(1, 5)", "SELECT pg_sleep(0.06)"
    at_times_slow = "SELECT 1 FROM pg_sleep($1)"
    one = Pool(replace(target(database.reader_dsn), statement_timeout_ms=TIMEOUT_MS), size=1, acquire_timeout_s=2)
    await one.open()
    try:
        await made("SELECT 0")
        # It is described, run, and cleaned up after; two chunks are two trips.
        assert [await made(brief) for _ in range(4)] == [3, 1, 1, 1]
        assert [await made(long) for _ in range(3)] == [4, 3, 3]
        # It would cost too much to have to run it again.
        assert [await made(slow) for _ in range(3)] == [3, 2, 2]
        # Nor may it then be asked twice, however few rows it had.
        assert [await made(at_times_slow, s) for s in (0, 0, 0.06, 0.06, 0, 0)] == [3, 1, 1, 2, 2, 1]
        # With more rows for once it is run again, and from then on not before it is known that there are few.
        assert [await made("SELECT generate_series(1, $1)", n) for n in (1, 3, 5, 1, 5)] == [3, 1, 4, 2, 3]
    finally:
        await one.close(timeout_s=2)


async def test_a_brief_read_that_leaves_a_statement_for_once_is_answered_and_its_connection_thrown_away(
    pool: Pool, observer: Any
) -> None:
    await observer.execute(
        "CREATE FUNCTION leave(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN"
        " IF n = 3 THEN EXECUTE 'PREPARE left_behind AS SELECT 1'; END IF; RETURN n; END $$"
    )
    backend = (await read(pool, "SELECT pg_backend_pid()")).rows
    for n in (1, 2, 2):
        assert (await read(pool, "SELECT leave($1)", n)).rows == [(n,)]
    assert (await read(pool, "SELECT pg_backend_pid()")).rows == backend
    assert (await read(pool, "SELECT leave($1)", 3)).rows == [(3,)]
    assert (await read(pool, "SELECT pg_backend_pid()")).rows != backend


async def test_a_brief_read_that_fails_is_told_so_and_leaves_nothing(pool: Pool, observer: Any) -> None:
    sql = "SELECT 6 / $1::int, pg_advisory_lock(7)"
    for _ in range(3):
        assert (await read(pool, sql, 2)).rows[0][0] == 3
    refusal = await refused(pool, sql, 0)
    assert refusal.code is Code.SQL_ERROR
    assert refusal.cause.sqlstate == "22012"
    assert await observer.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
    assert (await read(pool, sql, 3)).rows[0][0] == 2


async def test_a_read_whose_kept_statement_was_dropped_is_answered(pool: Pool, observer: Any) -> None:
    await observer.execute(
        "CREATE FUNCTION drop_all() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DEALLOCATE ALL'; RETURN 1; END $$"
    )
    for _ in range(2):
        assert (await read(pool, "SELECT 5")).rows == [(5,)]
        await read(pool, "SELECT drop_all()")


async def test_statements_that_were_dropped_are_not_closed_one_by_one(
    pool: Pool, observer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await observer.execute("CREATE TABLE t (i int)")
    sql = "SELECT * FROM t"
    for number in range(50):
        await read(pool, f"SELECT {number}")
    await read(pool, sql)
    await observer.execute("ALTER TABLE t ADD COLUMN j int")
    trips = 0
    write = Wire.write

    def counted(wire: Wire, data: bytes | memoryview) -> None:
        nonlocal trips
        trips += 1
        write(wire, data)

    monkeypatch.setattr(Wire, "write", counted)
    assert len((await read(pool, sql)).columns) == 2
    await read(pool, "SELECT 'another'")
    assert trips < 12


async def test_a_transaction_that_opens_itself_is_over_before_anything_is_written(pool: Pool) -> None:
    # Policy refuses it. PostgreSQL may obey, as long as nothing else has run in the transaction.
    try:
        await read(pool, "SET TRANSACTION READ WRITE")
    except Refusal as refusal:
        assert refusal.code is Code.READ_ONLY
    assert (await read(pool, "SHOW transaction_read_only")).rows == [("on",)]


async def test_an_error_leaves_the_connection_usable(pool: Pool) -> None:
    assert (await refused(pool, "SELECT 1/0")).cause.sqlstate == "22012"
    assert (await read(pool, "SELECT 1")).rows == [(1,)]


async def test_an_answer_in_several_chunks_is_whole_and_a_cut_one_says_so(pool: Pool) -> None:
    whole = await read(pool, "SELECT i FROM generate_series(1, 900) AS i")
    assert (whole.row_count, whole.command, whole.truncated) == (900, "SELECT", None)
    assert whole.rows == [(i,) for i in range(1, 901)]
    cut = await read(pool, "SELECT i FROM generate_series(1, 2000) AS i")
    assert (len(cut.rows), cut.truncated) == (1000, Truncation("rows", 1000))
    assert (await read(pool, "SELECT 1 WHERE false")).rows == []


async def test_a_text_that_is_too_long_to_be_kept_is_read_all_the_same(pool: Pool) -> None:
    sql = f"SELECT $1::int, length('{'x' * 20_000}')"
    for _ in range(2):
        assert (await read(pool, sql, 7)).rows == [(7, 20_000)]


async def test_a_statement_that_never_ran_costs_no_connection(pool: Pool) -> None:
    backend = (await read(pool, "SELECT pg_backend_pid()")).rows
    assert (await refused(pool, "SELEC")).cause.sqlstate == "42601"
    assert (await refused(pool, "SELECT $1::int", "x")).code is Code.INVALID_ARGUMENT
    assert (await refused(pool, "SELECT $1::int")).code is Code.INVALID_ARGUMENT
    assert (await refused(pool, "SELECT $1::date", "no date")).code is Code.INVALID_ARGUMENT
    assert (await refused(pool, "SELECT 1/0")).cause.sqlstate == "22012"
    assert (await read(pool, "SELECT pg_backend_pid()")).rows == backend


async def test_a_parameter_that_does_not_fit_keeps_no_lock(pool: Pool, observer: Any) -> None:
    await observer.execute("CREATE TABLE t (i int)")
    # A connection that was heard of a moment ago, on which BEGIN would travel with the statement.
    await read(pool, "SELECT 1")
    await read(pool, "SELECT 1")
    assert (await refused(pool, "SELECT i FROM t WHERE i = $1", "x")).code is Code.INVALID_ARGUMENT
    async with asyncio.timeout(5):
        while await observer.fetchval("SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass"):
            await asyncio.sleep(0.005)
    assert pool.standing().used == 0


async def test_postgresql_ends_a_read_at_its_time_limit(pool: Pool) -> None:
    assert (await refused(pool, "SELECT pg_sleep(60)", timeout_ms=50)).code is Code.STATEMENT_TIMEOUT
    assert (await read(pool, "SELECT 1")).rows == [(1,)]


async def test_a_caller_that_goes_away_stops_its_statement_within_a_second(pool: Pool, observer: Any) -> None:
    call = asyncio.create_task(read(pool, "SELECT pg_sleep(60)", timeout_ms=60_000))
    await until_sleeping(observer)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    async with asyncio.timeout(1):
        await until_sleeping(observer, wanted=0)
    assert (await read(pool, "SELECT 1")).rows == [(1,)]


async def test_a_caller_that_goes_away_while_it_waits_for_a_connection_runs_nothing(pool: Pool, observer: Any) -> None:
    first = asyncio.create_task(read(pool, "SELECT pg_sleep(0.3)"))
    await until_sleeping(observer)
    second = asyncio.create_task(read(pool, "SELECT pg_sleep(60)"))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    await first
    assert (await read(pool, "SELECT 1")).rows == [(1,)]
    assert await sleepers(observer) == 0


async def test_a_caller_that_goes_away_while_its_transaction_begins_leaves_none_open(pool: Pool) -> None:
    for _ in range(3):
        await read(pool, "SELECT 1")
    # With another time limit BEGIN goes ahead.
    call = asyncio.create_task(read(pool, "SELECT 2", timeout_ms=TIMEOUT_MS - 1))
    while not pool.standing().used:
        await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    # The one before it may have closed its own, which says nothing of this one's.
    limit, since = "SELECT current_setting('statement_timeout')", "SELECT xact_start < now() FROM pg_stat_activity"
    assert (await read(pool, limit)).rows == [("5s",)]
    assert (await read(pool, f"{since} WHERE pid = pg_backend_pid()")).rows == [(False,)]


async def test_a_full_pool_is_told_after_the_wait_and_not_before(database: TestDatabase, observer: Any) -> None:
    pool = Pool(target(database.reader_dsn), size=1, acquire_timeout_s=0.1)
    await pool.open()
    try:
        await read(pool, "SELECT 1")
        first = asyncio.create_task(read(pool, "SELECT pg_sleep(60)", timeout_ms=60_000))
        await until_sleeping(observer)
        refusal = await refused(pool, "SELECT 1")
        assert refusal.code is Code.POOL_EXHAUSTED
        assert refusal.retry_after_s
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
    finally:
        await pool.close(timeout_s=2)


async def test_swapping_the_pool_under_load_fails_no_read(database: TestDatabase) -> None:
    pool = Pool(target(database.reader_dsn), size=4, acquire_timeout_s=5)
    await pool.open()
    done = asyncio.Event()
    answers = 0

    async def reader() -> None:
        nonlocal answers
        while not done.is_set():
            assert (await read(pool, "SELECT 1 FROM pg_sleep(0.002)")).rows == [(1,)]
            answers += 1

    readers = [asyncio.create_task(reader()) for _ in range(8)]
    for _ in range(8):
        before = answers
        await pool.swap(target(database.reader_dsn), 4, 5)
        async with asyncio.timeout(5):
            while answers < before + 10:
                await asyncio.sleep(0.005)
    done.set()
    await asyncio.gather(*readers)
    await pool.close(timeout_s=2)


async def test_a_long_read_does_not_hold_up_a_swap_for_others(database: TestDatabase, observer: Any) -> None:
    pool = Pool(target(database.reader_dsn), size=2, acquire_timeout_s=5)
    await pool.open()
    long = asyncio.create_task(read(pool, "SELECT pg_sleep(60)", timeout_ms=60_000))
    await until_sleeping(observer)
    swap = asyncio.create_task(pool.swap(target(database.reader_dsn), 2, 5))
    async with asyncio.timeout(2):
        assert (await read(pool, "SELECT 1")).rows == [(1,)]
    assert not swap.done()
    long.cancel()
    await asyncio.wait([long])
    async with asyncio.timeout(5):
        await swap
    await pool.close(timeout_s=2)


async def test_closing_lets_a_running_read_end(pool: Pool, observer: Any) -> None:
    call = asyncio.create_task(read(pool, "SELECT 1 FROM pg_sleep(0.2)"))
    await until_sleeping(observer)
    await pool.close(timeout_s=5)
    assert (await call).rows == [(1,)]
    assert (await refused(pool, "SELECT 1")).code is Code.SHUTTING_DOWN


async def test_closing_cuts_a_read_that_outlasts_the_drain(pool: Pool, observer: Any) -> None:
    call = asyncio.create_task(read(pool, "SELECT pg_sleep(60)", timeout_ms=60_000))
    await until_sleeping(observer)
    await pool.close(timeout_s=0.05)
    with pytest.raises(Refusal) as caught:
        await call
    assert caught.value.code is Code.CONNECTION_LOST


async def test_a_schema_change_elsewhere_does_not_break_a_kept_statement(pool: Pool, observer: Any) -> None:
    await observer.execute("CREATE TABLE t (i int); INSERT INTO t VALUES (1)")
    sql = "SELECT * FROM t"
    assert (await read(pool, sql)).rows == [(1,)]
    await observer.execute("ALTER TABLE t ADD COLUMN j text DEFAULT 'new'")
    assert (await read(pool, sql)).rows == [(1, "new")]
    assert (await read(pool, sql)).rows == [(1, "new")]


async def test_connections_that_died_while_idle_are_replaced_unseen(pool: Pool, observer: Any) -> None:
    pid = (await read(pool, "SELECT pg_backend_pid()")).rows[0][0]
    await observer.execute(f"SELECT pg_terminate_backend({pid}, 5000)")
    # What PostgreSQL sent last is still to be read.
    await asyncio.sleep(0.01)
    assert (await read(pool, "SELECT pg_backend_pid()")).rows[0][0] != pid


async def test_a_connection_that_dies_just_as_it_is_used_is_told_as_lost(pool: Pool, observer: Any) -> None:
    pid = (await read(pool, "SELECT pg_backend_pid()")).rows[0][0]
    await observer.execute(f"SELECT pg_terminate_backend({pid}, 5000)")
    try:
        rows = (await read(pool, "SELECT pg_backend_pid()")).rows
    except Refusal as refusal:
        assert (refusal.code, refusal.retryable) == (Code.CONNECTION_LOST, True)
        rows = (await read(pool, "SELECT pg_backend_pid()")).rows
    assert rows[0][0] != pid


@pytest.mark.parametrize("sql", ["SELECT 1", "SELECT 'never seen before'"])
async def test_a_connection_whose_last_word_has_just_come_is_told_as_lost(pool: Pool, sql: str) -> None:
    class Late(Read):
        __slots__ = ()

        @override
        def opening(self, connection: Connection) -> None:
            last = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0"
            connection._protocol.data_received(b"E" + struct.pack("!i", len(last) + 4) + last)

    for _ in range(2):
        await read(pool, "SELECT 1")
    with pytest.raises(Refusal) as caught:
        await pool.run(Late(sql, (), LIMITS, TIMEOUT_MS))
    assert (caught.value.code, caught.value.retryable) == (Code.CONNECTION_LOST, True)
    assert (await read(pool, sql)).row_count == 1


async def test_a_backend_killed_under_a_read_is_told_and_replaced(pool: Pool, observer: Any) -> None:
    call = asyncio.create_task(read(pool, "SELECT pg_sleep(60)", timeout_ms=60_000))
    await until_sleeping(observer)
    await observer.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    with pytest.raises(Refusal) as caught:
        await call
    assert caught.value.code is Code.CONNECTION_LOST
    assert (await read(pool, "SELECT 1")).rows == [(1,)]


async def test_a_database_that_does_not_listen_is_told_as_unavailable() -> None:
    pool = Pool(target("postgresql://nobody@127.0.0.1:1/nothing"), size=1, acquire_timeout_s=2)
    await pool.open()
    refusal = await refused(pool, "SELECT 1")
    assert refusal.code is Code.DATABASE_UNAVAILABLE
    assert "connection refused" in refusal.message
    await pool.close(timeout_s=2)


async def test_a_database_that_never_answers_is_given_up_in_time() -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pool = Pool(
        Target(dsn=f"postgresql://x@127.0.0.1:{port}/x", application_name="t", connect_timeout_s=0.2),
        size=2,
        acquire_timeout_s=1,
    )
    await pool.open()
    async with asyncio.timeout(5):
        assert (await refused(pool, "SELECT 1")).code is Code.DATABASE_UNAVAILABLE
    await pool.close(timeout_s=2)
    server.close()


async def test_those_who_wait_get_connections_in_their_order(pool: Pool) -> None:
    answered: list[int] = []

    async def ask(number: int) -> None:
        await read(pool, "SELECT 1")
        answered.append(number)

    async with asyncio.TaskGroup() as asking:
        for number in range(20):
            asking.create_task(ask(number))
    assert answered == list(range(20))
    assert pool.standing().waiting == 0


async def test_who_waits_keeps_its_place_while_connections_turn_out_to_be_dead(pool: Pool) -> None:
    ran: list[str] = []

    class Named(Read):
        __slots__ = ()

        @override
        def opening(self, connection: Connection) -> str | None:
            if self.sql in stumbles:
                stumbles.remove(self.sql)
                raise ConnectionResetError
            return super().opening(connection)

        @override
        async def run(self, connection: Connection, wanted: Callable[[], bool]) -> Result:
            ran.append(self.sql)
            return await super().run(connection, wanted)

    stumbles = ["SELECT 0", "SELECT 0"]
    async with asyncio.TaskGroup() as asking:
        for number in range(5):
            asking.create_task(pool.run(Named(f"SELECT {number}", (), LIMITS, TIMEOUT_MS)))
    assert ran == [f"SELECT {number}" for number in range(5)]
    assert stumbles == []


@pytest.mark.parametrize("seed", range(6))
async def test_no_connection_and_nobody_is_forgotten_in_a_crowd_that_leaves_and_breaks(
    database: TestDatabase, observer: Any, seed: int
) -> None:
    chance, limited = random.Random(seed), replace(target(database.owner_dsn), statement_timeout_ms=TIMEOUT_MS)
    pool = Pool(limited, size=3, acquire_timeout_s=5)
    await pool.open()

    async def ask() -> object:
        # Some leave while they wait, some at the moment when they are given a connection, some while they run.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(chance.choice((0.0, 0.001, 0.005, 0.02, 10))):
                with contextlib.suppress(Refusal):
                    await read(pool, "SELECT pg_sleep($1)", chance.choice((0, 0, 0.002, 0.01)))
        return None

    async with asyncio.TaskGroup() as asking:
        for number in range(150):
            asking.create_task(ask())
            if number % 10 == 0:
                await asyncio.sleep(0.004)
            if number % 40 == 39:
                await observer.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 LIMIT 1",
                    limited.application_name,
                )
    async with asyncio.timeout(5):
        while pool.standing().used:
            await asyncio.sleep(0.005)
    assert pool.standing().waiting == 0
    # All three can be had at once.
    sleeping = [asyncio.ensure_future(read(pool, "SELECT pg_sleep(4)")) for _ in range(3)]
    await until_sleeping(observer, 3)
    for each in sleeping:
        each.cancel()
    await pool.close(timeout_s=2)
