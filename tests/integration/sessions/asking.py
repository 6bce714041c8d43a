"""Short words for asking sessions, and for waiting until PostgreSQL shows something."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from actors import Clock
from coldquery.errors import Refusal
from coldquery.postgres.answer import Limits
from coldquery.postgres.target import Target
from coldquery.sessions import Begin, SessionLimits, SessionRoot
from coldquery.sessions.commands import Commit, Query, Rollback
from coldquery.sessions.replies import Finished, Ran

LIMITS = Limits(max_rows=1000, max_bytes=1 << 20, max_cell_bytes=1 << 16)
ANN = "ann"

_boots = itertools.count(1)


def make_root(dsn: str, clock: Clock, **limits: Any) -> SessionRoot:
    target = Target(dsn=dsn, application_name="coldquery/test", connect_timeout_s=10)
    return SessionRoot(target, SessionLimits(**limits), clock, f"coldquery/test/{next(_boots)}")


class Session:
    """One session, asked by its owner."""

    def __init__(self, root: SessionRoot, session_id: str) -> None:
        self.root = root
        self.id = session_id

    @classmethod
    async def begin(cls, root: SessionRoot, **options: Any) -> Session:
        return cls(root, (await root.begin(ANN, Begin(**options))).id)

    async def ask(self, command: Any, timeout_s: float | None = 5) -> Any:
        return await self.root.ask(ANN, self.id, command, timeout_s)

    async def run(self, sql: str, *params: Any, access: str = "write", timeout_s: float = 5, **more: Any) -> Ran:
        query = Query.model_validate({"sql": sql, "params": params, "access": access, "limits": LIMITS, **more})
        reply = await self.ask(query, timeout_s)
        assert isinstance(reply, Ran)
        return reply

    async def rows(self, sql: str, *params: Any, access: str = "read") -> list[tuple[Any, ...]]:
        return (await self.run(sql, *params, access=access)).result.rows

    async def refused(self, command: Any, *params: Any, **more: Any) -> Refusal:
        call = self.run(command, *params, **more) if isinstance(command, str) else self.ask(command, **more)
        with pytest.raises(Refusal) as caught:
            await call
        return caught.value

    async def commit(self) -> Finished:
        reply = await self.ask(Commit())
        assert isinstance(reply, Finished)
        return reply

    async def rollback(self) -> Finished:
        reply = await self.ask(Rollback())
        assert isinstance(reply, Finished)
        return reply


async def until(observer: Any, sql: str, *params: Any, wanted: Any = True, within_s: float = 5) -> None:
    """Poll until the query's one value is the wanted one."""
    async with asyncio.timeout(within_s):
        while await observer.fetchval(sql, *params) != wanted:
            await asyncio.sleep(0.005)


SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
OPEN_BACKENDS = "SELECT count(*) FROM pg_stat_activity WHERE starts_with(application_name, $1)"


async def backends(observer: Any, root: SessionRoot, wanted: int, within_s: float = 5) -> None:
    await until(observer, OPEN_BACKENDS, f"{root.tag}/", wanted=wanted, within_s=within_s)


async def ended(root: SessionRoot, within_s: float = 5) -> None:
    """Wait until every session has ended."""
    async with asyncio.timeout(within_s):
        while root.open_count:
            await asyncio.sleep(0.005)
