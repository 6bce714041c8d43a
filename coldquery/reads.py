"""Stateless reads: jobs on shared connections, in which PostgreSQL itself refuses writes.

Each read is one statement, by the extended protocol, in a transaction that is READ ONLY and always rolled back. Its
snapshot seals it: after that PostgreSQL lets nothing turn the transaction read-write (25001), and whatever can do more
than that one thing has a snapshot before it begins. What survives a rollback all the same (advisory locks of the
session) is cleaned in the same round trip, before anyone else gets the connection and after the caller has the answer.

So one round trip stands before the answer: BEGIN travels with the statement, or with the question what that is like,
if the connection has been heard of a moment ago and its time limit is the call's. Else it goes ahead, to find out
whether the connection still lives while nothing of the caller's has been sent. Where the statement's answer was brief
before, rollback and cleaning travel with it too, and there is no other trip at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from coldquery.errors import Code, Refusal
from coldquery.postgres.answer import Limits, Result
from coldquery.postgres.connection import DEADLINE_MARGIN_S, Connection
from coldquery.postgres.outcome import DRIVER_ERRORS

# https://www.postgresql.org/docs/current/sql-set-transaction.html
_BEGIN = "BEGIN READ ONLY"
_LIMIT = "SELECT pg_catalog.set_config('statement_timeout', '{}', true)"
# So long after the last answer a connection may have died unnoticed.
FRESH_S = 1.0
# Neither advisory locks nor prepared statements mind a rollback. A function that a view or an operator calls may have
# left such a statement, even in place of one that the driver keeps: the last command's tag counts them.
# https://www.postgresql.org/docs/current/view-pg-prepared-statements.html
_ROLLBACK = "ROLLBACK"
_UNLOCK = "SELECT pg_catalog.pg_advisory_unlock_all()"
_LEFT = "SELECT FROM pg_catalog.pg_prepared_statement() WHERE from_sql"
_CLEAN = f"{_ROLLBACK}; {_UNLOCK}; {_LEFT}"
# The same, without any row unless something is left.
_CLOSING = (_ROLLBACK, f"SELECT FROM ({_UNLOCK} AS done) AS unlocked WHERE done IS NULL OR EXISTS ({_LEFT})")
_CLEANED = "SELECT 0"
_STALE = (
    asyncpg.ProtocolError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.DuplicatePreparedStatementError,
)


@dataclass(frozen=True, slots=True)
class ReadOnlyJob:
    """What all jobs share that PostgreSQL keeps from writing.

    Attributes:
        sql: one statement.
        params: its parameters.
        limits: how much of the answer.
        timeout_ms: how long each statement may take in PostgreSQL.
    """

    sql: str
    params: Sequence[Any]
    limits: Limits
    timeout_ms: int

    @property
    def time_s(self) -> float:
        """See `Job`."""
        return self.timeout_ms / 1000 + DEADLINE_MARGIN_S

    def overdue(self) -> Refusal:
        """See `Job`."""
        return Refusal(Code.DEADLINE_EXCEEDED, "PostgreSQL did not answer within the call's deadline.")

    @property
    def sealed_begin(self) -> str:
        """Opens a transaction that is sealed read-only by the snapshot of its first question."""
        return f"{_BEGIN}; {_LIMIT.format(self.timeout_ms)}"

    @staticmethod
    def require(wanted: Callable[[], bool]) -> None:
        """Go on only if somebody waits for the answer. Raises `Refusal` else."""
        if not wanted():
            raise Refusal(Code.CANCELLED, "The caller went away before the statement ran.")


@dataclass(frozen=True, slots=True)
class Read(ReadOnlyJob):
    """A read of one statement."""

    def opening(self, connection: Connection) -> str | None:
        """Opens a transaction that is sealed read-only, unless that can wait for the statement."""
        fresh = asyncio.get_running_loop().time() - connection.heard_at < FRESH_S
        return None if fresh and connection.statement_timeout_ms == self.timeout_ms else self.sealed_begin

    async def run(self, connection: Connection, wanted: Callable[[], bool]) -> Result:
        """Run the statement."""
        self.require(wanted)
        opening = None if connection.is_in_transaction() else _BEGIN
        try:
            try:
                return await connection.run(
                    self.sql, self.params, self.limits, cached=True, opening=opening, closing=_CLOSING
                )
            except _STALE:
                # A schema change elsewhere made the kept statement stale, or a function dropped it or took its name,
                # or left one of its own. That failed this transaction, or ended it.
                connection.forget_statements()
                await connection.execute(f"{_ROLLBACK}; DEALLOCATE ALL; {self.sealed_begin}")
                self.require(wanted)
                return await connection.run(self.sql, self.params, self.limits, cached=False)
        except DRIVER_ERRORS as error:
            raise connection.refusal(error, self.sql, self.timeout_ms) from None

    async def clean(self, connection: Connection) -> bool:
        """Roll back, let go of advisory locks, and look for prepared statements that are none of the driver's."""
        if connection.executed and not connection.is_in_transaction():
            # The statement ended it: it can't have written, but what else it left nobody knows.
            return False
        # Also where none was begun: a statement that was described but not run, since a parameter does not fit, keeps
        # its tables locked until something ends what the driver began for that.
        return await connection.execute(_CLEAN) == _CLEANED
