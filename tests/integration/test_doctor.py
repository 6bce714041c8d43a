"""Doctor on a real server, as roles of every kind. What it tries must leave nothing behind."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from coldquery import reads
from coldquery.database import Database
from coldquery.doctor import Check, Finding, Verdict, examine, exit_code
from coldquery.settings import Loaded, Settings
from tests.conftest import TestDatabase

_numbers = itertools.count(1)


@pytest.fixture
async def superuser(database: TestDatabase) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(database.superuser_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def role(database: TestDatabase, superuser: asyncpg.Connection[Any]) -> AsyncIterator[str]:
    """A role that may connect, and no more."""
    name = f"doctor_test_{next(_numbers)}"
    await superuser.execute(f"CREATE ROLE {name} LOGIN; GRANT CONNECT ON DATABASE {database.name} TO {name}")
    yield name
    await superuser.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


async def checks(reader: str | None, writer: str, **settings: Any) -> list[Check]:
    given = Settings(dsn=SecretStr(writer), reader_dsn=reader and SecretStr(reader), **settings)
    return await examine(Loaded(given, {}, ()), Database())


async def findings(reader: str | None, writer: str, **settings: Any) -> dict[str, Finding]:
    """Findings by the name of the check, and by name and identity where both roles were looked at."""
    found = await checks(reader, writer, **settings)
    return {each.name + (f" ({each.identity})" if each.identity else ""): each.finding for each in found}


def not_ok(found: dict[str, Finding]) -> dict[str, Verdict]:
    return {name: each.verdict for name, each in found.items() if each.verdict is not Verdict.OK}


async def test_the_embedded_servers_own_roles_are_in_order(database: TestDatabase) -> None:
    found = await checks(database.reader_dsn, database.owner_dsn)
    assert [each for each in found if each.finding.verdict is not Verdict.OK] == []
    assert exit_code(found) == 0
    assert {each.identity for each in found} == {None, "reader", "writer"}


async def test_a_superuser_is_warned_of_but_a_read_is_held_even_then(database: TestDatabase) -> None:
    found = await findings(None, database.superuser_dsn)
    assert not_ok(found).keys() - {"reads can't write"} == {"role", "roles apart", "reader's grants"}
    assert "postgres is a superuser" in found["role"].found
    # Before PostgreSQL 16 a read can be opened, and then only its ROLLBACK undoes what it writes.
    assert found["reads can't write"].verdict in {Verdict.OK, Verdict.WARN}


async def test_one_role_for_all_is_warned_of(database: TestDatabase) -> None:
    found = await findings(None, database.owner_dsn)
    warned = {name for name, verdict in not_ok(found).items() if verdict is Verdict.WARN}
    assert warned - {"reads can't write"} == {"roles apart"}
    assert "pg_terminate_backend" in found["roles apart"].found


async def test_what_a_reader_could_write_is_listed(
    database: TestDatabase, superuser: asyncpg.Connection[Any], role: str
) -> None:
    await superuser.execute(
        'CREATE TABLE t1 (i serial); CREATE TABLE "T 2" (i int, j int); CREATE SCHEMA s;'
        f'GRANT DELETE ON t1 TO {role}; GRANT UPDATE (j) ON "T 2" TO {role};'
        f"GRANT USAGE ON SEQUENCE t1_i_seq TO {role}; GRANT CREATE ON SCHEMA s TO {role};"
        f"GRANT CREATE, TEMPORARY ON DATABASE {database.name} TO {role};"
        f"GRANT EXECUTE ON FUNCTION lo_creat(integer) TO {role}"
    )
    found = await findings(database.endpoint.dsn(role, database.name), database.owner_dsn)
    assert found["reader's grants"].verdict is Verdict.WARN
    assert (
        '2 tables (public."T 2", public.t1), 1 sequence, new tables in s, new schemas, temporary tables, large objects'
        in found["reader's grants"].found
    )


async def test_what_a_role_can_become_counts_as_its_own(
    database: TestDatabase, superuser: asyncpg.Connection[Any], role: str
) -> None:
    await superuser.execute(
        f"ALTER ROLE {role} NOINHERIT CREATEROLE; GRANT pg_read_all_data, coldquery_owner TO {role};"
        "SET ROLE coldquery_owner; CREATE TABLE t (i int); RESET ROLE"
    )
    found = await findings(database.endpoint.dsn(role, database.name), database.owner_dsn)
    assert "CREATEROLE" in found["role (reader)"].found
    assert "pg_read_all_data" in found["role (reader)"].found
    assert f"{role} can become coldquery_owner" in found["roles apart"].found
    assert "public.t)" in found["reader's grants"].found


async def test_limits_of_a_role_that_fight_the_gateways_are_told(
    database: TestDatabase, superuser: asyncpg.Connection[Any], role: str
) -> None:
    await superuser.execute(
        f"ALTER ROLE {role} CONNECTION LIMIT 20; ALTER ROLE {role} SET idle_session_timeout = '1min';"
        f"ALTER ROLE {role} SET statement_timeout = '1s'; ALTER ROLE {role} SET default_transaction_read_only = on"
    )
    found = await findings(None, database.endpoint.dsn(role, database.name))
    assert f"{role} may have 20 of the 28 it needs" in found["connections"].found
    assert "idle_session_timeout closes waiting connections after 1 min" in found["timeouts"].found
    assert "RESET default_transaction_read_only" in str(found["database"].next)
    await superuser.execute(f"ALTER ROLE {role} RESET idle_session_timeout")
    found = await findings(None, database.endpoint.dsn(role, database.name))
    # The gateway's own limit is in force all the same.
    assert found["timeouts"].verdict is Verdict.OK
    assert "statement 30 s" in found["timeouts"].found
    assert "overridden: statement_timeout=1s" in found["timeouts"].found


async def test_more_connections_than_the_server_has_are_told(database: TestDatabase) -> None:
    found = await findings(database.reader_dsn, database.owner_dsn, max_sessions=100)
    assert not_ok(found) == {"connections": Verdict.WARN}
    assert "may open 118, and max_connections leaves" in found["connections"].found


async def test_reads_and_writes_in_two_databases_fail(database: TestDatabase) -> None:
    found = await findings(database.endpoint.dsn("coldquery_reader"), database.owner_dsn)
    assert found["database"].verdict is Verdict.FAIL


async def test_a_read_that_writes_fails_and_leaves_nothing_behind(
    database: TestDatabase, superuser: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "_BEGIN", "BEGIN")
    found = await findings(None, database.superuser_dsn)
    assert found["reads can't write"].verdict is Verdict.FAIL
    assert (
        "A READ COULD WRITE; ways out: none, SET TRANSACTION READ WRITE, set_config()"
        in found["reads can't write"].found
    )
    assert await superuser.fetchval("SELECT count(*) FROM pg_class WHERE relname = 'coldquery_doctor'") == 0


async def test_no_connection_is_left_open(database: TestDatabase, superuser: asyncpg.Connection[Any]) -> None:
    await findings(database.reader_dsn, database.owner_dsn)
    left = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'coldquery/%/doctor/%' AND datname = $1"
    for _ in range(1000):
        if await superuser.fetchval(left, database.name) == 0:
            return
    raise AssertionError("a connection is still open")
