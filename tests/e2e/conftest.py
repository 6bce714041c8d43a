"""The gateway as a user starts it: the console command, in a process of its own."""

from __future__ import annotations

import asyncio
import atexit
import functools
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import asyncpg
import pytest
from fastmcp import Client
from fastmcp.client.transports import StdioTransport

from coldquery.postgres.embedded import DATABASE, OWNER, SUPERUSER, Endpoint
from tests.conftest import MAX_SERIES, TestDatabase

# What makes a child process count for coverage. That doubles the time of its start, so only some have it.
MEASURED = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
# The same for a gateway, which imports much that is not measured.
MEASURED_GATEWAY = (
    {
        "COVERAGE_AFTER_IMPORTS": MEASURED["COVERAGE_PROCESS_CONFIG"],
        "PYTHONPATH": str(Path(__file__).with_name("measured")),
    }
    if "COVERAGE_PROCESS_CONFIG" in MEASURED
    else MEASURED
)

# The client of an era, whose gateway is started when it is first asked for.
type StdioClients = Callable[[str], Awaitable[Client[Any]]]

COLDQUERY = str(Path(sys.executable).with_name("coldquery"))


@functools.cache
def _runtime_directory() -> Path:
    """Where the gateways of one run put their control sockets, which nobody else's command must meet."""
    path = Path(tempfile.mkdtemp(prefix="coldquery-test-", dir="/tmp"))
    atexit.register(shutil.rmtree, path)
    return path


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This environment without what would configure a gateway."""
    ours = ("COLDQUERY_", "PG", "DB_", "DATABASE_URL", *MEASURED)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    # So that all calls of a run can be made to go by FastMCP's door.
    if "COLDQUERY_TEST_EXPRESS" in os.environ:
        kept["COLDQUERY_EXPRESS"] = os.environ["COLDQUERY_TEST_EXPRESS"]
    return {**kept, "XDG_RUNTIME_DIR": str(_runtime_directory()), **(extra or {})}


@dataclass
class RunningGateway:
    """A `coldquery serve` process that has said that it serves."""

    process: asyncio.subprocess.Process
    url: str
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def base(self) -> str:
        return self.url.removesuffix("/mcp")

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        if self.process.returncode is None:
            self.process.send_signal(how)
        async with asyncio.timeout(30):
            return await self.process.wait()

    async def event(self, name: str) -> dict[str, Any]:
        """The next log event of that name, past ones included."""
        async with asyncio.timeout(20):
            while True:
                for each in self.log:
                    if each.get("event") == name:
                        return each
                await asyncio.sleep(0.01)


@asynccontextmanager
async def run_gateway(*flags: str, env: Mapping[str, str] | None = None) -> AsyncIterator[RunningGateway]:
    """Start `coldquery serve` on a free port and wait until it serves."""
    process = await asyncio.create_subprocess_exec(
        COLDQUERY,
        "serve",
        "--port",
        "0",
        *flags,
        env=clean_environment(env),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    gateway = RunningGateway(process, "")
    lines = asyncio.create_task(_collect(process, gateway.log))
    try:
        serving = asyncio.create_task(gateway.event("serving"))
        await asyncio.wait([serving, lines], return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            serving.cancel()
            raise AssertionError(f"the gateway ended before it served: {gateway.log}")
        gateway.url = serving.result()["url"]
        yield gateway
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(30):
            await process.wait()
            await lines


async def _collect(process: asyncio.subprocess.Process, log: list[dict[str, Any]]) -> None:
    assert process.stderr is not None
    async for line in process.stderr:
        try:
            log.append(json.loads(line))
        except json.JSONDecodeError:
            log.append({"event": "not json", "line": line.decode()})


@pytest.fixture(scope="session")
async def shop(postgres: Endpoint) -> TestDatabase:
    """A database with two customers, for all tests that only read."""
    database = await _make_database(postgres, "e2e_shop")
    connection = await asyncpg.connect(database.owner_dsn)
    await connection.execute(
        "CREATE TABLE customer (id int PRIMARY KEY, name text, balance numeric, since date);"
        "INSERT INTO customer VALUES (1, 'Ada', 12.50, '2026-01-31'), (2, 'Grace', 0, '2026-02-01')"
    )
    await connection.close()
    return database


@pytest.fixture(scope="session")
async def shared_ledger(postgres: Endpoint) -> TestDatabase:
    """A database with a table `entry` that its owner may write."""
    database = await _make_database(postgres, "e2e_ledger")
    connection = await asyncpg.connect(database.owner_dsn)
    await connection.execute("CREATE TABLE entry (id int PRIMARY KEY, amount numeric)")
    await connection.close()
    return database


@pytest.fixture
async def ledger(shared_ledger: TestDatabase) -> TestDatabase:
    """The same for one test: the table is empty, and nobody has a session open."""
    connection = await asyncpg.connect(shared_ledger.superuser_dsn)
    ours = "datname = current_database() AND application_name LIKE 'coldquery/%/%/________'"
    while await connection.fetch(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}"):
        await asyncio.sleep(0.01)
    await connection.execute("TRUNCATE entry")
    await connection.close()
    return shared_ledger


@asynccontextmanager
async def _stdio_clients(env: Mapping[str, str]) -> AsyncIterator[StdioClients]:
    async with AsyncExitStack() as opened:
        clients: dict[str, Client[Any]] = {}

        async def client_of(era: str) -> Client[Any]:
            if era not in clients:
                environment = clean_environment(env)
                over = StdioTransport(COLDQUERY, ["serve", "--transport", "stdio"], env=environment, keep_alive=False)
                clients[era] = await opened.enter_async_context(Client(over, mode=era))
            return clients[era]

        yield client_of


@pytest.fixture(scope="session")
async def shop_over_stdio(shop: TestDatabase) -> AsyncIterator[StdioClients]:
    """Over standard input and output to a gateway that can only read; one for all tests that do not hurt it."""
    async with _stdio_clients({"COLDQUERY_DSN": shop.reader_dsn}) as client_of:
        yield client_of


@pytest.fixture(scope="session")
async def ledger_over_stdio(shared_ledger: TestDatabase) -> AsyncIterator[StdioClients]:
    """The same to a gateway that reads and writes."""
    async with _stdio_clients(reader_and_writer(shared_ledger)) as client_of:
        yield client_of


@pytest.fixture(scope="session")
async def ledger_gateway(shared_ledger: TestDatabase) -> AsyncIterator[RunningGateway]:
    """A gateway over HTTP that reads and writes, for all tests that leave it running."""
    async with run_gateway(env={**reader_and_writer(shared_ledger), **MEASURED_GATEWAY}) as running:
        yield running
        await _assert_bounded_series(running)


def reader_and_writer(database: TestDatabase, **more: str) -> dict[str, str]:
    """The environment of a gateway that reads as one role and writes as another."""
    return {"COLDQUERY_DSN": database.owner_dsn, "COLDQUERY_READER_DSN": database.reader_dsn, **more}


async def _make_database(postgres: Endpoint, name: str) -> TestDatabase:
    administrator = await asyncpg.connect(postgres.dsn(SUPERUSER, SUPERUSER))
    await administrator.execute(f"CREATE DATABASE {name} TEMPLATE {DATABASE} OWNER {OWNER}")
    await administrator.close()
    return TestDatabase(postgres, name)


@pytest.fixture(scope="session")
async def gateway(shop: TestDatabase) -> AsyncIterator[RunningGateway]:
    """A gateway over HTTP as the role that can only read, for all tests that do not hurt it."""
    async with run_gateway(env={"COLDQUERY_DSN": shop.reader_dsn, **MEASURED_GATEWAY}) as running:
        yield running
        await _assert_bounded_series(running)


async def _assert_bounded_series(gateway: RunningGateway) -> None:
    """Whatever the traffic of a whole run has been, a scrape is no larger than it may be."""

    def ask() -> bytes:
        with urlopen(f"{gateway.base}/metrics", timeout=10) as page:
            return bytes(page.read())

    page = await asyncio.to_thread(ask)
    assert sum(not line.startswith(b"#") for line in page.splitlines()) <= MAX_SERIES
