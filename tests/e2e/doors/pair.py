"""Two doors to one gateway, what is sent through them as it is, byte for byte, and what makes two answers the same."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from structlog.testing import capture_logs

from coldquery.gateway import Gateway
from coldquery.postgres.target import Target
from coldquery.serve import application
from coldquery.settings import Settings
from coldquery.telemetry.audit import NO_AUDIT, Audit
from coldquery.telemetry.call import own_request_id
from coldquery.telemetry.metrics import CALLS_BY_DOOR
from coldquery.web.serving import server

PATIENCE_S = 20.0
LONGEST_ANSWER = 1 << 24
ATTEMPTS = 3
MOST_SHOWN = 1500
BOOT = own_request_id()[:8]

# What differs from one call to the next, whichever door it comes by.
PASSING = (
    *("duration_ms", "idle_expires_in_s", "lifetime_left_s", "age_s", "idle_s", "xid", "backend_pid", "pid"),
    *("retry_after_s", "backends"),
)
_PASSING = re.compile(rf'"({"|".join(PASSING)})":(?:-?[\d.]+|"[\d.]*"|\[[\d,]*\])')
_IN_WORDS = re.compile(
    r"\b\d+(?= s ago\b)|(?<=[Pp]rocess )\d+|(?<= transaction )\d+|(?<=pg_xact_status\(')\d+|(?<=tuple \()\d+,\d+"
)
_SESSION_ID = re.compile(r"\b[A-Za-z0-9_]{32}\b(?!\.)")

type Served = Literal["express", "fastmcp", "neither"]


@dataclass(frozen=True)
class Row:
    """One request.

    Attributes:
        label: what is odd in it.
        request: all its bytes.
        served: the door that serves it, where there are two; neither if it does not come to a tool.
        is_moving: figures in the answer are others each time.
    """

    label: str
    request: bytes
    served: Served = "express"
    is_moving: bool = False


@dataclass(frozen=True)
class Answer:
    """A response; without a status if the connection ended before there was one."""

    status: int | None
    headers: tuple[tuple[str, str], ...]
    body: bytes
    is_closed: bool

    @property
    def json(self) -> Any:
        """The body, or the last event of a stream. Unlike Python's own reading, strict."""
        is_stream = dict(self.headers).get("content-type") == "text/event-stream"
        text = self.body.rpartition(b"data: ")[2] if is_stream else self.body
        return json.loads(text.decode(), parse_constant=_no_json)

    @property
    def result(self) -> Any:
        """What the last block of a tool's result says."""
        return json.loads(self.json["result"]["content"][-1]["text"])

    @property
    def code(self) -> str | None:
        """Of the catalogue, if it is an error of it."""
        if self.status != 200 or "result" not in self.json:
            return None
        error = self.result.get("error")
        return None if error is None else str(error["code"])

    def told(self, *, is_moving: bool = False) -> Any:
        """All that the answer says but what is passing."""
        kinds = [value for name, value in self.headers if name == "content-type"]
        if kinds == ["application/json"]:
            body = _lasting(self.json)
        elif kinds == ["text/event-stream"]:
            body = _events(self.body)
        else:
            body = self.body
        headers = [
            (name, "some" if name in {"content-length", "mcp-session-id"} else value) for name, value in self.headers
        ]
        return [self.status, sorted(headers), self.is_closed, _shape(body) if is_moving else body]


@dataclass(frozen=True)
class Door:
    """Where an application listens."""

    port: int

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection that is closed at the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=LONGEST_ANSWER)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def ask(self, request: bytes) -> Answer:
        """Send one request on a connection of its own."""
        async with asyncio.timeout(PATIENCE_S), self.connected() as (reader, writer):
            writer.write(request)
            return await read_answer(reader, is_head=request.startswith(b"HEAD"))


