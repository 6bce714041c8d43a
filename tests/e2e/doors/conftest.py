"""One database, and one gateway behind both doors, for all tests that leave them as they were."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from coldquery.postgres.embedded import OWNER, Endpoint
from tests.conftest import TEMPLATE, TestDatabase
from tests.e2e.doors.pair import Doors, two_doors

POPULATE = """
CREATE TYPE mood AS ENUM ('calm', 'cross');
CREATE TABLE item (
    id int PRIMARY KEY, name text NOT NULL UNIQUE, price numeric CHECK (price >= 0), mood mood DEFAULT 'calm'
);
INSERT INTO item SELECT i, 'item ' || i, i * 1.5 FROM generate_series(1, 20) AS i;
CREATE TABLE part (id int PRIMARY KEY, item_id int NOT NULL REFERENCES item, note text);
CREATE INDEX part_item ON part (item_id);
CREATE VIEW dear AS SELECT * FROM item WHERE price > 20;
CREATE MATERIALIZED VIEW cheap AS SELECT * FROM item WHERE price < 5;
CREATE SEQUENCE number;
CREATE FUNCTION write_it() RETURNS int LANGUAGE sql AS 'INSERT INTO part VALUES (99, 1) RETURNING id';
CREATE FUNCTION fall() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'fallen' USING DETAIL = 'from high',
    HINT = 'hold on', ERRCODE = 'P0042'; END $$;
CREATE FUNCTION say() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'one ü'; RAISE WARNING E'two\\x07';
    RETURN 1; END $$;
CREATE TABLE secret (word text);
REVOKE ALL ON secret FROM coldquery_reader;
CREATE SCHEMA "Odd ""na""me";
CREATE TABLE "Odd ""na""me"."täble 🐘" (id int, "cölumn" text);
ANALYZE;
"""


@pytest.fixture
async def observer(shelf: TestDatabase) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A superuser's connection to the database of the doors."""
    connection = await asyncpg.connect(shelf.superuser_dsn)
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
async def shelf(postgres: Endpoint, _administrator: asyncpg.Connection[Any]) -> TestDatabase:
    """A database with a little of everything."""
    await _administrator.execute(f"CREATE DATABASE e2e_doors TEMPLATE {TEMPLATE} OWNER {OWNER}")
    database = TestDatabase(postgres, "e2e_doors")
    connection = await asyncpg.connect(database.owner_dsn)
    await connection.execute(POPULATE)
    await connection.close()
    superuser = await asyncpg.connect(database.superuser_dsn)
    # Before the time limit of locks.
    await superuser.execute("ALTER DATABASE e2e_doors SET deadlock_timeout = '10ms'")
    await superuser.close()
    return database


@pytest.fixture(scope="session")
async def doors(shelf: TestDatabase) -> AsyncIterator[Doors]:
    """Both doors, with limits that are soon reached."""
    async with two_doors(
        shelf.reader_dsn,
        shelf.owner_dsn,
        max_rows=100,
        max_rows_limit=1_000,
        max_bytes=1 << 16,
        max_cell_bytes=1 << 10,
        max_sessions=3,
    ) as doors:
        yield doors
