"""What we rely on of asyncpg's private calls: a failure here says what an upgrade broke."""

import asyncio
import inspect
from typing import Any

import asyncpg
from asyncpg import connect_utils
from asyncpg.protocol.protocol import BUILTIN_TYPE_NAME_MAP

from coldquery.postgres import values
from tests.conftest import TestDatabase

# Untyped: these are the names that the stubs leave out.
CONNECTION: Any = asyncpg.Connection
UTILS: Any = connect_utils


def test_it_is_the_version_that_we_read() -> None:
    assert asyncpg.__version__.startswith("0.32.")


def test_the_private_signatures_are_the_ones_that_we_call() -> None:
    assert list(inspect.signature(CONNECTION._get_statement).parameters) == [
        "self",
        "query",
        "timeout",
        "named",
        "use_cache",
        "ignore_custom_codec",
        "record_class",
    ]
    assert set(inspect.signature(UTILS._cancel).parameters) == {
        "loop",
        "addr",
        "params",
        "backend_pid",
        "backend_secret",
    }
    assert list(inspect.signature(CONNECTION._introspect_types).parameters) == ["self", "typeoids", "timeout"]


async def test_a_limited_execute_returns_rows_then_tag_and_completion(database: TestDatabase) -> None:
    connection: Any = await asyncpg.connect(database.owner_dsn)
    try:
        await connection.execute("BEGIN")
        statement = await connection._get_statement("SELECT generate_series(1, 3)", None, named="", use_cache=False)
        rows, tag, completed = await connection._protocol.bind_execute(statement, (), "", 2, True, None)
        assert (len(rows), completed) == (2, False)
        assert not tag
        rows, tag, completed = await connection._protocol.execute(statement, "", 2, True, None)
        assert (len(rows), tag, completed) == (1, b"SELECT 1", True)
        (attribute,) = statement._get_attributes()
        assert (attribute.name, attribute.type.name, attribute.type.schema) == ("generate_series", "int4", "pg_catalog")
        assert statement._get_parameters() == ()
    finally:
        connection.terminate()


async def test_only_errors_of_the_server_carry_a_severity(database: TestDatabase) -> None:
    connection: Any = await asyncpg.connect(database.owner_dsn)
    try:
        for sql, params, severity in (("SELECT 1/0", (), "ERROR"), ("SELECT $1::int", ("x",), None)):
            try:
                await connection.fetch(sql, *params)
            except asyncpg.PostgresError as error:
                assert error.severity == severity, sql
            else:
                raise AssertionError(sql)
    finally:
        connection.terminate()


async def test_the_transport_gives_its_socket_and_a_termination_is_told(database: TestDatabase) -> None:
    connection: Any = await asyncpg.connect(database.owner_dsn)
    observer = await asyncpg.connect(database.superuser_dsn)
    ended = asyncio.Event()
    try:
        assert connection._transport.get_extra_info("socket") is not None
        connection.add_termination_listener(lambda _: ended.set())
        await observer.execute(f"SELECT pg_terminate_backend({connection.get_server_pid()})")
        async with asyncio.timeout(5):
            await ended.wait()
    finally:
        connection.terminate()
        await observer.close()


def test_asyncpg_knows_by_name_each_type_that_we_name() -> None:
    assert set(values._CODECS) <= set(BUILTIN_TYPE_NAME_MAP)
