"""A gateway before a victim, and the two ways to attack through it: a read of its own, and a read in a session."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

from coldquery.errors import Code, Refusal
from coldquery.gateway import Caller, Gateway
from coldquery.postgres.answer import Limits, Result
from coldquery.sessions import Begin
from coldquery.sessions.commands import Explain, Query, Rollback
from coldquery.sessions.replies import Ran
from tests.wall.entries import RUNS, TIMEOUT_MS, Verdict
from tests.wall.victim import CLEAN, Victim, changed

_LIMITS = Limits(max_rows=1000, max_bytes=1 << 20, max_cell_bytes=1 << 16)
_ANN = Caller("ann")
# Beside what the next borrower of any connection can see: what the transaction has done so far, and its id.
_SESSION = f"""{CLEAN},
    (SELECT array_agg(line) FROM audit) AS lines, pg_catalog.pg_current_xact_id_if_assigned()::text AS xid
"""
_CALL_S = 30


@dataclass(slots=True)
class Attacker:
    """Whoever may send reads, and no more than reads."""

    gateway: Gateway
    victim: Victim
    _clean: dict[str, Any] = field(default_factory=dict)
    _session: str = ""
    _held: dict[str, Any] = field(default_factory=dict)

    async def read(self, sql: str, params: tuple[Any, ...] = (), timeout_ms: int = TIMEOUT_MS) -> Result:
        async with asyncio.timeout(_CALL_S):
            return (await self.gateway.read(sql, params, timeout_ms=timeout_ms)).result

    async def explain(self, sql: str, params: tuple[Any, ...] = (), timeout_ms: int = TIMEOUT_MS) -> Result:
        """Explain and run, without a session."""
        explained = Explain(sql=sql, params=params, analyze=True, limits=self.gateway.limits(), timeout_ms=timeout_ms)
        async with asyncio.timeout(_CALL_S):
            return (await self.gateway.explain(explained)).result

    async def read_in_session(self, sql: str, params: tuple[Any, ...] = (), timeout_ms: int = TIMEOUT_MS) -> Result:
        """Read in the session, which is opened when there is none, and in which something has been done."""
        if not self._session:
            self._session = (await self.gateway.begin(_ANN, Begin())).id
            await self._ask("INSERT INTO audit VALUES ('in a session')", (), "write")
            await self._ask("SELECT * FROM place FOR UPDATE", (), "write")
            self._held = await self._session_state()
        return await self._ask(sql, params, "read", timeout_ms)

    async def remember(self) -> None:
        """Take how everything is now for right."""
        await self.victim.remember()
        self._clean = _row(await self.read(CLEAN))

    async def require_untouched(self) -> None:
        """Fail if anything of the former read meets the next one, or if anything else was touched by it."""
        try:
            changes = changed(self._clean, _row(await self._next_borrower()))
            assert not changes, changes
            await self.victim.require_untouched()
        except BaseException:
            await self._start_over()
            raise

    async def require_same_session(self) -> None:
        """Fail if the session is not as it was before the last read in it, or if anything else was touched."""
        try:
            changes = changed(self._held, await self._session_state())
            assert not changes, changes
            await self.victim.require_untouched()
        except BaseException:
            await verdict(self.gateway.ask(_ANN, self._session, Rollback()))
            self._session = ""
            await self._start_over()
            raise

    async def _next_borrower(self) -> Result:
        """What the next read finds. It may have to wait until the former one's connection has been cut off."""
        async with asyncio.timeout(_CALL_S):
            while True:
                try:
                    return await self.read(CLEAN)
                except Refusal as refusal:
                    if refusal.code not in {Code.POOL_EXHAUSTED, Code.DATABASE_UNAVAILABLE}:
                        raise
                    await asyncio.sleep(0.05)

    async def _start_over(self) -> None:
        """Whatever has failed, the next entry is not to blame for it."""
        await self.victim.cut_readers()
        async with asyncio.timeout(_CALL_S):
            while (await verdict(self.read("SELECT 1")))[0] != RUNS:
                await asyncio.sleep(0.05)
        await self.remember()

    async def _session_state(self) -> dict[str, Any]:
        """How the session's transaction looks to its next write."""
        return _row(await self._ask(_SESSION, (), "write"))

    async def _ask(self, sql: str, params: tuple[Any, ...], access: str, timeout_ms: int = TIMEOUT_MS) -> Result:
        asked = {"sql": sql, "params": params, "access": access, "limits": _LIMITS, "timeout_ms": timeout_ms}
        async with asyncio.timeout(_CALL_S):
            ran = await self.gateway.ask(_ANN, self._session, Query.model_validate(asked))
        assert isinstance(ran, Ran)
        return ran.result


async def verdict(call: Awaitable[Any]) -> tuple[Verdict, Refusal | None]:
    """What a call was answered with: a code and the whole refusal, or that it ran."""
    try:
        await call
    except Refusal as refusal:
        return refusal.code, refusal
    return RUNS, None


def _row(result: Result) -> dict[str, Any]:
    (row,) = result.rows
    return dict(zip((each.name for each in result.columns), row, strict=True))
