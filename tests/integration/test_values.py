"""Values come back without loss, and go in as the same text."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from coldquery.postgres.connection import Connection, Limits
from coldquery.postgres.target import Target
from tests.conftest import TestDatabase

LIMITS = Limits(max_rows=1000, max_bytes=1 << 20, max_cell_bytes=1 << 16)


@pytest.fixture
async def connection(database: TestDatabase) -> AsyncIterator[Connection]:
    target = Target(dsn=database.owner_dsn, application_name="coldquery/test", connect_timeout_s=5)
    connection = await target.connect()
    yield connection
    await connection.close(timeout=5)


async def read(connection: Connection, sql: str, *params: Any) -> list[Any]:
    result = await connection.run(sql, params, LIMITS, cached=False)
    assert result.truncated is None
    rows: list[Any] = json.loads(result.rows_json)
    return rows[0] if rows else []


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("true", True),
        ("1::int2", 1),
        ("2147483647::int4", 2147483647),
        ("9007199254740992::int8", 9007199254740992),
        ("9007199254740993::int8", "9007199254740993"),
        ("-9007199254740993::int8", "-9007199254740993"),
        ("1.10::numeric", "1.10"),
        ("'NaN'::numeric", "NaN"),
        ("1e300::numeric", "1" + "0" * 300),
        ("0.1::float8", 0.1),
        ("1.1::float4", 1.1),
        ("'NaN'::float8", "NaN"),
        ("'-Infinity'::float8", "-Infinity"),
        ("'a'::text", "a"),
        ("'ab'::char(4)", "ab  "),
        ("'x'::\"char\"", "x"),
        ("'n'::name", "n"),
        ("''::text", ""),
        ("null::int", None),
        ("'\\xdead'::bytea", "\\xdead"),
        ("'2026-01-31'::date", "2026-01-31"),
        ("'4713-01-01 BC'::date", "4713-01-01 BC"),
        ("'infinity'::timestamptz", "infinity"),
        ("'2026-01-31 12:00'::timestamp", "2026-01-31 12:00:00"),
        ("'12:00:00.5'::time", "12:00:00.5"),
        ("'24:00:00'::time", "24:00:00"),
        ("'1 mon 1 day'::interval", "1 mon 1 day"),
        ("'00000000-0000-0000-0000-000000000001'::uuid", "00000000-0000-0000-0000-000000000001"),
        ("'192.168.0.1/24'::inet", "192.168.0.1/24"),
        ("'10.0.0.0/8'::cidr", "10.0.0.0/8"),
        ("'(1,2)'::point", "(1,2)"),
        ("B'101'::bit(3)", "101"),
        ('\'{"a": 1.10, "b": [null]}\'::jsonb', {"a": 1.10, "b": [None]}),
        ("'null'::json", None),
        ("ARRAY[1,2]::int[]", [1, 2]),
        ("ARRAY[1.50,null]::numeric[]", ["1.50", None]),
        ("'{{1,2},{3,4}}'::int8[]", [[1, 2], [3, 4]]),
        ("ARRAY['{}'::jsonb]", [{}]),
        ("'{}'::text[]", []),
        ("ROW(1, 1.5, 'x')", "(1,1.5,x)"),
        ("'[1.5,2)'::numrange", "[1.5,2)"),
        ("'empty'::int4range", "empty"),
        ("'{[1,2)}'::int4multirange", "{[1,2)}"),
        ("ARRAY['[1,2)'::int8range]", ["[1,2)"]),
        ("'pg_class'::regclass", "pg_class"),
        ("'0/16B3748'::pg_lsn", "0/16B3748"),
        ("'a & b'::tsquery", "'a' & 'b'"),
        ("'$.a'::jsonpath", '$."a"'),
    ],
)
async def test_a_value_comes_back_exactly(connection: Connection, expression: str, expected: Any) -> None:
    assert await read(connection, f"SELECT {expression}") == [expected]


async def test_json_numbers_keep_every_digit(connection: Connection) -> None:
    result = await connection.run("SELECT '[1.10, 12345678901234567890]'::jsonb", (), LIMITS, cached=False)
    assert result.rows_json == b"[[[1.10, 12345678901234567890]]]"


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


async def test_enums_domains_and_composites_of_the_database_are_text(connection: Connection) -> None:
    await connection.execute(
        "CREATE TYPE mood AS ENUM ('sad', 'glad');"
        "CREATE DOMAIN price AS numeric CHECK (value > 0);"
        "CREATE TABLE item (id int, mood mood, price price, tags text[]);"
        "INSERT INTO item VALUES (1, 'glad', 2.50, '{a,b}')"
    )
    row = await read(connection, "SELECT mood, price, item, ARRAY[item] FROM item")
    assert row == ["glad", "2.50", '(1,glad,2.50,"{a,b}")', ['(1,glad,2.50,"{a,b}")']]


async def test_duplicate_and_empty_column_names_and_no_columns_at_all_survive(connection: Connection) -> None:
    result = await connection.run('SELECT 1 AS a, 2 AS a, 3 AS "?column?"', (), LIMITS, cached=False)
    assert [column.name for column in result.columns] == ["a", "a", "?column?"]
    assert result.rows == [(1, 2, 3)]
    nothing = await connection.run("SELECT FROM generate_series(1, 2)", (), LIMITS, cached=False)
    assert (nothing.columns, nothing.rows, nothing.row_count) == ((), [(), ()], 2)


@pytest.mark.parametrize(
    ("kind", "value", "back"),
    [
        ("int4", 5, 5),
        ("int8", "9007199254740993", "9007199254740993"),
        ("int8", 5, 5),
        ("numeric", "123.45", "123.45"),
        ("numeric", 7, "7"),
        ("float8", 0.5, 0.5),
        ("float8", "NaN", "NaN"),
        ("date", "2026-01-01", "2026-01-01"),
        ("timestamptz", "infinity", "infinity"),
        ("interval", "1 mon", "1 mon"),
        ("uuid", "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000001"),
        ("bytea", "\\xdead", "\\xdead"),
        ("jsonb", {"a": [1, None]}, {"a": [1, None]}),
        ("jsonb", '{"a": 1}', {"a": 1}),
        ("jsonb", [1, 2], [1, 2]),
        ("int[]", [1, 2], [1, 2]),
        ("text[]", ["a", None], ["a", None]),
        ("numeric[]", ["1.5"], ["1.5"]),
        ("int4range", "[1,3)", "[1,3)"),
        ("bool", False, False),
        ("text", None, None),
    ],
)
async def test_a_json_value_goes_in_as_a_parameter(connection: Connection, kind: str, value: Any, back: Any) -> None:
    assert await read(connection, f"SELECT $1::{kind}", value) == [back]
