"""Stateless reads: jobs on shared connections, in which PostgreSQL itself refuses writes.

Each read is one statement, by the extended protocol, in a transaction that is READ ONLY and always rolled back. Taking
a snapshot at once seals it: after that PostgreSQL lets nothing turn the transaction read-write (25001). What survives a
rollback all the same (advisory locks of the session) is cleaned in the same round trip, before anyone else gets the
connection and after the caller has the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from coldquery.errors import Code, Refusal
from coldquery.postgres.connection import DEADLINE_MARGIN_S, Connection, Limits, Result
from coldquery.postgres.outcome import DRIVER_ERRORS, refusal

# The SELECT sets the time limit and takes the snapshot, in one trip with BEGIN.
# https://www.postgresql.org/docs/current/sql-set-transaction.html
_BEGIN = "BEGIN READ ONLY; SELECT set_config('statement_timeout', '{}', true)"
_CLEAN = "ROLLBACK; SELECT pg_advisory_unlock_all()"


@dataclass(frozen=True, slots=True)
class Read:
    """What to read: one statement, its parameters, how much of the answer, and how long it may take in PostgreSQL."""

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

    async def begin(self, connection: Connection) -> None:
        """Open a transaction that is sealed read-only."""
        await connection.execute(_BEGIN.format(self.timeout_ms))

    async def run(self, connection: Connection, wanted: Callable[[], bool]) -> Result:
        """Run the statement."""
        self._require(wanted)
        try:
            try:
                return await connection.run(self.sql, self.params, self.limits, cached=True)
            except asyncpg.InvalidCachedStatementError:
                # A schema change elsewhere made the kept statement stale, which failed this transaction.
                connection.forget_statements()
                await connection.execute("ROLLBACK; " + _BEGIN.format(self.timeout_ms))
                self._require(wanted)
                return await connection.run(self.sql, self.params, self.limits, cached=False)
        except DRIVER_ERRORS as error:
            raise refusal(error) from None

    @staticmethod
    def _require(wanted: Callable[[], bool]) -> None:
        if not wanted():
            raise Refusal(Code.CANCELLED, "The caller went away before the statement ran.")

    async def clean(self, connection: Connection) -> bool:
        """Roll back and let go of advisory locks."""
        if not connection.is_in_transaction():
            # The statement ended our transaction: it can't have written, but what else it left nobody knows.
            return False
        await connection.execute(_CLEAN)
        return True
