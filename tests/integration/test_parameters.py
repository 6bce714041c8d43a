"""What does not fit a parameter's type is told by number, type and example, never with the value."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from coldquery.errors import Code, Refusal
from coldquery.postgres.answer import Limits
from coldquery.postgres.connection import Connection
from coldquery.postgres.outcome import refusal
from coldquery.postgres.target import Target
from tests.conftest import TestDatabase

PAGE = Path(__file__).parents[2] / "docs" / "values.md"
LIMITS = Limits(max_rows=100, max_bytes=1 << 20, max_cell_bytes=1 << 16)


@pytest.fixture
async def connection(database: TestDatabase) -> AsyncIterator[Connection]:
    target = Target(dsn=database.superuser_dsn, application_name="coldquery/test", connect_timeout_s=5)
    connection = await target.connect()
    await connection.execute(
        "CREATE EXTENSION hstore; CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE DOMAIN price AS numeric;"
        "CREATE TYPE line_item AS (name text, cost price, tags text[]); BEGIN"
    )
    yield connection
    connection.terminate()


async def refused(connection: Connection, kind: str, value: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await connection.run(f"SELECT 1, $1::int, $2::{kind}", (None, value), LIMITS, cached=False)
    assert caught.value.code is Code.INVALID_ARGUMENT
    return caught.value


def unfit(kinds: str, *values: Any, why: str = "") -> list[tuple[str, Any, str]]:
    return [(kind, value, f"$2 does not fit {kind}{why}") for kind in kinds.split() for value in values]


# The type, a value that does not fit, and the type and place that the message names.
UNFIT: list[tuple[str, Any, str]] = [
    *unfit("int2 int4 int8 oid", True, 5.5, float("inf"), float("nan"), "5.0", "five", "", "٣", "1_000", [1], {}),
    *unfit("int2 int4 int8 oid", 2**70, -(2**70), "9" * 30, "9" * 5000, 1e30),
    *unfit("bool", 1, 0, 1.0, "maybe", "o", "", [True], {}),
    *unfit("text varchar name bpchar", 5, 1.5, True, [], {}),
    *unfit("date uuid inet bytea interval int4range tsquery", 5, True, ["x"], {}),
    *unfit("numeric float8 money", True, [1], {}),
    *unfit("text date jsonb numeric xid", "a\0b", why=": it holds a NUL"),
    *unfit("text date jsonb numeric", "\ud800", why=": it is not valid Unicode"),
    ("int2", 32768, "$2 does not fit int2: it is out of range, -32768 to 32767"),
    ("oid", -1, "$2 does not fit oid: it is out of range"),
    ("numeric", 10**5000, "$2 does not fit numeric: it has too many digits"),
    *unfit("numeric float4 float8 money", float("inf"), float("-inf"), float("nan"), why=": it is no finite number"),
    ("float8[]", [1, float("inf")], "$2[2] does not fit float8: it is no finite number"),
    ("jsonb", {"a": [float("nan")]}, "$2 does not fit jsonb: it holds what JSON can't"),
    ("jsonb", ["\ud800"], "$2 does not fit jsonb: it is not valid Unicode"),
    ("xid8", 1.5, "$2 does not fit xid8"),
    ("regclass", True, "$2 does not fit regclass"),
    ("mood", 1, "$2 does not fit public.mood"),
    ("price", True, "$2 does not fit public.price"),
    ("hstore", {"a": 1}, "$2 does not fit public.hstore: a value in it is neither"),
    ("hstore", {"a": "\0"}, "$2 does not fit public.hstore: it holds a NUL"),
    ("hstore", [1], "$2 does not fit public.hstore: an array was given"),
    ("int2vector", ["x"], "$2[1] does not fit int2vector"),
    ("int[]", 5, "$2 does not fit int4[]: a number was given"),
    ("int[]", "5", "$2 does not fit int4[]: its text is not an array's"),
    ("int[]", "[0:1]={1,2}", "$2 does not fit int4[]: its text is not an array's"),
    ("int[]", [1, "x"], "$2[2] does not fit int4"),
    ("int[]", [[1], [None, "x"]], "$2[2][2] does not fit int4"),
    ("int[]", [[1], [2, 3]], "$2 does not fit int4[]: its inner arrays differ in length"),
    ("int[]", [[1], None], "$2 does not fit int4[]: its inner arrays differ in length"),
    ("int[]", [[[[[[[1]]]]]]], "$2 does not fit int4[]: it has more than 6 dimensions"),
    ("int[]", [[[[[[[[1]]]]]]]], "$2[1][1][1][1][1][1][1] does not fit int4"),
    ("text[]", ["a", "b\0"], "$2[2] does not fit text: it holds a NUL"),
    ("text[]", ["a", 5], "$2[2] does not fit text"),
    ("date[]", ["2026-01-01", 5], "$2[2] does not fit date"),
    ("mood[]", [None, 5], "$2[2] does not fit public.mood"),
    ("line_item", 5, "$2 does not fit public.line_item: a number was given"),
    ("line_item", ["a"], "$2 does not fit public.line_item: it holds 1 values for 3 attributes"),
    ("line_item", {"nome": "a"}, "$2 does not fit public.line_item: its attributes are name, cost, tags, and"),
    ("line_item", {"name": 1}, "$2.name does not fit text"),
    ("line_item", {"cost": True}, "$2.cost does not fit public.price"),
    ("line_item[]", [{}, {"tags": ["a", 1]}], "$2[2].tags[2] does not fit text"),
]  # fmt: skip


async def test_what_does_not_fit_is_named_and_nothing_is_sent(connection: Connection) -> None:
    for kind, value, words in UNFIT:
        told = await refused(connection, kind, value)
        assert f"Parameter {words}" in told.message, (kind, told.message)
        assert told.cause.sqlstate is None
        assert "element 2 of `params`" in told.next
    # Nothing of this harmed the transaction.
    assert (await connection.run("SELECT 1", (), LIMITS, cached=False)).rows == [(1,)]


@pytest.mark.parametrize(
    ("kind", "example"),
    [
        ("int4", "Pass a whole number, such as 5, as element 2"),
        ("bool", "Pass true or false, such as true, as element 2"),
        ("text", 'Pass a string, such as "abc", as element 2 of `params`, or name the type that you pass: $2::int.'),
        ("numeric", 'Pass a number, or its text as a string, such as "123.45", as element 2'),
        ("date", 'Pass a date as a string, such as "2026-01-31", as element 2'),
        ("uuid", 'such as "00000000-0000-0000-0000-000000000001"'),
        ("bytea", r'such as "\xdeadbeef"'),
        ("int4range", 'such as "[1,5)"'),
        ("date[]", 'Pass an array of date, such as ["2026-01-31"], as element 2'),
        ("mood", "Pass one of its labels as a string (SELECT enum_range(NULL::public.mood) lists them) as element 2"),
        ("line_item", 'Pass an object of its attributes, such as {"name": "abc", "cost": "123.45", "tags": ["abc"]},'),
        ("hstore", 'Pass an object of strings and nulls, such as {"key": "value"}, as element 2'),
    ],
)
async def test_the_next_step_has_an_example(connection: Connection, kind: str, example: str) -> None:
    assert example in (await refused(connection, kind, object())).next


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("date", "s3cret", '$2 does not fit date: invalid input syntax for type date: "…"'),
        ("date", "2026-02-30", '$2 does not fit date: date/time field value out of range: "…"'),
        ("numeric", 's3cret"x', '$2 does not fit numeric: invalid input syntax for type numeric: "…"'),
        ("mood", "s3cret", '$2 does not fit public.mood: invalid input value for enum mood: "…"'),
        ("date[]", ["2026-01-01", "s3cret"], "$2 does not fit date[]: "),
        ("jsonb", "s3cret", "$2 does not fit jsonb: invalid input syntax for type json"),
        ("jsonb", {"a": "s3cret\0"}, "$2 does not fit jsonb: unsupported Unicode escape sequence"),
        ("tsquery", "s3cret &", "$2 does not fit tsquery: no operand in tsquery"),
        ("line_item", "(s3cret", "$2 does not fit public.line_item: malformed record literal"),
        ("line_item", {"cost": "s3cret"}, "$2 does not fit public.line_item: invalid input syntax for type numeric"),
        ("bytea", "\\xs3cret", "$2 does not fit bytea: invalid hexadecimal digit"),
    ],
)
@pytest.mark.parametrize("logged", ["0", "-1"])
async def test_what_postgresql_refuses_of_a_parameter_is_told_likewise(
    connection: Connection, logged: str, kind: str, value: Any, words: str
) -> None:
    await connection.execute(f"SET log_parameter_max_length_on_error = {logged}")
    with pytest.raises(asyncpg.PostgresError) as caught:
        await connection.run(f"SELECT $1::int, $2::{kind}", (5, value), LIMITS, cached=False)
    # The transaction has failed, as the server said, so this is no `Refusal` yet.
    told = refusal(caught.value)
    assert told.code is Code.INVALID_ARGUMENT
    assert f"Parameter {words}" in told.message
    assert told.cause.sqlstate == caught.value.sqlstate
    assert "element 2 of `params`" in told.next
    assert "s3cret" not in str(told.to_dict())


async def test_an_error_of_the_statement_itself_is_not_blamed_on_a_parameter(connection: Connection) -> None:
    with pytest.raises(asyncpg.PostgresError) as caught:
        await connection.run("SELECT $1::text::date", ("x",), LIMITS, cached=False)
    told = refusal(caught.value)
    assert (told.code, told.cause.sqlstate) == (Code.SQL_ERROR, "22007")


@pytest.mark.parametrize("params", [(), (1, 2, 3)])
async def test_a_wrong_number_of_parameters_says_both_numbers(connection: Connection, params: tuple[int, ...]) -> None:
    with pytest.raises(Refusal) as caught:
        await connection.run("SELECT $1::int, $2::int", params, LIMITS, cached=False)
    assert caught.value.message == f"The statement has 2 parameters, and `params` holds {len(params)}."


async def test_the_pages_example_is_what_is_answered(connection: Connection) -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    with pytest.raises(Refusal) as caught:
        await connection.run("SELECT $1::int, $2::int[]", (1, [1, 2, "x"]), LIMITS, cached=False)
    assert caught.value.to_dict() == json.loads(example)
