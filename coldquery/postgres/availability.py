"""Whether the database answers: one control connection that is watched, and opened anew with backoff when it is lost.

Everybody else only looks at `state`, which costs nothing: a full pool or a dead server never makes a health check wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from coldquery.errors import Code, Refusal, StartError
from coldquery.postgres.backoff import Backoff
from coldquery.postgres.connection import Connection
from coldquery.postgres.outcome import connection_problem, remedy, wrong_setting
from coldquery.postgres.target import Target

CHECK_INTERVAL_S = 5.0
CHECK_TIMEOUT_S = 2.0
BACKOFF_FIRST_S = 0.25
BACKOFF_LIMIT_S = 10.0

# What a role may do beyond its grants: https://www.postgresql.org/docs/current/predefined-roles.html
_WHO = """
SELECT current_setting('server_version') AS version, current_database() AS database, current_user AS role,
       r.rolsuper AS superuser,
       ARRAY(SELECT p.rolname::text FROM pg_catalog.pg_roles AS p
             WHERE p.rolname IN ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program')
               AND pg_has_role(current_user, p.oid, 'member') ORDER BY 1) AS powers
FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user
"""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Up:
    """The database answers. `powers` are predefined roles that reach the server's files and programs."""

    version: str
    database: str
    role: str
    superuser: bool
    powers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Down:
    """The database does not answer. `retry_at` is the event loop's time of the next attempt."""

    reason: str
    remedy: str | None
    retry_at: float


class Availability:
    """Watches one database.

    Args:
        target: where it is.
        revive: what to do before an attempt to connect, such as starting an embedded server again; its failure counts
            as a failed attempt.
    """

    def __init__(self, target: Target, revive: Callable[[], Awaitable[None]] | None = None) -> None:
        self.target = target
        self.state: Up | Down = Down("not connected yet", None, 0.0)
        self._revive = revive
        self._wake = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Make one attempt, then watch in the background.

        Raises:
            StartError: the server answered that the settings are wrong (password, role, database): waiting won't mend
                it.
        """
        try:
            connection = await self._attempt()
        except Exception as error:  # noqa: BLE001 - whatever keeps us from connecting is told and tried again
            if (correction := wrong_setting(error)) is not None:
                message = f"PostgreSQL refused the connection: {connection_problem(error)}."
                raise StartError(message, next=correction) from None
            self._note_failure(error, BACKOFF_FIRST_S)
            connection = None
        self._watch = asyncio.create_task(self._run(connection))

    async def stop(self) -> None:
        """End the watch and close its connection."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])

    def suspect(self) -> None:
        """Somebody saw the database fail: look now instead of at the next interval."""
        self._wake.set()

    def retarget(self, target: Target) -> None:
        """Watch another database, or the same with other credentials, from now on."""
        self.target = target
        self._wake.set()

    def require(self) -> None:
        """Go on only if the database is up.

        Raises:
            Refusal: `database_unavailable`, with the time of the next attempt.
        """
        if isinstance(self.state, Down):
            wait_s = max(self.state.retry_at - asyncio.get_running_loop().time(), 0.1)
            raise Refusal(
                Code.DATABASE_UNAVAILABLE,
                f"PostgreSQL can't be reached: {self.state.reason}.",
                next=self.state.remedy and f"{self.state.remedy} The gateway tries again by itself.",
                retry_after_s=wait_s,
            )

    async def _run(self, connection: Connection | None) -> None:
        try:
            while True:
                connection = connection or await self._connect()
                target = self.target
                while target is self.target and await self._answers(connection):
                    await self._pause(CHECK_INTERVAL_S)
                connection.terminate()
                connection = None
        finally:
            if connection is not None:
                connection.terminate()

    async def _connect(self) -> Connection:
        backoff = Backoff(BACKOFF_FIRST_S, BACKOFF_LIMIT_S)
        while True:
            try:
                return await self._attempt()
            except Exception as error:  # noqa: BLE001 - whatever keeps us from connecting is told and tried again
                wait_s = backoff.pause_s()
                self._note_failure(error, wait_s)
                await self._pause(wait_s)

    async def _attempt(self) -> Connection:
        if self._revive is not None:
            await self._revive()
        connection = await self.target.connect()
        try:
            row = await connection.fetchrow(_WHO, timeout=CHECK_TIMEOUT_S)
            connection.add_termination_listener(lambda _: self._wake.set())
        except BaseException:
            connection.terminate()
            raise
        assert row is not None  # noqa: S101 - a role that is connected exists
        if isinstance(self.state, Down):
            _log.info("database_up", version=row["version"], database=row["database"], role=row["role"])
        self.state = Up(
            version=row["version"].split()[0],
            database=row["database"],
            role=row["role"],
            superuser=row["superuser"],
            powers=tuple(row["powers"]),
        )
        return connection

    async def _answers(self, connection: Connection) -> bool:
        if connection.is_closed():
            return False
        try:
            await connection.execute("SELECT 1", timeout=CHECK_TIMEOUT_S)
        except Exception:  # noqa: BLE001 - any failure means the same: this connection is of no use
            return False
        return True

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        finally:
            self._wake.clear()

    def _note_failure(self, error: Exception, wait_s: float) -> None:
        reason = str(error) if isinstance(error, StartError) else connection_problem(error)
        if not isinstance(self.state, Down) or self.state.reason != reason:
            _log.warning("database_down", reason=reason)
        step = error.next if isinstance(error, StartError) else remedy(error)
        self.state = Down(reason, step, asyncio.get_running_loop().time() + wait_s)