@dataclass(frozen=True)
class Doors:
    """One gateway behind FastMCP's door alone, and behind both."""

    gateway: Gateway
    framework: Door
    both: Door
    tally: Counter[Served] = field(default_factory=Counter)
    codes: set[str | None] = field(default_factory=set)

    async def differences(self, rows: Sequence[Row], *, is_story: bool = False) -> list[str]:
        """Send requests to both, and say what is not the same, or was not served by the door that it should be.

        Args:
            rows: the requests.
            is_story: all of them go to one door before they go to the other, since what each does matters to the next.
        """
        if is_story:
            expected = [await _observed(self.framework, row) for row in rows]
            pairs = list(zip(expected, [await _observed(self.both, row) for row in rows], strict=True))
        else:
            pairs = [await self._pair(row) for row in rows]
        wrong = []
        for row, (before, after) in zip(rows, pairs, strict=True):
            self.tally[row.served] += 1
            if row.served == "express":
                self.codes.add(after.answer.code)
            wrong += [f"{row.label}: {each}\n   {row.request[:MOST_SHOWN]!r}" for each in _problems(row, before, after)]
        return wrong

    async def _pair(self, row: Row) -> tuple[Observed, Observed]:
        # What others do on the server shows in some answers, and passes; a difference of the doors does not.
        for _ in range(ATTEMPTS):
            pair = await _observed(self.framework, row), await _observed(self.both, row)
            if next(_problems(row, *pair), None) is None:
                break
        return pair

    async def alike(self, request: bytes) -> str | None:
        """Send a request to both, whichever is to serve it, and say what is not the same."""
        expected, found = [await _observed(door, Row("", request)) for door in (self.framework, self.both)]
        if sum(found.counts.values()) != sum(expected.counts.values()):
            return f"counted {expected.counts} and {found.counts}"
        if [{**each, "request": ""} for each in found.calls] != [{**each, "request": ""} for each in expected.calls]:
            return f"logged {expected.calls} and {found.calls}"
        self.tally["express" if found.counts["express"] else "fastmcp" if found.counts["fastmcp"] else "neither"] += 1
        return _difference(expected.answer, found.answer)


@dataclass(frozen=True)
class Observed:
    """An answer, and what there was beside it."""

    answer: Answer
    counts: dict[str, int]
    calls: list[Any]


async def _observed(door: Door, row: Row) -> Observed:
    with counted() as counts, capture_logs() as logs:
        answer = await door.ask(row.request)
    return Observed(answer, counts, calls_in(logs))


def _problems(row: Row, expected: Observed, found: Observed) -> Iterator[str]:
    once = int(row.served != "neither")
    if expected.counts != {"fastmcp": once, "express": 0}:
        yield f"FastMCP's door alone counts {expected.counts}"
    if found.counts != {each: int(each == row.served) for each in ("fastmcp", "express")}:
        yield f"should be served by {row.served}, and counts are {found.counts}"
    if expected.calls != found.calls:
        yield f"logged {expected.calls} and {found.calls}"
    if (difference := _difference(expected.answer, found.answer, is_moving=row.is_moving)) is not None:
        yield difference


def _difference(expected: Answer, found: Answer, *, is_moving: bool = False) -> str | None:
    if expected.told(is_moving=is_moving) == found.told(is_moving=is_moving):
        return None
    shown = (f"{each.status} {each.headers} {each.body!r}" for each in (expected, found))
    return "\n   ".join(["answers differ", *(each[:MOST_SHOWN] for each in shown)])


@contextlib.contextmanager
def counted() -> Iterator[dict[str, int]]:
    """Which door's calls have been counted meanwhile, by the metric."""
    before = {door: counter._value.get() for door, counter in CALLS_BY_DOOR.items()}
    counts: dict[str, int] = {}
    yield counts
    counts.update({door: int(counter._value.get() - before[door]) for door, counter in CALLS_BY_DOOR.items()})


