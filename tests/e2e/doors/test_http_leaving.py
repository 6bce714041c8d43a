"""Clients that leave, or never come to an end: by either door nothing of theirs stays, and nobody else notices."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from coldquery.telemetry.metrics import IN_FLIGHT
from tests.conftest import TestDatabase
from tests.e2e.doors.asking import call, http, message
from tests.e2e.doors.pair import Answer, Door, Doors, calls_in, counted, read_answer, two_doors

SLEEPS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%pg_sleep(30)%'"
SLEEP = "SELECT pg_sleep(30)"
GONE_S = 1.0


async def until(observer: asyncpg.Connection[Any], running: int, *, within: float = 10) -> None:
    async with asyncio.timeout(within):
        while await observer.fetchval(SLEEPS) != running:
            await asyncio.sleep(0.005)


async def until_idle() -> None:
    async with asyncio.timeout(GONE_S):
        while [sample.value for metric in IN_FLIGHT.collect() for sample in metric.samples] != [0]:
            await asyncio.sleep(0.005)


async def leave(door: Door, observer: asyncpg.Connection[Any], request: bytes) -> list[Any]:
    """Go away while the statement runs; what is logged of the call."""
    with capture_logs() as logs:
        async with door.connected() as (_, writer):
            writer.write(request)
            await until(observer, 1)
        await until(observer, 0, within=GONE_S)
        await until_idle()
    return calls_in(logs)


@pytest.fixture(params=["framework", "both"])
def door(doors: Doors, request: pytest.FixtureRequest) -> Door:
    return getattr(doors, request.param)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "request_",
    [
        call("pg_query", action="read", sql=SLEEP),
        call("pg_query", action="write", sql=SLEEP, autocommit=True),
        call("pg_query", action="write", sql="DO 'BEGIN PERFORM pg_sleep(30); END'", autocommit=True),
        call("pg_query", action="transaction", operations=[{"sql": "DELETE FROM part"}, {"sql": SLEEP}]),
        call("pg_query", action="explain", sql=SLEEP, analyze=True),
    ],
    ids=["read", "write", "block", "batch", "explain"],
)
async def test_what_a_client_that_left_had_running_is_stopped(
    doors: Doors, observer: asyncpg.Connection[Any], request_: bytes
) -> None:
    expected = await leave(doors.framework, observer, request_)
    with counted() as counts:
        assert await leave(doors.both, observer, request_) == expected
    assert counts == {"fastmcp": 0, "express": 1}
    assert [each["outcome"] for each in expected] == ["cancelled"]
    for door in (doors.framework, doors.both):
        assert (await door.ask(call("pg_query", action="read", sql="SELECT 1"))).code is None


async def left_session(door: Door, observer: asyncpg.Connection[Any]) -> list[Any]:
    session = (await door.ask(call("pg_tx", action="begin"))).result["session_id"]
    await door.ask(call("pg_query", action="write", sql="UPDATE item SET id = id WHERE id = 1", session_id=session))
    logged = await leave(door, observer, call("pg_query", action="write", sql=SLEEP, session_id=session))
    requests = [
        call("pg_tx", action="status", session_id=session),
        call("pg_query", action="read", sql="SELECT 1", session_id=session),
        call("pg_tx", action="commit", session_id=session),
    ]
    return [*logged, *[(await door.ask(each)).told() for each in requests]]


async def test_a_session_is_the_same_when_a_client_left_its_statement(
    doors: Doors, observer: asyncpg.Connection[Any]
) -> None:
    assert await left_session(doors.both, observer) == await left_session(doors.framework, observer)


async def test_a_client_may_leave_in_a_stream(
    door: Door, observer: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coldquery.express.http.PING_EVERY_S", 0.05)
    monkeypatch.setattr("mcp.server._streamable_http_modern._SSE_PING_INTERVAL", 0.05)
    async with door.connected() as (reader, writer):
        writer.write(call("pg_query", action="read", sql=SLEEP))
        async with asyncio.timeout(10):
            await reader.readuntil(b": ping")
            await reader.readuntil(b": ping")
        await until(observer, 1)
    await until(observer, 0, within=GONE_S)
    await until_idle()


async def test_a_client_may_leave_at_once(door: Door, observer: asyncpg.Connection[Any]) -> None:
    for sql in ("SELECT 1", SLEEP) * 10:
        async with door.connected() as (_, writer):
            writer.write(call("pg_query", action="read", sql=sql))
            if sql == SLEEP:
                await writer.drain()
            else:
                writer.transport.abort()
    await until(observer, 0, within=2 * GONE_S)
    await until_idle()
    assert (await door.ask(http())).status == 200


async def test_a_client_may_leave_in_the_middle_of_its_request(door: Door) -> None:
    request = http()
    with counted() as counts:
        for at in range(1, len(request), 13):
            async with door.connected() as (_, writer):
                writer.write(request[:at])
                await writer.drain()
        assert (await door.ask(request)).status == 200
    assert sum(counts.values()) == 1
    await until_idle()


async def slow(door: Door, first: bytes, rest: bytes = b"") -> Answer:
    """Send a part, see that others are served, and then the rest, if there is one."""
    async with asyncio.timeout(10), door.connected() as (reader, writer):
        writer.write(first)
        await writer.drain()
        assert (await door.ask(http())).status == 200
        writer.write(rest)
        return await read_answer(reader)


async def test_half_a_request_is_waited_for_and_not_for_ever(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coldquery.web.serving.REQUEST_TIMEOUT_S", 0.3)
    request = http()
    parts = (10, request.index(b"\r\n\r\n") + 2, request.index(b"\r\n\r\n") + 4, len(request) - 1)
    halves = [request[:at] for at in parts] + [http(length=str(len(message()) + 1)), http(length="3000000")]
    answers = await asyncio.gather(*(slow(door, each) for each in halves for door in (doors.framework, doors.both)))
    assert [each.told() for each in answers[::2]] == [each.told() for each in answers[1::2]]
    assert {each.status for each in answers} == {408}
    await until_idle()


async def test_a_request_may_come_in_pieces(doors: Doors) -> None:
    request = http()
    for at in (1, 40, request.index(b"\r\n\r\n") + 3, request.index(b"\r\n\r\n") + 4, len(request) - 20):
        with counted() as counts:
            expected = await slow(doors.framework, request[:at], request[at:])
            answer = await slow(doors.both, request[:at], request[at:])
        assert answer.told() == expected.told()
        assert counts == {"fastmcp": 2, "express": 2}


async def test_what_runs_when_the_server_stops_ends_alike(
    shelf: TestDatabase, observer: asyncpg.Connection[Any]
) -> None:
    async with two_doors(shelf.reader_dsn, shelf.owner_dsn) as doors:
        asked = [
            asyncio.create_task(door.ask(call("pg_query", action="read", sql=SLEEP)))
            for door in (doors.framework, doors.both)
        ]
        await until(observer, 2)
    expected, answer = await asyncio.gather(*asked)
    assert answer.told() == expected.told()
    await until(observer, 0, within=GONE_S)
    await until_idle()
