"""A transaction held open on a connection: what can be done in it, and what became of it.

Nothing here knows of actors. Whoever holds the transaction runs one thing at a time; only `interrupt` may come between.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

import asyncpg

from coldquery.errors import Code, Refusal
from coldquery.postgres.answer import Limits, Result
from coldquery.postgres.connection import Backend, Connection
from coldquery.postgres.identifiers import literal
from coldquery.postgres.outcome import DRIVER_ERRORS, is_lost, refusal, severity, unavailable
from coldquery.postgres.target import Target
from coldquery.sessions.commands import Begin, Release, RollbackTo, Savepoint
from coldquery.sessions.commit import settle
from coldquery.sessions.limits import IDLE_BACKSTOP, SessionLimits
from coldquery.sessions.replies import Outcome
from coldquery.sessions.spares import Spares
from coldquery.sessions.trail import Trail
from coldquery.sessions.transaction import Done, Ended, Error, Event, NotSent, Open, State, after
from coldquery.telemetry.audit import NO_AUDIT, Audit
from coldquery.telemetry.metrics import RESOLVED

# In a subtransaction nothing leads back to read-write (25001), whatever the transaction round it has written.
# https://www.postgresql.org/docs/current/sql-set-transaction.html
READ_ONLY = "SET TRANSACTION READ ONLY"

# Qualified, since the caller may have a search_path with functions of such names.
_XID_IF_ASSIGNED = "SELECT pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text"
_XID = """
SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_current_xact_id()::pg_catalog.text END
"""
_ONE_ROW = Limits(max_rows=1, max_bytes=1 << 20, max_cell_bytes=1 << 20)

# The gateway's own savepoint. A caller's of the same name does no harm: ours is always the inner one, and soon gone.
_FRAME = '"coldquery frame"'
_CLOSE_TIMEOUT_S = 2.0
# A COMMIT that is sent with less time than this left could not be followed up.
MIN_COMMIT_S = 1.0
# After these, by their command tags, the time limit may be another than the one that was set.
_CHANGE_SETTINGS = {"SET", "RESET", "DO", "CALL"}
_FAILED = "25P02"
_NO_SUCH_STATEMENT = "26000"

# A spare connection that is slower than this is taken for dead.
SPARE_TIMEOUT_S = 2.0
NOT_OPENED = "The session could not be opened"


class HeldTransaction:
    """Open from `begin` on. `state` is what PostgreSQL last said.

    Args:
        connection: nobody else's, with a transaction open on it.
        limits: of the session.
        target: to ask on another connection what became of a COMMIT.
        read_only: it began as such.
        audit: is told of what it writes, and what becomes of it.
        session: the short id of the session that it is.
    """

    def __init__(
        self,
        connection: Connection,
        limits: SessionLimits,
        target: Target,
        *,
        read_only: bool = False,
        audit: Audit = NO_AUDIT,
        session: str | None = None,
    ) -> None:
        self.state: State = Open()
        self.connection = connection
        self._settings = connection.get_settings()
        self._limits = limits
        self.target = target
        self._statement_timeout_ms: int | None = limits.statement_timeout_ms
        self._committing: str | None = None
        self._read_only = read_only
        self._has_snapshot = False
        self._may_have_written = False
        self._trail = Trail(audit, connection, session)

    @classmethod
    async def begin(
        cls, spares: Spares, name: str, options: Begin, limits: SessionLimits, audit: Audit = NO_AUDIT
    ) -> Self:
        """Open the transaction on a spare connection, or on one that is opened for it, and show it under a name.

        Raises:
            Refusal: `database_unavailable`. Then, and when cancelled, nothing is left open.
        """
        # One trip. Without the first COMMIT, an error in the transaction would undo the settings too.
        # https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT
        words = [f"SET application_name = {literal(name)}", "COMMIT", options.sql]
        if options.idle_timeout_s is not None:
            limit = limits.backstops(options.idle_timeout_s)[IDLE_BACKSTOP]
            words.insert(0, f"SET {IDLE_BACKSTOP} = {literal(limit)}")
        if options.read_only and not options.deferrable:
            # A snapshot seals it: from then on PostgreSQL lets nothing make it read-write.
            words.append("SELECT 1")
        sql = "; ".join(words)
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
            raise unavailable(NOT_OPENED, error) from None
        finally:
            # Not before: opening the next one would slow this one down.
            spares.refill()
        session = name.rpartition("/")[2]
        held = cls(connection, limits, target, read_only=options.read_only, audit=audit, session=session)
        held._has_snapshot = options.read_only and not options.deferrable
        return held

    @property
    def backend(self) -> Backend:
        """PostgreSQL's process behind it."""
        return self.connection.backend

    # Statements.

    async def run(
        self, sql: str, params: Sequence[Any], limits: Limits, *, writes: bool, undone: bool = False
    ) -> Result:
        """One statement of a caller's; see `Connection.run`.

        Args:
            sql: the statement.
            params: its parameters.
            limits: of the answer.
            writes: it may, and what it does is not undone at once: then it runs to its end, whatever the limits.
            undone: it may write, and all that it does is undone at once.

        Raises:
            Refusal: it failed; `state` tells what that means for the transaction.
        """
        connection, trail = self.connection, self._trail
        if writes:
            await trail.have_room()
        self._has_snapshot = True
        self._may_have_written = self._may_have_written or writes
        try:
            result = await connection.run(sql, params, limits, cached=False, complete=writes)
        except DRIVER_ERRORS as error:
            raise await self._refused(error, sql, told=writes or undone) from None
        if writes or undone:
            trail.statement(sql, result, None)
        if not connection.is_in_transaction():
            # No statement that the policy lets through does that. If one did, its word is all there is to go by.
            words = {"COMMIT": Outcome.COMMITTED, "ROLLBACK": Outcome.ROLLED_BACK}
            self.state = Ended(words.get(result.command, Outcome.UNKNOWN))
            raise Refusal(Code.SESSION_ENDED, f"The statement ended the transaction: {self.state.outcome}.")
        if writes:
            if result.command in _CHANGE_SETTINGS or "set_config" in sql.lower():
                self._statement_timeout_ms = None
            if self._settings.client_encoding != "UTF8":
                # The driver would go on in an encoding that parameters and rows were not meant in.
                await self._control("SET client_encoding = 'UTF8'")
        return result

    async def ask(self, sql: str) -> Any:
        """A question of the gateway's own, answered with one value."""
        timer = asyncio.get_running_loop().call_later(self._limits.control_timeout_s, self.connection.interrupt)
        try:
            return (await self.run(sql, (), _ONE_ROW, writes=False)).rows[0][0]
        finally:
            timer.cancel()

    async def move(self, command: Savepoint | RollbackTo | Release) -> None:
        """Set, release, or roll back to a savepoint that `transaction.allow` has let through."""
        verb = {"savepoint": "SAVEPOINT", "rollback_to": "ROLLBACK TO", "release": "RELEASE"}[command.kind]
        await self._control(f"{verb} {_quote(command.name)}")
        self.state = after(self.state, command, Done())
        if isinstance(command, RollbackTo):
            self._trail.undone(command.name)
            # Settings made since are undone too, and nobody knows to what.
            self._statement_timeout_ms = None

    def is_limited_to(self, timeout_ms: int | None) -> bool:
        """Whether that time limit is in force; None is the session's default."""
        return self._statement_timeout_ms == (timeout_ms or self._limits.statement_timeout_ms)

    async def limit_time(self, timeout_ms: int | None) -> None:
        """Limit the statements to come to so much time, whatever it was before."""
        wanted_ms = timeout_ms or self._limits.statement_timeout_ms
        await self._control(_limit(wanted_ms))
        self._statement_timeout_ms = wanted_ms

    @asynccontextmanager
    async def frame(self, *settings: str, timeout_ms: int | None = None, undo: bool) -> AsyncIterator[None]:
        """A savepoint round what the block does: undone in the end, or only if the block is refused.

        Args:
            settings: statements that hold for the block, such as `READ_ONLY`.
            timeout_ms: the time limit in the block.
            undo: in any case.
        """
        before, before_ms, done = self.state, self._statement_timeout_ms, self._trail.done
        wanted_ms = timeout_ms or self._limits.statement_timeout_ms
        limit = () if wanted_ms == before_ms else (_limit(wanted_ms),)
        # A snapshot first taken in a read-only frame would make PostgreSQL believe that a serializable transaction
        # never writes, and miss its conflicts.
        snapshot = () if self._has_snapshot or self._read_only else ("SELECT 1",)
        await self._control(*snapshot, f"SAVEPOINT {_FRAME}", *settings, *limit)
        self._has_snapshot = True
        self._statement_timeout_ms = wanted_ms
        try:
            yield
        except Refusal:
            await self._close_frame(before, before_ms, undo=True)
            if self._trail.done > done and not undo and not isinstance(self.state, Ended):
                self._trail.undone()
            raise
        await self._close_frame(before, before_ms, undo=undo)

    # The end. https://www.postgresql.org/docs/current/sql-commit.html

    async def commit(self, timeout_s: float) -> Ended:
        """Commit, and say what became of it, within the time.

        Raises:
            Refusal: PostgreSQL refused to commit, or `commit_unknown`.
        """
        trail = self._trail
        try:
            ended = await self._commit(timeout_s)
        except Refusal as refused:
            if trail.committing:
                trail.committed(self.state, refused)
                await trail.settle()
            raise
        except asyncio.CancelledError:
            # Cut off in the middle of COMMIT, `close` finds out, and tells; while finding out, nobody else will.
            if trail.committing and isinstance(self.state, Ended):
                trail.committed(self.state)
            raise
        trail.committed(ended)
        await trail.settle()
        return ended

    async def _commit(self, timeout_s: float) -> Ended:
        if timeout_s < MIN_COMMIT_S:
            raise Refusal(
                Code.DEADLINE_EXCEEDED,
                "Too little of the call's time was left to commit and to know that it was done. COMMIT was not sent.",
                next="The transaction is still open: commit again.",
            )
        xid = await self._xid()
        if self._read_only and xid is not None:
            await self.roll_back()
            message = "The transaction began as read-only, and has written all the same: it was rolled back."
            raise Refusal(Code.READ_ONLY, message)
        # Half of the time to commit, half to find out: should the answer be lost, the caller is told the truth in time.
        self._committing = xid
        self._trail.commits()
        try:
            tag = await self.connection.control("COMMIT", timeout_s / 2)
        except DRIVER_ERRORS as error:
            if severity(error) == "ERROR":
                self._committing = None
                raise await self._failed(error) from None
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
        self._trail.rolled_back()
        return self.state

    def give_up(self) -> None:
        """Tell that what was done in it is undone: whoever lent the connection rolls back what was not committed."""
        if not self._trail.committing:
            self._trail.rolled_back()

    async def close(self, timeout_s: float) -> None:
        """Roll back what is open and close the connection; cut off in the middle of a COMMIT, find out about that."""
        connection = self.connection
        try:
            if self._committing is not None:
                try:
                    await self._resolve(self._committing, timeout_s)
                finally:
                    self._trail.committed(self.state)
                    await self._trail.settle()
            elif not connection.is_closed():
                if connection.is_in_transaction():
                    await connection.control("ROLLBACK", _CLOSE_TIMEOUT_S)
                await connection.close(timeout=_CLOSE_TIMEOUT_S)
        finally:
            connection.terminate()
            if not isinstance(self.state, Ended):
                self.state = Ended(Outcome.ROLLED_BACK)

    # Inner.

    async def _xid(self) -> str | None:
        """PostgreSQL's id of the transaction, by which it can be asked about; None if there is nothing to ask."""
        if not isinstance(self.state, Open) or not self._has_snapshot:
            return None
        # What is written only at COMMIT (a notification, a cursor WITH HOLD) would get its id too late to be known.
        xid: str | None = await self.ask(_XID if self._may_have_written and not self._read_only else _XID_IF_ASSIGNED)
        return xid

    async def _resolve(self, xid: str | None, timeout_s: float) -> Ended:
        self._committing = None
        self.connection.terminate()
        if xid is None:
            # It had written nothing, so that there is nothing to be in doubt about.
            self.state = Ended(Outcome.ROLLED_BACK, lost=True)
            return self.state
        # What is true of it should this be cut short.
        self.state = Ended(Outcome.UNKNOWN, xid, lost=True)
        outcome = await settle(self.target, xid, self.backend, timeout_s)
        RESOLVED.labels(outcome.value).inc()
        self.state = Ended(outcome, xid, lost=True)
        if self.state.outcome is Outcome.UNKNOWN:
            raise Refusal(
                Code.COMMIT_UNKNOWN,
                f"The connection broke during COMMIT, and PostgreSQL could not be asked in time what became of "
                f"transaction {xid}.",
                next=f"Before you repeat anything, ask with pg_query read: SELECT pg_xact_status('{xid}'::xid8).",
            )
        return self.state

    async def _close_frame(self, before: State, before_ms: int | None, *, undo: bool) -> None:
        if isinstance(self.state, Ended):
            return
        if undo:
            self._statement_timeout_ms = before_ms
        await self._control(*([f"ROLLBACK TO {_FRAME}"] if undo else []), f"RELEASE {_FRAME}")
        self.state = before

    async def _control(self, *statements: str) -> None:
        try:
            await self.connection.control("; ".join(statements), self._limits.control_timeout_s)
        except DRIVER_ERRORS as error:
            raise await self._failed(error) from None

    async def _refused(self, error: Exception, sql: str, *, told: bool) -> Refusal:
        # Never in a variable of whoever raises it: that frame would hold the error whose traceback holds the frame.
        refused = await self._failed(error, sql)
        if told:
            self._trail.statement(sql, None, refused)
        return refused

    async def _failed(self, error: Exception, sql: str | None = None) -> Refusal:
        """Brings the state in line with what PostgreSQL said, and returns what to tell the caller."""
        event = await self._event(error)
        self.state = after(self.state, None, event)
        if isinstance(event, Ended) and event.lost:
            self.connection.terminate()
            lost = Refusal(
                Code.CONNECTION_LOST, "The connection to PostgreSQL broke, and nothing of the transaction was kept."
            )
            lost.retryable = False
            return lost
        answer = self.connection.refusal(error, sql, self._statement_timeout_ms) if sql else refusal(error)
        if answer.cause.sqlstate == _NO_SUCH_STATEMENT:
            # Something dropped the driver's own prepared statements.
            self.connection.forget_statements()
        if answer.code is Code.INTERNAL and event == NotSent():
            answer.next = "The statement has run, and only its answer is lost: look before you repeat it."
        return answer

    async def _event(self, error: Exception) -> Event:
        """What an error means for the transaction, which the driver does not tell: failed, ended, lost, or nothing."""
        if is_lost(error) or self.connection.is_closed():
            return Ended(Outcome.ROLLED_BACK, lost=True)
        if not self.connection.is_in_transaction():
            return Ended(Outcome.ROLLED_BACK)
        if isinstance(error, asyncpg.PostgresError) and severity(error) is not None:
            return Error(error.sqlstate or "XX000")
        # The driver's own, before or after PostgreSQL had its say.
        try:
            await self.connection.control("SELECT 1", self._limits.control_timeout_s)
        except asyncpg.PostgresError as told:
            return Error(_FAILED) if told.sqlstate == _FAILED else Ended(Outcome.ROLLED_BACK, lost=True)
        except DRIVER_ERRORS:
            return Ended(Outcome.ROLLED_BACK, lost=True)
        return NotSent()


def _limit(timeout_ms: int) -> str:
    return f"SET LOCAL statement_timeout = {timeout_ms}"


async def _say(sql: str, connection: Connection, timeout_s: float) -> Connection:
    try:
        await connection.control(sql, timeout_s)
    except BaseException:
        connection.terminate()
        raise
    return connection


def _quote(name: str) -> str:
    # In any case: without quotes, SAVEPOINT would be taken for the word that may stand before the name.
    # https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS
    return '"' + name.replace('"', '""') + '"'
