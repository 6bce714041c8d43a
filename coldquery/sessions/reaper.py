"""Finds what leaks, and ends it. It should never find anything: each find is counted and logged as such.

What PostgreSQL shows and what the gateway knows are compared every `reap_interval_s`. Only what two sweeps have seen is
acted on, for the two pictures are not taken at the same moment.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

import asyncpg
import structlog

from actors import Clock
from coldquery.postgres.backoff import Backoff
from coldquery.postgres.connection import Backend, Connection
from coldquery.postgres.outcome import DRIVER_ERRORS, connection_problem
from coldquery.postgres.target import Target
from coldquery.sessions.commit import TERMINATE
from coldquery.sessions.limits import SessionLimits, short_id
from coldquery.telemetry.metrics import LEAKED

QUESTION_TIMEOUT_S = 5.0
BACKOFF_LIMIT_S = 60.0

# Sessions by their name (tag and eight characters: the gateway's other connections have other lengths), or by pid,
# since SQL can change the name. Another role's backend shows neither start nor state: it is not ours to judge. Waiters
# are found in pg_locks, which anyone may see whole.
# https://www.postgresql.org/docs/current/view-pg-locks.html
QUESTION = """
WITH waiters AS MATERIALIZED (
    SELECT w.pid, pg_blocking_pids(w.pid) AS blockers FROM (SELECT DISTINCT pid FROM pg_locks WHERE NOT granted) AS w
)
SELECT a.pid, (extract(epoch FROM a.backend_start) * 1000000)::bigint AS started_us,
       CASE WHEN starts_with(a.application_name, $1) AND length(a.application_name) = length($1) + 8
            THEN right(a.application_name, 8) END AS session,
       a.state LIKE 'idle in transaction%' AS idle,
       ARRAY(SELECT w.pid FROM waiters AS w WHERE a.pid = ANY (w.blockers) ORDER BY 1) AS blocks
FROM pg_stat_activity AS a
WHERE (starts_with(a.application_name, $1) OR a.pid = ANY ($2)) AND a.backend_start IS NOT NULL
"""

_log = structlog.get_logger(__name__)


class Kind(StrEnum):
    """What can leak."""

    CONNECTION_LEFT_OPEN = "connection_left_open"
    BACKEND_WITHOUT_ACTOR = "backend_without_actor"
    BACKEND_GONE = "backend_gone"
    CLIENT_GONE = "client_gone"
    BLOCKING = "blocking"


@dataclass(frozen=True, slots=True)
class ActorFact:
    """A session as the gateway knows it.

    Attributes:
        id: the `session_id`.
        backend: at the other end of its connection; None as long as it is not known.
        asked: whether the reaper asks the session's own database, as its role. After a reload it may not.
        ended: the actor is gone, and its connection open.
        busy: a command runs or waits.
        client_gone: whoever opened it is gone, and did not ask to keep it.
        blocks: whom it was last found to block.
    """

    id: str
    backend: Backend | None
    asked: bool
    ended: bool
    busy: bool
    client_gone: bool
    blocks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BackendFact:
    """A backend as PostgreSQL shows it. `session`: by its name, the short id of its session in this gateway."""

    backend: Backend
    session: str | None
    idle: bool
    blocks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A leak, and which session or backend it is. Not `final`, it is a warning."""

    kind: Kind
    id: str | None
    backend: Backend | None
    blocks: tuple[int, ...] = ()
    final: bool = True


type Suspects = Mapping[tuple[Kind, str | Backend], float]


def verdicts(
    actors: Iterable[ActorFact],
    backends: Iterable[BackendFact],
    now: float,
    suspects: Suspects,
    max_blocking_s: float,
) -> tuple[tuple[Verdict, ...], Suspects]:
    """What must be done, and the suspects for the next sweep, with the time when each was first seen.

    Args:
        actors: the sessions that the gateway knows.
        backends: what PostgreSQL shows.
        now: in seconds.
        suspects: what this function returned at the last sweep.
        max_blocking_s: how long a session may stand idle in the way of others.
    """
    actors = tuple(actors)
    found = list(_findings(actors, {each.backend: each for each in backends}))
    seen = {_key(each): suspects.get(_key(each), now) for each in found}
    told = []
    for each in found:
        key = _key(each)
        again = key in suspects
        if each.kind is Kind.BLOCKING:
            # Warned at the first sight, and found to be a leak once.
            final = again and now - seen[key] >= max_blocking_s
            if final:
                seen[key] = math.inf
            told.append(replace(each, final=final))
        elif again:
            told.append(each)
    # Those that block nobody any more are told so.
    told += [
        Verdict(Kind.BLOCKING, actor.id, None, final=False)
        for actor in actors
        if actor.blocks and (Kind.BLOCKING, actor.id) not in seen
    ]
    return tuple(told), seen


