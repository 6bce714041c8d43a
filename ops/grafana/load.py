"""Agents at work: real MCP calls, in which something of all that the dashboards show happens."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from fastmcp import Client

ACCOUNTS = 1000
MODERN = "2026-07-28"
# A gateway's settings that make a short load show what else takes an afternoon.
SETTINGS = {"COLDQUERY_MAX_SESSIONS": "10", "COLDQUERY_REAP_INTERVAL_S": "0.2"}


class Agent:
    """One client of the gateway."""

    def __init__(self, client: Client[Any]) -> None:
        self._client = client

    async def call(self, tool: str, action: str, **arguments: Any) -> dict[str, Any]:
        """A call's answer, be it an error."""
        result = await self._client.call_tool(tool, {"action": action, **arguments}, raise_on_error=False)
        text = next((block.text for block in result.content if block.type == "text"), "")
        try:
            answer: dict[str, Any] = json.loads(text)
        except json.JSONDecodeError:
            return {"text": text}
        return answer

    async def read(self, sql: str, **more: Any) -> dict[str, Any]:
        return await self.call("pg_query", "read", sql=sql, **more)

    async def write(self, sql: str, **more: Any) -> dict[str, Any]:
        return await self.call("pg_query", "write", sql=sql, **more)

    async def begin(self, **more: Any) -> str | None:
        """A session, unless there is no room for one."""
        session_id: str | None = (await self.call("pg_tx", "begin", **more)).get("session_id")
        return session_id

    async def end(self, how: str, session_id: str) -> None:
        await self.call("pg_tx", how, session_id=session_id)


@asynccontextmanager
async def agent(url: str) -> AsyncIterator[Agent]:
    """An agent that is connected."""
    async with Client(url) as client:
        yield Agent(client)


async def prepare(one: Agent) -> None:
    """What the agents work on."""
    await one.write("DROP TABLE IF EXISTS account", autocommit=True)
    await one.write("CREATE TABLE account (id int PRIMARY KEY, balance numeric CHECK (balance >= 0))", autocommit=True)
    await one.write(f"INSERT INTO account SELECT n, 100 FROM generate_series(1, {ACCOUNTS}) n", autocommit=True)


async def browse(one: Agent, _: float) -> None:
    """Look around."""
    await one.call("pg_schema", "list")
    for rows in (1, 20, 300):
        await one.read("SELECT n, md5(n::text) FROM generate_series(1, $1::int) n", params=[rows])
    await one.call("pg_query", "explain", sql="SELECT * FROM account WHERE id = 1")
    await one.read("SELECT pg_sleep(random() * 0.03)")


async def stumble(one: Agent, _: float) -> None:
    """Make the mistakes that agents make."""
    await one.read("SELECT 1 / 0")
    await one.read("SELECT * FROM acount")
    await one.write("DELETE FROM account")
    await one.read("SELECT pg_sleep(1)", timeout_ms=50)


async def gorge(one: Agent, _: float) -> None:
    """Ask for more than an answer may hold, in each way."""
    await one.read("SELECT generate_series(1, 5000)", max_rows=100)
    await one.read("SELECT repeat('x', 60000) FROM generate_series(1, 30)")
    await one.read("SELECT repeat('x', 100000)")


async def tidy(one: Agent, _: float) -> None:
    """Look after a table."""
    await one.call("pg_admin", "analyze", table="account", autocommit=True)
    await one.call("pg_monitor", "activity")
    await one.write("UPDATE account SET balance = balance + 1 WHERE id = 7", autocommit=True)


async def transfer(one: Agent, pause: float) -> None:
    """A transaction that is committed."""
    if session_id := await one.begin(label="transfer"):
        giver, taker = random.sample(range(10, ACCOUNTS), 2)
        await one.write("UPDATE account SET balance = balance - 1 WHERE id = $1", params=[giver], session_id=session_id)
        await asyncio.sleep(pause)
        await one.write("UPDATE account SET balance = balance + 1 WHERE id = $1", params=[taker], session_id=session_id)
        await one.end("commit", session_id)


async def regret(one: Agent, pause: float) -> None:
    """A transaction that is taken back."""
    if session_id := await one.begin(label="what if"):
        account = random.randrange(10, ACCOUNTS)
        await one.write("UPDATE account SET balance = 0 WHERE id = $1", params=[account], session_id=session_id)
        await asyncio.sleep(pause)
        await one.end("rollback", session_id)


async def report(one: Agent, pause: float) -> None:
    """A transaction that only reads, with questions that queue up in its mailbox."""
    if session_id := await one.begin(read_only=True, isolation_level="repeatable read", label="report"):
        question = "SELECT sum(balance), pg_sleep(0.02) FROM account"
        await asyncio.gather(*(one.read(question, session_id=session_id) for _ in range(4)))
        await asyncio.sleep(pause)
        await one.end("rollback", session_id)


