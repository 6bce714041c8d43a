"""A pool that lends each of its connections to one job at a time.

A job runs in a task of its own, which owns the connection until it is clean again. A caller that goes away, or whose
deadline passes, only abandons the job: its SQL is cancelled in PostgreSQL, and the connection is used again only when
its state is known.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from aiorwlock import RWLock

from coldquery.errors import Code, Refusal
from coldquery.postgres.connection import Connection
from coldquery.postgres.loans import CLEAN_TIMEOUT_S, Cleaner, Generation, Loan
from coldquery.postgres.outcome import DRIVER_ERRORS, RETRY_AFTER_S, unavailable
from coldquery.postgres.target import Target
from coldquery.telemetry.call import CURRENT, Call
from coldquery.telemetry.metrics import POOL_SECONDS, POOL_TIMEOUTS

# A job is safe to begin again: a pooled connection may have died unnoticed while it was idle.
BEGIN_ATTEMPTS = 3
_UNREACHED = "PostgreSQL can't be reached"

_log = structlog.get_logger(__name__)


class Job[T](Cleaner, Protocol):
    """What to do with a connection.

    Attributes:
        time_s: how long it may take once it has a connection.
    """

    @property
    def time_s(self) -> float: ...  # noqa: D102 - see the class

    def overdue(self) -> Refusal | None:
        """What to tell the caller when the time is over; None if the job will soon tell by itself."""
        ...

    def opening(self, connection: Connection) -> str | None:
        """The gateway's own first words, if any. Nothing of the caller's, so that they can be said again elsewhere."""
        ...

    async def run(self, connection: Connection, wanted: Callable[[], bool]) -> T:
        """Do it. `wanted` tells whether anybody still waits for the answer.

        Raises:
            Refusal: for every failure that the caller can meet.
        """
        ...


@dataclass(frozen=True, slots=True)
class PoolStanding:
    """How a pool stands: its connections with a job, those without, how many there may be, and who waits for one."""

    used: int
    idle: int
    limit: int
    waiting: int


class Pool:
    """Jobs, each on a connection that it alone uses.

    Args:
        target: the database and the role.
        size: how many connections at most.
        acquire_timeout_s: how long a job may wait for a connection.
        name: what metrics call it.
    """

    def __init__(self, target: Target, size: int, acquire_timeout_s: float, name: str = "read") -> None:
        self._acquire_timeout_s = acquire_timeout_s
        self._name = name
        self._wait_seconds = POOL_SECONDS.labels(name)
        self._generation = Generation(target.pool(size), RWLock(fast=True))
        self._tasks: set[asyncio.Task[None]] = set()
        # Those that were swapped out, and still have a job.
        self._closing: set[Generation] = set()
        self._closed = False

    async def open(self) -> None:
        """Make the pool usable. Connects nowhere: that happens with the first job."""
        _ = await self._generation.pool

    async def run[T](self, job: Job[T]) -> T:
        """Run one job.

        Raises:
            Refusal: for every failure, as the catalogue says.
        """
        loop = asyncio.get_running_loop()
        flight: _Flight[T] = _Flight(job, loop.create_future(), CURRENT.get())
        # An empty context: the task must not carry the request's context, and so its memory, past the request. At once:
        # to come round again first would cost it a turn of the loop.
        task = asyncio.Task(self._fly(flight), loop=loop, context=contextvars.Context(), eager_start=True)
        flight.task = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        time_s = self._acquire_timeout_s + job.time_s
        timer = loop.call_later(time_s, flight.expire, context=contextvars.Context())
        try:
            return await flight.answer
        except asyncio.CancelledError:
            # Else it came in the same turn as the answer, and the job has ended.
            if flight.answer.cancelled():
                flight.abandon()
            raise
        finally:
            timer.cancel()

    def standing(self) -> PoolStanding:
        """How it stands now."""
        generation = self._generation
        pool = generation.pool
        idle = pool.get_idle_size() + len(generation.warm)
        return PoolStanding(generation.lent, idle, pool.get_max_size(), generation.waiting)

    async def swap(self, target: Target, size: int, acquire_timeout_s: float) -> None:
        """Send new jobs to another pool at once, and close the old one when its last job has ended."""
        fresh = Generation(target.pool(size), RWLock(fast=True))
        _ = await fresh.pool
        if self._closed:
            await fresh.pool.close()
            return
        old, self._generation = self._generation, fresh
        self._acquire_timeout_s = acquire_timeout_s
        await self._close(old)

    async def close(self, timeout_s: float) -> None:
        """Close every connection.

        Running jobs may end for up to `timeout_s`; what still runs then is cut off.
        """
        self._closed = True
        generations = {self._generation, *self._closing}
        closing = [asyncio.ensure_future(self._close(each)) for each in generations]
        _, late = await asyncio.wait(closing, timeout=timeout_s)
        if late:
            for each in generations:
                each.pool.terminate()
            await asyncio.wait(late, timeout=CLEAN_TIMEOUT_S)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLEAN_TIMEOUT_S)

    async def _close(self, generation: Generation) -> None:
        self._closing.add(generation)
        try:
            async with generation.gate.writer_lock:
                await generation.close()
        finally:
            self._closing.discard(generation)

    async def _fly(self, flight: _Flight[Any]) -> None:
        generation = self._generation
        try:
            async with generation.gate.reader_lock:
                loan = await self._borrow(generation, flight)
                try:
                    flight.land(await flight.job.run(loan.connection, flight.is_wanted))
                except Refusal as error:
                    # The caller has it before the connection is cleaned.
                    flight.fail(error)
                finally:
                    flight.connection = None
                    loan.connection.call = None
                    await loan.give_back(flight.job, warm=generation is self._generation and not self._closed)
        except Refusal as error:
            flight.fail(error)
        except Exception as error:  # noqa: BLE001 - a defect is logged and told as such, and stays here
            _log.error("job_crashed", job=type(flight.job).__name__, exc_info=error)
            flight.fail(Refusal(Code.INTERNAL, "The call failed by a defect of the gateway."))

    async def _borrow(self, generation: Generation, flight: _Flight[Any]) -> Loan:
        """A connection on which the job has begun."""
        problem: Exception | str = ""
        for _ in range(BEGIN_ATTEMPTS):
            if (loan := generation.take_warm()) is None:
                loan = await self._wait(generation, flight.call)
            else:
                self._wait_seconds.observe(0.0)
            flight.connection = loan.connection
            loan.connection.call = flight.call
            loan.connection.cleaned = False
            try:
                if (opening := flight.job.opening(loan.connection)) is not None:
                    with loan.connection.cut_after(self._acquire_timeout_s):
                        await loan.connection.execute(opening)
                if loan.connection.is_closed():
                    raise ConnectionResetError  # noqa: TRY301 - as if it had been noticed a moment before
            except BaseException as error:
                flight.connection = None
                await loan.discard()
                if not isinstance(error, Exception):
                    raise
                # Nothing of the caller's was sent: tried again, then told.
                problem = error
            else:
                return loan
        raise unavailable(_UNREACHED, problem)

    async def _wait(self, generation: Generation, call: Call | None) -> Loan:
        began = time.perf_counter()
        try:
            return await generation.borrow(self._acquire_timeout_s)
        except TimeoutError:
            if generation.lent >= (size := generation.pool.get_max_size()):
                POOL_TIMEOUTS.labels(self._name).inc()
                raise Refusal(
                    Code.POOL_EXHAUSTED,
                    f"None of the {size} connections for this came free within {self._acquire_timeout_s:g} s.",
                    retry_after_s=RETRY_AFTER_S,
                ) from None
            raise unavailable(_UNREACHED, "no answer in time") from None
        except DRIVER_ERRORS as error:
            if self._closed:
                raise Refusal(Code.SHUTTING_DOWN, "The gateway is stopping and takes no new work.") from None
            raise unavailable(_UNREACHED, error) from None
        finally:
            waited_s = time.perf_counter() - began
            self._wait_seconds.observe(waited_s)
            if call is not None:
                call.waited("connection", waited_s)


class _Flight[T]:
    """One job under way: its caller awaits `answer`; abandoning it stops it wherever it is."""

    __slots__ = ("answer", "call", "connection", "job", "task")

    def __init__(self, job: Job[T], answer: asyncio.Future[T], call: Call | None) -> None:
        self.job = job
        self.answer = answer
        self.call = call
        self.connection: Connection | None = None
        self.task: asyncio.Task[None] | None = None

    def is_wanted(self) -> bool:
        return not self.answer.done()

    def land(self, result: T) -> None:
        if self.is_wanted():
            self.answer.set_result(result)

    def fail(self, error: Refusal) -> None:
        if self.is_wanted():
            self.answer.set_exception(error)

    def expire(self) -> None:
        if self.is_wanted() and (overdue := self.job.overdue()) is not None:
            self.fail(overdue)
            self.abandon()

    def abandon(self) -> None:
        if self.connection is not None:
            self.connection.interrupt()
        elif self.task is not None:
            self.task.cancel()
