"""Where the database is, and how the gateway opens a connection to it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import asyncpg

from coldquery.postgres.connection import Backend, Connection
from coldquery.postgres.values import install_codecs
from coldquery.settings import Settings
from coldquery.telemetry.metrics import CONNECTS

# Text forms that do not depend on the role's or the database's taste, and limits that PostgreSQL holds by itself when
# the gateway is dead or cut off. Values are PostgreSQL's own words; a setting that the server does not know is left
# out.
_SESSION_SETTINGS = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    # The gateway's parser and PostgreSQL must see the same strings.
    "standard_conforming_strings": "on",
    "client_connection_check_interval": "2s",
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}

# One query for all, after connecting: startup parameters would be refused by a PgBouncer in between.
# Settings differ between majors, so only those that the server knows are set. The functions are those under the views
# pg_settings and pg_stat_activity, which would take longer than all the rest of connecting. All names are qualified,
# since the role's search_path may lead elsewhere first.
_APPLY_SETTINGS = """
SELECT a.pid, (pg_catalog.date_part('epoch', a.backend_start) * 1000000)::pg_catalog.int8 AS started_us, (
    SELECT pg_catalog.count(pg_catalog.set_config(w.name, w.value, false))
    FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[]))
        AS w (name, value)
    WHERE pg_catalog.current_setting(w.name, true) IS NOT NULL
)
FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) AS a
"""


@dataclass(frozen=True, slots=True)
class Target:
    """One database as one role.

    Attributes:
        dsn: a libpq URI; `postgresql://` alone means: what the environment's PG* variables say. A secret.
        password: replaces the DSN's. A secret.
        application_name: what pg_stat_activity shows.
        connect_timeout_s: how long opening a connection may take.
        settings: session settings beside the gateway's own.
        statement_timeout_ms: how long a statement may take in PostgreSQL if nothing else is said; None is the role's.
    """

    dsn: str = field(repr=False)
    application_name: str
    connect_timeout_s: float
    password: str | None = field(default=None, repr=False)
    settings: Mapping[str, str] = field(default_factory=dict)
    statement_timeout_ms: int | None = None

    def bounded(self, settings: Settings) -> Self:
        """With the time limits that hold for each statement if its call says nothing else."""
        limits = {**self.settings, "lock_timeout": f"{settings.lock_timeout_ms}ms"}
        return replace(self, settings=limits, statement_timeout_ms=settings.statement_timeout_ms)

    async def connect(self) -> Connection:
        """Open a connection that speaks our values and carries the backstop limits.

        Raises:
            OSError, asyncpg.PostgresError, TimeoutError: see `outcome.connection_problem` for words.
        """
        try:
            connection = await self._connect()
        except BaseException:
            CONNECTS.labels("error").inc()
            raise
        CONNECTS.labels("ok").inc()
        return connection

    async def _connect(self) -> Connection:
        connection: Connection = await asyncpg.connect(
            self.dsn,
            password=self.password,
            timeout=self.connect_timeout_s,
            server_settings={"application_name": self.application_name},
            connection_class=Connection,
        )
        try:
            install_codecs(connection)
            connection.set_keepalive(idle_s=30, interval_s=10, probes=3)
            await self.configure(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def configure(self, connection: Connection) -> None:
        """Set what every connection has, and ask who is at its other end. For one that was reset, too."""
        wanted = {**_SESSION_SETTINGS, **self.settings}
        if self.statement_timeout_ms is not None:
            wanted["statement_timeout"] = f"{self.statement_timeout_ms}ms"
        row = await connection.fetchrow(
            _APPLY_SETTINGS, list(wanted), list(wanted.values()), timeout=self.connect_timeout_s
        )
        assert row is not None  # noqa: S101 - a backend that answers is in its own list
        connection.backend = Backend(row["pid"], row["started_us"])
        connection.statement_timeout_ms = self.statement_timeout_ms
        connection.heard_at = asyncio.get_running_loop().time()

    def pool(self, size: int) -> asyncpg.Pool:
        """A pool that opens its connections on demand, at most `size`. `await` it before use; that connects nowhere.

        Cleaning a connection before its next use is left to the borrower (coldquery/postgres/pool.py), who can do it in
        one trip with its ROLLBACK.
        """

        async def connect(*_: Any, **__: Any) -> Connection:
            # The pool passes what asyncpg.connect takes; the target knows it all already.
            return await self.connect()

        async def borrower_cleans(_: object) -> None:
            """What the pool runs at release."""

        return asyncpg.create_pool(
            min_size=0, max_size=size, connect=connect, reset=borrower_cleans, connection_class=Connection
        )
