"""HTTP as it is served: whole requests or none, whole answers, and each in as few pieces as can be."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import override

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from coldquery.web import serving

TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
SHORT_S = 0.1


def post(body: bytes, path: str = "/") -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what it was sent; /slow after a while, /parts in many, /drop in the middle of its answer."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    if scope["path"] == "/slow":
        await asyncio.sleep(2 * SHORT_S)
    if scope["path"] == "/parts":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for each in range(64):
            await send({"type": "http.response.body", "body": bytes([each]) * 40_000, "more_body": True})
            if each % 8 == 0:
                await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"end"})
        return
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def answers_at_once(scope: Scope, receive: Receive, send: Send) -> None:
    """Begins to answer before the request has come whole, and never ends."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"begun", "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass


@dataclass
class Peer:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, bytes]:
        """The next response, which says its length."""
        async with asyncio.timeout(5):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            return int(head.split()[1]), await self.reader.readexactly(length)

    async def rest(self) -> bytes:
        """All that comes until the connection ends."""
        async with asyncio.timeout(5):
            return await self.reader.read()


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[Peer]:
    """A connection to a server of the application."""
    listener = serving.listen("127.0.0.1", 0, "port")
    server = serving.server(app, lifespan="off", timeout_graceful_shutdown=1)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    try:
        yield Peer(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        server.should_exit = True
        await running


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "REQUEST_TIMEOUT_S", SHORT_S)


@pytest.mark.parametrize(
    "part",
    [
        b"POST / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nmore",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n",
        post(b"12345")[:-1],
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n",
    ],
)
async def test_a_request_that_does_not_come_whole_in_time_is_refused_and_the_connection_closed(part: bytes) -> None:
    async with served(echo) as peer:
        began = time.monotonic()
        peer.send(part)
        assert await peer.rest() == TIMED_OUT
        assert SHORT_S * 0.9 < time.monotonic() - began < 10


@pytest.mark.parametrize("whole", [GET[:-2] + b"x: " + b"y" * 200, post(b"z" * 200)[:-1]])
async def test_one_that_trickles_in_has_no_more_time_than_one_that_stops(whole: bytes) -> None:
    async def trickle(peer: Peer) -> None:
        for each in whole:
            peer.send(bytes([each]))
            await asyncio.sleep(SHORT_S / 20)

    async with served(echo) as peer:
        began = time.monotonic()
        trickling = asyncio.create_task(trickle(peer))
        # What it goes on to send may meet a socket that is closed, whose kernel then takes back the answer.
        with contextlib.suppress(ConnectionResetError):
            assert await peer.rest() == TIMED_OUT
        assert time.monotonic() - began < 10
        trickling.cancel()


async def test_one_that_comes_in_parts_but_in_time_is_answered_and_so_is_one_long_after_it() -> None:
    async with served(echo) as peer:
        for _ in range(2):
            whole = post(b"in parts")
            for at in range(0, len(whole), 20):
                peer.send(whole[at : at + 20])
                await asyncio.sleep(0.001)
            assert await peer.answer() == (200, b"in parts")
            # A connection may be idle for longer than a request may take.
            await asyncio.sleep(2 * SHORT_S)


async def test_the_second_request_of_a_connection_must_come_in_time_too() -> None:
    async with served(echo) as peer:
        peer.send(post(b"whole"))
        assert await peer.answer() == (200, b"whole")
        peer.send(post(b"cut")[:-1])
        assert await peer.rest() == TIMED_OUT


async def test_a_slow_answer_is_not_cut_even_while_the_next_request_is_on_its_way() -> None:
    async with served(echo) as peer:
        peer.send(post(b"slow", "/slow"))
        assert await peer.answer() == (200, b"slow")
        peer.send(post(b"slow", "/slow"))
        await asyncio.sleep(SHORT_S / 2)
        peer.send(post(b"next"))
        assert await peer.answer() == (200, b"slow")
        assert await peer.answer() == (200, b"next")


async def test_half_a_request_behind_a_slow_whole_one_waits_for_that_ones_answer() -> None:
    async with served(echo) as peer:
        peer.send(post(b"slow", "/slow") + post(b"cut")[:-1])
        assert await peer.answer() == (200, b"slow")
        assert await peer.rest() == TIMED_OUT


