"""One statement on our connection: limits, truncation, cancelling."""

import asyncio
import json
from collections.abc import AsyncIterator

import asyncpg
import pytest

from coldquery.errors import Code, Refusal
from coldquery.postgres.answer import Limits, Truncation
from coldquery.postgres.connection import Connection
from coldquery.postgres.target import Target
from tests.conftest import TestDatabase

WIDE = Limits(max_rows=1000, max_bytes=1 << 20, max_cell_bytes=1 << 16)


@pytest.fixture
async def connection(database: TestDatabase) -> AsyncIterator[Connection]:
    target = Target(dsn=database.owner_dsn, application_name="coldquery/test", connect_timeout_s=5)
    connection = await target.connect()
    # Chunks of an answer need a transaction, as every caller of `run` has one.
    await connection.execute("BEGIN")
    yield connection
    connection.terminate()


@pytest.mark.parametrize(("there", "asked"), [(0, 5), (4, 5), (5, 5), (6, 5), (1000, 999), (1000, 1000), (5000, 1500)])
async def test_the_row_cap_is_exact_and_says_whether_it_cut(connection: Connection, there: int, asked: int) -> None:
    limits = Limits(max_rows=asked, max_bytes=1 << 20, max_cell_bytes=1 << 16)
    result = await connection.run("SELECT generate_series(1, $1::int)", (there,), limits, cached=False)
    assert [row[0] for row in result.rows] == list(range(1, min(there, asked) + 1))
    assert result.truncated == (Truncation("rows", asked) if there > asked else None)
    assert result.row_count == min(there, asked)
    assert json.loads(result.rows_json) == [list(row) for row in result.rows]


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("sql", ["", "  ", "-- nothing", ";"])
async def test_a_text_without_a_statement_has_an_end(connection: Connection, sql: str, complete: bool) -> None:
    async with asyncio.timeout(5):
        result = await connection.run(sql, (), WIDE, cached=False, complete=complete)
    assert (result.columns, result.rows, result.command, result.row_count) == ((), [], "", 0)
    assert (await connection.run("SELECT 1", (), WIDE, cached=False)).rows == [(1,)]


async def test_the_byte_cap_keeps_whole_rows(connection: Connection) -> None:
    limits = Limits(max_rows=1000, max_bytes=2_000, max_cell_bytes=1 << 16)
    result = await connection.run("SELECT repeat('x', 90) FROM generate_series(1, 500)", (), limits, cached=False)
    assert result.truncated == Truncation("bytes", 2_000)
    assert len(result.rows) == 21
    assert len(result.rows_json) <= 2_000
    assert all(len(row[0]) == 90 for row in result.rows)


async def test_a_first_row_larger_than_the_byte_cap_gives_no_rows_and_says_so(connection: Connection) -> None:
    limits = Limits(max_rows=10, max_bytes=100, max_cell_bytes=1 << 16)
    result = await connection.run("SELECT repeat('x', 200)", (), limits, cached=False)
    assert (result.rows, result.truncated) == ([], Truncation("bytes", 100))


@pytest.mark.parametrize(
    "expression",
    ["repeat('x', 5000)", "repeat('é', 5000)", "to_jsonb(repeat('x', 5000))", "ARRAY[repeat('x', 5000)]"],
)
async def test_a_huge_cell_is_cut_and_marked(connection: Connection, expression: str) -> None:
    limits = Limits(max_rows=10, max_bytes=1 << 20, max_cell_bytes=1000)
    result = await connection.run(f"SELECT 1, {expression}", (), limits, cached=False)
    assert result.truncated == Truncation("cell", 1000)
    first, cell = json.loads(result.rows_json)[0]
    assert first == 1
    assert "… [cut: 1000 of " in cell
    assert len(cell.encode()) < 1100


