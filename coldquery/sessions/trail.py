"""What the audit and the metrics are told of one transaction: its statements, and what becomes of it."""

from __future__ import annotations

from typing import Any

from coldquery.errors import Code, Refusal
from coldquery.postgres.answer import Result
from coldquery.postgres.connection import Connection
from coldquery.postgres.digest import digest
from coldquery.sessions.transaction import Ended, State
from coldquery.telemetry.audit import Audit
from coldquery.telemetry.call import Call
from coldquery.telemetry.metrics import COMMITTED


class Trail:
    """Notes on a transaction.

    Args:
        audit: where to.
        connection: tells for whose sake it works.
        session: the short id of the session that the transaction is; None without one.

    Attributes:
        done: how many statements were told of as done.
        committing: COMMIT was sent.
    """

    def __init__(self, audit: Audit, connection: Connection, session: str | None) -> None:
        self.done = 0
        self.committing = False
        self._audit = audit
        self._connection = connection
        self._session = session
        self._committer: Call | None = None

    def statement(self, sql: str, result: Result | None, refused: Refusal | None) -> None:
        """A statement has run that may have written."""
        self.done += refused is None
        if self._audit.on:
            self._note(
                "statement",
                **digest(sql),
                rows=None if result is None else result.row_count,
                outcome="ok" if refused is None else refused.code.value,
                sqlstate=None if refused is None else refused.cause.sqlstate,
                duration_ms=round(self._connection.took_s * 1000, 2),
            )

    def undone(self, savepoint: str | None = None) -> None:
        """What was done since a savepoint, the gateway's own if none is named, is undone."""
        self._note("rollback_to", savepoint=savepoint)

    def rolled_back(self) -> None:
        """All of it is undone."""
        self._note("rollback")

    def commits(self) -> None:
        """COMMIT goes out now. Should the caller be gone when its fate is known, it is still theirs."""
        self.committing = True
        self._committer = self._connection.call

    def committed(self, state: State, refused: Refusal | None = None) -> None:
        """The fate of the COMMIT is known, as far as it can be.

        Args:
            state: that the transaction is in.
            refused: what the caller is told instead.
        """
        outcome, xid = (state.outcome.value, state.xid) if isinstance(state, Ended) else ("refused", None)
        if refused is not None and refused.code is not Code.COMMIT_UNKNOWN:
            outcome = "refused"
        sqlstate = None if refused is None else refused.cause.sqlstate
        COMMITTED.labels(outcome).inc()
        told = {"session": self._session, "outcome": outcome, "xid": xid, "sqlstate": sqlstate}
        self._audit.note("commit", self._committer, **told)

    async def have_room(self) -> None:
        """See to it that the line of the next statement will be kept. Raises as `Audit.secure`."""
        if self._audit.is_crowded:
            await self._audit.secure()

    async def settle(self) -> None:
        """Have it on the disk before anybody hears of it."""
        await self._audit.settle()

    def _note(self, event: str, **fields: Any) -> None:
        self._audit.note(event, self._connection.call, session=self._session, **fields)
