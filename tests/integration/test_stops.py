"""A statement is stopped by its time limit, by a lock that is not free, or because its caller is gone: three codes.

By whichever door it came, it is gone from PostgreSQL within a second, and the next one by the same door finds a
connection that is like new.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from coldquery.errors import Code, Refusal
from coldquery.gateway import Caller, Gateway
from coldquery.postgres.target import Target
from coldquery.sessions import Begin
from coldquery.sessions.commands import Explain, Operation, Query
from coldquery.settings import Settings
from tests.conftest import TestDatabase
from tests.integration.sessions.asking import SLEEPING, until

CALLER = Caller("tests")
DOORS = ["read", "write", "alone", "batch", "plan", "session read", "session write", "session plan"]


@pytest.fixture
async def observer(database: TestDatabase) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(database.superuser_dsn)
    await connection.execute("CREATE TABLE t (i int); GRANT ALL ON t TO PUBLIC; CREATE TABLE held (i int)")
    await connection.execute("GRANT ALL ON held TO PUBLIC")
    await connection.execute(
        "CREATE FUNCTION snooze() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN 1; END $$;"
        "CREATE PROCEDURE rest(s float8) LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(s); END $$;"
        "CREATE PROCEDURE look() LANGUAGE plpgsql AS $$ BEGIN PERFORM * FROM held; END $$"
    )
    yield connection
    await connection.close()


@pytest.fixture
async def gateway(database: TestDatabase, observer: object) -> AsyncIterator[Gateway]:
    settings = Settings(
        read_pool_size=1, write_pool_size=1, spare_connections=0, lock_timeout_ms=100, drain_timeout_s=1
    )
    reader, writer = (Target(dsn, "coldquery/test/1/x", 2) for dsn in (database.reader_dsn, database.owner_dsn))
    async with Gateway(settings, reader, writer) as gateway:
        yield gateway


class Door:
    """One way to run a statement, always on the same connection."""

    def __init__(self, gateway: Gateway, kind: str) -> None:
        self.gateway, self.kind, self.session = gateway, kind, ""

    async def open(self) -> None:
        if self.kind.startswith("session"):
            self.session = (await self.gateway.begin(CALLER, Begin(auto_savepoint=True))).id

    async def run(self, sql: str, call: str, timeout_ms: int = 20_000) -> None:
        """Run a query, or the CALL that does the same where a procedure is what comes by this door."""
        gateway, limits = self.gateway, self.gateway.limits()
        explain = Explain(sql=sql, analyze=True, limits=limits, timeout_ms=timeout_ms)
        match self.kind:
            case "read":
                await gateway.read(sql, timeout_ms=timeout_ms)
            case "write":
                await gateway.write(sql, timeout_ms=timeout_ms)
            case "alone":
                await gateway.write(call, timeout_ms=timeout_ms)
            case "batch":
                await gateway.transact([Operation(sql="SELECT 1"), Operation(sql=sql)], timeout_ms=timeout_ms)
            case "plan":
                await gateway.explain(explain)
            case "session plan":
                await gateway.ask(CALLER, self.session, explain)
            case "session read" | "session write":
                access = self.kind.removeprefix("session ")
                query = {"sql": sql, "access": access, "limits": limits, "timeout_ms": timeout_ms}
                await gateway.ask(CALLER, self.session, Query.model_validate(query))

    async def refused(self, sql: str, call: str, timeout_ms: int = 20_000) -> Refusal:
        with pytest.raises(Refusal) as caught:
            await self.run(sql, call, timeout_ms)
        return caught.value

    async def works(self) -> None:
        await self.run("SELECT count(*) FROM t", "CALL rest(0)")


@pytest.fixture(params=DOORS)
async def door(gateway: Gateway, request: pytest.FixtureRequest) -> Door:
    door = Door(gateway, request.param)
    await door.open()
    return door


async def test_at_its_time_limit_a_statement_is_stopped_by_postgresql(door: Door, observer: Any) -> None:
    assert (await door.refused("SELECT pg_sleep(60)", "CALL rest(60)", timeout_ms=50)).code is Code.STATEMENT_TIMEOUT
    await until(observer, SLEEPING, wanted=0, within_s=1)
    await door.works()


async def test_a_lock_that_is_not_free_in_time_is_told_as_such(door: Door, observer: Any) -> None:
    await observer.execute("BEGIN; LOCK held")
    try:
        refusal = await door.refused("SELECT * FROM held", "CALL look()")
        assert (refusal.code, refusal.cause.sqlstate) == (Code.LOCK_TIMEOUT, "55P03")
    finally:
        await observer.execute("ROLLBACK")
    await door.works()


async def test_a_statement_whose_caller_is_gone_is_stopped_within_a_second(door: Door, observer: Any) -> None:
    call = asyncio.create_task(door.run("SELECT snooze()", "CALL rest(60)"))
    await until(observer, SLEEPING, wanted=1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(observer, SLEEPING, wanted=0, within_s=1)
    await door.works()


async def test_a_statement_that_an_operator_cancels_is_told_as_cancelled(door: Door, observer: Any) -> None:
    call = asyncio.create_task(door.refused("SELECT snooze()", "CALL rest(60)"))
    await until(observer, SLEEPING, wanted=1)
    await observer.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    refusal = await call
    assert (refusal.code, refusal.cause.sqlstate) == (Code.CANCELLED, "57014")
    await door.works()
