"""Requests under a name, or from a page, that may not ask are refused, whatever was let through before."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from coldquery.mcp.internals import MOST_KNOWN, Guard

SERVER = ("127.0.0.1", 8000)


async def passed(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def ask(guard: Guard, *headers: tuple[bytes, bytes], **more: Any) -> int:
    """The status of the answer to a request."""
    statuses: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def receive() -> Message:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "POST", "scheme": "http", "path": "/mcp", "server": SERVER, "headers": headers}
    await guard({**scope, **more}, receive, send)
    (status,) = statuses
    return status


def host(name: str) -> tuple[bytes, bytes]:
    return b"host", name.encode("latin-1")


def origin(name: str) -> tuple[bytes, bytes]:
    return b"origin", name.encode("latin-1")


@pytest.fixture
def guard() -> Guard:
    return Guard(passed, ["db.example"], ["https://app.example"])


GOOD_HOSTS = ["127.0.0.1:8000", "localhost", "db.example"]
BAD_HOSTS = ["evil.example", "db.example.evil.example", "", "localhost.evil.example", "db.example@evil.example"]
GOOD_ORIGINS = ["https://app.example"]
BAD_ORIGINS = ["https://evil.example", "http://app.example", "https://app.example.evil.example", "null"]


@pytest.mark.parametrize("bad", BAD_HOSTS)
async def test_a_bad_host_is_refused_every_time_whatever_came_before(guard: Guard, bad: str) -> None:
    for _ in range(3):
        assert await ask(guard, host(bad)) == 421
        assert await ask(guard, host(bad), origin("https://app.example")) == 421
        for good in GOOD_HOSTS:
            assert await ask(guard, host(good)) == 200
            assert await ask(guard, host(good), origin("https://app.example")) == 200


@pytest.mark.parametrize("bad", BAD_ORIGINS)
async def test_a_bad_origin_is_refused_every_time_whatever_came_before(guard: Guard, bad: str) -> None:
    for _ in range(3):
        for good in GOOD_HOSTS:
            assert await ask(guard, host(good), origin(bad)) == 403
            assert await ask(guard, host(good)) == 200
            assert await ask(guard, host(good), origin(GOOD_ORIGINS[0])) == 200


async def test_the_order_of_headers_that_come_twice_makes_another_request(guard: Guard) -> None:
    good, bad = host("localhost"), host("evil.example")
    for _ in range(2):
        first = await ask(guard, good, bad)
        assert await ask(guard, bad, good) == 421
        assert await ask(guard, good, bad) == first
        allowed, refused = origin("https://app.example"), origin("https://evil.example")
        assert await ask(guard, good, refused, allowed) == 403
        assert await ask(guard, good) == 200


async def test_a_value_of_one_header_is_not_taken_for_that_of_the_other(guard: Guard) -> None:
    assert await ask(guard, host("localhost"), origin("https://app.example")) == 200
    assert await ask(guard, host("https://app.example"), origin("localhost")) == 421
    assert await ask(guard, origin("localhost")) == 421


async def test_only_what_was_let_through_is_remembered_and_other_headers_are_none_of_it(guard: Guard) -> None:
    for bad in BAD_HOSTS:
        await ask(guard, host(bad))
    for bad in BAD_ORIGINS:
        await ask(guard, host("localhost"), origin(bad))
    assert guard._known == set()
    for number in range(5):
        assert await ask(guard, (b"x-more", str(number).encode()), host("localhost"), path=f"/{number}") == 200
    assert len(guard._known) == 1


async def test_it_remembers_no_more_than_so_many_and_lets_the_others_through_all_the_same(guard: Guard) -> None:
    for number in range(2 * MOST_KNOWN):
        assert await ask(guard, host(f"localhost:{number}")) == 200
    assert len(guard._known) == MOST_KNOWN
    for number in range(2 * MOST_KNOWN):
        assert await ask(guard, host(f"localhost:{number}")) == 200
    assert await ask(guard, host("evil.example")) == 421


async def test_another_scheme_or_server_is_another_request(guard: Guard) -> None:
    here = "http://10.0.0.1:8000"
    assert await ask(guard, host("10.0.0.1:8000"), server=("10.0.0.1", 8000)) == 200
    assert await ask(guard, host("10.0.0.1:8000")) == 421
    # Without origins that are allowed, a page of the same server may ask.
    own = Guard(passed, [], [])
    headers = host("10.0.0.1:8000"), origin(here)
    assert await ask(own, *headers, server=("10.0.0.1", 8000)) == 200
    assert await ask(own, *headers, server=("10.0.0.1", 8000), scheme="https") == 403
    assert await ask(own, *headers) == 421


async def test_what_is_not_http_is_passed_on_and_not_remembered(guard: Guard) -> None:
    seen: list[str] = []

    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def nothing(*_: Any) -> Any:
        return None

    other = Guard(note, [], [])
    await other({"type": "lifespan"}, nothing, nothing)
    assert seen == ["lifespan"]
    assert other._known == set()
