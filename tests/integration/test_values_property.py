"""Random values go to PostgreSQL and come back as they were, whatever holds them."""

import datetime as dt
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coldquery.postgres.answer import Limits
from coldquery.postgres.connection import Connection
from coldquery.postgres.literals import parse_array, parse_hstore, parse_record
from coldquery.postgres.target import Target
from tests.conftest import TestDatabase

LIMITS = Limits(max_rows=1000, max_bytes=1 << 26, max_cell_bytes=1 << 26)

# All that PostgreSQL's text can hold, and much of what needs an escape somewhere.
CHARACTERS = st.characters(exclude_characters="\0", exclude_categories=["Cs"]) | st.sampled_from(
    '"\\{}(),;=> \n\t\x85\xa0NUL'
)
TEXT = st.text(CHARACTERS, max_size=20)


def digits(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high) | st.sampled_from([low, high, 0])


def exact(value: int) -> int | str:
    """An integer as it comes back."""
    return value if -(2**53) <= value <= 2**53 else str(value)


def stamp(moment: dt.datetime) -> str:
    """A timestamp as it comes back."""
    text = moment.isoformat(" ")
    return f"{text.rstrip('0')}+00" if moment.microsecond else f"{text}+00"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(CHARACTERS, max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(CHARACTERS, max_size=5), inner, max_size=3),
    max_leaves=6,
)

# What is sent is what comes back. A string would be JSON text for jsonb, and null no JSON.
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int2": digits(-(2**15), 2**15 - 1),
    "int4": digits(-(2**31), 2**31 - 1),
    "int8": digits(-(2**63), 2**63 - 1).map(exact),
    "oid": digits(0, 2**32 - 1),
    "numeric": st.integers(-(10**40), 10**40).map(lambda each: f"{each}.50"),
    "float8": st.floats(allow_nan=False, allow_infinity=False),
    "text": TEXT,
    "citext": TEXT,
    "bytea": st.binary(max_size=20).map(lambda each: "\\x" + each.hex()),
    "uuid": st.uuids().map(str),
    "date": st.dates().map(str),
    "timestamptz": st.datetimes().map(stamp),
    "int4range": st.integers(-100, 100).map(lambda each: f"[{each},{each + 2})"),
    "jsonb": JSON.filter(lambda each: each is not None and not isinstance(each, str)),
    "hstore": st.dictionaries(TEXT, st.none() | TEXT, max_size=4),
    "mood": st.sampled_from(["sad", 'gl"ad', "NULL", "a, b"]),
}
ARRAYS = {f"{kind}[]": st.lists(values | st.none(), max_size=4) for kind, values in SCALARS.items()}
ROW = st.fixed_dictionaries(
    {kind: st.none() | values for kind, values in (SCALARS | ARRAYS).items()}
    | {"inner": st.none() | st.fixed_dictionaries({'a "b"': TEXT | st.none(), "many": ARRAYS["text[]"] | st.none()})}
)
TYPES = (
    "CREATE EXTENSION citext; CREATE EXTENSION hstore;"
    "CREATE TYPE mood AS ENUM ('sad', 'gl\"ad', 'NULL', 'a, b');"
    'CREATE TYPE inner_row AS ("a ""b""" text, many text[]);'
    f'CREATE TYPE outer_row AS ({", ".join(f'"{kind}" {kind}' for kind in SCALARS | ARRAYS)}, "inner" inner_row);'
)


@pytest.fixture
async def connection(database: TestDatabase) -> AsyncIterator[Connection]:
    target = Target(dsn=database.superuser_dsn, application_name="t", connect_timeout_s=5, settings={"TimeZone": "UTC"})
    connection = await target.connect()
    await connection.execute(TYPES)
    yield connection
    await connection.close(timeout=5)


async def read(connection: Connection, sql: str, *params: Any) -> list[Any]:
    (row,) = json.loads((await connection.run(sql, params, LIMITS, cached=True)).rows_json)
    return list(row)


def bounded(examples: int) -> settings:
    allowed = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=examples, deadline=None, suppress_health_check=allowed)


@bounded(100)
@given(values=st.tuples(*SCALARS.values()))
async def test_a_value_comes_back(connection: Connection, values: tuple[Any, ...]) -> None:
    sql = "SELECT " + ", ".join(f"${number}::{kind}" for number, kind in enumerate(SCALARS, 1))
    assert await read(connection, sql, *values) == list(values)


@bounded(60)
@given(values=st.tuples(*ARRAYS.values()))
async def test_an_array_comes_back(connection: Connection, values: tuple[Any, ...]) -> None:
    sql = "SELECT " + ", ".join(f"${number}::{kind}" for number, kind in enumerate(ARRAYS, 1))
    assert await read(connection, sql, *values) == list(values)


@bounded(60)
@given(
    values=st.integers(1, 3).flatmap(
        lambda width: st.lists(st.lists(TEXT | st.none(), min_size=width, max_size=width), min_size=1, max_size=3)
    )
)
async def test_so_does_one_of_two_dimensions(connection: Connection, values: list[list[str | None]]) -> None:
    sql = "SELECT $1::text[], $1::text[]::citext[], $2::citext[]"
    assert await read(connection, sql, values, values) == [values] * 3


@bounded(40)
@given(value=ROW, more=st.lists(st.none() | ROW, max_size=2))
async def test_a_row_comes_back_and_postgresql_sees_the_same(
    connection: Connection, value: dict[str, Any], more: list[Any]
) -> None:
    sql = 'SELECT $1::outer_row, $2::outer_row[], ($1).text, ($1)."text[]", (($1).inner)."a ""b"""'
    row, rows, text, texts, inner = await read(connection, sql, value, more)
    assert (row, rows) == (value, more)
    assert (text, texts) == (value["text"], value["text[]"])
    assert inner == (value["inner"] and value["inner"]['a "b"'])


@bounded(100)
@given(items=st.lists(TEXT | st.none(), max_size=5), keys=st.lists(TEXT, unique=True, max_size=5))
async def test_postgresqls_own_text_is_read_as_it_means_it(
    connection: Connection, items: list[str | None], keys: list[str]
) -> None:
    # text and text[] travel in binary, so that these are PostgreSQL's words against ours.
    pairs = dict(zip(keys, items, strict=False))
    sql = "SELECT $1::text[]::text, ROW($1, $2::text, $3::text)::text, hstore($4::text[], $5::text[])::text"
    first, second = [*items, None, None][:2]
    array, row, hstore = await read(connection, sql, items, first, second, list(pairs), list(pairs.values()))
    assert parse_array(array) == items
    inner, *rest = parse_record(row)
    assert inner is not None
    assert (parse_array(inner), rest) == (items, [first, second])
    assert parse_hstore(hstore) == pairs


@bounded(200)
@given(text=st.text(st.sampled_from('{},,{}"" \\aNUL'), max_size=12).map(lambda text: "{" + text + "}"))
async def test_what_we_take_for_an_array_is_one_for_postgresql_too(connection: Connection, text: str) -> None:
    try:
        items = parse_array(text)
    except ValueError:
        return
    if not any(isinstance(each, list) for each in items):
        assert await read(connection, "SELECT $1::text::text[]", text) == [items]
