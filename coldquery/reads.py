"""Stateless reads: a shared pool of connections on which PostgreSQL itself refuses writes.

Each read is one statement, by the extended protocol, in a transaction that is READ ONLY and always rolled back. Taking
a snapshot at once seals it: after that PostgreSQL lets nothing turn the transaction read-write (25001). What survives a
rollback all the same (advisory locks of the session) is cleaned in the same round trip, before anyone else gets the
connection and after the caller has the answer.

A read runs in a task of its own, which owns the connection until it is clean. A caller that goes away, or whose
deadline passes, only abandons it: its SQL is cancelled in PostgreSQL, and the connection is used again only when its
state is known.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import structlog
from aiorwlock import RWLock

from coldquery.errors import Code, Refusal
from coldquery.postgres.connection import Connection, Limits, Result
from coldquery.postgres.outcome import connection_problem, is_lost, refusal
from coldquery.postgres.target import Target

# Reads are safe to begin again: a pooled connection may have died unnoticed while it was idle.
BEGIN_ATTEMPTS = 3
# The deadline of a call lies so much behind PostgreSQL's own limit, which should fire first.
DEADLINE_MARGIN_S = 2.0
CLEAN_TIMEOUT_S = 5.0
RETRY_AFTER_S = 1.0

# The SELECT sets the time limit and takes the snapshot, in one trip with BEGIN.
# https://www.postgresql.org/docs/current/sql-set-transaction.html
_BEGIN = "BEGIN READ ONLY; SELECT set_config('statement_timeout', '{}', true)"
_CLEAN = "ROLLBACK; SELECT pg_advisory_unlock_all()"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Read:
    """What to read: one statement, its parameters, how much of the answer, and how long it may take in PostgreSQL."""

    sql: str
    params: Sequence[Any]
    limits: Limits
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class _Generation:
    """A pool and its gate: a read holds the reader side while it uses the pool, closing takes the writer side."""

    pool: asyncpg.Pool
    gate: RWLock


class _Loan:
    """A pool's connection while one read has it."""

    __slots__ = ("_pool", "_proxy", "connection")

    def __init__(self, pool: Any, proxy: Any) -> None:
        self._pool = pool
        self._proxy = proxy
        self.connection: Connection = proxy.bare

    async def give_back(self) -> None:
        """Clean the connection before anyone else gets it; throw it away where its state is not known for sure."""
        if self.connection.is_closed() or not self.connection.is_in_transaction():
            # Lost; or the statement ended our transaction: it can't have written, but what else it left nobody knows.
            await self.discard()
            return
        try:
            await self.connection.execute(_CLEAN, timeout=CLEAN_TIMEOUT_S)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, this connection is not used again
            if not is_lost(error):
                _log.warning("read_connection_discarded", reason=type(error).__name__)
            self.connection.terminate()
        await self._pool.release(self._proxy)

    async def discard(self) -> None:
        """Throw the connection away; the pool opens another when it is needed."""
        self.connection.terminate()
        await self._pool.release(self._proxy)