def _findings(actors: tuple[ActorFact, ...], backends: Mapping[Backend, BackendFact]) -> Iterable[Verdict]:
    owned = {actor.backend for actor in actors}
    beginning = {short_id(actor.id) for actor in actors if actor.backend is None}
    for actor in actors:
        backend = None if actor.backend is None else backends.get(actor.backend)
        if actor.ended:
            yield Verdict(Kind.CONNECTION_LEFT_OPEN, actor.id, actor.backend)
        elif actor.client_gone:
            yield Verdict(Kind.CLIENT_GONE, actor.id, actor.backend)
        elif actor.backend is not None and backend is None and actor.asked:
            yield Verdict(Kind.BACKEND_GONE, actor.id, actor.backend)
        elif backend is not None and backend.idle and backend.blocks and not actor.busy:
            yield Verdict(Kind.BLOCKING, actor.id, actor.backend, backend.blocks)
    for each in backends.values():
        if each.session is not None and each.session not in beginning and each.backend not in owned:
            yield Verdict(Kind.BACKEND_WITHOUT_ACTOR, None, each.backend)


def _key(verdict: Verdict) -> tuple[Kind, str | Backend]:
    if verdict.id is not None:
        return verdict.kind, verdict.id
    assert verdict.backend is not None  # noqa: S101 - a finding is of a session or of a backend
    return verdict.kind, verdict.backend


class Reaped(Protocol):
    """What the reaper needs of the sessions' root."""

    @property
    def tag(self) -> str:
        """What the names of its backends begin with."""
        ...

    @property
    def target(self) -> Target:
        """The database."""
        ...

    def facts(self) -> tuple[ActorFact, ...]:
        """What it knows."""
        ...

    def carry_out(self, verdict: Verdict) -> None:
        """Does what must be done on the gateway's side."""
        ...


class Reaper:
    """Sweeps on a connection of its own.

    Args:
        root: the sessions.
        limits: how often, and what is too long.
        clock: for how long something has been so.

    Attributes:
        counts: how many leaks of each kind were found, warnings left out.
    """

    def __init__(self, root: Reaped, limits: SessionLimits, clock: Clock) -> None:
        self.counts: Counter[Kind] = Counter()
        self._root = root
        self._limits = limits
        self._clock = clock
        self._connection: Connection | None = None
        self._target = root.target
        self._suspects: Suspects = {}

    async def run(self) -> None:
        """Sweep for ever; cancel it to stop. A database that is away is asked less and less often."""
        pause_s = interval_s = self._limits.reap_interval_s
        backoff = Backoff(interval_s * 2, max(BACKOFF_LIMIT_S, interval_s))
        try:
            while True:
                await asyncio.sleep(pause_s)
                try:
                    await self.sweep()
                except DRIVER_ERRORS as error:
                    self._close()
                    _log.warning("reaper_paused", reason=connection_problem(error))
                    pause_s = backoff.pause_s()
                else:
                    backoff.reset()
                    pause_s = interval_s
        finally:
            self._close()

    async def sweep(self) -> tuple[Verdict, ...]:
        """Look once, act on what was seen before, and return the verdicts.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: PostgreSQL can't be asked.
        """
        backends = await self._ask()
        told, self._suspects = verdicts(
            self._root.facts(), backends, self._clock.now(), self._suspects, self._limits.max_blocking_s
        )
        for verdict in told:
            self._root.carry_out(verdict)
            if verdict.final:
                self.counts[verdict.kind] += 1
                LEAKED.labels(verdict.kind).inc()
                pid = verdict.backend.pid if verdict.backend else None
                _log.warning("leak", kind=verdict.kind, session=verdict.id and short_id(verdict.id), backend_pid=pid)
            if verdict.kind is Kind.BACKEND_WITHOUT_ACTOR and verdict.backend is not None:
                await self._fetch(TERMINATE, verdict.backend.pid, verdict.backend.started_us)
        return told

    async def _ask(self) -> list[BackendFact]:
        pids = [fact.backend.pid for fact in self._root.facts() if fact.backend is not None]
        rows = await self._fetch(QUESTION, f"{self._root.tag}/", pids)
        return [
            BackendFact(Backend(row["pid"], row["started_us"]), row["session"], bool(row["idle"]), tuple(row["blocks"]))
            for row in rows
        ]

    async def _fetch(self, sql: str, *params: object) -> list[asyncpg.Record]:
        if self._target is not self._root.target:
            self._close()
            self._target = self._root.target
        if self._connection is None or self._connection.is_closed():
            self._connection = await replace(self._target, application_name=f"{self._root.tag}/reaper").connect()
        return await self._connection.fetch(sql, *params, timeout=QUESTION_TIMEOUT_S)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
