"""Every code of the catalogue that a client over HTTP can meet, by the express door, and the same by FastMCP's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from coldquery.errors import Code
from coldquery.gateway import Gateway
from coldquery.telemetry.audit import Audit
from tests.conftest import TestDatabase
from tests.e2e.doors.asking import call
from tests.e2e.doors.pair import Answer, Door, Doors, counted, two_doors
from tests.faults.test_session_commits import CommitProxy

ASLEEP = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%pg_sleep(31)%'"
WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
UNCHANGED = "UPDATE item SET id = id WHERE id = "


class Agent:
    """A client of one door, that keeps the answers in the order in which it asked."""

    def __init__(self, door: Door, observer: asyncpg.Connection[Any], patch: pytest.MonkeyPatch) -> None:
        self._door = door
        self.observer = observer
        self.patch = patch
        self.answers: list[Answer | None] = []

    async def call(self, tool: str, **arguments: Any) -> Any:
        place = len(self.answers)
        self.answers.append(None)
        self.answers[place] = answer = await self._door.ask(call(tool, **arguments))
        return answer.result

    def start(self, tool: str, **arguments: Any) -> asyncio.Task[Any]:
        return asyncio.create_task(self.call(tool, **arguments))

    async def begin(self, **arguments: Any) -> str:
        return str((await self.call("pg_tx", action="begin", **arguments))["session_id"])

    async def end(self, *sessions: str) -> None:
        for each in sessions:
            await self.call("pg_tx", action="rollback", session_id=each)

    async def read(self, sql: str, **arguments: Any) -> Any:
        return await self.call("pg_query", action="read", sql=sql, **arguments)

    async def write(self, sql: str, **arguments: Any) -> Any:
        return await self.call("pg_query", action="write", sql=sql, **(arguments or {"autocommit": True}))

    async def until(self, question: str) -> int:
        """What PostgreSQL answers, when it has an answer."""
        async with asyncio.timeout(10):
            while (found := await self.observer.fetchval(question)) is None:
                await asyncio.sleep(0.005)
        return int(found)


type Story = Callable[[Agent], Awaitable[None]]


async def whole_life(agent: Agent) -> None:
    session = await agent.begin(
        isolation_level="SERIALIZABLE", label="ü🐘", auto_savepoint=False, idle_timeout_s=60, keep=True
    )
    here = {"session_id": session}
    await agent.write("INSERT INTO part VALUES (1, 1, 'é') RETURNING *", **here, format="objects")
    await agent.call("pg_tx", action="savepoint", savepoint_name="ä", **here)
    await agent.read("SELECT 1/0", **here)
    await agent.read("SELECT 1", **here)
    await agent.call("pg_tx", action="rollback", savepoint_name="ä", **here)
    await agent.call("pg_tx", action="release", savepoint_name="ä", **here)
    await agent.call("pg_tx", action="release", savepoint_name="gone", **here)
    await agent.call("pg_tx", action="status", **here)
    await agent.call("pg_query", action="transaction", operations=[{"sql": "SELECT 1"}, {"sql": "SELECT 'ö'"}], **here)
    await agent.call("pg_query", action="explain", sql="DELETE FROM part", analyze=False, **here)
    await agent.call("pg_admin", action="settings", setting_name="work_mem", setting_value="1MB", **here)
    await agent.call("pg_schema", action="create", sql="CREATE TABLE brief (i int)", **here)
    await agent.call("pg_schema", action="describe", name="brief", **here)
    await agent.call("pg_schema", action="drop", target="table", name="brief", **here)
    await agent.call("pg_query", action="write", sql="COMMIT", **here)
    await agent.write("DELETE FROM part", **here)
    await agent.call("pg_tx", action="commit", **here)
    async with asyncio.timeout(10):
        # For a moment it is ending.
        while " ago" not in (await agent.call("pg_tx", action="commit", **here))["error"]["message"]:
            agent.answers.pop()


async def failed_transaction(agent: Agent) -> None:
    session = await agent.begin(read_only=True)
    await agent.write("DELETE FROM item", session_id=session)
    await agent.read("SELECT 1", session_id=session)
    await agent.call("pg_tx", action="status", session_id=session)
    await agent.call("pg_tx", action="commit", session_id=session)


async def too_many_sessions(agent: Agent) -> None:
    opened = [await agent.begin() for _ in range(3)]
    await agent.call("pg_tx", action="begin")
    await agent.end(*opened)


async def busy_session(agent: Agent) -> None:
    session = await agent.begin()
    asleep = agent.start("pg_query", action="read", sql="SELECT pg_sleep(31)", session_id=session)
    pid = await agent.until(ASLEEP)
    waiting = [agent.start("pg_query", action="read", sql="SELECT 1", session_id=session) for _ in range(17)]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    await agent.observer.execute("SELECT pg_cancel_backend($1)", pid)
    await asyncio.gather(asleep, *waiting)
    await agent.end(session)


async def locked_row(agent: Agent) -> None:
    session = await agent.begin()
    await agent.write(UNCHANGED + "1", session_id=session)
    await agent.write(UNCHANGED + "1")
    await agent.end(session)


async def deadlock(agent: Agent) -> None:
    one, two = await agent.begin(), await agent.begin()
    await agent.write(UNCHANGED + "1", session_id=one)
    await agent.write(UNCHANGED + "2", session_id=two)
    waits = agent.start("pg_query", action="write", sql=UNCHANGED + "2", session_id=one)
    await agent.until(WAITING)
    await agent.write(UNCHANGED + "1", session_id=two)
    await waits
    await agent.end(one, two)


async def conflict(agent: Agent) -> None:
    session = await agent.begin(isolation_level="repeatable_read")
    await agent.read("SELECT count(*) FROM item", session_id=session)
    await agent.write(UNCHANGED + "3")
    await agent.write(UNCHANGED + "3", session_id=session)
    await agent.end(session)


async def cancelled(agent: Agent) -> None:
    asleep = agent.start("pg_query", action="read", sql="SELECT pg_sleep(31)")
    await agent.observer.execute("SELECT pg_cancel_backend($1)", await agent.until(ASLEEP))
    await asleep


async def terminated(agent: Agent) -> None:
    asleep = agent.start("pg_query", action="read", sql="SELECT pg_sleep(31)")
    await agent.observer.execute("SELECT pg_terminate_backend($1)", await agent.until(ASLEEP))
    await asleep
    async with asyncio.timeout(10):
        while "error" in await agent.read("SELECT 1"):
            # How often it is asked before the database is known to be there again says nothing.
            agent.answers.pop()


async def deadline(agent: Agent) -> None:
    agent.patch.setattr(
        "coldquery.reads.DEADLINE_MARGIN_S", -1.95
    )  # less 1 s to wait for a connection, and 1 s for the statement
    await agent.read("SELECT pg_sleep(31)", timeout_ms=1000)
    agent.patch.undo()


async def defect(agent: Agent) -> None:
    async def read(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a secret")

    agent.patch.setattr(Gateway, "read", read)
    await agent.read("SELECT 1")
    agent.patch.undo()


def calling(*calls: tuple[str, dict[str, Any]]) -> Story:
    async def story(agent: Agent) -> None:
        for tool, arguments in calls:
            await agent.call(tool, **arguments)

    return story


STORIES: dict[Code, Story] = {
    Code.INVALID_ARGUMENT: calling(("pg_query", {"action": "read"})),
    Code.STATEMENT_NOT_ALLOWED: calling(("pg_query", {"action": "read", "sql": "SELECT 1; SELECT 2"})),
    Code.WRITE_DENIED: calling(("pg_query", {"action": "write", "sql": "DELETE FROM item"})),
    Code.SESSION_NOT_FOUND: calling(("pg_tx", {"action": "commit", "session_id": "nobody"})),
    Code.SQL_ERROR: calling(("pg_query", {"action": "read", "sql": "SELECT fall()"})),
    Code.PERMISSION_DENIED: calling(("pg_query", {"action": "read", "sql": "SELECT * FROM secret"})),
    Code.STATEMENT_TIMEOUT: calling(("pg_query", {"action": "read", "sql": "SELECT pg_sleep(31)", "timeout_ms": 20})),
    Code.SESSION_ENDED: whole_life,
    Code.TRANSACTION_ABORTED: failed_transaction,
    Code.READ_ONLY: failed_transaction,
    Code.SESSION_LIMIT: too_many_sessions,
    Code.SESSION_BUSY: busy_session,
    Code.LOCK_TIMEOUT: locked_row,
    Code.DEADLOCK: deadlock,
    Code.SERIALIZATION_FAILURE: conflict,
    Code.CANCELLED: cancelled,
    Code.CONNECTION_LOST: terminated,
    Code.DEADLINE_EXCEEDED: deadline,
    Code.INTERNAL: defect,
}


async def told(
    door: Door, story: Story, observer: asyncpg.Connection[Any], patch: pytest.MonkeyPatch
) -> tuple[list[Any], set[str | None]]:
    """What a door answers in a story, in an order that does not depend on who was first, and the codes in it."""
    agent = Agent(door, observer, patch)
    await story(agent)
    answers = [each for each in agent.answers if each is not None]
    return sorted((each.told() for each in answers), key=repr), {each.code for each in answers}


async def assert_alike(
    doors: Doors, code: Code, story: Story, observer: asyncpg.Connection[Any], patch: pytest.MonkeyPatch
) -> None:
    expected, _ = await told(doors.framework, story, observer, patch)
    with counted() as counts:
        answers, codes = await told(doors.both, story, observer, patch)
    assert answers == expected
    assert code in codes
    assert (counts["fastmcp"], counts["express"] > 0) == (0, True)


@pytest.mark.parametrize("code", STORIES)
async def test_a_refusal_is_told_alike(
    doors: Doors, observer: asyncpg.Connection[Any], code: Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    await assert_alike(doors, code, STORIES[code], observer, monkeypatch)


class FullDisk:
    """A sink that takes nothing."""

    def append(self, data: bytes, *, sync: bool) -> None:
        raise OSError(28, "No space left on device")

    def close(self) -> None:
        """Nothing to do."""


@contextlib.asynccontextmanager
async def without_database(shelf: TestDatabase) -> AsyncIterator[tuple[Doors, Story]]:
    nowhere = "postgresql://coldquery_reader@127.0.0.1:1/nowhere"
    async with two_doors(nowhere, nowhere) as doors:
        yield doors, calling(("pg_query", {"action": "read", "sql": "SELECT 1"}), ("pg_tx", {"action": "begin"}))


@contextlib.asynccontextmanager
async def with_one_connection(shelf: TestDatabase) -> AsyncIterator[tuple[Doors, Story]]:
    async def story(agent: Agent) -> None:
        asleep = agent.start("pg_query", action="read", sql="SELECT pg_sleep(31)")
        pid = await agent.until(ASLEEP)
        await agent.read("SELECT 1")
        await agent.observer.execute("SELECT pg_cancel_backend($1)", pid)
        await asleep

    async with two_doors(shelf.reader_dsn, shelf.owner_dsn, read_pool_size=1, pool_acquire_timeout_s=0.05) as doors:
        yield doors, story


@contextlib.asynccontextmanager
async def while_draining(shelf: TestDatabase) -> AsyncIterator[tuple[Doors, Story]]:
    async with two_doors(shelf.reader_dsn, shelf.owner_dsn) as doors:
        doors.gateway.drain()
        yield doors, calling(("pg_query", {"action": "read", "sql": "SELECT 1"}), ("pg_tx", {"action": "begin"}))


@contextlib.asynccontextmanager
async def without_audit(shelf: TestDatabase) -> AsyncIterator[tuple[Doors, Story]]:
    async with two_doors(shelf.reader_dsn, shelf.owner_dsn, audit=Audit(FullDisk())) as doors:
        yield doors, calling(("pg_query", {"action": "write", "sql": UNCHANGED + "1", "autocommit": True}))


@contextlib.asynccontextmanager
async def with_commits_lost(shelf: TestDatabase) -> AsyncIterator[tuple[Doors, Story]]:
    endpoint = shelf.endpoint
    async with CommitProxy(endpoint.socket_dir / f".s.PGSQL.{endpoint.port}") as proxy:

        async def story(agent: Agent) -> None:
            proxy.lose = "answer, and the database"
            await agent.write(UNCHANGED + "4")
            await proxy.listen()

        dsn = f"postgresql://coldquery_owner@127.0.0.1:{proxy.port}/{shelf.name}?sslmode=disable"
        async with two_doors(shelf.reader_dsn, dsn, commit_timeout_s=1.01) as doors:
            yield doors, story


@pytest.mark.parametrize(
    ("code", "made"),
    SPECIAL := [
        (Code.DATABASE_UNAVAILABLE, without_database),
        (Code.POOL_EXHAUSTED, with_one_connection),
        (Code.SHUTTING_DOWN, while_draining),
        (Code.AUDIT_UNAVAILABLE, without_audit),
        (Code.COMMIT_UNKNOWN, with_commits_lost),
    ],
)
async def test_a_refusal_of_a_gateway_in_trouble_is_told_alike(
    shelf: TestDatabase, observer: asyncpg.Connection[Any], code: Code, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with made(shelf) as (doors, story):
        await assert_alike(doors, code, story, observer, monkeypatch)


# Codes that no request over HTTP can provoke, and why.
OUT_OF_REACH = {Code.OVERLOADED: "nothing in the gateway refuses with it yet"}


def test_all_codes_are_looked_at() -> None:
    assert {*STORIES, *(code for code, _ in SPECIAL), *OUT_OF_REACH} == {*Code}
