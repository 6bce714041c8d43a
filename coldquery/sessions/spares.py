"""Connections opened ahead, so that a session need not wait for one. Each is given away once and never taken back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import structlog

from coldquery.postgres.backoff import Backoff
from coldquery.postgres.connection import Connection
from coldquery.postgres.outcome import DRIVER_ERRORS, connection_problem
from coldquery.postgres.target import Target

REFILL_DELAY_S = 0.01
BACKOFF_FIRST_S = 0.5
BACKOFF_LIMIT_S = 30.0

_log = structlog.get_logger(__name__)


class Spares:
    """Holds up to `size` idle connections to a target.

    Without `run` there are no spares, and every session opens its own connection.

    Args:
        target: the database, as a role that can write.
        settings: by which PostgreSQL holds a session's limits by itself.
        tag: what their names begin with.
        size: how many to hold; 0 for none.
    """

    def __init__(self, target: Target, settings: Mapping[str, str], tag: str, size: int) -> None:
        self._settings = settings
        self._tag = tag
        self._size = size
        self._idle: deque[Connection] = deque()
        self._wanted = asyncio.Event()
        self._wanted.set()
        self.retarget(target)

    def retarget(self, target: Target) -> None:
        """Open connections so from now on, and throw away those that were opened otherwise."""
        self.target = replace(
            target, application_name=f"{self._tag}/spare", settings={**target.settings, **self._settings}
        )
        self._discard()

    def take(self) -> Connection | None:
        """A connection that was open a moment ago, now the caller's alone; None if there is none. Then `refill`."""
        while self._idle:
            connection = self._idle.popleft()
            connection.remove_termination_listener(self._broke)
            if not connection.is_closed():
                return connection
        return None

    def refill(self) -> None:
        """Have another opened in place of one that was taken."""
        self._wanted.set()

    async def run(self) -> None:
        """Keep the number up, for ever; cancel it to close them."""
        backoff = Backoff(BACKOFF_FIRST_S, BACKOFF_LIMIT_S)
        try:
            while True:
                await self._wanted.wait()
                # Connecting takes the loop for a while: whoever has taken a spare gets its answer before.
                await asyncio.sleep(REFILL_DELAY_S)
                self._wanted.clear()
                try:
                    await self._fill()
                except DRIVER_ERRORS as error:
                    _log.debug("no_spare_connection", reason=connection_problem(error))
                    await asyncio.sleep(backoff.pause_s())
                    self._wanted.set()
                else:
                    backoff.reset()
        finally:
            self._discard()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._idle)

    async def _fill(self) -> None:
        while len(self._idle) < self._size:
            target = self.target
            connection = await target.connect()
            if target is not self.target or connection.is_closed():
                connection.terminate()
                continue
            connection.add_termination_listener(self._broke)
            self._idle.append(connection)

    def _broke(self, connection: object) -> None:
        with suppress(ValueError):
            self._idle.remove(connection)  # type: ignore[arg-type]  # asyncpg hands over its base class
        self._wanted.set()

    def _discard(self) -> None:
        while self._idle:
            connection = self._idle.popleft()
            connection.remove_termination_listener(self._broke)
            connection.terminate()
        self._wanted.set()
