"""Writes without a session: a transaction of their own, committed before the caller hears of them, or nothing.

A statement that PostgreSQL refuses to run in a transaction block (CREATE INDEX CONCURRENTLY, VACUUM), and one that may
end transactions by itself (CALL, DO), runs alone, as it would in psql.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from coldquery.errors import Code, Refusal
from coldquery.postgres.answer import Limits, Result
from coldquery.postgres.connection import DEADLINE_MARGIN_S, Connection
from coldquery.postgres.digest import digest
from coldquery.postgres.outcome import DRIVER_ERRORS
from coldquery.postgres.target import Target
from coldquery.sessions.batch import run_all
from coldquery.sessions.commands import Begin, Operation
from coldquery.sessions.held import HeldTransaction
from coldquery.sessions.limits import SessionLimits
from coldquery.sessions.replies import Outcome
from coldquery.telemetry.audit import NO_AUDIT, Audit


@dataclass(frozen=True, slots=True)
class Written:
    """What was committed. `xid` is PostgreSQL's id of the transaction."""

    results: tuple[Result, ...]
    xid: str | None


@dataclass(slots=True)
class Write:
    """A transaction.

    Attributes:
        operations: at least one.
        limits: rows and cells for each answer; the bytes for all together.
        timeout_ms: for each operation in PostgreSQL.
        options: how the transaction is to be.
        bounds: of the time that committing takes, and all together.
        target: the database, to ask it on another connection what became of a COMMIT.
        audit: is told of it.
    """

    operations: tuple[Operation, ...]
    limits: Limits
    timeout_ms: int
    options: Begin
    bounds: SessionLimits
    target: Target
    audit: Audit = NO_AUDIT
    _committing: bool = field(default=False, init=False)

    @property
    def time_s(self) -> float:
        """See `Job`."""
        statements_s = len(self.operations) * self.timeout_ms / 1000
        return min(statements_s, self.bounds.max_lifetime_s) + DEADLINE_MARGIN_S

    def overdue(self) -> Refusal | None:
        """See `Job`. Committing has a time limit of its own, and its end is worth waiting for."""
        if self._committing:
            return None
        return Refusal(
            Code.DEADLINE_EXCEEDED, "PostgreSQL did not answer within the call's deadline; nothing was kept."
        )

    def opening(self, _: Connection) -> str:
        """Opens the transaction."""
        return f"{self.options.sql}; SET LOCAL statement_timeout = {self.timeout_ms}"

    async def run(self, connection: Connection, wanted: Callable[[], bool]) -> Written:
        """Run the operations and commit."""

        def require_wanted() -> None:
            if not wanted():
                raise Refusal(Code.CANCELLED, "The call was cancelled; nothing was kept.")

        held = HeldTransaction(connection, self.bounds, self.target, audit=self.audit)
        try:
            results = await run_all(held, self.operations, self.limits, require_wanted)
            await self.audit.secure()
            require_wanted()
            self._committing = True
            ended = await held.commit(self.bounds.commit_timeout_s)
        except Refusal as error:
            held.give_up()
            if error.code is Code.CONNECTION_LOST:
                raise _nothing_kept(error.message) from None
            raise
        if ended.outcome is not Outcome.COMMITTED:
            raise _nothing_kept("The connection broke during COMMIT, and PostgreSQL rolled the transaction back.")
        return Written(results, ended.xid)

    async def clean(self, connection: Connection) -> bool:
        """Forget everything: what was committed may have been a setting, a temporary table, a prepared statement."""
        if connection.is_in_transaction():
            await connection.execute("ROLLBACK")
        await _forget(connection, self.target)
        return True


@dataclass(frozen=True, slots=True)
class LoneWrite:
    """A statement that runs outside a transaction block, and may commit by itself whatever becomes of it.

    Attributes:
        operation: the statement.
        limits: of its answer.
        timeout_ms: for all of it.
        target: to make the connection like new afterwards.
        audit: is told of it, before and after.
    """

    operation: Operation
    limits: Limits
    timeout_ms: int
    target: Target
    audit: Audit = NO_AUDIT

    @property
    def time_s(self) -> float:
        """See `Job`."""
        return self.timeout_ms / 1000 + DEADLINE_MARGIN_S

    def overdue(self) -> Refusal:
        """See `Job`."""
        return _unsure(Refusal(Code.DEADLINE_EXCEEDED, "PostgreSQL did not answer within the call's deadline."))

    def opening(self, _: Connection) -> str:
        """Limits the time."""
        return f"SET statement_timeout = {self.timeout_ms}"

    async def run(self, connection: Connection, wanted: Callable[[], bool]) -> Result:
        """Run the statement."""
        _require(wanted)
        call = connection.call
        told = digest(self.operation.sql) if self.audit.on else {}
        # What it commits, and when, nobody can know, so that there must be a line of it before.
        self.audit.note("statement", call, **told, outcome="begins")
        end: dict[str, Any] = {"outcome": Code.INTERNAL}
        began: float | None = None
        try:
            await self.audit.secure()
            _require(wanted)
            began = time.perf_counter()
            result = await self._run(connection)
            end = {"outcome": "ok", "rows": result.row_count}
        except Refusal as refused:
            end = {"outcome": refused.code, "sqlstate": refused.cause.sqlstate}
            raise
        finally:
            took_ms = None if began is None else round((time.perf_counter() - began) * 1000, 2)
            self.audit.note("statement", call, **told, **end, duration_ms=took_ms)
            await self.audit.settle()
        return result

    async def _run(self, connection: Connection) -> Result:
        sql = self.operation.sql
        try:
            return await connection.run(sql, self.operation.params, self.limits, cached=False)
        except DRIVER_ERRORS as error:
            raise _unsure(connection.refusal(error, sql, self.timeout_ms)) from None

    async def clean(self, connection: Connection) -> bool:
        """Forget everything, as after any write."""
        if connection.is_in_transaction():
            return False
        await _forget(connection, self.target)
        return True


async def _forget(connection: Connection, target: Target) -> None:
    await connection.execute("DISCARD ALL")
    connection.forget_statements()
    await target.configure(connection)


def _require(wanted: Callable[[], bool]) -> None:
    if not wanted():
        raise Refusal(Code.CANCELLED, "The call was cancelled before the statement ran.")


def _nothing_kept(message: str) -> Refusal:
    return Refusal(Code.CONNECTION_LOST, message, next="Nothing was kept: call again.")


def _unsure(error: Refusal) -> Refusal:
    error.message = (
        error.message.rstrip(".")
        + ". The statement ran outside a transaction block: what it had committed by itself stays."
    )
    error.next = "Look at what it was to change before you repeat it."
    error.retryable = False
    return error
