"""Which database it is, the settings' or the embedded server's, and how each of the two roles reaches it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from pydantic import SecretStr

from coldquery.postgres.embedded import OWNER, READER, EmbeddedPostgres, Endpoint, default_home
from coldquery.postgres.provision import load_demo
from coldquery.postgres.target import Target
from coldquery.settings import Settings

# One thread: a second start waits for the first.
_starter = ThreadPoolExecutor(1, "embedded-postgres")


@dataclass(frozen=True, slots=True)
class Database:
    """What is served: the embedded server and where it listens, or neither where the settings name a database."""

    embedded: EmbeddedPostgres | None = None
    endpoint: Endpoint | None = None

    @property
    def place(self) -> str:
        """Where the embedded server's data are, in a line for people; "" for a given database."""
        return "" if self.embedded is None else self.embedded.describe()

    def targets(self, settings: Settings, tag: str) -> tuple[Target, Target]:
        """The database as the role that reads, and as the one that sessions and writes use. One DSN serves for both."""
        reader = Target(
            dsn=_secret(settings.reader_dsn or settings.dsn) or self._dsn(READER),
            password=_secret(settings.password),
            application_name=f"{tag}/read",
            connect_timeout_s=settings.connect_timeout_s,
        )
        dsn = _secret(settings.dsn or settings.reader_dsn) or self._dsn(OWNER)
        return reader, replace(reader, dsn=dsn, application_name=f"{tag}/write")

    async def revive(self) -> None:
        """Start the embedded server again if it is gone. It runs in a thread: starting waits for processes."""
        if self.embedded is not None:
            await asyncio.get_running_loop().run_in_executor(_starter, self.embedded.start)

    def _dsn(self, role: str) -> str:
        assert self.endpoint is not None  # noqa: S101 - without one the settings have a DSN
        return self.endpoint.dsn(role)


@contextlib.asynccontextmanager
async def open_database(settings: Settings, meanwhile: Callable[[], None] = lambda: None) -> AsyncIterator[Database]:
    """The database that the settings name; where they name none, the embedded server, which runs as long as the block.

    Args:
        settings: which one it is.
        meanwhile: what to do on this thread while the embedded server starts on another.

    Raises:
        StartError: the embedded server does not start.
    """
    if settings.dsn or settings.reader_dsn:
        yield Database()
        return
    embedded = EmbeddedPostgres(
        settings.data_dir or default_home(settings.pg_bin),
        bin_dir=settings.pg_bin,
        user=os.environ.get("COLDQUERY_PG_USER", "nobody"),
    )
    loop = asyncio.get_running_loop()
    starting = loop.run_in_executor(_starter, _start_embedded, embedded, settings.demo)
    meanwhile()
    endpoint = await starting
    try:
        yield Database(embedded, endpoint)
    finally:
        await loop.run_in_executor(_starter, embedded.stop)


def tag_of(boot: str) -> str:
    """What PostgreSQL shows of one run of ours in application_name, before the word for the connection's purpose."""
    # As much of the machine's name as fits into 63 bytes with the rest.
    node = re.sub(r"[^A-Za-z0-9._-]", "_", socket.gethostname())[:20]
    return f"coldquery/{node}/{boot}"


def _start_embedded(embedded: EmbeddedPostgres, demo: bool) -> Endpoint:
    endpoint = embedded.start()
    if demo:
        load_demo(endpoint, embedded.bin_dir)
    return endpoint


def _secret(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()
