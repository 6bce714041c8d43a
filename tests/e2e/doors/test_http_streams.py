"""Calls that take long, and many at once: as streams, on many connections, one behind the other on one."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.e2e.doors.asking import call, envelope, http, message, params
from tests.e2e.doors.pair import Answer, Door, Doors, Row, counted, read_answer


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls tell that they still run five times a second."""
    monkeypatch.setattr("coldquery.express.http.PING_EVERY_S", 0.2)
    monkeypatch.setattr("mcp.server._streamable_http_modern._SSE_PING_INTERVAL", 0.2)


LONG = [
    Row("a read", call("pg_query", action="read", sql="SELECT pg_sleep(0.5)")),
    Row("an error", call("pg_query", action="read", sql="SELECT pg_sleep(5)", timeout_ms=300)),
    Row("two blocks", call("pg_query", action="read", sql="SELECT 'ü🐘\u2028' FROM pg_sleep(0.3)", format="csv")),
    Row(
        "on HTTP 1.0",
        http(
            call("pg_query", action="read", sql="SELECT pg_sleep(0.3)").partition(b"\r\n\r\n")[2],
            start="POST /mcp HTTP/1.0",
        ),
    ),
    Row(
        "on a connection that is to be closed",
        http(
            call("pg_query", action="read", sql="SELECT pg_sleep(0.3)").partition(b"\r\n\r\n")[2], "Connection: close"
        ),
    ),
    Row(
        "large",
        call("pg_query", action="read", sql="SELECT repeat('x', 1000) FROM generate_series(1, 60), pg_sleep(0.3)"),
    ),
]


@pytest.mark.usefixtures("often")
async def test_a_call_that_takes_long_becomes_the_same_stream(doors: Doors) -> None:
    if wrong := await doors.differences(LONG):
        pytest.fail("\n".join(wrong))
    streams = [await door.ask(LONG[0].request) for door in (doors.framework, doors.both)]
    assert {dict(each.headers)["content-type"] for each in streams} == {"text/event-stream"}
    assert all(each.body.startswith(b": ping\r\n\r\n") for each in streams)
    assert all(each.body.endswith(b"\r\n\r\n") and each.body.count(b"event: message") == 1 for each in streams)


async def test_many_callers_get_each_their_own_answer(doors: Doors) -> None:
    async def ask(door: Door, number: int) -> None:
        sql = f"SELECT {number} AS n, pg_sleep(0.01 * {number % 3})"
        answer = await door.ask(http(message(params(json.dumps({"action": "read", "sql": sql})), id=f'"{number}"')))
        assert (answer.json["id"], answer.result["rows"][0][0]) == (str(number), number)

    with counted() as counts:
        await asyncio.gather(*(ask(door, number) for number in range(60) for door in (doors.framework, doors.both)))
    assert counts == {"fastmcp": 60, "express": 60}


def pipelined(number: int) -> bytes:
    """A call by its number: every third is one for FastMCP, and every fourth none."""
    meta = envelope(more='"io.modelcontextprotocol/logLevel":"info"') if number % 3 == 0 else envelope()
    arguments = json.dumps({"action": "read", "sql": f"SELECT {number} AS n"})
    return http(message(params(arguments, meta=meta if number % 4 else "null"), id=str(number)))


async def along(door: Door, requests: bytes, many: int) -> list[Answer]:
    """What comes back on one connection."""
    async with asyncio.timeout(20), door.connected() as (reader, writer):
        writer.write(requests)
        return [await read_answer(reader) for _ in range(many)]


async def test_requests_one_behind_the_other_are_answered_in_their_order(doors: Doors) -> None:
    requests = b"".join(map(pipelined, range(1, 41)))
    expected = await along(doors.framework, requests, 40)
    with counted() as counts:
        answers = await along(doors.both, requests, 40)
    assert [each.told() for each in answers] == [each.told() for each in expected]
    assert [each.json["id"] for each in answers] == list(range(1, 41))
    assert counts == {"fastmcp": 10, "express": 20}


async def test_requests_behind_one_that_takes_long_wait_for_it(doors: Doors, often: None) -> None:
    """And do not take its leaving for theirs, or it theirs."""
    requests = [
        call("pg_query", action="read", sql="SELECT pg_sleep(0.3)"),
        http(),
        call("pg_query", action="read", sql="SELECT pg_sleep(0.01)"),
        http(),
    ]
    expected = await along(doors.framework, b"".join(requests), 4)
    answers = await along(doors.both, b"".join(requests), 4)
    assert [each.told() for each in answers] == [each.told() for each in expected]
    assert [each.status for each in answers] == [200] * 4
