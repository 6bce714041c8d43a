"""Writes without a session: a transaction of their own, committed before the caller hears of them, or nothing.

A statement that PostgreSQL refuses to run in a transaction block (CREATE INDEX CONCURRENTLY, VACUUM), and one that may
end transactions by itself (CALL, DO), runs alone, as it would in psql.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from coldquery.errors import Code, Refusal
from coldquery.policy import first_word
from coldquery.postgres.connection import Connection, Limits, Result
from coldquery.postgres.outcome import DRIVER_ERRORS, refusal
from coldquery.postgres.target import Target
from coldquery.sessions.batch import run_all
from coldquery.sessions.commands import Begin, Operation, Outcome
from coldquery.sessions.held import HeldTransaction
from coldquery.sessions.limits import SessionLimits

DEADLINE_MARGIN_S = 2.0

# PostgreSQL lets them commit and roll back, but not in a transaction block.
# https://www.postgresql.org/docs/current/plpgsql-transactions.html
_MAY_END_TRANSACTIONS = {"call", "do"}
_REFUSED_IN_A_BLOCK = "25001"


@dataclass(frozen=True, slots=True)
class Written:
    """What was committed. `xid` is None when PostgreSQL gave none: nothing was written, or it ran alone."""

    results: tuple[Result, ...]
    xid: str | None


@dataclass(frozen=True, slots=True)
class Write:
    """What to write.

    Attributes:
        operations: at least one.
        limits: rows and cells for each answer; the bytes for all together.
        timeout_ms: for each operation in PostgreSQL.
        options: how the transaction is to be.
        bounds: of the time that committing takes, and all together.
        target: the database, to ask it on another connection what became of a COMMIT.
    """

    operations: tuple[Operation, ...]
    limits: Limits
    timeout_ms: int
    options: Begin
    bounds: SessionLimits
    target: Target

    @property
    def time_s(self) -> float:
        """See `Job`."""
        statements_s = len(self.operations) * self.timeout_ms / 1000
        return min(statements_s, self.bounds.max_lifetime_s) + self.bounds.commit_timeout_s + DEADLINE_MARGIN_S

    async def begin(self, connection: Connection) -> None:
        """Open the transaction, unless the statement is to run without one."""
        if self._runs_alone:
            await connection.execute(f"SET statement_timeout = {self.timeout_ms}")
        else:
            await connection.execute(f"{self.options.sql}; SET LOCAL statement_timeout = {self.timeout_ms}")

    async def run(self, connection: Connection, wanted: Callable[[], bool]) -> Written:
        """Run the operations and commit."""

        def require_wanted() -> None:
            if not wanted():
                raise Refusal(Code.CANCELLED, "The call was cancelled; nothing was kept.")

        if self._runs_alone:
            require_wanted()
            return await self._run_alone(connection)
        held = HeldTransaction(connection, self.bounds, self.target)
        try:
            results = await run_all(held, self.operations, self.limits, require_wanted)
        except Refusal as error:
            if error.cause.sqlstate != _REFUSED_IN_A_BLOCK or len(self.operations) > 1:
                raise
            # Refused before it did anything.
            await connection.execute(f"ROLLBACK; SET statement_timeout = {self.timeout_ms}")
            return await self._run_alone(connection)
        require_wanted()
        ended = await held.commit(self.bounds.commit_timeout_s)
        if ended.outcome is not Outcome.COMMITTED:
            lost = "The connection broke during COMMIT, and PostgreSQL rolled the transaction back: nothing was kept."
            raise Refusal(Code.CONNECTION_LOST, lost, next="Call again: nothing was written.")
        return Written(results, ended.xid)

    async def clean(self, connection: Connection) -> bool:
        """Forget everything: what was committed may have been a setting, a temporary table, a prepared statement."""
        if connection.is_in_transaction():
            await connection.execute("ROLLBACK")
        await connection.execute("DISCARD ALL")
        connection.forget_statements()
        await self.target.configure(connection)
        return True

    @property
    def _runs_alone(self) -> bool:
        return len(self.operations) == 1 and first_word(self.operations[0].sql) in _MAY_END_TRANSACTIONS

    async def _run_alone(self, connection: Connection) -> Written:
        (operation,) = self.operations
        try:
            result = await connection.run(operation.sql, operation.params, self.limits, cached=False)
        except DRIVER_ERRORS as error:
            told = refusal(error)
            if told.code is Code.CONNECTION_LOST:
                told.message = "The connection to PostgreSQL broke, and the statement may have taken effect, or partly."
                told.next, told.retryable = "Look at what it was to change before you repeat it.", False
            raise told from None
        return Written((result,), None)
