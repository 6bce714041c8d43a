"""Progress notifications while a statement of maintenance runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastmcp.server.context import Context
from fastmcp.server.dependencies import get_context

from coldquery.errors import Refusal
from coldquery.gateway import Gateway
from coldquery.postgres.maintenance.progress import Meter

_log = structlog.get_logger(__name__)

# The first soon, so that short work shows too; what is done before that needs no telling.
FIRST_S = 0.2
EVERY_S = 1.0


@asynccontextmanager
async def watched(gateway: Gateway, sql: str, meter: Meter) -> AsyncIterator[None]:
    """Tell the client how far the statement is while the block runs, if it asked for that."""
    context = _listening()
    if context is None:
        yield
        return
    task = asyncio.create_task(_watch(gateway, sql, meter, context), name="progress")
    try:
        yield
    finally:
        # Nothing is awaited here: in a call that was cancelled that would raise.
        task.cancel()


def _listening() -> Context | None:
    """The call's context, if its client wants to hear of progress; None outside a call."""
    try:
        context = get_context()
    except RuntimeError:
        return None
    request = context.request_context
    wanted = request is not None and request.meta is not None and request.meta.get("progressToken") is not None
    return context if wanted else None


async def _watch(gateway: Gateway, sql: str, meter: Meter, context: Context) -> None:
    """Until it is cancelled. A client that can't be told ends it; the database being busy does not."""
    started, pause_s = time.monotonic(), FIRST_S
    while True:
        await asyncio.sleep(pause_s)
        pause_s = EVERY_S
        try:
            rows = await gateway.look("admin_progress", [sql])
            news = meter.read(rows[0] if rows else None, time.monotonic() - started)
            if news is not None:
                await context.report_progress(news.done, news.total, news.message)
        except Refusal:
            continue
        except Exception as error:  # noqa: BLE001 - the work goes on, whatever becomes of its progress
            _log.info("progress_ended", reason=type(error).__name__)
            return
