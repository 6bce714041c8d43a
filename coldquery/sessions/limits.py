"""What bounds a session, all in one place. Inner limits fire before outer ones, the gateway's before PostgreSQL's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from coldquery.settings import Settings

# PostgreSQL's own limits lie so far behind the gateway's: they are for when the gateway is dead or cut off.
BACKSTOP_MARGIN_S = 60.0
SHORT_ID_LENGTH = 8
IDLE_BACKSTOP = "idle_in_transaction_session_timeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """How many sessions there may be, how long each may take, and how much it may ask for.

    Attributes:
        max_sessions: in all, those included that are opening or ending.
        max_sessions_per_principal: of one principal; None is without a limit of its own.
        idle_timeout_s: since the last command ended; a session can ask for less at begin.
        max_lifetime_s: since begin.
        spare_connections: how many are opened ahead for the sessions to come.
        begin_timeout_s: for connecting and BEGIN.
        statement_timeout_ms: for a statement that does not say otherwise.
        lock_timeout_ms: how long a statement may wait for a lock.
        control_timeout_s: for the gateway's own statements, such as SAVEPOINT; then the wire is cut.
        commit_timeout_s: for COMMIT and, should its answer be lost, for finding out; the call's deadline may be nearer.
        stop_grace_s: from a soft stop at a limit to the kill.
        mailbox_capacity: commands that can wait for one session.
        tombstone_ttl_s: how long an end is remembered.
        max_tombstones: how many ends are remembered.
        reap_interval_s: from one search for leaks to the next.
        max_blocking_s: how long a session may stand idle in the way of others before it counts as a leak.
        end_blockers: whether such a session is ended, and not only warned.
    """

    max_sessions: int = 10
    max_sessions_per_principal: int | None = None
    idle_timeout_s: float = 1800.0
    max_lifetime_s: float = 14400.0
    spare_connections: int = 1
    begin_timeout_s: float = 10.0
    statement_timeout_ms: int = 30_000
    lock_timeout_ms: int = 5_000
    control_timeout_s: float = 10.0
    commit_timeout_s: float = 30.0
    stop_grace_s: float = 10.0
    mailbox_capacity: int = 16
    tombstone_ttl_s: float = 3600.0
    max_tombstones: int = 1000
    reap_interval_s: float = 10.0
    max_blocking_s: float = 60.0
    end_blockers: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Those that the operator has set."""
        return cls(
            max_sessions=settings.max_sessions,
            max_sessions_per_principal=settings.max_sessions_per_principal,
            idle_timeout_s=settings.idle_timeout_s,
            max_lifetime_s=settings.max_lifetime_s,
            spare_connections=settings.spare_connections,
            statement_timeout_ms=settings.statement_timeout_ms,
            lock_timeout_ms=settings.lock_timeout_ms,
            commit_timeout_s=settings.commit_timeout_s,
            reap_interval_s=settings.reap_interval_s,
            max_blocking_s=settings.max_blocking_s,
            end_blockers=settings.end_blockers,
        )

    def backstops(self, idle_timeout_s: float) -> Mapping[str, str]:
        """The settings by which PostgreSQL holds the limits of one session by itself.

        `transaction_timeout` is known from PostgreSQL 17 on.
        https://www.postgresql.org/docs/current/runtime-config-client.html
        """
        return {
            IDLE_BACKSTOP: _ms(idle_timeout_s + BACKSTOP_MARGIN_S),
            "transaction_timeout": _ms(self.max_lifetime_s + BACKSTOP_MARGIN_S),
            "statement_timeout": f"{self.statement_timeout_ms}ms",
            "lock_timeout": f"{self.lock_timeout_ms}ms",
        }


def short_id(session_id: str) -> str:
    """What logs, lists and PostgreSQL show of a `session_id`: enough to know it by, and not to use it."""
    return session_id[:SHORT_ID_LENGTH]


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f}ms"