@contextlib.asynccontextmanager
async def two_doors(
    reader_dsn: str, writer_dsn: str, *, audit: Audit = NO_AUDIT, **settings: Any
) -> AsyncIterator[Doors]:
    """Serve one gateway by both."""
    defaults = {"pool_acquire_timeout_s": 1, "drain_timeout_s": 1, "spare_connections": 0, "lock_timeout_ms": 100}
    gateway = Gateway(
        Settings(**{**defaults, **settings}),
        *(Target(dsn, "coldquery/test/doors/x", 2) for dsn in (reader_dsn, writer_dsn)),
        tag="coldquery/test/doors",
        audit=audit,
    )
    async with gateway, _served(gateway, express=False) as framework, _served(gateway, express=True) as both:
        yield Doors(gateway, framework, both)


@contextlib.asynccontextmanager
async def _served(gateway: Gateway, *, express: bool) -> AsyncIterator[Door]:
    app = await application(gateway, with_metrics=False, express=express)
    listener = socket.create_server(("127.0.0.1", 0))
    serving = server(app, lifespan="on", timeout_graceful_shutdown=1)
    task = asyncio.create_task(serving.serve(sockets=[listener]))
    async with asyncio.timeout(PATIENCE_S):
        while not serving.started:
            assert not task.done()
            await asyncio.sleep(0.001)
    try:
        yield Door(listener.getsockname()[1])
    finally:
        serving.should_exit = True
        await task


async def read_answer(reader: asyncio.StreamReader, *, is_head: bool = False) -> Answer:
    """The next response on a connection, and whether it ends with it."""
    try:
        status, headers = await _head(reader)
        if status == 100:
            status, headers = await _head(reader)
            headers.append(("continued", "100"))
        body = b"" if is_head else await _body(reader, dict(headers))
    except asyncio.IncompleteReadError as error:
        return Answer(None, (), error.partial, is_closed=True)
    except ConnectionResetError:
        return Answer(None, (), b"", is_closed=True)
    is_closed = dict(headers).get("connection") == "close"
    return Answer(status, tuple(each for each in headers if each[0] != "date"), body, is_closed)


async def _head(reader: asyncio.StreamReader) -> tuple[int, list[tuple[str, str]]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    fields = [line.partition(":") for line in lines]
    return int(first.split(" ")[1]), [(name.lower(), value.strip()) for name, _, value in fields]


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    if headers.get("transfer-encoding") != "chunked":
        return await reader.read() if headers.get("content-type") == "text/event-stream" else b""
    parts = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        parts.append((await reader.readexactly(size + 2))[:-2])
    await reader.readexactly(2)
    return b"".join(parts)


def _no_json(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _lasting(value: Any) -> Any:
    match value:
        case dict():
            return {name: 0 if name in PASSING else _lasting(each) for name, each in value.items()}
        case list():
            return [_lasting(each) for each in value]
        case str():
            return _IN_WORDS.sub("0", _SESSION_ID.sub("session", _PASSING.sub(r'"\1":0', value)))
    # Else true would be 1, and 1 be 1.0.
    return (type(value).__name__, value)


def _events(stream: bytes) -> list[Any]:
    """The events of a stream, with pings together: how many there are is a matter of time."""
    events: list[Any] = []
    for event in stream.decode().split("\r\n\r\n"):
        before, data, text = event.partition("data: ")
        told = [before, data, _lasting(json.loads(text)) if data else text]
        if events[-1:] != [told]:
            events.append(told)
    return events


def _shape(value: Any) -> Any:
    """What is left when each figure in it, and how many there are of a kind, may be another."""
    match value:
        case dict():
            return {
                name: [_shape(block) for block in each] if name == "content" else _shape(each)
                for name, each in value.items()
            }
        case str() if value.startswith("{"):
            return _shape(json.loads(value))
        case (str(), int() | float()):
            return "number"
    return type(value).__name__


def calls_in(logs: Sequence[Any]) -> list[Any]:
    """The lines that tell of calls, without what differs from one to the next."""
    lines = [dict(each) for each in logs if each["event"] == "call"]
    for line in lines:
        line |= {"door": None, "duration_ms": None, "session": line["session"] is not None}
        line["request"] = "own" if line["request"].startswith(BOOT) else line["request"]
    return lines