class ReadPool:
    """Reads, each on a connection that it alone uses.

    Args:
        target: the database, as a role that need not be able to write.
        size: how many connections at most.
        acquire_timeout_s: how long a read may wait for a connection.
    """

    def __init__(self, target: Target, size: int, acquire_timeout_s: float) -> None:
        self._acquire_timeout_s = acquire_timeout_s
        self._generation = _Generation(target.pool(size), RWLock(fast=True))
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Make the pool usable. Connects nowhere: that happens with the first read."""
        _ = await self._generation.pool

    async def read(self, read: Read) -> Result:
        """Run one read.

        Raises:
            Refusal: for every failure, as the catalogue says.
        """
        loop = asyncio.get_running_loop()
        flight = _Flight(read, loop.create_future())
        # An empty context: the task must not carry the request's context, and so its memory, past the request.
        task = loop.create_task(self._fly(flight), context=contextvars.Context())
        flight.task = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        deadline_s = self._acquire_timeout_s + read.timeout_ms / 1000 + DEADLINE_MARGIN_S
        timer = loop.call_later(deadline_s, flight.expire)
        try:
            return await flight.answer
        except asyncio.CancelledError:
            flight.abandon()
            raise
        finally:
            timer.cancel()

    async def swap(self, target: Target, size: int, acquire_timeout_s: float) -> None:
        """Send new reads to another pool at once, and close the old one when its last read has ended."""
        fresh = _Generation(target.pool(size), RWLock(fast=True))
        _ = await fresh.pool
        old, self._generation = self._generation, fresh
        self._acquire_timeout_s = acquire_timeout_s
        await _close(old)

    async def close(self, timeout_s: float) -> None:
        """Close every connection.

        Running reads may end for up to `timeout_s`; what still runs then is cut off.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await _close(self._generation)
        except TimeoutError:
            self._generation.pool.terminate()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLEAN_TIMEOUT_S)

    async def _fly(self, flight: _Flight) -> None:
        generation = self._generation
        try:
            async with generation.gate.reader_lock:
                loan = await self._borrow(generation.pool, flight)
                try:
                    flight.land(await _run(loan.connection, flight))
                finally:
                    flight.connection = None
                    await loan.give_back()
        except Refusal as error:
            flight.fail(error)
        except Exception as error:  # noqa: BLE001 - a defect is logged and told as such, and stays here
            _log.error("read_crashed", exc_info=error)
            flight.fail(Refusal(Code.INTERNAL, "The read failed by a defect of the gateway."))

    async def _borrow(self, pool: Any, flight: _Flight) -> _Loan:
        """A connection with a sealed read-only transaction open."""
        problem = ""
        for _ in range(BEGIN_ATTEMPTS):
            loan = _Loan(pool, await self._acquire(pool))
            flight.connection = loan.connection
            begin = _BEGIN.format(flight.read.timeout_ms)
            try:
                await loan.connection.execute(begin, timeout=self._acquire_timeout_s)
            except Exception as error:  # noqa: BLE001 - nothing of the caller's was sent: tried again, then told
                problem = connection_problem(error)
                await loan.discard()
            except BaseException:
                await loan.discard()
                raise
            else:
                return loan
        raise _unavailable(problem)

    async def _acquire(self, pool: Any) -> Any:
        try:
            return await pool.acquire(timeout=self._acquire_timeout_s)
        except TimeoutError:
            if pool.get_size() >= pool.get_max_size():
                raise Refusal(
                    Code.POOL_EXHAUSTED,
                    f"No read connection came free within {self._acquire_timeout_s:g} s.",
                    retry_after_s=RETRY_AFTER_S,
                ) from None
            raise _unavailable("no answer in time") from None
        except asyncpg.InterfaceError:
            raise Refusal(Code.SHUTTING_DOWN, "The gateway is stopping and takes no new reads.") from None
        except (OSError, asyncpg.PostgresError, ValueError) as error:
            raise _unavailable(connection_problem(error)) from None


class _Flight:
    """One read under way: its caller awaits `answer`; abandoning it stops it wherever it is."""

    __slots__ = ("answer", "connection", "read", "task")

    def __init__(self, read: Read, answer: asyncio.Future[Result]) -> None:
        self.read = read
        self.answer = answer
        self.connection: Connection | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def abandoned(self) -> bool:
        return self.answer.done()

    def land(self, result: Result) -> None:
        if not self.answer.done():
            self.answer.set_result(result)

    def fail(self, error: Refusal) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)

    def expire(self) -> None:
        if not self.answer.done():
            self.fail(Refusal(Code.DEADLINE_EXCEEDED, "PostgreSQL did not answer within the call's deadline."))
            self.abandon()

    def abandon(self) -> None:
        if self.connection is not None:
            self.connection.interrupt()
        elif self.task is not None:
            self.task.cancel()


async def _run(connection: Connection, flight: _Flight) -> Result:
    read = flight.read
    if flight.abandoned:
        raise Refusal(Code.CANCELLED, "The caller went away before the statement ran.")
    try:
        try:
            return await connection.run(read.sql, read.params, read.limits, cached=True)
        except asyncpg.InvalidCachedStatementError:
            # A schema change elsewhere made the kept statement stale, which failed this transaction.
            connection.forget_statements()
            await connection.execute("ROLLBACK; " + _BEGIN.format(read.timeout_ms))
            return await connection.run(read.sql, read.params, read.limits, cached=False)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, UnicodeError) as error:
        raise refusal(error) from None


async def _close(generation: _Generation) -> None:
    async with generation.gate.writer_lock:
        await generation.pool.close()


def _unavailable(problem: str) -> Refusal:
    return Refusal(
        Code.DATABASE_UNAVAILABLE,
        f"PostgreSQL can't be reached: {problem}.",
        retry_after_s=RETRY_AFTER_S,
    )
