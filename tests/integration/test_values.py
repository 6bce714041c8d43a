"""Values come back without loss, and go in as what came back: docs/values.md, and every type of PostgreSQL's."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from coldquery.errors import Code, Refusal
from coldquery.postgres import values
from coldquery.postgres.answer import Limits, Result
from coldquery.postgres.connection import Connection
from coldquery.postgres.outcome import severity
from coldquery.postgres.target import Target
from tests.conftest import TestDatabase

LIMITS = Limits(max_rows=10_000, max_bytes=1 << 25, max_cell_bytes=1 << 24)
PAGE = (Path(__file__).parents[2] / "docs" / "values.md").read_text()
ROWS = [
    (each[0], each[1], each[2], re.findall(r"`([^`]+)`", each[3]))
    for each in re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| `([^`]+)` \|(.*)\|$", PAGE, flags=re.MULTILINE)
]
EXTENSIONS = ("citext", "hstore", "ltree", "vector")


@pytest.fixture
async def connection(database: TestDatabase) -> AsyncIterator[Connection]:
    target = Target(
        dsn=database.superuser_dsn,
        application_name="coldquery/test",
        connect_timeout_s=5,
        settings={"TimeZone": "UTC"},
    )
    connection = await target.connect()
    yield connection
    await connection.close(timeout=5)


async def run(connection: Connection, sql: str, *params: Any) -> Result:
    result = await connection.run(sql, params, LIMITS, cached=False)
    assert result.truncated is None
    return result


async def read(connection: Connection, sql: str, *params: Any) -> list[Any]:
    rows: list[Any] = json.loads((await run(connection, sql, *params)).rows_json)
    return rows[0] if rows else []


async def refused(connection: Connection, sql: str, *params: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await run(connection, sql, *params)
    assert caught.value.code is Code.INVALID_ARGUMENT
    return caught.value


async def prepare(connection: Connection) -> set[str]:
    """What the page's tables need; return the extensions that there are."""
    there = {row["name"] for row in await connection.fetch("SELECT name FROM pg_available_extensions")}
    for name in there.intersection(EXTENSIONS):
        await connection.execute(f"CREATE EXTENSION {name}")
    await connection.execute("".join(re.findall(r"```sql\n(.*?)```", PAGE, flags=re.DOTALL)))
    return there


async def test_each_row_of_the_page_holds_alone_and_in_an_array(connection: Connection) -> None:
    assert len(ROWS) > 80
    there = await prepare(connection)
    for kind, sql, wanted, params in ROWS:
        if kind.startswith(("vector", "halfvec", "sparsevec")) and "vector" not in there:
            continue
        back = json.loads(wanted)
        assert await read(connection, f"SELECT ({sql})::{kind}") == [back], kind
        for param in [back, *map(json.loads, params)]:
            assert await read(connection, f"SELECT $1::{kind}", param) == [back], (kind, param)
            if not kind.endswith("[]"):
                assert await read(connection, f"SELECT $1::{kind}[]", [param, None]) == [[back, None]], (kind, param)


async def test_json_keeps_every_digit_and_key(connection: Connection) -> None:
    result = await run(connection, """SELECT '[1.10, 12345678901234567890, {"a": 1, "a": 2}]'::json""")
    assert result.rows_json == b'[[[1.10, 12345678901234567890, {"a": 1, "a": 2}]]]'


async def test_the_roles_own_formats_do_not_change_the_text(database: TestDatabase) -> None:
    target = Target(
        dsn=database.owner_dsn, application_name="t", connect_timeout_s=5, settings={"TimeZone": "Asia/Tokyo"}
    )
    connection = await target.connect()
    try:
        await connection.execute("ALTER ROLE coldquery_owner SET DateStyle = 'German'")
        other = await target.connect()
        try:
            row = await read(other, "SELECT '2026-01-31 00:00+00'::timestamptz, '1 day'::interval")
            assert row == ["2026-01-31 09:00:00+09", "1 day"]
        finally:
            await other.close(timeout=5)
            await connection.execute("ALTER ROLE coldquery_owner RESET DateStyle")
    finally:
        await connection.close(timeout=5)


