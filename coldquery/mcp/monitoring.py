"""What the server does and how it is: asks the catalog's questions, and shapes the answers for pg_monitor."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Sequence
from typing import Any, Literal

from coldquery.errors import Code, Refusal
from coldquery.gateway import Gateway
from coldquery.postgres.catalog import question, records
from coldquery.postgres.monitor import health, loads
from coldquery.postgres.monitor.backends import OTHERS_HIDDEN, Own, Sessions, backend
from coldquery.postgres.monitor.locks import blocking

type OrderBy = Literal["total", "mean", "calls", "rows", "io"]

# Health must be told when the server is at its worst, too: better without some checks than late.
HEALTH_TIMEOUT_S = 5.0

_NO_STATISTICS = "pg_stat_statements, which counts what statements cost, is not "
_PRELOAD = "add pg_stat_statements to shared_preload_libraries and restart PostgreSQL"
_CREATE = "as a superuser, run CREATE EXTENSION pg_stat_statements in this database"


class Monitor:
    """Asks on behalf of one principal, whose own sessions are told from others'."""

    def __init__(self, gateway: Gateway, principal: str) -> None:
        self._gateway = gateway
        self._principal = principal

    async def health(self, checks: Sequence[str] | None = None) -> dict[str, Any]:
        """All checks, or those named.

        Raises:
            Refusal: there is no such check, or no question was answered.
        """
        wanted = tuple(checks or health.CHECKS)
        if unknown := [each for each in wanted if each not in health.CHECKS]:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                f"There is no check {_quoted(unknown[0])}.{_near(unknown[0], tuple(health.CHECKS))}",
                next=f"The checks are: {', '.join(health.CHECKS)}.",
            )
        names = health.questions(wanted)
        asked = await asyncio.gather(*map(self._row_or_reason, names))
        answers = dict(zip(names, asked, strict=True))
        reasons = [each for each in asked if isinstance(each, Refusal)]
        if len(reasons) == len(asked):
            raise reasons[0]
        body = health.judge(
            wanted, {name: str(each) if isinstance(each, Refusal) else each for name, each in answers.items()}
        )
        server = answers.get("health_server")
        if isinstance(server, dict):
            for each in body["checks"]:
                each.update({"items": [self._marked(item) for item in each["items"]]} if "items" in each else {})
            if not server["sees_all"]:
                body["note"] = OTHERS_HIDDEN
        return body

    async def activity(self, database: str | None, limit: int, *, include_idle: bool) -> dict[str, Any]:
        """What the backends of a database do, the oldest transaction first.

        Raises:
            Refusal: there is no such database.
        """
        if database is not None:
            await self._database(database)
        rows = await self._gateway.look("monitor_activity", [database, include_idle, limit])
        sessions = self._sessions()
        found = rows[0]["found"] if rows else 0
        body: dict[str, Any] = {"backends": [backend(each, sessions) for each in rows]}
        if found > len(rows):
            body["left_out"] = found - len(rows)
        return _noted(body, rows)

    async def connections(self, limit: int) -> dict[str, Any]:
        """How many connections there are, and whose."""
        (row,) = await self._gateway.look("monitor_connections")
        body = loads.connections(row, limit)
        return {**body, "note": OTHERS_HIDDEN} if row["hidden"] else body

    async def locks(self) -> dict[str, Any]:
        """Who waits for whom."""
        rows = await self._gateway.look("monitor_locks")
        return _noted(blocking(rows, self._sessions()), rows)

    async def size(self, database: str | None, schema: str | None, limit: int) -> dict[str, Any]:
        """The database's size, and those of its largest schemas and tables; of another database, the whole only.

        Raises:
            Refusal: there is no such database or schema.
        """
        if database is not None and not (other := await self._database(database))["connected"]:
            if schema is not None:
                raise Refusal(
                    Code.INVALID_ARGUMENT,
                    f"The schemas of {_quoted(database)} can't be seen from here: the gateway is not connected to it.",
                    next="Leave `database` or `schema` out.",
                )
            return loads.other_database(other)
        (row,) = await self._gateway.look("monitor_size", [schema, limit])
        if schema is not None and not row["is_schema"]:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                f"There is no schema {_quoted(schema)}.",
                next="Leave `schema` out to see which there are.",
            )
        return loads.sizes(row, schema)

    async def slow_queries(self, order_by: OrderBy, limit: int) -> dict[str, Any]:
        """The statements that cost most, or how to have them counted."""
        (about,) = await self._gateway.look("monitor_statistics")
        if about["schema"] is None or not about["loaded"]:
            step = _CREATE if about["loaded"] else _PRELOAD if about["schema"] else f"{_PRELOAD}; then, {_CREATE}"
            missing = "in this database." if about["loaded"] else "loaded."
            return {"available": False, "why": _NO_STATISTICS + missing, "next": f"{step[0].upper()}{step[1:]}."}
        schema = '"' + about["schema"].replace('"', '""') + '"'
        sql = question("monitor_statements").replace("public.", f"{schema}.")
        rows = records((await self._gateway.read(sql, [order_by, limit])).result)
        body: dict[str, Any] = {"order_by": order_by, "statements": loads.statements(rows)}
        if rows:
            body["since"] = rows[0]["since"]
        if rows and rows[0]["forgotten"]:
            body["forgotten"] = rows[0]["forgotten"]
        return body if about["sees_all"] else {**body, "note": OTHERS_HIDDEN}

    async def progress(self) -> dict[str, Any]:
        """Which maintenance runs, and how far it is."""
        rows = await self._gateway.look("monitor_progress")
        sessions = self._sessions()
        return _noted({"running": [loads.running(each, sessions) for each in rows]}, rows)

    def _sessions(self) -> Sessions:
        found = {}
        for each in self._gateway.sessions():
            if each.backend_pid is not None:
                yours = each.principal == self._principal
                found[each.backend_pid] = Own(each.short_id, each.label if yours else None, yours)
        return found

    def _marked(self, item: dict[str, Any]) -> dict[str, Any]:
        return loads.marked(item, self._sessions()) if "pid" in item else item

    async def _database(self, name: str) -> dict[str, Any]:
        rows = await self._gateway.look("monitor_databases", [name])
        names = [each["name"] for each in rows]
        if name not in names:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                f"There is no database {_quoted(name)}.{_near(name, names)}",
                next="Leave `database` out for the connected one.",
            )
        return rows[names.index(name)]

    async def _row_or_reason(self, name: str) -> dict[str, Any] | Refusal:
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT_S):
                (row,) = await self._gateway.look(name)
        except Refusal as refusal:
            return refusal
        except TimeoutError:
            return Refusal(Code.DEADLINE_EXCEEDED, f"PostgreSQL did not answer within {HEALTH_TIMEOUT_S:g} s.")
        return row


def _noted(body: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {**body, "note": OTHERS_HIDDEN} if any(each["hidden"] for each in rows) else body


def _near(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f" There is {_quoted(near[0])}." if near else ""


def _quoted(name: str) -> str:
    return f"`{name[:63]}`"
