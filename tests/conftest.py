"""What tests share: a real PostgreSQL for the whole run, and a database of its own for each test that asks for one."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import asyncpg
import pytest

from coldquery.postgres.embedded import DATABASE, OWNER, READER, SUPERUSER, EmbeddedPostgres, Endpoint
from coldquery.telemetry.metrics import sample_values

TEMPLATE = "test_template"
MAX_SERIES = 1_200
_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 2 << 30
_numbers = itertools.count(1)


def scratch_directory() -> Path:
    """A new directory whose path is short enough for a socket, and which the server's user can enter too.

    It is in memory where there is room: a database is 300 files, and to make them takes ten times as long on a disk.
    """
    path = Path(tempfile.mkdtemp(prefix="coldquery-test-", dir=_MEMORY if _has_room(_MEMORY) else "/tmp"))
    path.chmod(0o755)
    return path


def _has_room(place: Path) -> bool:
    """Whether servers can have their data there, and tests their programs."""
    try:
        there = os.statvfs(place)
    except OSError:
        return False
    noexec = there.f_flag & getattr(os, "ST_NOEXEC", 0)
    return not noexec and there.f_bavail * there.f_frsize > _ROOM_BYTES and os.access(place, os.W_OK | os.X_OK)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that no process is left with it when the others have nothing more to do."""
    items.sort(key=lambda item: item.path.parent.name != "wall")


@dataclass(frozen=True, slots=True)
class TestDatabase:
    """One test's database, as each of the three roles sees it."""

    __test__: ClassVar[bool] = False

    endpoint: Endpoint
    name: str

    @property
    def owner_dsn(self) -> str:
        return self.endpoint.dsn(OWNER, self.name)

    @property
    def reader_dsn(self) -> str:
        return self.endpoint.dsn(READER, self.name)

    @property
    def superuser_dsn(self) -> str:
        return self.endpoint.dsn(SUPERUSER, self.name)


@pytest.fixture(scope="session")
def pg_bin() -> Path | None:
    """PostgreSQL's programs, where the run is to be against others than the first that are found."""
    named = os.environ.get("COLDQUERY_TEST_PG_BIN")
    return Path(named) if named else None


@pytest.fixture(scope="session", autouse=True)
def _bounded_series() -> Iterator[None]:
    """Whatever a whole run's traffic is, it makes no more series than a scrape may have."""
    yield
    assert len(sample_values()) <= MAX_SERIES


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A directory that the server's user can enter too when the tests run as root, unlike `tmp_path`."""
    path = scratch_directory()
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def postgres(pg_bin: Path | None) -> Iterator[Endpoint]:
    """A server for the whole run, gone with it."""
    home = scratch_directory()
    with EmbeddedPostgres(home, bin_dir=pg_bin, durable=False) as endpoint:
        yield endpoint
    shutil.rmtree(home)


@pytest.fixture(scope="session")
async def _administrator(postgres: Endpoint) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(postgres.dsn(SUPERUSER, SUPERUSER), timeout=10)
    # A copy that nobody connects to, since a database in use can't be a template.
    await connection.execute(f"CREATE DATABASE {TEMPLATE} TEMPLATE {DATABASE}")
    yield connection
    await connection.close(timeout=10)


@pytest.fixture
async def database(
    postgres: Endpoint, _administrator: asyncpg.Connection[asyncpg.Record]
) -> AsyncIterator[TestDatabase]:
    """A fresh database with the gateway's roles and privileges, dropped after the test."""
    name = f"test_{next(_numbers)}"
    await _administrator.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER {OWNER}")
    # Privileges on the database itself do not come with a template.
    await _administrator.execute(
        f"REVOKE ALL ON DATABASE {name} FROM PUBLIC; GRANT CONNECT ON DATABASE {name} TO {READER}"
    )
    yield TestDatabase(postgres, name)
    await _administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")