async def test_duplicate_and_empty_column_names_and_no_columns_at_all_survive(connection: Connection) -> None:
    result = await run(connection, 'SELECT 1 AS a, 2 AS a, 3 AS "?column?"')
    assert [column.name for column in result.columns] == ["a", "a", "?column?"]
    assert result.rows == [(1, 2, 3)]
    same = await run(connection, "SELECT 1, 1")
    assert ([column.name for column in same.columns], same.rows) == (["?column?", "?column?"], [(1, 1)])
    nothing = await run(connection, "SELECT FROM generate_series(1, 2)")
    assert (nothing.columns, nothing.rows, nothing.row_count) == ((), [(), ()], 2)


async def test_an_anonymous_row_is_an_array_of_texts(connection: Connection) -> None:
    assert await read(connection, "SELECT ROW(1, 1.5, 'x', NULL, ''), ARRAY[ROW('a \"b\"', true)]") == [
        ["1", "1.5", "x", None, ""],
        [['a "b"', "t"]],
    ]


async def test_domains_of_every_kind_travel_as_their_base(connection: Connection) -> None:
    await connection.execute(
        "CREATE DOMAIN small AS int2; CREATE DOMAIN smaller AS small; CREATE DOMAIN flag AS bool;"
        "CREATE DOMAIN ids AS int[]; CREATE DOMAIN prices AS numeric[]; CREATE TYPE pair AS (a int, b text);"
        "CREATE DOMAIN pair_d AS pair; CREATE TYPE mood AS ENUM ('sad'); CREATE DOMAIN mood_d AS mood"
    )
    for kind, value in {
        "small": 5,
        "smaller": 5,
        "flag": True,
        "ids": [1, 2],
        "prices": ["1.5"],
        "pair_d": {"a": 1, "b": "x"},
        "mood_d": "sad",
    }.items():
        for each, sent in ((kind, value), (f"{kind}[]", [value, None])):
            result = await run(connection, f"SELECT $1::{each}", sent)
            assert json.loads(result.rows_json) == [[sent]], each
    (column,) = (await run(connection, "SELECT 1::small")).columns
    assert column.type == "int2"


async def test_a_rows_attributes_are_those_of_the_moment(connection: Connection, database: TestDatabase) -> None:
    await connection.execute("CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x')")
    other = await Target(dsn=database.superuser_dsn, application_name="t", connect_timeout_s=5).connect()
    try:
        for cached in (True, False):
            sql = f"SELECT t, ARRAY[t] FROM t -- {cached}"
            for change, wanted in {
                "ALTER TABLE t RENAME a TO c": {"c": 1, "b": "x"},
                "ALTER TABLE t ADD d numeric[] DEFAULT '{1.5}'": {"c": 1, "b": "x", "d": ["1.5"]},
                "ALTER TABLE t DROP d, ALTER b TYPE json USING '[1]'": {"c": 1, "b": [1]},
                "CREATE TYPE mood AS ENUM ('glad'); ALTER TABLE t ADD e mood DEFAULT 'glad'": {
                    "c": 1,
                    "b": [1],
                    "e": "glad",
                },
                "ALTER TABLE t DROP e, ALTER b TYPE text USING 'x'; ALTER TABLE t RENAME c TO a; DROP TYPE mood": {
                    "a": 1,
                    "b": "x",
                },
            }.items():
                await connection.run(sql, (), LIMITS, cached=cached)
                await other.execute(change)
                result = await connection.run(sql, (), LIMITS, cached=cached)
                assert json.loads(result.rows_json) == [[wanted, [wanted]]], change
                assert await read(connection, "SELECT $1::t", wanted) == [wanted], change
    finally:
        await other.close(timeout=5)


