"""Agents as they are: who read, who hold transactions, who walk away from them, who are cut off in the middle.

Each row that one of them inserts has a number of its own, so that in the end it can be told which must be in the table,
which must not, and of which nobody could know.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2

from ops.bench.replies import text
from ops.bench.wire import META, MODERN

PATIENCE_S = 60
# Around what a call takes, so that cuts hit it before, during and after its work.
CUT_BEFORE_S = 0.03


@dataclass
class Ledger:
    """What must be true of the table.

    Attributes:
        committed: rows whose commit was reported.
        doubtful: rows of commits whose answer never came, and of which the gateway could not tell more.
        told: how calls ended, by their code.
        times: of each call when it began, in seconds of the monotonic clock, its kind, and how long it took.
    """

    committed: set[int] = field(default_factory=set)
    doubtful: set[int] = field(default_factory=set)
    told: Counter[str] = field(default_factory=Counter)
    times: list[tuple[float, str, float]] = field(default_factory=list)

    def wrong(self, found: set[int]) -> tuple[set[int], set[int]]:
        """Of what is in the table: what is missing there, and what nobody has committed."""
        return self.committed - found, found - self.committed - self.doubtful


class Gateway:
    """Calls tools over HTTP, each in a request of its own, and keeps count in the ledger."""

    def __init__(self, http: httpx2.AsyncClient, url: str, ledger: Ledger) -> None:
        self._http, self._url, self._ledger = http, url, ledger
        self._numbers = itertools.count(1)

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """What the tool answered, an error too. Raises what the transport does."""
        params = {"name": tool, "arguments": arguments, "_meta": META}
        message = {"jsonrpc": "2.0", "id": next(self._numbers), "method": "tools/call", "params": params}
        headers = {
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": MODERN,
            "mcp-method": "tools/call",
            "mcp-name": tool,
        }
        began = time.monotonic()
        response = await self._http.post(self._url, json=message, headers=headers, timeout=PATIENCE_S)
        answer: dict[str, Any] = json.loads(text(response.content))
        self._ledger.times.append((began, f"{tool} {arguments['action']}", time.monotonic() - began))
        self._ledger.told[answer["error"]["code"] if "error" in answer else "ok"] += 1
        return answer


type Agent = Callable[[Gateway, Ledger], Awaitable[None]]

_rows = itertools.count(1)


async def reader(gateway: Gateway, _: Ledger) -> None:
    """Looks up a row, and now and then lists tables or reads more."""
    match random.randrange(20):
        case 0:
            await gateway.call("pg_schema", action="list", target="table")
        case 1:
            await gateway.call("pg_query", action="read", sql="SELECT * FROM generate_series(1, 500) AS n")
        case _:
            sql = "SELECT id, name FROM shop.products WHERE id = $1"
            await gateway.call("pg_query", action="read", sql=sql, params=[random.randrange(1, 60)])


async def holder(gateway: Gateway, ledger: Ledger) -> None:
    """Works in a transaction over many calls, changes its mind, and commits or gives up."""
    session = await _begin(gateway)
    if session is None:
        return
    kept = await _insert(gateway, session, random.randrange(1, 4))
    await asyncio.sleep(random.uniform(0, 2))
    await gateway.call("pg_tx", action="savepoint", session_id=session, savepoint_name="s")
    more = await _insert(gateway, session, random.randrange(3))
    if random.random() < 0.5:
        await gateway.call("pg_tx", action="rollback", session_id=session, savepoint_name="s")
        more = set()
    await gateway.call("pg_query", action="read", session_id=session, sql="SELECT count(*) FROM soak")
    if random.random() < 0.3:
        await gateway.call("pg_tx", action="rollback", session_id=session)
        return
    answer = await gateway.call("pg_tx", action="commit", session_id=session)
    if answer.get("outcome") == "committed":
        ledger.committed |= kept | more


async def writer(gateway: Gateway, ledger: Ledger) -> None:
    """Writes a row at once."""
    row = next(_rows)
    answer = await gateway.call(
        "pg_query", action="write", sql="INSERT INTO soak VALUES ($1)", params=[row], autocommit=True
    )
    if "error" not in answer:
        ledger.committed.add(row)


async def abandoner(gateway: Gateway, _: Ledger) -> None:
    """Begins, inserts, and is never heard of again."""
    if (session := await _begin(gateway)) is not None:
        await _insert(gateway, session, 2)


async def crasher(gateway: Gateway, ledger: Ledger) -> None:
    """Is cut off at some moment of a statement or a commit, and asks later what became of it."""
    session = await _begin(gateway)
    if session is None:
        return
    rows = await _insert(gateway, session, 2)
    committing = random.random() < 0.7
    try:
        async with asyncio.timeout(random.uniform(0, CUT_BEFORE_S)):
            if committing:
                answer = await gateway.call("pg_tx", action="commit", session_id=session)
            else:
                await gateway.call("pg_query", action="write", session_id=session, sql="SELECT pg_sleep(5)")
                return
    except TimeoutError:
        ledger.told["cut off"] += 1
        if not committing:
            return
        await asyncio.sleep(1)
        answer = await gateway.call("pg_tx", action="status", session_id=session)
        if "error" not in answer:
            # The cut came before the commit was taken up.
            answer = await gateway.call("pg_tx", action="commit", session_id=session)
    told = json.dumps(answer)
    if answer.get("outcome") == "committed" or "was committed" in told or "has committed" in told:
        ledger.committed |= rows
    elif "rolled back" not in told and "rolled_back" not in told:
        ledger.doubtful |= rows


AGENTS: dict[Agent, float] = {reader: 0.62, writer: 0.08, holder: 0.2, abandoner: 0.04, crasher: 0.06}
"""Which share of all that come is of which kind."""


async def _begin(gateway: Gateway) -> str | None:
    answer = await gateway.call("pg_tx", action="begin")
    session_id: str | None = answer.get("session_id")
    return session_id


async def _insert(gateway: Gateway, session: str, count: int) -> set[int]:
    rows = {next(_rows) for _ in range(count)}
    for row in rows:
        sql = "INSERT INTO soak VALUES ($1)"
        answer = await gateway.call("pg_query", action="write", session_id=session, sql=sql, params=[row])
        if "error" in answer:
            return set()
    return rows
