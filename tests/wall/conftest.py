"""An attacker as an ordinary owner, and as superuser; each has a victim of their own for all tests of the module."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from coldquery.gateway import Gateway
from coldquery.postgres.embedded import OWNER, Endpoint
from coldquery.postgres.target import Target
from coldquery.settings import Settings
from tests.conftest import TEMPLATE, TestDatabase
from tests.wall.attacker import Attacker
from tests.wall.entries import TIMEOUT_MS
from tests.wall.victim import READER, make_victim


@pytest.fixture(scope="module", params=["owner", "superuser"])
async def attacker(
    request: pytest.FixtureRequest, postgres: Endpoint, _administrator: asyncpg.Connection[Any]
) -> AsyncIterator[Attacker]:
    database = TestDatabase(postgres, f"wall_{request.param}")
    await _administrator.execute(f"CREATE DATABASE {database.name} TEMPLATE {TEMPLATE} OWNER {OWNER}")
    dsn = database.owner_dsn if request.param == "owner" else database.superuser_dsn
    # One connection for all reads: the next borrower's is the former one's. It has their time limit, so that BEGIN, and
    # later the rollback and the cleaning, can travel with them.
    settings = Settings(
        read_pool_size=1,
        pool_acquire_timeout_s=1,
        spare_connections=0,
        drain_timeout_s=1,
        statement_timeout_ms=TIMEOUT_MS,
    )
    reader = Target(dsn=dsn, application_name=READER, connect_timeout_s=5)
    writer = Target(dsn=dsn, application_name="wall-writer", connect_timeout_s=5)
    async with make_victim(database, dsn) as victim, Gateway(settings, reader, writer) as gateway:
        attacker = Attacker(gateway, victim)
        await attacker.remember()
        yield attacker
    await _administrator.execute(f"DROP DATABASE {database.name} WITH (FORCE)")
