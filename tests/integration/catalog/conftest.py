"""A database with one of everything, and 2,000 tables, for all tests of a module, none of which changes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from fastmcp import Client, FastMCP
from mcp_types import TextContent

from coldquery.gateway import Gateway
from coldquery.mcp.pg_schema import PgSchema
from coldquery.mcp.pg_tx import PgTx
from coldquery.postgres.embedded import OWNER, Endpoint
from coldquery.postgres.target import Target
from coldquery.settings import Settings
from tests.conftest import TEMPLATE, TestDatabase

POPULATED = Path(__file__).with_name("populated.sql")

type Ask = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture(scope="module")
async def populated(postgres: Endpoint, _administrator: asyncpg.Connection[Any]) -> AsyncIterator[TestDatabase]:
    database = TestDatabase(postgres, "catalog")
    await _administrator.execute(f"CREATE DATABASE {database.name} TEMPLATE {TEMPLATE} OWNER {OWNER}")
    connection = await asyncpg.connect(database.superuser_dsn)
    await connection.execute(POPULATED.read_text("utf-8"))
    await connection.close()
    yield database
    await _administrator.execute(f"DROP DATABASE {database.name} WITH (FORCE)")


@pytest.fixture(scope="module")
async def gateway(populated: TestDatabase) -> AsyncIterator[Gateway]:
    reader, writer = (Target(dsn, "coldquery/test/1/x", 2) for dsn in (populated.reader_dsn, populated.owner_dsn))
    settings = Settings(pool_acquire_timeout_s=1, drain_timeout_s=1, spare_connections=0)
    async with Gateway(settings, reader, writer) as gateway:
        yield gateway


@pytest.fixture(scope="module")
async def client(gateway: Gateway) -> AsyncIterator[Client[Any]]:
    async with Client(FastMCP("tests", tools=[PgSchema(gateway), PgTx(gateway)])) as client:
        yield client


@pytest.fixture
def ask(client: Client[Any]) -> Ask:
    """Calls a tool, `pg_schema` where none is named, and gives what it answers."""

    async def ask(tool: str = "pg_schema", **arguments: Any) -> dict[str, Any]:
        result = await client.call_tool(tool, arguments, raise_on_error=False)
        (block,) = result.content
        assert isinstance(block, TextContent)
        assert result.structured_content is not None
        assert result.is_error == ("error" in result.structured_content)
        return result.structured_content

    return ask


@pytest.fixture
def describe(ask: Ask) -> Ask:
    """Everything about one object."""

    async def describe(name: str, **arguments: Any) -> dict[str, Any]:
        (item,) = (await ask(action="describe", name=name, **arguments))["objects"]
        found: dict[str, Any] = item
        return found

    return describe
