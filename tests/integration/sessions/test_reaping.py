"""What leaks is found and ended, and nothing else is."""

import asyncio
from typing import Any

import asyncpg
import pytest

from actors.testing import ManualClock
from coldquery.sessions import Begin, SessionRoot
from coldquery.sessions.held import HeldTransaction
from coldquery.sessions.reaper import Kind, Reaper
from tests.conftest import TestDatabase
from tests.integration.sessions.asking import ANN, OPEN_BACKENDS, Session, backends, ended, make_root


@pytest.fixture
async def reaper(root: SessionRoot, clock: ManualClock) -> Any:
    reaper = Reaper(root, root.limits, clock)
    yield reaper
    reaper._close()


async def test_living_sessions_are_left_alone(root: SessionRoot, reaper: Reaper) -> None:
    session = await Session.begin(root)
    for _ in range(3):
        assert await reaper.sweep() == ()
    assert await session.rows("SELECT 1") == [(1,)]
    assert not reaper.counts


async def test_a_backend_of_no_session_is_terminated_at_the_second_sight(
    root: SessionRoot, reaper: Reaper, database: TestDatabase, observer: Any
) -> None:
    dsn = database.owner_dsn
    orphan = await asyncpg.connect(dsn, server_settings={"application_name": f"{root.tag}/orphaned"})
    bystander = await asyncpg.connect(dsn, server_settings={"application_name": f"{root.tag}/read"})
    assert await reaper.sweep() == ()
    assert [verdict.kind for verdict in await reaper.sweep()] == [Kind.BACKEND_WITHOUT_ACTOR]
    async with asyncio.timeout(5):
        while not orphan.is_closed():
            await asyncio.sleep(0.005)
    assert await bystander.fetchval("SELECT 1") == 1
    assert reaper.counts == {Kind.BACKEND_WITHOUT_ACTOR: 1}
    await bystander.close()


async def test_a_session_that_renames_its_backend_is_still_known(root: SessionRoot, reaper: Reaper) -> None:
    session = await Session.begin(root)
    await session.run("SET application_name = 'me'")
    for _ in range(3):
        assert await reaper.sweep() == ()
    assert await session.rows("SELECT 1") == [(1,)]


async def test_a_session_whose_backend_is_gone_unheard_is_ended(
    root: SessionRoot, reaper: Reaper, observer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As when the network swallowed the end: the driver does not hear of it.
    monkeypatch.setattr("coldquery.sessions.session.SessionActor._broke", lambda *_: None)
    session = await Session.begin(root)
    await observer.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '{root.tag}/%'"
    )
    await backends(observer, root, 0)
    await reaper.sweep()
    assert [verdict.kind for verdict in await reaper.sweep()] == [Kind.BACKEND_GONE]
    await ended(root)
    assert "(connection_lost)" in (await session.refused("SELECT 1")).message


async def test_a_connection_left_open_by_a_defect_is_cut(
    root: SessionRoot, reaper: Reaper, observer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def defect(*_: object) -> None:
        raise ZeroDivisionError

    session = await Session.begin(root)
    monkeypatch.setattr(HeldTransaction, "close", defect)
    await session.rollback()
    await ended(root)
    assert len(root.facts()) == 1
    await reaper.sweep()
    await backends(observer, root, 2)
    assert [verdict.kind for verdict in await reaper.sweep()] == [Kind.CONNECTION_LEFT_OPEN]
    assert root.facts() == ()
    await backends(observer, root, 1)


async def test_a_session_of_a_client_that_is_gone_is_ended_even_if_it_began_too_late(
    root: SessionRoot, reaper: Reaper
) -> None:
    root.client_gone("c1")
    await root.begin(ANN, Begin(), client="c1")
    await reaper.sweep()
    assert [verdict.kind for verdict in await reaper.sweep()] == [Kind.CLIENT_GONE]
    await ended(root)


@pytest.mark.parametrize("end_blockers", [False, True])
async def test_a_session_idle_in_the_way_is_warned_and_ended_only_if_so_set(
    database: TestDatabase, clock: ManualClock, observer: Any, end_blockers: bool
) -> None:
    root = make_root(database.owner_dsn, clock, max_blocking_s=60, end_blockers=end_blockers)
    reaper = Reaper(root, root.limits, clock)
    session = await Session.begin(root)
    await session.run("INSERT INTO t VALUES (1)")
    waiter = await asyncpg.connect(database.superuser_dsn)
    waiting = asyncio.create_task(waiter.execute("TRUNCATE t"))
    async with asyncio.timeout(5):
        while not await reaper.sweep():
            await asyncio.sleep(0.005)
    assert "Others wait" in ((await session.run("SELECT 1")).echo.warning or "")
    clock.advance(60)
    assert [(verdict.kind, verdict.final) for verdict in await reaper.sweep()] == [(Kind.BLOCKING, True)]
    if end_blockers:
        await ended(root)
        assert "(evicted)" in (await session.refused("SELECT 1")).message
    else:
        assert root.open_count == 1
        await session.rollback()
    await waiting
    await reaper.sweep()
    await waiter.close()
    reaper._close()
    await root.drain(0, 5)


async def test_who_blocks_nobody_any_more_is_not_warned_any_more(
    root: SessionRoot, reaper: Reaper, database: TestDatabase
) -> None:
    session = await Session.begin(root)
    await session.run("INSERT INTO t VALUES (1)")
    waiter = await asyncpg.connect(database.superuser_dsn)
    waiting = asyncio.create_task(waiter.execute("TRUNCATE t"))
    async with asyncio.timeout(5):
        while not await reaper.sweep():
            await asyncio.sleep(0.005)
    waiting.cancel()
    await asyncio.wait([waiting])
    async with asyncio.timeout(5):
        while (await session.run("SELECT 1")).echo.warning:
            await reaper.sweep()
    await waiter.close()


async def test_a_hundred_abandoned_transactions_are_all_reaped(
    database: TestDatabase, clock: ManualClock, observer: Any
) -> None:
    root = make_root(database.owner_dsn, clock, max_sessions=100)
    limit = int(await observer.fetchval("SHOW max_connections")) - 20
    left = 100
    while left:
        some = min(left, limit, 60)
        sessions = await asyncio.gather(*(Session.begin(root) for _ in range(some)))
        await asyncio.gather(*(session.run("INSERT INTO t VALUES (1)") for session in sessions))
        clock.advance(1800)
        await ended(root, within_s=20)
        left -= some
    await backends(observer, root, 0)
    assert await observer.fetchval("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'") == 0
    assert await observer.fetchval("SELECT count(*) FROM t") == 0


async def test_the_reaper_runs_by_itself_and_outlives_a_database_that_is_away(
    database: TestDatabase, clock: ManualClock, observer: Any
) -> None:
    root = make_root(database.owner_dsn, clock, reap_interval_s=0.02)
    reaper = Reaper(root, root.limits, clock)
    task = asyncio.create_task(reaper.run())
    await backends(observer, root, 1)
    await observer.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{root.tag}/reaper'"
    )
    orphan = await asyncpg.connect(database.owner_dsn, server_settings={"application_name": f"{root.tag}/orphaned"})
    async with asyncio.timeout(10):
        while not orphan.is_closed():
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    assert await observer.fetchval(OPEN_BACKENDS, f"{root.tag}/") <= 1
    await backends(observer, root, 0)
