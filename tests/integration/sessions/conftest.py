"""A root of sessions on a real database, on a clock that moves when told to, and an observer beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from actors.testing import ManualClock
from coldquery.sessions import SessionRoot
from tests.conftest import TestDatabase
from tests.integration.sessions.asking import make_root


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def root(database: TestDatabase, clock: ManualClock, observer: object) -> AsyncIterator[SessionRoot]:
    root = make_root(database.owner_dsn, clock)
    yield root
    assert await root.drain(soft_timeout_s=0, hard_timeout_s=5) == 0
    assert root.open_count == 0


@pytest.fixture
async def observer(database: TestDatabase) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(database.superuser_dsn)
    await connection.execute("CREATE TABLE t (i int); GRANT ALL ON t TO PUBLIC")
    yield connection
    await connection.close()


@pytest.fixture
def no_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the policy let everything through: PostgreSQL, and what the session does after it, must be enough."""
    for check in ("check_session_statement", "check_read"):
        monkeypatch.setattr(f"coldquery.sessions.session.{check}", lambda _: None)
