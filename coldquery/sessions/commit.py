"""What became of a COMMIT whose answer was lost: PostgreSQL knows, and is asked on another connection."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from coldquery.postgres.connection import Backend, Connection
from coldquery.postgres.outcome import DRIVER_ERRORS
from coldquery.postgres.target import Target
from coldquery.sessions.replies import Outcome

# https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
_STATUS = "SELECT pg_xact_status($1::text::xid8)"
TERMINATE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = $1 AND (extract(epoch FROM backend_start) * 1000000)::bigint = $2
"""

POLL_S = 0.05
ASK_TIMEOUT_S = 2.0
# A COMMIT that is on its way gets so long to arrive before its backend is terminated, which settles the question.
PATIENCE_S = 0.5


async def settle(target: Target, xid: str, backend: Backend, timeout_s: float) -> Outcome:
    """Whether the transaction was committed, asked until PostgreSQL is back and sure, or the time is over.

    While it is still in progress, and its backend is alive, that is ours to terminate: nobody is left to tell it how to
    go on.
    """
    inquiry = _Inquiry(target, xid, backend)
    try:
        async with asyncio.timeout(timeout_s):
            return await inquiry.answer()
    except TimeoutError:
        return Outcome.UNKNOWN
    finally:
        inquiry.close()


class _Inquiry:
    def __init__(self, target: Target, xid: str, backend: Backend) -> None:
        # Not under the session's own name, by which the reaper knows its backend.
        name = f"{target.application_name.rpartition('/')[0]}/settle"
        timeout_s = min(target.connect_timeout_s, ASK_TIMEOUT_S)
        self._target = replace(target, application_name=name, connect_timeout_s=timeout_s)
        self._xid = xid
        self._backend = backend
        self._connection: Connection | None = None
        self._patient_until = asyncio.get_running_loop().time() + PATIENCE_S

    async def answer(self) -> Outcome:
        while True:
            try:
                status = await self._ask()
            except DRIVER_ERRORS:
                # The database is away, or restarts, or is full: it is asked again until the caller's time is over.
                self.close()
                status = "in progress"
            match status:
                case "committed":
                    return Outcome.COMMITTED
                case "aborted":
                    return Outcome.ROLLED_BACK
                case None:
                    return Outcome.UNKNOWN
            await asyncio.sleep(POLL_S)

    async def _ask(self) -> str | None:
        if self._connection is None:
            self._connection = await self._target.connect()
        status: str | None = await self._connection.fetchval(_STATUS, self._xid, timeout=ASK_TIMEOUT_S)
        if status == "in progress" and asyncio.get_running_loop().time() > self._patient_until:
            backend = self._backend
            await self._connection.fetch(TERMINATE, backend.pid, backend.started_us, timeout=ASK_TIMEOUT_S)
        return status

    def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
