"""Maintenance through the gateway: run it, tell how far it is, and what it has changed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from coldquery.errors import Code, Refusal
from coldquery.gateway import Answer
from coldquery.mcp.admin_subject import INDEXES, Asking, find_relation
from coldquery.mcp.watching import watched
from coldquery.postgres.answer import Notices, Result
from coldquery.postgres.maintenance.progress import Meter
from coldquery.postgres.maintenance.statements import Maintenance, Subject
from coldquery.postgres.maintenance.summary import compared, summary
from coldquery.sessions.commands import Query
from coldquery.sessions.replies import Ran

type Figures = Mapping[str, Any]

_SKIPPED = "Ask the operator: the owner of the table may, and from PostgreSQL 17 on a role with MAINTAIN on it."
# How PostgreSQL's warnings begin to name one of its own tables, in whatever language.
_SYSTEMS = '"pg_'
_AGAIN = {
    Code.LOCK_TIMEOUT: "Call again when nobody holds the table; pg_monitor locks shows who does.",
    Code.STATEMENT_TIMEOUT: "Call again with a larger `timeout_ms`, or when the server is less busy.",
}


async def maintain(asking: Asking, work: Maintenance, timeout_ms: int | None) -> dict[str, Any]:
    """Run it without a session.

    Raises:
        Refusal: as `Gateway.write`; and where PostgreSQL passed over the table for lack of a right.
    """
    gateway = asking.gateway
    if timeout_ms is None:
        timeout_ms = gateway.settings.max_statement_timeout_ms
    before = await _figures(asking, work.subject)
    try:
        async with watched(gateway, work.sql, Meter(work.is_of_one)):
            answer = await gateway.write(work.sql, timeout_ms=timeout_ms)
    except Refusal as refusal:
        _tell_what_to_do(refusal)
        await _tell_left_behind(asking, work, refusal)
        raise
    result = answer.result if isinstance(answer, Answer) else answer.results[0]
    after = await _figures(asking, await _afterwards(asking, work))
    if before is not None and after is not None:
        _check_done(work, result.notices, before, after)
    return _body(work, result, before, after, answer.duration_ms)


async def maintain_in_session(asking: Asking, work: Maintenance, timeout_ms: int | None) -> dict[str, Any]:
    """Run it as a part of the session's transaction. Only ANALYZE can be that.

    Raises:
        Refusal: as `Gateway.ask`.
    """
    gateway = asking.gateway
    assert asking.caller is not None  # noqa: S101 - there is one, where there is a session
    assert asking.session_id is not None  # noqa: S101 - see the name
    started = time.perf_counter()
    query = Query(
        sql=work.sql, access="write", limits=gateway.limits(None), timeout_ms=gateway.time_limit_ms(timeout_ms)
    )
    reply = await gateway.ask(asking.caller, asking.session_id, query)
    assert isinstance(reply, Ran)  # noqa: S101 - the answer to a query
    body = _body(work, reply.result, None, None, (time.perf_counter() - started) * 1000)
    return {**body, "session": reply.echo.to_dict()}


def _body(
    work: Maintenance, result: Result, before: Figures | None, after: Figures | None, duration_ms: float
) -> dict[str, Any]:
    body: dict[str, Any] = {"action": work.verb, "command": work.sql}
    if work.subject.what != "database":
        body[work.subject.what] = work.subject.name
    if before is not None and after is not None:
        body["summary"] = summary(work, before, after)
        body.update(compared(work, before, after))
    if notices := _worth_telling(work, result.notices):
        body.update(notices.to_dict())
    return {**body, "duration_ms": round(duration_ms, 2)}


async def _afterwards(asking: Asking, work: Maintenance) -> Subject:
    """The subject as it is now: REINDEX CONCURRENTLY puts another index into the place of the old one."""
    if work.subject.what != "index" or not work.concurrently:
        return work.subject
    with suppress(Refusal):
        return await find_relation(asking, "index", work.subject.name, None, INDEXES)
    return work.subject


async def _figures(asking: Asking, subject: Subject) -> Figures | None:
    """None where they can't be had, as while somebody has locked the table: the work itself will tell."""
    with suppress(Refusal):
        (row,) = await asking.look("admin_figures", [subject.what, subject.oid or 0])
        return row
    return None


def _check_done(work: Maintenance, notices: Notices | None, before: Figures, after: Figures) -> None:
    warnings = [each.message for each in notices.kept if each.severity == "WARNING"] if notices else []
    if warnings and not work.took_place(before, after):
        raise Refusal(Code.PERMISSION_DENIED, f"Nothing was done. PostgreSQL says: {warnings[0]}.", next=_SKIPPED)


def _worth_telling(work: Maintenance, notices: Notices | None) -> Notices | None:
    """Without the warnings that come with any whole database: the server's own tables are not the role's."""
    if notices is None or work.subject.what != "database":
        return notices
    kept = [each for each in notices.kept if not (each.severity == "WARNING" and _SYSTEMS in each.message)]
    return Notices(kept, notices.left_out) if kept else None


def _tell_what_to_do(refusal: Refusal) -> None:
    """Maintenance is safe to repeat, other than what else may run outside a transaction block."""
    if step := _AGAIN.get(refusal.code):
        refusal.next, refusal.retryable = step, True


async def _tell_left_behind(asking: Asking, work: Maintenance, refusal: Refusal) -> None:
    """Name the invalid indexes that a REINDEX CONCURRENTLY leaves when it fails."""
    if not work.concurrently:
        return
    with suppress(Refusal):
        names = [
            row["name"] for row in await asking.look("admin_invalid_indexes", [work.subject.what, work.subject.oid])
        ]
        if names:
            refusal.next = (
                f"It left invalid: {', '.join(names)}. Drop each with DROP INDEX CONCURRENTLY by pg_query write with "
                "autocommit=true, then call again."
            )
