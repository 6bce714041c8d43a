"""The gateway: the few verbs that every front door calls.

A front door (MCP over HTTP or stdio, or Python itself) turns a request into one of these calls and renders the answer.
Nothing here knows how it was asked.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, Self, TypedDict, Unpack

import structlog
from msgspec import Struct

from actors import Clock, LoopClock
from coldquery.errors import Code, Refusal
from coldquery.hypothetical import Tried, TryIndexes, check_indexes
from coldquery.policy import check_explained, check_lone_write, check_operation, check_read
from coldquery.postgres.answer import Limits, Result
from coldquery.postgres.availability import Availability, Up
from coldquery.postgres.catalog import question, records
from coldquery.postgres.catalog.nearest import missing
from coldquery.postgres.pool import Job, Pool, PoolStanding
from coldquery.postgres.syntax import understand
from coldquery.postgres.target import Target
from coldquery.reads import Read
from coldquery.sessions import Begin, SessionInfo, SessionLimits, SessionRoot
from coldquery.sessions.batch import check_all
from coldquery.sessions.commands import Command, Explain, Operation, Query
from coldquery.sessions.reaper import Reaper
from coldquery.sessions.replies import BatchRan, Echo, Ran, Reply
from coldquery.settings import Settings
from coldquery.telemetry.audit import NO_AUDIT, Audit
from coldquery.telemetry.call import CURRENT
from coldquery.telemetry.loop_lag import watch_loop
from coldquery.telemetry.metrics import (
    REJECTED,
    REJECTIONS,
    RESULT_BYTES,
    RESULT_ROWS,
    TRUNCATED,
    known,
)
from coldquery.writes import LoneWrite, Write

type Phase = Literal["serving", "draining"]

_log = structlog.get_logger(__name__)

# From the end of the drain to the point where nobody waits any longer for what does not end.
KILL_TIMEOUT_S = 5.0
RESTART_AFTER_S = 2.0
# Enough for any answer of the catalog that a caller can make use of.
CATALOG_LIMITS = Limits(max_rows=10_000, max_bytes=8 << 20, max_cell_bytes=1 << 20)
# How long to look for names like one that was not found.
NEAREST_TIMEOUT_MS = 500


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Attributes:
        principal: whose sessions they may use, and whose theirs are.
        client: their connection, where its end can be known and ends its sessions.
    """

    principal: str
    client: str | None = None


class Wanted(TypedDict, total=False):
    """What a call asks for beside the default.

    Attributes:
        max_rows: how many rows at most; the setting `max_rows` when None.
        timeout_ms: how long PostgreSQL may work on each statement; the setting `statement_timeout_ms` when None.
        keyed: rows are sent as objects, which takes more bytes of the setting `max_bytes`.
    """

    max_rows: int | None
    timeout_ms: int | None
    keyed: bool


class Answer(Struct, frozen=True):
    """A result, and how long it took from the gateway's side, waiting for a connection included."""

    result: Result
    duration_ms: float


