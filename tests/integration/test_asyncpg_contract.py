"""What we rely on of asyncpg's private calls: a failure here says what an upgrade broke."""

import asyncio
import inspect
from typing import Any

import asyncpg
import pytest
from asyncpg import connect_utils
from asyncpg.protocol.protocol import BUILTIN_TYPE_NAME_MAP

from coldquery.postgres import values
from coldquery.postgres.wire import unanswered
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


async def test_what_is_sent_ahead_of_a_bind_goes_with_it_and_is_answered_with_it(database: TestDatabase) -> None:
    connection: Any = await asyncpg.connect(database.owner_dsn)
    begin = unanswered("BEGIN READ ONLY")
    try:
        statement = await connection._get_statement("SELECT generate_series(1, 3)", None, named=True, use_cache=False)
        connection._protocol.wire.send_around(begin)
        rows, tag, completed = await connection._protocol.bind_execute(statement, (), "", 2, True, None)
        # The tag and the completion are those of BEGIN.
        assert (len(rows), tag, completed, connection.is_in_transaction()) == (2, b"BEGIN", True, True)
        rows, tag, completed = await connection._protocol.execute(statement, "", 9, True, None)
        assert (len(rows), tag, completed) == (1, b"SELECT 1", True)
        await connection.execute("ROLLBACK")
        # A parameter that can't be is told before anything is sent.
        typed = await connection._get_statement("SELECT $1::int4", None, named=True, use_cache=False)
        connection._protocol.wire.send_around(begin)
        with pytest.raises(asyncpg.DataError):
            await connection._protocol.bind_execute(typed, ("x",), "", 2, True, None)
        connection._protocol.wire.take_back()
        await connection.execute("SELECT 1")
        assert not connection.is_in_transaction()
    finally:
        connection.terminate()


def test_a_notice_is_told_at_once() -> None:
    assert list(inspect.signature(CONNECTION._process_log_message).parameters) == ["self", "fields", "last_query"]


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


def test_asyncpg_knows_the_built_in_types_by_the_same_oids() -> None:
    named = {name: oid for name, oid in BUILTIN_TYPE_NAME_MAP.items() if name in values._OIDS and name != "char"}
    assert len(named) > 50
    assert named == {name: values._OIDS[name][0] for name in named}


async def test_codecs_are_put_in_and_introspection_tells_of_types(database: TestDatabase) -> None:
    connection: Any = await asyncpg.connect(database.owner_dsn)
    try:
        settings = connection._protocol.get_settings()
        settings.set_builtin_type_codec(1082, "date", "pg_catalog", "scalar", 25, "text")
        settings.add_python_codec(1231, "numeric[]", "pg_catalog", (), "scalar", str, str.upper, "text")
        assert await connection.fetchrow("SELECT DATE '2026-01-31', '{1.5,NULL}'::numeric[]") == (
            "2026-01-31",
            "{1.5,NULL}",
        )
        await connection.execute("CREATE TYPE pair AS (a int, b text[])")
        (oid,) = await connection.fetchrow("SELECT 'pair'::regtype::oid")
        told, statement = await connection._introspect_types([oid], None)
        assert isinstance(statement.name, str)
        (pair,) = [each for each in told if each["oid"] == oid]
        assert (pair["ns"], pair["name"], pair["kind"]) == ("public", "pair", b"c")
        assert (pair["attrnames"], pair["attrtypoids"], pair["basetype"]) == (["a", "b"], [23, 1009], None)
        assert [(each["elemtype"], each["elemdelim"]) for each in told if each["oid"] == 1009] == [(25, b",")]
        assert told.index(pair) == len(told) - 1
        unnamed = await connection._get_statement("SELECT 1", None, named="", use_cache=False)
        unnamed.mark_unprepared()
        rows, _, _ = await connection._protocol.bind_execute(unnamed, (), "", 0, True, None)
        assert rows == [(1,)]
    finally:
        connection.terminate()
