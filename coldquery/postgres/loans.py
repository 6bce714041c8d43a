"""Connections of a pool while jobs have them, and while they wait, clean, for the next job."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Protocol

import asyncpg
import structlog
from aiorwlock import RWLock

from coldquery.postgres.connection import Connection
from coldquery.postgres.outcome import DRIVER_ERRORS, is_lost

CLEAN_TIMEOUT_S = 5.0
WARM_S = 10.0

_log = structlog.get_logger(__name__)


class Cleaner(Protocol):
    """Whoever had a connection, and knows how to clean it."""

    async def clean(self, connection: Connection) -> bool:
        """Make the connection fit for the next job. Returns False, or raises, where it must be thrown away."""
        ...


@dataclass(slots=True, eq=False)
class Generation:
    """A pool and its gate: a job holds the reader side while it uses the pool, closing takes the writer side.

    What is clean and has no job is kept back from the pool, since to take a connection from there, and to give it back,
    costs more than all else that is done here for a read. For the same reason jobs wait here, and not there.

    Attributes:
        lent: how many of its connections jobs have now, those included that are cut off already.
        opening: how many jobs are promised a connection by the pool, which may have to open it.
        queue: the jobs that wait until one is given back; None tells one to look again.
        warm: what is clean and has no job, the last used at the end.
        cooling: looks for what has been warm for too long.
    """

    pool: asyncpg.Pool
    gate: RWLock
    lent: int = 0
    opening: int = 0
    queue: deque[asyncio.Future[Loan | None]] = field(default_factory=deque)
    warm: deque[Loan] = field(default_factory=deque)
    cooling: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many jobs wait for a connection."""
        return self.opening + len(self.queue)

    def take_warm(self) -> Loan | None:
        """A connection that was clean a moment ago, if there is one."""
        while self.warm:
            loan = self.warm.pop()
            if not loan.connection.is_closed():
                self.lent += 1
                return loan
            # So that the pool hears of it for sure.
            loan.connection.terminate()
        return None

    async def borrow(self, timeout_s: float) -> Loan:
        """A connection that is given back, or another one where there may be more.

        Raises:
            TimeoutError: none came in time.
            asyncpg.PostgresError, asyncpg.InterfaceError, OSError: the pool could not open one.
        """
        again = False
        async with asyncio.timeout(timeout_s):
            while self.lent + self.opening >= self.pool.get_max_size():
                if (loan := await self._next_given_back(again=again) or self.take_warm()) is not None:
                    return loan
                again = True
            # Now none is warm, so that the pool has not more to give than it may.
            self.opening += 1
            try:
                return Loan(self, await self.pool.acquire())
            finally:
                self.opening -= 1
                self.look_again()

    async def _next_given_back(self, *, again: bool) -> Loan | None:
        waiter: asyncio.Future[Loan | None] = asyncio.get_running_loop().create_future()
        # Who was told to look and found nothing has its place back.
        (self.queue.appendleft if again else self.queue.append)(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter in self.queue:
                self.queue.remove(waiter)
            elif not waiter.cancelled() and not self.hand_on(given := waiter.result()) and given is not None:
                # It came just as it was not wanted any more.
                self.lent -= 1
                self.keep_warm(given)
            raise

    def look_again(self) -> None:
        """Have a job that waits look whether there may be another connection now."""
        if self.queue and self.lent + self.opening < self.pool.get_max_size():
            self.hand_on(None)

    def hand_on(self, loan: Loan | None) -> bool:
        """Give a clean connection, or word that there may be another, to the job that has waited longest, if any."""
        while self.queue:
            waiter = self.queue.popleft()
            if not waiter.done():
                waiter.set_result(loan)
                return True
        return False

    def keep_warm(self, loan: Loan) -> None:
        """Have a clean connection ready for the next job."""
        loan.idle_since = time.monotonic()
        self.warm.append(loan)
        if self.cooling is None or self.cooling.done():
            self.cooling = asyncio.get_running_loop().create_task(self._cool())

    async def _cool(self) -> None:
        """Give back to the pool what nobody has used for a while; there it is closed after a longer one."""
        while self.warm:
            await asyncio.sleep(WARM_S)
            while self.warm and self.warm[0].idle_since < time.monotonic() - WARM_S:
                await self.warm.popleft().release()

    async def close(self) -> None:
        """Close all connections, which no job has any more."""
        if self.cooling is not None:
            self.cooling.cancel()
        while self.warm:
            await self.warm.pop().release()
        await self.pool.close()


class Loan:
    """A pool's connection while jobs have it, one after the other."""

    __slots__ = ("_generation", "_proxy", "connection", "idle_since")

    def __init__(self, generation: Generation, proxy: Any) -> None:
        generation.lent += 1
        self._generation = generation
        self._proxy = proxy
        self.connection: Connection = proxy.bare
        self.idle_since = 0.0

    async def give_back(self, job: Cleaner, *, warm: bool) -> None:
        """Clean the connection before anyone else gets it; throw it away where its state is not known for sure.

        Args:
            job: that had it.
            warm: whether it may be kept ready for the next job.
        """
        connection, generation = self.connection, self._generation
        clean = connection.cleaned and not connection.is_closed()
        try:
            if not clean:
                with connection.cut_after(CLEAN_TIMEOUT_S):
                    clean = not connection.is_closed() and await job.clean(connection)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, this connection is not used again
            if not is_lost(error):
                _log.warning("connection_discarded", reason=type(error).__name__)
        finally:
            if not (clean and generation.hand_on(self)):
                generation.lent -= 1
                if clean and warm:
                    generation.keep_warm(self)
                else:
                    if not clean:
                        connection.terminate()
                    await self.release()

    async def discard(self) -> None:
        """Throw the connection away; the pool opens another when it is needed."""
        self._generation.lent -= 1
        self.connection.terminate()
        await self.release()

    async def release(self) -> None:
        """Give it back to the pool, which has let go of it already if it broke."""
        try:
            # It may have served so often that the pool closes it, and its server may have gone silent.
            await self._generation.pool.release(self._proxy, timeout=CLEAN_TIMEOUT_S)
        except DRIVER_ERRORS as error:
            _log.warning("connection_discarded", reason=type(error).__name__)
            self.connection.terminate()
        finally:
            self._generation.look_again()