async def spoil(one: Agent, pause: float) -> None:
    """A COMMIT of a transaction that has failed."""
    if session_id := await one.begin(label="overdraft"):
        await one.write("UPDATE account SET balance = balance - 1000 WHERE id = 4", session_id=session_id)
        await asyncio.sleep(pause)
        await one.end("commit", session_id)


async def queue(one: Agent, pause: float) -> None:
    """Two transactions on the same row: the second waits for the first, longer than from one scrape to the next."""
    first, second = await one.begin(label="first"), await one.begin(label="second")
    if first and second:
        same = "UPDATE account SET balance = balance + 1 WHERE id = 5"
        await one.write(same, session_id=first)
        waiting = asyncio.create_task(one.write(same, session_id=second))
        await asyncio.sleep(min(max(pause, 2), 3))
        await one.end("commit", first)
        await waiting
    for session_id in filter(None, (first, second)):
        await one.end("rollback", session_id)


async def crowd(one: Agent, pause: float) -> None:
    """More transactions than there may be."""
    begun = []
    while session_id := await one.begin(label="crowd"):
        begun.append(session_id)
    await asyncio.sleep(pause)
    for session_id in begun:
        await one.end("rollback", session_id)


async def forget(one: Agent, _: float, *, idle_timeout_s: float = 600) -> None:
    """Transactions that are left open, one of them failed."""
    await one.begin(label="forgotten", idle_timeout_s=idle_timeout_s)
    if session_id := await one.begin(label="failed and forgotten", idle_timeout_s=idle_timeout_s):
        await one.write("INSERT INTO account VALUES (1, 0)", session_id=session_id)


def glance(url: str) -> int:
    """A read as a plain client of the 2026-07-28 revision sends it, which goes by the express lane; the status."""
    address, prefix = urlsplit(url), "io.modelcontextprotocol/"
    meta = {f"{prefix}protocolVersion": MODERN, f"{prefix}clientCapabilities": {}}
    arguments = {"action": "read", "sql": "SELECT balance FROM account WHERE id = 1"}
    params = {"name": "pg_query", "arguments": arguments, "_meta": meta}
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": MODERN,
        "Mcp-Method": "tools/call",
        "Mcp-Name": "pg_query",
    }
    connection = HTTPConnection(address.hostname or "", address.port, timeout=5)
    try:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
        connection.request("POST", address.path, body=body, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def knock(url: str) -> int:
    """A request under a name that is not the gateway's; the status of the answer."""
    address = urlsplit(url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=5)
    try:
        connection.request("POST", address.path, body=b"{}", headers={"Host": "elsewhere.example"})
        return connection.getresponse().status
    finally:
        connection.close()


type Scene = Callable[[Agent, float], Awaitable[None]]

# By how often they come.
SCENES: dict[Scene, int] = {
    browse: 14,
    transfer: 8,
    tidy: 3,
    report: 3,
    regret: 2,
    stumble: 2,
    gorge: 2,
    spoil: 1,
    queue: 1,
}


async def everything(url: str) -> None:
    """Each scene once, as fast as it goes."""
    async with agent(url) as one:
        await prepare(one)
        await asyncio.gather(*(scene(one, 0.05) for scene in SCENES))
        await asyncio.to_thread(glance, url)
        await crowd(one, 0)
        await forget(one, 0)
    await asyncio.to_thread(knock, url)


async def a_while(url: str, seconds: float, agents: int = 6) -> None:
    """Agents that do this and that, more and more of them, and a crowd when two thirds of the time are over."""
    async with agent(url) as one:
        await prepare(one)
        async with asyncio.timeout(seconds + 30), asyncio.TaskGroup() as group:
            end = asyncio.get_running_loop().time() + seconds
            for n in range(agents):
                group.create_task(_live(url, n * seconds / agents / 2, end))
            group.create_task(_glance_again(url, end))
            group.create_task(_crowd_late(one, seconds))
            group.create_task(_knock_late(url, seconds))


async def _live(url: str, after: float, end: float) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(after)
    async with agent(url) as one:
        while loop.time() < end:
            (scene,) = random.choices(list(SCENES), list(SCENES.values()))
            await scene(one, min(random.lognormvariate(0.2, 1.2), 25))
            await asyncio.sleep(random.expovariate(1 / 0.3))


async def _glance_again(url: str, end: float) -> None:
    while asyncio.get_running_loop().time() < end:
        await asyncio.to_thread(glance, url)
        await asyncio.sleep(random.expovariate(6))


async def _crowd_late(one: Agent, seconds: float) -> None:
    await asyncio.sleep(seconds / 4)
    await forget(one, 0, idle_timeout_s=seconds / 3)
    await asyncio.sleep(seconds / 3)
    await crowd(one, 4)


async def _knock_late(url: str, seconds: float) -> None:
    await asyncio.sleep(seconds * 0.8)
    await asyncio.to_thread(knock, url)
