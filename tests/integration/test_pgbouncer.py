"""Through a real PgBouncer: what doctor makes of it, and that the gateway works through one that pools sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from coldquery.doctor import Verdict
from coldquery.errors import Code, Refusal
from coldquery.gateway import Caller, Committed, Gateway
from coldquery.postgres.embedded import OWNER, READER
from coldquery.postgres.target import Target
from coldquery.sessions import Begin
from coldquery.sessions.commands import Commit, Query, Rollback
from coldquery.sessions.replies import Finished, Ran
from coldquery.settings import Settings
from tests.conftest import TestDatabase
from tests.integration.sessions.asking import SLEEPING
from tests.integration.test_doctor import findings
from tests.pgbouncer import NEEDS_PGBOUNCER, PgBouncer, pgbouncer

pytestmark = NEEDS_PGBOUNCER

ADA = Caller("ada")
IN_TRANSACTION = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
)


@pytest.fixture
async def bouncer(database: TestDatabase, scratch: Path) -> AsyncIterator[PgBouncer]:
    async with pgbouncer(database, scratch, "session") as running:
        yield running


@pytest.fixture
async def gateway(bouncer: PgBouncer) -> AsyncIterator[Gateway]:
    def target(role: str, purpose: str) -> Target:
        return Target(bouncer.dsn(role), f"coldquery/test/bouncer/{purpose}", connect_timeout_s=5)

    settings = Settings(read_pool_size=2, write_pool_size=2, max_sessions=4)
    tag = "coldquery/test/bouncer"
    async with Gateway(settings, target(READER, "read"), target(OWNER, "write"), tag=tag) as gateway:
        yield gateway


@pytest.fixture
async def observer(database: TestDatabase) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(database.superuser_dsn)
    yield connection
    await connection.close()


async def until(observer: asyncpg.Connection[Any], question: str, wanted: int) -> None:
    async with asyncio.timeout(10):
        while await observer.fetchval(question) != wanted:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_doctor_finds_a_pooler_that_sessions_cant_live_with(
    database: TestDatabase, scratch: Path, mode: str
) -> None:
    async with pgbouncer(database, scratch, mode) as bouncer:
        found = await findings(bouncer.dsn(READER), bouncer.dsn(OWNER))
    for identity in ("reader", "writer"):
        finding = found[f"pooler ({identity})"]
        assert finding.verdict is Verdict.FAIL
        assert f"after each {mode}" in finding.found
        assert "pool_mode = session" in str(finding.next)


async def test_doctor_is_content_with_one_that_pools_sessions(bouncer: PgBouncer) -> None:
    found = await findings(bouncer.dsn(READER), bouncer.dsn(OWNER))
    assert [name for name, each in found.items() if each.verdict is not Verdict.OK] == []
    assert "session mode" in found["pooler (writer)"].found
    assert "the pooler's line" in found["TLS (writer)"].found


async def test_reads_are_held_and_cancelled_through_one_that_pools_sessions(
    gateway: Gateway, observer: asyncpg.Connection[Any]
) -> None:
    assert (await gateway.read("SELECT $1::int + 1", [41])).result.rows == [(42,)]
    with pytest.raises(Refusal) as refused:
        await gateway.read("SELECT pg_sleep(30)", timeout_ms=100)
    assert refused.value.code is Code.STATEMENT_TIMEOUT
    slow = asyncio.create_task(gateway.read("SELECT pg_sleep(30)"))
    await until(observer, SLEEPING, 1)
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    await until(observer, SLEEPING, 0)
    # Each connection of the pool serves again at once.
    assert [(await gateway.read("SELECT 1")).result.rows for _ in range(4)] == [[(1,)]] * 4


async def test_sessions_live_and_leak_nothing_through_one_that_pools_sessions(
    gateway: Gateway, observer: asyncpg.Connection[Any]
) -> None:
    made = await gateway.write("CREATE TABLE t (i int)")
    assert isinstance(made, Committed)

    async def insert(session_id: str, number: int) -> None:
        limits = gateway.limits(None)
        insert = Query(sql="INSERT INTO t VALUES ($1)", params=(number,), access="write", limits=limits)
        assert isinstance(await gateway.ask(ADA, session_id, insert), Ran)

    kept, dropped = (await gateway.begin(ADA, Begin())).id, (await gateway.begin(ADA, Begin())).id
    await insert(kept, 1)
    await insert(dropped, 2)
    # PgBouncer's backends outlive the sessions: none may be taken for a leak, under the session's name or another.
    assert await gateway.reaper.sweep() == ()
    assert isinstance(await gateway.ask(ADA, kept, Commit()), Finished)
    assert isinstance(await gateway.ask(ADA, dropped, Rollback()), Finished)
    assert (await gateway.read("SELECT array_agg(i) FROM t")).result.rows == [([1],)]
    assert await gateway.reaper.sweep() == ()
    assert await gateway.reaper.sweep() == ()
    await until(observer, IN_TRANSACTION, 0)