async def test_many_wide_rows_are_not_all_fetched(connection: Connection) -> None:
    sql = "SELECT repeat('x', 50000), g FROM generate_series(1, 100000) g"
    result = await connection.run(sql, (), WIDE, cached=False)
    assert result.truncated == Truncation("bytes", 1 << 20)
    assert len(result.rows) == 20


@pytest.mark.parametrize("asked", [1, 3, 4, 100, 1000])
async def test_one_row_more_than_asked_is_made_and_no_other(connection: Connection, asked: int) -> None:
    await connection.execute(
        "CREATE FUNCTION told(i int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''%'', i; RETURN i; END'"
    )
    limits = Limits(max_rows=asked, max_bytes=1 << 20, max_cell_bytes=1 << 16)
    result = await connection.run("SELECT told(generate_series(1, 50000000))", (), limits, cached=False)
    assert result.truncated == Truncation("rows", asked)
    assert result.notices is not None
    assert len(result.notices.kept) + result.notices.left_out == asked + 1


async def test_command_and_count_are_the_servers(connection: Connection) -> None:
    await connection.execute("CREATE TABLE t (i int)")
    created = await connection.run("INSERT INTO t SELECT generate_series(1, 3)", (), WIDE, cached=False)
    assert (created.command, created.row_count, created.rows) == ("INSERT", 3, [])
    shown = await connection.run("SHOW server_version", (), WIDE, cached=False)
    assert (shown.command, shown.row_count) == ("SHOW", 1)


async def test_several_statements_are_refused_by_the_server(connection: Connection) -> None:
    with pytest.raises(asyncpg.PostgresSyntaxError, match="multiple commands"):
        await connection.run("SELECT 1; SELECT 2", (), WIDE, cached=False)


@pytest.mark.parametrize("params", [(), (1, 2), ("x",), ([1],)])
async def test_parameters_that_do_not_fit_change_nothing(connection: Connection, params: tuple[object, ...]) -> None:
    with pytest.raises(Refusal) as caught:
        await connection.run("SELECT $1::int", params, WIDE, cached=False)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert (await connection.run("SELECT 1", (), WIDE, cached=False)).rows == [(1,)]


async def running(connection: Connection, observer: Connection) -> None:
    """Wait until PostgreSQL executes a statement on the connection."""
    pid = connection.get_server_pid()
    async with asyncio.timeout(5):
        while await observer.fetchval("SELECT wait_event FROM pg_stat_activity WHERE pid = $1", pid) != "PgSleep":
            await asyncio.sleep(0.005)


async def test_interrupting_stops_the_statement_and_keeps_the_connection(
    connection: Connection, database: TestDatabase
) -> None:
    target = Target(dsn=database.superuser_dsn, application_name="observer", connect_timeout_s=5)
    observer = await target.connect()
    try:
        for _ in range(5):
            await connection.execute("ROLLBACK; BEGIN")
            sleeping = asyncio.create_task(connection.run("SELECT pg_sleep(60)", (), WIDE, cached=False))
            await running(connection, observer)
            connection.interrupt()
            connection.interrupt()
            with pytest.raises(asyncpg.QueryCanceledError):
                async with asyncio.timeout(2):
                    await sleeping
        await connection.execute("ROLLBACK")
        assert (await connection.run("SELECT 1", (), WIDE, cached=False)).rows == [(1,)]
    finally:
        await observer.close(timeout=5)


async def test_interrupting_an_idle_connection_does_nothing(connection: Connection) -> None:
    connection.interrupt()
    assert (await connection.run("SELECT 1", (), WIDE, cached=False)).rows == [(1,)]


async def test_a_limit_reached_leaves_no_portal_that_blocks_ddl(connection: Connection) -> None:
    await connection.execute("CREATE TABLE t AS SELECT generate_series(1, 100) i")
    limits = Limits(max_rows=2, max_bytes=1 << 20, max_cell_bytes=1 << 16)
    result = await connection.run("SELECT i FROM t", (), limits, cached=False)
    assert result.truncated
    await connection.execute("ALTER TABLE t ADD COLUMN j int")
