"""The database that all are measured on: a schema like pgbench's, and what must be in it at the end."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import asyncpg

from coldquery.postgres.embedded import DATABASE, OWNER
from ops.bench.harness import scratch_postgres
from ops.bench.lanes import BenchError
from ops.bench.processes import cpu_s, postmaster_of

SCHEMA = "coldquery_bench"
ACCOUNTS = 100_000
TEXTS, TEXT_LENGTH = 10, 10_000
# For 200 sessions, 64 callers and the pools of all subjects.
MAX_CONNECTIONS = 500
SETUP = f"""
CREATE SCHEMA {SCHEMA};
CREATE TABLE {SCHEMA}.accounts (
    aid integer PRIMARY KEY, branch integer NOT NULL, balance numeric(12, 2) NOT NULL, opened date NOT NULL,
    updated timestamptz NOT NULL, active boolean NOT NULL, filler text NOT NULL
);
INSERT INTO {SCHEMA}.accounts
    SELECT i, i % 100, 1000 + i * 0.01, date '2020-01-01' + i % 2000,
           timestamptz '2026-01-01 12:00+00' + i * interval '1 s', i % 7 > 0,
           rpad('account ' || lpad(i::text, 6, '0') || ' of the benchmark', 60, '.')
    FROM generate_series(1, {ACCOUNTS}) AS i;
CREATE TABLE {SCHEMA}.texts (n integer PRIMARY KEY, body text NOT NULL);
INSERT INTO {SCHEMA}.texts
    SELECT n, (
        SELECT left(string_agg(md5(n || ' ' || i), '' ORDER BY i), {TEXT_LENGTH}) FROM generate_series(1, 320) AS i
    )
    FROM generate_series(1, {TEXTS}) AS n;
CREATE TABLE {SCHEMA}.history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, aid integer NOT NULL, delta numeric(12, 2) NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
"""
DROP = f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"


@dataclass
class Data:
    """The database in use."""

    dsn: str
    version: str
    max_connections: int
    postmaster: int | None
    texts: list[str]
    _observer: "asyncpg.Connection[asyncpg.Record]"
    _balance: object
    commits: int = 0

    def cpu_s(self) -> float | None:
        """Of all of PostgreSQL's processes; None where they are not this machine's."""
        return cpu_s(self.postmaster) if self.postmaster is not None else None

    async def verify(self) -> None:
        """Every commit that was reported is in the table, and nothing else is.

        Raises:
            BenchError: it is not so.
        """
        rows = await self._observer.fetchval(f"SELECT count(*) FROM {SCHEMA}.history")
        if rows != self.commits:
            raise BenchError(f"{self.commits:,} commits were reported, and {rows:,} rows are in the table")
        if await self._observer.fetchval(_BALANCE) != self._balance:
            raise BenchError("something of what was rolled back is in the table")


_BALANCE = f"SELECT sum(balance) FROM {SCHEMA}.accounts"


@asynccontextmanager
async def filled(dsn: str) -> AsyncIterator[Data]:
    """The schema is made, and is dropped at the end."""
    observer = await asyncpg.connect(dsn)
    try:
        await observer.execute(DROP)
        await observer.execute(SETUP)
        await observer.execute(f"VACUUM (ANALYZE) {SCHEMA}.accounts")
        texts = [row[0] for row in await observer.fetch(f"SELECT body FROM {SCHEMA}.texts ORDER BY n")]
        backend = await observer.fetchval("SELECT pg_backend_pid()")
        version = await observer.fetchval("SHOW server_version")
        connections = int(await observer.fetchval("SHOW max_connections"))
        balance = await observer.fetchval(_BALANCE)
        yield Data(dsn, version, connections, postmaster_of(backend), texts, observer, balance)
    finally:
        # Sessions that a failed run has left may hold locks.
        async with asyncio.timeout(30):
            await observer.execute(DROP)
        await observer.close()


@contextmanager
def scratch_dsn(*, durable: bool) -> Iterator[str]:
    """The DSN of an embedded PostgreSQL. All reach it over TCP, since not every peer knows Unix sockets.

    It listens on a loopback address of its own, as others may have the usual one.
    """
    address = f"127.{random.randint(1, 254)}.{random.randint(0, 254)}.{random.randint(1, 254)}"
    settings = {"listen_addresses": address, "max_connections": str(MAX_CONNECTIONS)}
    with scratch_postgres(durable=durable, settings=settings) as endpoint:
        # Nobody is asked for the password, but not every peer takes a DSN without one.
        yield f"postgresql://{OWNER}:none@{address}:{endpoint.port}/{DATABASE}?sslmode=disable"
