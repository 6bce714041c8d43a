"""What a session answers. Plain data, made here and so never validated: an answer is made for every call."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from msgspec import Struct

from coldquery.postgres.answer import Result


class Outcome(StrEnum):
    """What became of a transaction."""

    COMMITTED = "committed"
    ROLLED_BACK = "rolled_back"
    UNKNOWN = "unknown"


type StateWords = Literal["idle in transaction", "idle in transaction (aborted)", "committed", "rolled_back", "unknown"]


class Echo(Struct, frozen=True, kw_only=True):
    """The session as it is after a command; part of every answer.

    Attributes:
        id: the `session_id`.
        state: PostgreSQL's own words while it lives, then what became of the transaction.
        savepoints: outermost first.
        idle_expires_in_s: seconds until it ends if nobody calls; 0 when it has ended.
        lifetime_left_s: seconds until it ends in any case; 0 when it has ended.
        warning: what to mind, in one line.
        abandoned: what an earlier command did whose caller had not waited for the answer.
    """

    id: str
    state: StateWords
    savepoints: tuple[str, ...]
    idle_expires_in_s: int
    lifetime_left_s: int
    warning: str | None = None
    abandoned: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The wire form, without what says nothing."""
        body: dict[str, Any] = {
            "id": self.id,
            "state": self.state,
            "savepoints": list(self.savepoints),
            "idle_expires_in_s": self.idle_expires_in_s,
            "lifetime_left_s": self.lifetime_left_s,
        }
        if self.warning is not None:
            body["warning"] = self.warning
        if self.abandoned is not None:
            body["abandoned"] = self.abandoned
        return body


class Ran(Struct, frozen=True, kw_only=True):
    """A statement has run."""

    result: Result
    echo: Echo


class BatchRan(Struct, frozen=True, kw_only=True):
    """All operations have run."""

    results: tuple[Result, ...]
    echo: Echo


class Moved(Struct, frozen=True, kw_only=True):
    """A savepoint was set, released or rolled back to."""

    echo: Echo


class Finished(Struct, frozen=True, kw_only=True):
    """The transaction has ended, and the session with it.

    Attributes:
        outcome: what became of it.
        xid: PostgreSQL's id of the transaction; None when it had written nothing, or was not asked for.
        note: anything else worth knowing.
    """

    outcome: Outcome
    xid: str | None
    note: str | None
    echo: Echo


class TableChanges(Struct, frozen=True, kw_only=True):
    """Rows that the transaction has changed in one table so far, by PostgreSQL's count.

    It includes what was undone since: by a failed statement, or by a rollback to a savepoint.
    https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ALL-TABLES-VIEW
    """

    table: str
    inserted: int
    updated: int
    deleted: int


class Lock(Struct, frozen=True, kw_only=True):
    """A lock on a table (or what else), as pg_locks shows it."""

    type: str
    relation: str | None
    mode: str


class Inspected(Struct, frozen=True, kw_only=True):
    """What `Inspect` found. PostgreSQL answers no questions in a failed transaction: then the last three are None.

    Attributes:
        age_s: seconds since begin.
        idle_s: seconds that it had been idle when asked.
        label: as begin said.
        backend_pid: PostgreSQL's process.
        sqlstate: of the error that the transaction failed by, if it has.
        changes: by table; the 100 that changed most.
        locks: what it holds, at most 100, those on system catalogs left out.
        blocks: the backends that wait for it, at most 100.
    """

    age_s: float
    idle_s: float
    label: str | None
    backend_pid: int
    sqlstate: str | None
    changes: tuple[TableChanges, ...] | None
    locks: tuple[Lock, ...] | None
    blocks: tuple[int, ...] | None
    echo: Echo


type Reply = Ran | BatchRan | Moved | Finished | Inspected
