"""What ended sessions leave: nothing of weight that would wait for the garbage collector."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from actors.testing import settle
from coldquery.errors import Refusal
from coldquery.sessions import SessionRoot, short_id
from tests.integration.sessions.asking import SLEEPING, Session, ended, until

type End = Callable[[Session, Any], Awaitable[None]]


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


async def commits(session: Session, _: Any) -> None:
    await session.run("INSERT INTO t VALUES (1)")
    await session.commit()


async def reads_and_rolls_back(session: Session, _: Any) -> None:
    await session.rows("SELECT i FROM t")
    await session.rollback()


async def fails(session: Session, _: Any) -> None:
    for access in ("write", "read"):
        with suppress(Refusal):
            await session.run("SELECT 1/0", access=access)
    await session.rollback()


async def is_cut_off(session: Session, observer: Any) -> None:
    call = asyncio.create_task(session.run("SELECT pg_sleep(60)"))
    await until(observer, SLEEPING, wanted=1)
    call.cancel()
    await asyncio.wait([call])
    await session.rollback()


async def is_evicted(session: Session, _: Any) -> None:
    session.root.evict(short_id(session.id))


async def loses_its_connection(session: Session, observer: Any) -> None:
    name = f"{session.root.tag}/{short_id(session.id)}"
    sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1"
    assert await observer.fetchval(sql, name)


@pytest.mark.parametrize("end", [commits, reads_and_rolls_back, fails, is_cut_off, is_evicted, loses_its_connection])
@pytest.mark.usefixtures("no_collector")
async def test_an_ended_session_holds_its_connection_no_more(root: SessionRoot, observer: Any, end: End) -> None:
    session = await Session.begin(root)
    connection = weakref.ref(root._actors[session.id]._transaction.connection)
    assert connection() is not None
    await end(session, observer)
    await ended(root)
    await settle()
    assert connection() is None