@dataclass(frozen=True, slots=True)
class Committed:
    """The results of a transaction that PostgreSQL has committed, and its id there, if it has written anything."""

    results: tuple[Result, ...]
    xid: str | None
    duration_ms: float


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the gateway can do its work now, and if not, why. Looking costs nothing and waits for nobody."""

    phase: Phase
    database: Literal["up", "down"]
    detail: str

    @property
    def ready(self) -> bool:
        """The database answers, and the gateway takes new work."""
        return self.phase == "serving" and self.database == "up"


class Gateway:
    """One PostgreSQL database, made safe to use.

    Args:
        settings: limits, pool sizes and time limits.
        reader: the database, as the role that reads.
        writer: the same, as the role of sessions and writes; the reader's when None.
        tag: what PostgreSQL shows of this gateway in `application_name`: coldquery/<node>/<boot>.
        clock: what the lives of sessions are measured by; the event loop's when None.
        audit: is told of every write, and what became of it.
        revive: what to do before each attempt to reach a database that is down.

    Use it as `async with Gateway(...) as gateway`, or call `open` and `close`.
    """

    def __init__(
        self,
        settings: Settings,
        reader: Target,
        writer: Target | None = None,
        *,
        tag: str = "coldquery/local/0",
        clock: Clock | None = None,
        audit: Audit = NO_AUDIT,
        revive: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.settings = settings
        self.availability = Availability(reader, revive)
        clock = clock or LoopClock()
        writer = writer or reader
        self._writer = writer.bounded(settings)
        wait_s = settings.pool_acquire_timeout_s
        self._reads = Pool(reader.bounded(settings), settings.read_pool_size, wait_s)
        self._writes = Pool(self._writer, settings.write_pool_size, wait_s, "write")
        bounds = SessionLimits.of(settings)
        self.audit = audit
        self._sessions = SessionRoot(writer, bounds, clock, tag, audit)
        self.reaper = Reaper(self._sessions, bounds, clock)
        self._tasks: set[asyncio.Task[None]] = set()
        self._phase: Phase = "serving"

    async def open(self) -> None:
        """Try to reach the database once, and go on without it if it does not answer.

        Raises:
            StartError: the database answered that the settings are wrong.
        """
        await self._reads.open()
        await self._writes.open()
        await self.availability.start()
        self._tasks = {
            asyncio.create_task(_keep_running(self._sessions.spares.run), name="spares"),
            asyncio.create_task(_keep_running(self.reaper.run), name="reaper"),
            asyncio.create_task(_keep_running(watch_loop), name="loop lag"),
        }
        if self.audit.on:
            self._tasks.add(asyncio.create_task(_keep_running(self.audit.run), name="audit"))

    # Without a session.

    async def read(
        self,
        sql: str,
        params: Sequence[Any] = (),
        **wanted: Unpack[Wanted],
    ) -> Answer:
        """Run one statement where PostgreSQL refuses writes.

        Args:
            sql: exactly one statement.
            params: a JSON value for each of $1, $2, …
            **wanted: what the call asks for beside the default.

        Raises:
            Refusal: for every failure, as the catalogue says.
        """
        self._require_serving()
        check_read(sql)
        read = Read(sql, params, *self._bounds(wanted))
        return await self._timed(self._reads, read)

    async def explain(self, explain: Explain) -> Answer:
        """The plan of one statement, made where PostgreSQL refuses writes; with `analyze`, that of a read only.

        Raises:
            Refusal: as `read`.
        """
        self._require_serving()
        check_explained(explain.sql, read_only=True)
        pool = self._planning_pool(explain)
        read = Read(explain.statement, explain.params, explain.limits, self.time_limit_ms(explain.timeout_ms))
        try:
            return await self._timed(pool, read)
        except Refusal as error:
            explain.locate(error)
            if error.code is Code.READ_ONLY:
                error.next = "Open a transaction with pg_tx begin, and pass its `session_id`: what it does is undone."
            raise

    async def try_indexes(self, explain: Explain, indexes: Sequence[str]) -> Tried:
        """The plan of one statement without and with indexes that are only imagined. Needs the extension hypopg.

        Args:
            explain: without `analyze`, for nothing can run with what does not exist.
            indexes: a CREATE INDEX each.

        Raises:
            Refusal: as `explain`.
        """
        self._require_serving()
        check_explained(explain.sql, read_only=True)
        check_indexes(indexes)
        limit_ms = self.time_limit_ms(explain.timeout_ms)
        job = TryIndexes(explain.statement, explain.params, explain.limits, limit_ms, tuple(indexes))
        try:
            return await self._on_pool(self._planning_pool(explain), job)
        except Refusal as error:
            if error.sql == explain.statement:
                explain.locate(error)
            raise

    async def write(
        self,
        sql: str,
        params: Sequence[Any] = (),
        **wanted: Unpack[Wanted],
    ) -> Answer | Committed:
        """Run one statement and commit it before this returns.

        A statement that can't be run in a transaction block, or may end transactions itself, runs as it would in psql:
        then the answer is an `Answer`, for what it has committed is its own affair.

        Raises:
            Refusal: nothing was kept, but for `commit_unknown`, and where the message says that something may be.
        """
        self._require_serving()
        operation = Operation(sql=sql, params=tuple(params))
        check_lone_write(sql)
        statement = understand(sql)
        if not (statement.is_refused_in_a_block or statement.ends_transactions):
            return await self._commit((operation,), Begin(), wanted)
        return await self._timed(self._writes, LoneWrite(operation, *self._bounds(wanted), self._writer, self.audit))

    async def transact(
        self,
        operations: Sequence[Operation],
        options: Begin | None = None,
        **wanted: Unpack[Wanted],
    ) -> Committed:
        """Run statements as one transaction: all of them are committed when this returns, or none.

        Args:
            operations: at least one.
            options: how the transaction is to be.
            **wanted: as in `read`, for each.

        Raises:
            Refusal: nothing was kept, but for `commit_unknown`.
        """
        self._require_serving()
        check_all(operations, check_operation)
        return await self._commit(tuple(operations), options or Begin(), wanted)

    # The catalog.

    async def look(
        self,
        name: str,
        params: Sequence[Any] = (),
        *,
        caller: Caller | None = None,
        session_id: str | None = None,
    ) -> list[dict[str, Any]]:
        """The answer to one of the gateway's own questions to the catalog: a row for each, by the columns' names.

        Args:
            name: of the question, in coldquery/postgres/catalog.
            params: its parameters.
            caller: whose session.
            session_id: the session to ask in, so that what it has changed is seen; no session when None.

        Raises:
            Refusal: as `read` and `ask`.
        """
        sql = question(name)
        if caller is None or session_id is None:
            self._require_serving()
            read = Read(sql, params, CATALOG_LIMITS, self.settings.statement_timeout_ms)
            return records(await self._on_pool(self._reads, read))
        query = Query(sql=sql, params=tuple(params), access="read", limits=CATALOG_LIMITS)
        reply = await self.ask(caller, session_id, query)
        assert isinstance(reply, Ran)  # noqa: S101 - the answer to a query
        return records(reply.result)

    # In sessions.

    async def begin(self, caller: Caller, options: Begin) -> Echo:
        """Open a session with a transaction in it. `Echo.id` is its `session_id`.

        Raises:
            Refusal: nothing was opened.
        """
        try:
            self._require_serving()
            self.availability.require()
            return await self._sessions.begin(caller.principal, options, caller.client)
        except Refusal as refusal:
            REJECTED.labels(known(refusal.code, REJECTIONS)).inc()
            self._suspect(refusal)
            raise

    async def ask(self, caller: Caller, session_id: str, command: Command) -> Reply:
        """Have a session of the caller's run a command.

        Raises:
            Refusal: `session` tells how the session is then, where it lives.
        """
        asked = self._sessions.ask(caller.principal, session_id, command, context=CURRENT.get())
        reply = await self._told(asked)
        match reply:
            case Ran(result=result):
                _observe(result)
            case BatchRan(results=results):
                for each in results:
                    _observe(each)
        return reply

    def sessions(self, principal: str | None = None) -> tuple[SessionInfo, ...]:
        """The open sessions, oldest first: all, or one principal's."""
        return self._sessions.list(principal)

    def evict(self, short_id: str) -> bool:
        """End a session, rolling back its transaction. Returns whether there was exactly one of that short id."""
        return self._sessions.evict(short_id)

    def client_gone(self, client: str) -> int:
        """End the sessions that a client opened and did not ask to keep. Returns how many."""
        return self._sessions.client_gone(client)

    # What a call may ask for.

    def limits(self, max_rows: int | None = None, *, keyed: bool = False) -> Limits:
        """How much of an answer is sent: what the call asked for, within the settings. See `Wanted`.

        Raises:
            Refusal: it asked for too much.
        """
        settings = self.settings
        rows = _within("max_rows", max_rows, settings.max_rows, settings.max_rows_limit)
        return _limits(rows, settings.max_bytes, settings.max_cell_bytes, keyed)

    def time_limit_ms(self, timeout_ms: int | None) -> int:
        """How long PostgreSQL may work on a statement.

        Raises:
            Refusal: the call asked for too much.
        """
        settings = self.settings
        return _within("timeout_ms", timeout_ms, settings.statement_timeout_ms, settings.max_statement_timeout_ms)

    # The gateway itself.

    def health(self) -> Health:
        """What the health pages say."""
        state = self.availability.state
        if isinstance(state, Up):
            return Health(self._phase, "up", f"PostgreSQL {state.version}, {state.database} as {state.role}")
        return Health(self._phase, "down", state.reason)

    @property
    def session_limits(self) -> SessionLimits:
        """What bounds the sessions."""
        return self._sessions.limits

    @property
    def spare_connections(self) -> int:
        """How many connections wait for a session to begin."""
        return len(self._sessions.spares)

    def pools(self) -> tuple[PoolStanding, PoolStanding]:
        """How the pool for reads stands now, and that for writes without a session."""
        return self._reads.standing(), self._writes.standing()

    async def reload(self, settings: Settings, reader: Target, writer: Target | None = None) -> None:
        """Go on with other settings. No call fails by it: those under way end on the connections they have.

        Sessions keep their connections and their limits; those to come get the new database, and the old limits.
        """
        self.settings = settings
        writer = writer or reader
        self._writer = writer.bounded(settings)
        self.availability.retarget(reader)
        self._sessions.retarget(writer)
        wait_s = settings.pool_acquire_timeout_s
        await asyncio.gather(
            self._reads.swap(reader.bounded(settings), settings.read_pool_size, wait_s),
            self._writes.swap(self._writer, settings.write_pool_size, wait_s),
        )

    def drain(self) -> None:
        """Take no new work from now on; what is under way goes on."""
        self._phase = "draining"

    async def close(self) -> None:
        """Drain, and let what runs end for up to `drain_timeout_s`; roll back the rest, and close every connection."""
        self.drain()
        for task in self._tasks:
            task.cancel()
        drain_s = self.settings.drain_timeout_s
        closed = await asyncio.gather(
            *self._tasks,
            self.availability.stop(),
            self._sessions.drain(drain_s, KILL_TIMEOUT_S),
            self._reads.close(drain_s),
            self._writes.close(drain_s),
            return_exceptions=True,
        )
        await self.audit.close()
        for error in closed:
            if isinstance(error, Exception):
                _log.error("close_failed", exc_info=error)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # Inner.

    def _bounds(self, wanted: Wanted) -> tuple[Limits, int]:
        limits = self.limits(wanted.get("max_rows"), keyed=wanted.get("keyed", False))
        return limits, self.time_limit_ms(wanted.get("timeout_ms"))

    def _planning_pool(self, explain: Explain) -> Pool:
        # PostgreSQL plans a write only for a role that may do it.
        return self._writes if understand(explain.sql).may_write else self._reads

    async def _timed(self, pool: Pool, job: Job[Result]) -> Answer:
        started = time.perf_counter()
        result = await self._on_pool(pool, job)
        _observe(result)
        return Answer(result, (time.perf_counter() - started) * 1000)

    async def _commit(self, operations: tuple[Operation, ...], options: Begin, wanted: Wanted) -> Committed:
        started = time.perf_counter()
        limits, timeout_ms = self._bounds(wanted)
        write = Write(operations, limits, timeout_ms, options, self._sessions.limits, self._writer, self.audit)
        written = await self._on_pool(self._writes, write)
        for each in written.results:
            _observe(each)
        return Committed(written.results, written.xid, (time.perf_counter() - started) * 1000)

    async def _on_pool[T](self, pool: Pool, job: Job[T]) -> T:
        self.availability.require()
        return await self._told(pool.run(job))

    async def _told[T](self, work: Awaitable[T]) -> T:
        """Wait for it; if it is refused, look what that means for others, and say what may have been meant."""
        try:
            return await work
        except Refusal as refusal:
            self._suspect(refusal)
            await self._name_the_nearest(refusal)
            raise

    async def _name_the_nearest(self, refusal: Refusal) -> None:
        if (unknown := missing(refusal)) is None:
            return
        sql, params = unknown.question
        read = Read(sql, params, self.limits(), NEAREST_TIMEOUT_MS)
        # A kindness, so it takes a moment at most, and may fail.
        with suppress(Refusal, TimeoutError):
            async with asyncio.timeout(NEAREST_TIMEOUT_MS / 1000):
                found = await self._reads.run(read)
                refusal.cause = replace(refusal.cause, hint=unknown.hint(found.rows))

    def _require_serving(self) -> None:
        if self._phase == "draining":
            raise Refusal(Code.SHUTTING_DOWN, "The gateway is stopping and takes no new work.")

    def _suspect(self, refusal: Refusal) -> None:
        if refusal.code in {Code.DATABASE_UNAVAILABLE, Code.CONNECTION_LOST, Code.COMMIT_UNKNOWN}:
            self.availability.suspect()


async def _keep_running(work: Callable[[], Awaitable[None]]) -> None:
    """Start again what ends by a defect: no session must go without it."""
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - whatever it is
            _log.error("task_crashed", exc_info=error)
        await asyncio.sleep(RESTART_AFTER_S * random.uniform(0.5, 1.0))  # noqa: S311 - spreads attempts


def _observe(result: Result) -> None:
    RESULT_ROWS.observe(len(result.rows))
    RESULT_BYTES.observe(len(result.rows_json))
    if result.truncated is not None:
        TRUNCATED.labels(result.truncated.by).inc()


# Nearly all calls have the same.
_limits = lru_cache(maxsize=64)(Limits)


def _within(name: str, asked: int | None, default: int, largest: int) -> int:
    if asked is None:
        return default
    if 1 <= asked <= largest:
        return asked
    raise Refusal(
        Code.INVALID_ARGUMENT,
        f"`{name}` is {asked}; it must lie between 1 and {largest}.",
        next=f"Pass a `{name}` between 1 and {largest}, or leave it out for {default}.",
    )
