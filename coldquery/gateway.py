"""The gateway: the few verbs that every front door calls.

A front door (MCP over HTTP or stdio, or Python itself) turns a request into one of these calls and renders the answer.
Nothing here knows how it was asked.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from coldquery.errors import Code, Refusal
from coldquery.policy import check_read
from coldquery.postgres.availability import Availability, Up
from coldquery.postgres.connection import Limits, Result
from coldquery.postgres.target import Target
from coldquery.reads import Read, ReadPool
from coldquery.settings import Settings

type Phase = Literal["serving", "draining"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A result, and how long it took from the gateway's side, waiting for a connection included."""

    result: Result
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
        revive: what to do before each attempt to reach a database that is down.

    Use it as `async with Gateway(...) as gateway`, or call `open` and `close`.
    """

    def __init__(self, settings: Settings, reader: Target, revive: Callable[[], Awaitable[None]] | None = None) -> None:
        self.settings = settings
        self.availability = Availability(reader, revive)
        self._reads = ReadPool(reader, settings.read_pool_size, settings.pool_acquire_timeout_s)
        self._phase: Phase = "serving"

    async def open(self) -> None:
        """Try to reach the database once, and go on without it if it does not answer.

        Raises:
            StartError: the database answered that the settings are wrong.
        """
        await self._reads.open()
        await self.availability.start()

    async def read(
        self,
        sql: str,
        params: Sequence[Any] = (),
        *,
        max_rows: int | None = None,
        timeout_ms: int | None = None,
    ) -> Answer:
        """Run one statement where PostgreSQL refuses writes.

        Args:
            sql: exactly one statement.
            params: a JSON value for each of $1, $2, …
            max_rows: how many rows at most; the setting `max_rows` when None.
            timeout_ms: how long PostgreSQL may work on it; the setting `statement_timeout_ms` when None.

        Raises:
            Refusal: for every failure, as the catalogue says.
        """
        started = time.perf_counter()
        if self._phase == "draining":
            raise Refusal(Code.SHUTTING_DOWN, "The gateway is stopping and takes no new work.")
        settings = self.settings
        read = Read(
            sql,
            params,
            Limits(
                max_rows=_within("max_rows", max_rows, settings.max_rows, settings.max_rows_limit),
                max_bytes=settings.max_bytes,
                max_cell_bytes=settings.max_cell_bytes,
            ),
            _within("timeout_ms", timeout_ms, settings.statement_timeout_ms, settings.max_statement_timeout_ms),
        )
        check_read(sql)
        self.availability.require()
        try:
            result = await self._reads.read(read)
        except Refusal as refusal:
            if refusal.code in {Code.DATABASE_UNAVAILABLE, Code.CONNECTION_LOST}:
                self.availability.suspect()
            raise
        return Answer(result, (time.perf_counter() - started) * 1000)

    def health(self) -> Health:
        """What the health pages say."""
        state = self.availability.state
        if isinstance(state, Up):
            return Health(self._phase, "up", f"PostgreSQL {state.version}, {state.database} as {state.role}")
        return Health(self._phase, "down", state.reason)

    async def reload(self, settings: Settings, reader: Target) -> None:
        """Go on with other settings. No read fails by it: those under way end on the connections they have."""
        self.settings = settings
        self.availability.retarget(reader)
        await self._reads.swap(reader, settings.read_pool_size, settings.pool_acquire_timeout_s)

    def drain(self) -> None:
        """Take no new work from now on; what is under way goes on."""
        self._phase = "draining"

    async def close(self) -> None:
        """Drain, let the running reads end for up to `drain_timeout_s`, cancel the rest, and close every connection."""
        self.drain()
        await self.availability.stop()
        await self._reads.close(self.settings.drain_timeout_s)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


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