async def test_a_statement_that_is_kept_survives_the_meeting_of_new_types(connection: Connection) -> None:
    for _ in range(2):
        result = await connection.run("SELECT $1::int[]", ([1],), LIMITS, cached=True)
        assert result.rows == [([1],)]
        await connection.execute("DROP TYPE IF EXISTS pair; CREATE TYPE pair AS (a int, b int[])")
        assert await read(connection, "SELECT ROW(1, '{2}')::pair") == [{"a": 1, "b": [2]}]


async def test_the_lower_bounds_of_an_array_are_not_shown(connection: Connection) -> None:
    assert await read(connection, "SELECT '[5:6]={1,2}'::int[], '[5:6]={1,2}'::numeric[]") == [[1, 2], ["1", "2"]]


async def test_the_oids_of_the_built_in_types_are_postgresqls(connection: Connection) -> None:
    sql = "SELECT typname, oid, typarray, typdelim::text FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace"
    there = {name: (oid, array, mark) for name, oid, array, mark in await connection.fetch(sql)}
    for name, oids in values._OIDS.items():
        if name in there:
            assert there[name][:2] == oids, name
            assert there[name][2] == values.BUILT_IN[oids[0]].delimiter, name


async def test_every_type_of_the_catalogue_comes_back_as_json(connection: Connection) -> None:
    """Types and pseudo-types alike; what PostgreSQL itself has no value or output of is its own error, not ours."""
    sql = """
    SELECT format_type(oid, NULL), typtype::text FROM pg_type
    WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm', 'p', 'c') ORDER BY oid
    """
    kinds = await connection.fetch(sql)
    assert len(kinds) > 200
    for kind, form in kinds:
        if form == "p":
            continue
        assert await read(connection, f"SELECT NULL::{kind}") == [None], kind
        if form != "c" and not kind.endswith("[]"):
            # With a value, through each type's own function where text is not taken: '' is one of many.
            for text in ("1", "(1,2)", "{1,-1,0}", "[1,2)", "{}", "", "1 2", "=r/postgres", "2026-01-01", "1:1:"):
                result = await attempt(connection, f"SELECT '{text}'::{kind}")
                if result is not None:
                    break


async def attempt(connection: Connection, sql: str) -> Result | None:
    """The answer, or None if PostgreSQL itself does not take the text."""
    try:
        return await run(connection, sql)
    except asyncpg.PostgresError as error:
        assert severity(error) == "ERROR", sql
        return None


async def test_every_relation_of_the_system_catalogue_can_be_read(connection: Connection) -> None:
    await prepare(connection)
    await connection.execute(
        "CREATE TABLE filled AS SELECT g, ARRAY[g] AS a, g::text AS t FROM generate_series(1, 99) g"
    )
    await connection.execute("CREATE STATISTICS s (ndistinct, dependencies, mcv) ON g, t FROM filled; ANALYZE")
    sql = """
    SELECT oid::regclass::text FROM pg_class
    WHERE relnamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) AND relkind IN ('r', 'v')
    """
    await connection.execute("BEGIN")
    names = [name for (name,) in await connection.fetch(sql)]
    assert {"pg_stats", "pg_statistic", "pg_proc", "pg_type"} <= set(names)
    for name in names:
        if name == "pg_shmem_allocations_numa":  # fails on a machine that has none
            continue
        limits = Limits(max_rows=300, max_bytes=1 << 25, max_cell_bytes=1 << 24)
        await connection.run(f"SELECT * FROM {name}", (), limits, cached=False, complete=True)
    for name in ("pg_attribute", "pg_class", "pg_proc", "pg_statistic", "pg_stats", "pg_type"):
        result = await connection.run(f"SELECT t FROM {name} t", (), limits, cached=False)
        assert all(isinstance(row, dict) for (row,) in result.rows), name
