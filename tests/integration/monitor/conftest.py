"""A gateway, its monitor, and a superuser's connection beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from coldquery.gateway import Caller, Gateway
from coldquery.mcp.monitoring import Monitor
from coldquery.postgres.target import Target
from coldquery.settings import Settings
from tests.conftest import TestDatabase

CALLER = Caller("tests")
WAIT_S = 20

type Connection = asyncpg.Connection[asyncpg.Record]


def tag_of(database: TestDatabase) -> str:
    """What the names of the gateway's sessions begin with: no other gateway's on the same server do."""
    return f"coldquery/test/{database.name}"


@pytest.fixture
async def gateway(database: TestDatabase) -> AsyncIterator[Gateway]:
    reader, writer = (Target(dsn, "coldquery/test/1/x", 2) for dsn in (database.reader_dsn, database.owner_dsn))
    settings = Settings(pool_acquire_timeout_s=1, drain_timeout_s=1, spare_connections=0)
    async with Gateway(settings, reader, writer, tag=tag_of(database)) as gateway:
        yield gateway


@pytest.fixture
def monitor(gateway: Gateway) -> Monitor:
    return Monitor(gateway, CALLER.principal)


@pytest.fixture
async def admin(database: TestDatabase) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(database.superuser_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def connect(database: TestDatabase) -> AsyncIterator[Callable[[], Awaitable[Connection]]]:
    """Further connections, closed after the test whatever they wait for."""
    opened: list[Connection] = []

    async def connect() -> Connection:
        opened.append(await asyncpg.connect(database.owner_dsn))
        return opened[-1]

    yield connect
    for each in opened:
        each.terminate()


@pytest.fixture
def until() -> Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]:
    """Wait for a condition, within a bound."""

    async def until(condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not await condition():
                await asyncio.sleep(0.02)

    return until