async def test_requests_whose_parts_never_end_together_are_each_given_their_time() -> None:
    async with served(echo) as peer:
        stream = post(b"each") * 30
        for at in range(0, len(stream), 50):
            peer.send(stream[at : at + 50])
            await asyncio.sleep(SHORT_S / 20)
        assert [await peer.answer() for _ in range(30)] == [(200, b"each")] * 30


async def test_an_offer_of_another_protocol_is_passed_over_and_does_not_look_like_half_a_request() -> None:
    upgrade = b"GET /slow HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
    async with served(echo) as peer:
        peer.send(upgrade)
        assert await peer.answer() == (200, b"")


async def test_where_an_answer_has_begun_there_is_no_second_one_in_it() -> None:
    async with served(answers_at_once) as peer:
        peer.send(post(b"12345")[:-1])
        answer = await peer.rest()
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"begun" in answer
        assert b"408" not in answer


async def test_requests_that_are_sent_without_waiting_are_answered_in_their_order() -> None:
    async with served(echo) as peer:
        peer.send(b"".join(post(str(each).encode(), "/slow" if each == 3 else "/") for each in range(20)))
        assert [await peer.answer() for _ in range(20)] == [(200, str(each).encode()) for each in range(20)]
        peer.send(post(b"later"))
        assert await peer.answer() == (200, b"later")


async def test_a_client_that_leaves_in_the_middle_of_a_request_leaves_no_timer() -> None:
    async with served(echo) as peer:
        peer.send(post(b"cut")[:-1])
        await asyncio.sleep(0.01)
        peer.writer.close()
        await peer.writer.wait_closed()
        # The timer would fail on a closed connection, and the run with it.
        await asyncio.sleep(2 * SHORT_S)


async def test_a_head_and_its_body_arrive_together() -> None:
    async with served(echo) as peer:
        peer.writer.close()
        listener = peer.writer.get_extra_info("peername")
        loop = asyncio.get_running_loop()
        for size in (0, 1, 1000, 10_000):
            with socket.create_connection(listener) as plain:
                plain.setblocking(False)
                await loop.sock_sendall(plain, post(b"x" * size))
                async with asyncio.timeout(5):
                    piece = await loop.sock_recv(plain, 1 << 20)
                assert piece.startswith(b"HTTP/1.1 200")
                assert piece.endswith(b"\r\n\r\n" + b"x" * size)


@pytest.mark.parametrize("connection", [b"keep-alive", b"close"])
async def test_a_large_answer_in_many_parts_is_whole(connection: bytes) -> None:
    request = b"GET /parts HTTP/1.1\r\nhost: x\r\nconnection: " + connection + b"\r\n\r\n"
    async with served(echo) as peer:
        peer.send(request)
        head = await peer.reader.readuntil(b"\r\n\r\n")
        assert b"chunked" in head
        body = b""
        async with asyncio.timeout(5):
            while size := int(await peer.reader.readline(), 16):
                body += await peer.reader.readexactly(size)
                assert await peer.reader.readline() == b"\r\n"
            assert await peer.reader.readline() == b"\r\n"
        assert body == b"".join(bytes([each]) * 40_000 for each in range(64)) + b"end"
        if connection == b"close":
            assert await peer.rest() == b""
        else:
            peer.send(post(b"next"))
            assert await peer.answer() == (200, b"next")


async def test_what_was_written_is_sent_before_the_connection_closes() -> None:
    async with served(echo) as peer:
        peer.send(b"GET / HTTP/1.0\r\nhost: x\r\n\r\n")
        assert (await peer.rest()).startswith(b"HTTP/1.1 200")
    async with served(echo) as peer:
        peer.send(b"no request\r\n\r\n")
        assert (await peer.rest()).startswith(b"HTTP/1.1 400")


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.closed = False

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.sent.append(bytes(data))

    @override
    def close(self) -> None:
        self.closed = True

    @override
    def is_closing(self) -> bool:
        return self.closed


async def test_what_is_written_in_one_turn_is_one_piece_and_nothing_is_sent_after_the_end() -> None:
    inner = Transport()
    transport = serving._OnePiece(inner, asyncio.get_running_loop())
    transport.write(b"head ")
    transport.write(b"body")
    assert inner.sent == []
    await asyncio.sleep(0)
    assert inner.sent == [b"head body"]
    transport.write(b"last")
    transport.close()
    assert (inner.sent, inner.closed) == ([b"head body", b"last"], True)
    transport.write(b"too late")
    await asyncio.sleep(0)
    assert inner.sent == [b"head body", b"last"]
    assert transport.is_closing()
