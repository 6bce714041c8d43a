"""A transaction held open on a connection: what can be done in it, and what became of it.

Nothing here knows of actors. Whoever holds the transaction runs one thing at a time; only `interrupt` may come between.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

import asyncpg

from coldquery.errors import Code, Refusal
from coldquery.postgres.connection import Backend, Connection, Limits, Result
from coldquery.postgres.outcome import connection_problem, is_lost, refusal
from coldquery.postgres.target import Target
from coldquery.sessions.commands import Begin, Outcome, Release, RollbackTo, Savepoint
from coldquery.sessions.commit import settle
from coldquery.sessions.limits import SessionLimits
from coldquery.sessions.spares import Spares
from coldquery.sessions.transaction import Done, Ended, Error, Event, NotSent, Open, State, after

# What the driver raises while a statement runs. ValueError: an answer, or a parameter, that can't be put into words.
DRIVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    ValueError,
)
# In a subtransaction nothing leads back to read-write (25001), whatever the transaction round it has written.
# https://www.postgresql.org/docs/current/sql-set-transaction.html
READ_ONLY = "SET TRANSACTION READ ONLY"

_XID = "SELECT pg_current_xact_id_if_assigned()::text"
_ONE_ROW = Limits(max_rows=1, max_bytes=1 << 20, max_cell_bytes=1 << 20)

# The gateway's own savepoint. A caller's of the same name does no harm: ours is always the inner one, and soon gone.
_FRAME = '"coldquery frame"'
_CLOSE_TIMEOUT_S = 2.0
# A spare connection that is slower than this is taken for dead.
SPARE_TIMEOUT_S = 2.0


class HeldTransaction:
    """Open from `begin` on. `state` is what PostgreSQL last said.

    Args:
        connection: nobody else's, with a transaction open on it.
        limits: of the session.
        target: to ask on another connection what became of a COMMIT.
        read_only: it began as such.
    """

    def __init__(
        self, connection: Connection, limits: SessionLimits, target: Target, *, read_only: bool = False
    ) -> None:
        self.state: State = Open()
        self.connection = connection
        self._limits = limits
        self._target = target
        self._statement_timeout_ms: int | None = limits.statement_timeout_ms
        self._committing: str | None = None
        self._has_snapshot = read_only

    @classmethod
    async def begin(cls, spares: Spares, name: str, options: Begin, limits: SessionLimits) -> Self:
        """Open the transaction on a spare connection, or on one that is opened for it, and show it under a name.

        Raises:
            Refusal: `database_unavailable`. Then, and when cancelled, nothing is left open.
        """
        # One trip. What is set before BEGIN belongs to the same transaction, but to none of its savepoints.
        # https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT
        settings = {"application_name": name}
        if options.idle_timeout_s is not None:
            settings |= limits.backstops(options.idle_timeout_s)
        opening = [f"SET {setting} = {_literal(value)}" for setting, value in settings.items()]
        sql = "; ".join([*opening, options.sql])
        target = spares.target
        connection: Connection | None = None
        try:
            if (spare := spares.take()) is not None:
                # It may have died unnoticed. Nothing but BEGIN was sent, so that another may take its place.
                with suppress(*DRIVER_ERRORS):
                    connection = await _say(sql, spare, SPARE_TIMEOUT_S)
            if connection is None:
                connection = await _say(sql, await target.connect(), limits.control_timeout_s)
        except DRIVER_ERRORS as error:
            raise unavailable(connection_problem(error)) from None
        return cls(connection, limits, target, read_only=options.read_only)

    @property
    def backend(self) -> Backend:
        """PostgreSQL's process behind it."""
        return self.connection.backend

    # Statements.

    async def run(self, sql: str, params: Sequence[Any], limits: Limits, *, complete: bool = False) -> Result:
        """One statement of a caller's; see `Connection.run`.

        Raises:
            Refusal: it failed; `state` tells what that means for the transaction.
        """
        connection = self.connection
        try:
            result = await connection.run(sql, params, limits, cached=False, complete=complete)
        except DRIVER_ERRORS as error:
            raise self._failed(error) from None
        if not connection.is_in_transaction():
            # No statement that the policy lets through does that. If one did, its word is all there is to go by.
            words = {"COMMIT": Outcome.COMMITTED, "ROLLBACK": Outcome.ROLLED_BACK}
            self.state = Ended(words.get(result.command, Outcome.UNKNOWN))
            raise Refusal(Code.SESSION_ENDED, f"The statement ended the transaction: {self.state.outcome}.")
        return result

    async def ask(self, sql: str) -> Any:
        """A question of the gateway's own, answered with one value."""
        with self.connection.cut_after(self._limits.control_timeout_s):
            return (await self.run(sql, (), _ONE_ROW)).rows[0][0]

    async def move(self, command: Savepoint | RollbackTo | Release) -> None:
        """Set, release, or roll back to a savepoint that `transaction.allow` has let through."""
        verb = {"savepoint": "SAVEPOINT", "rollback_to": "ROLLBACK TO", "release": "RELEASE"}[command.kind]
        await self._control(f"{verb} {_quote(command.name)}")
        self.state = after(self.state, command, Done())
        if isinstance(command, RollbackTo):
            # Settings made since are undone too, and nobody knows to what.
            self._statement_timeout_ms = None

    async def limit_time(self, timeout_ms: int | None) -> None:
        """Limit the statements to come to so much time; None is the session's default."""
        if limit := self._time_limit(timeout_ms):
            await self._control(*limit)
            self._statement_timeout_ms = timeout_ms or self._limits.statement_timeout_ms

    @asynccontextmanager
    async def frame(self, *settings: str, timeout_ms: int | None = None, undo: bool) -> AsyncIterator[None]:
        """A savepoint round what the block does: undone in the end, or only if the block is refused.

        Args:
            settings: statements that hold for the block, such as `READ_ONLY`.
            timeout_ms: the time limit in the block.
            undo: in any case.
        """
        before = self.state
        limit = self._time_limit(timeout_ms)
        # A snapshot first taken in a read-only frame would make PostgreSQL believe that a serializable transaction
        # never writes, and miss its conflicts.
        snapshot = () if self._has_snapshot else ("SELECT 1",)
        await self._control(*snapshot, f"SAVEPOINT {_FRAME}", *settings, *limit)
        self._has_snapshot = True
        try:
            yield
        except Refusal:
            await self._close_frame(before, undo=True)
            raise
        await self._close_frame(before, undo=undo)
        if limit and not undo:
            self._statement_timeout_ms = timeout_ms or self._limits.statement_timeout_ms

    # The end. https://www.postgresql.org/docs/current/sql-commit.html

    async def commit(self, timeout_s: float) -> Ended:
        """Commit, and say what became of it, within the time.

        Raises:
            Refusal: PostgreSQL refused to commit, or `commit_unknown`.
        """
        xid = await self.ask(_XID) if isinstance(self.state, Open) else None
        # Half of the time to commit, half to find out: should the answer be lost, the caller is told the truth in time.
        self._committing = xid
        try:
            tag = await self.connection.control("COMMIT", timeout_s / 2)
        except DRIVER_ERRORS as error:
            if getattr(error, "severity", None) == "ERROR":
                self._committing = None
                raise self._failed(error) from None
            return await self._resolve(xid, timeout_s / 2)
        self._committing = None
        # In a failed transaction PostgreSQL obeys a COMMIT with a ROLLBACK, and says so.
        self.state = Ended(Outcome.COMMITTED if tag == "COMMIT" else Outcome.ROLLED_BACK, xid)
        return self.state

    async def roll_back(self) -> Ended:
        """Give up the whole transaction. Can't fail: PostgreSQL rolls back what nobody commits."""
        if isinstance(self.state, Ended):
            return self.state
        try:
            await self.connection.control("ROLLBACK", self._limits.control_timeout_s)
        except DRIVER_ERRORS:
            self.connection.terminate()
        self.state = Ended(Outcome.ROLLED_BACK)
        return self.state

    async def close(self, timeout_s: float) -> None:
        """Roll back what is open and close the connection; cut off in the middle of a COMMIT, find out about that."""
        connection = self.connection
        try:
            if self._committing is not None:
                await self._resolve(self._committing, timeout_s)
            elif not connection.is_closed():
                if connection.is_in_transaction():
                    await connection.control("ROLLBACK", _CLOSE_TIMEOUT_S)
                await connection.close(timeout=_CLOSE_TIMEOUT_S)
        finally:
            connection.terminate()
            if not isinstance(self.state, Ended):
                self.state = Ended(Outcome.ROLLED_BACK)

    # Inner.

    async def _resolve(self, xid: str | None, timeout_s: float) -> Ended:
        self._committing = None
        self.connection.terminate()
        if xid is None:
            # It had written nothing, so that there is nothing to be in doubt about.
            self.state = Ended(Outcome.ROLLED_BACK, lost=True)
            return self.state
        # What is true of it should this be cut short.
        self.state = Ended(Outcome.UNKNOWN, xid, lost=True)
        self.state = Ended(await settle(self._target, xid, self.backend, timeout_s), xid, lost=True)
        if self.state.outcome is Outcome.UNKNOWN:
            raise Refusal(
                Code.COMMIT_UNKNOWN,
                f"The connection broke during COMMIT, and PostgreSQL could not be asked in time what became of "
                f"transaction {xid}.",
                next=f"Before you repeat anything, ask with pg_query read: SELECT pg_xact_status('{xid}'::xid8).",
            )
        return self.state

    async def _close_frame(self, before: State, *, undo: bool) -> None:
        if isinstance(self.state, Ended):
            return
        await self._control(*([f"ROLLBACK TO {_FRAME}"] if undo else []), f"RELEASE {_FRAME}")
        self.state = before

    def _time_limit(self, timeout_ms: int | None) -> tuple[str, ...]:
        """The setting that a statement needs to be limited so, if it is not in force already."""
        wanted = timeout_ms or self._limits.statement_timeout_ms
        return () if wanted == self._statement_timeout_ms else (f"SET LOCAL statement_timeout = {wanted}",)

    async def _control(self, *statements: str) -> None:
        try:
            await self.connection.control("; ".join(statements), self._limits.control_timeout_s)
        except DRIVER_ERRORS as error:
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> Refusal:
        """Brings the state in line with what PostgreSQL said, and returns what to tell the caller."""
        event = _event(error, self.connection)
        self.state = after(self.state, None, event)
        if isinstance(event, Ended) and event.lost:
            self.connection.terminate()
            lost = Refusal(
                Code.CONNECTION_LOST, "The connection to PostgreSQL broke, and nothing of the transaction was kept."
            )
            lost.retryable = False
            return lost
        answer = refusal(error)
        if answer.code is Code.INTERNAL:
            answer.next = "The statement has run, and only its answer is lost: look before you repeat it."
        return answer


def _event(error: Exception, connection: Connection) -> Event:
    """What an error means for the transaction, which the driver does not tell: failed, ended, lost, or nothing."""
    if is_lost(error) or connection.is_closed() or isinstance(error, asyncpg.InternalClientError):
        return Ended(Outcome.ROLLED_BACK, lost=True)
    if not connection.is_in_transaction():
        return Ended(Outcome.ROLLED_BACK)
    if isinstance(error, asyncpg.PostgresError) and error.severity is not None:
        return Error(error.sqlstate or "XX000")
    return NotSent()


def unavailable(problem: str) -> Refusal:
    """No connection for a new session."""
    return Refusal(Code.DATABASE_UNAVAILABLE, f"The session could not be opened: {problem}.", retry_after_s=1.0)


async def _say(sql: str, connection: Connection, timeout_s: float) -> Connection:
    try:
        await connection.control(sql, timeout_s)
    except BaseException:
        connection.terminate()
        raise
    return connection


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _quote(name: str) -> str:
    # https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS
    return '"' + name.replace('"', '""') + '"'
