"""Standard input by two doors, the express lane and the SDK's, line by line: what one answers, the other answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from coldquery.express.calls import Calls
from coldquery.express.stdio import StdioLane
from coldquery.gateway import Gateway
from coldquery.mcp.internals import STDIO_CLIENT, run_stdio
from coldquery.mcp.server import INFO, build_server, build_tools
from coldquery.postgres.target import Target
from coldquery.settings import Settings
from coldquery.telemetry.metrics import CALLS_BY_DOOR, sample_values
from tests.conftest import TestDatabase
from tests.integration.sessions.asking import SLEEPING, until

MODERN = "2026-07-28"
PREFIX = "io.modelcontextprotocol/"
CLIENT = {"name": "tests", "version": "1"}
CLOSED = {"code": -32000, "message": "Connection closed"}
# What differs from one call to the next by either door.
PASSING = {
    *("duration_ms", "session_id", "id", "xid", "idle_expires_in_s", "lifetime_left_s", "age_s", "idle_s", "pid"),
    *("backend_pid", "retry_after_s"),
}


@dataclass(frozen=True)
class Era:
    """How a client of one revision speaks."""

    version: str
    has_lane: bool = True

    @property
    def is_modern(self) -> bool:
        return self.version == MODERN

    def meta(self, **more: Any) -> dict[str, Any]:
        return envelope(**more) if self.is_modern else more

    def ask(self, key: Any, method: str, **params: Any) -> bytes:
        if meta := {**self.meta(), **params.pop("_meta", {})}:
            params["_meta"] = meta
        return message(id=key, method=method, params=params)

    def call(self, key: Any, tool: str, **arguments: Any) -> bytes:
        return self.ask(key, "tools/call", name=tool, arguments=arguments)

    def read(self, key: Any, sql: str, *params: Any, **more: Any) -> bytes:
        return self.call(key, "pg_query", action="read", sql=sql, params=list(params), **more)

    def initialize(self, key: Any, version: str | None = None) -> bytes:
        params = {"protocolVersion": version or self.version, "capabilities": {}, "clientInfo": CLIENT}
        return message(id=key, method="initialize", params=params)


ERAS = [Era("2024-11-05", has_lane=False), Era("2025-06-18"), Era("2025-11-25"), Era(MODERN)]
WITH_LANE = [era for era in ERAS if era.has_lane]
BOTH = ERAS[-2:]


def envelope(version: str = MODERN, **more: Any) -> dict[str, Any]:
    return {
        f"{PREFIX}protocolVersion": version,
        f"{PREFIX}clientCapabilities": {},
        f"{PREFIX}clientInfo": CLIENT,
        **more,
    }


def message(**members: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **members}, ensure_ascii=False).encode() + b"\n"


def notify(method: str, **params: Any) -> bytes:
    return message(method=f"notifications/{method}", params=params)


@dataclass(frozen=True)
class Line:
    """One of a script.

    Attributes:
        sent: as it is.
        answers: how many there are; the next line is sent when they have come.
        by_lane: the lane answers it.
        is_moving: its figures are others each time.
    """

    sent: bytes
    answers: int = 1
    by_lane: bool = False
    is_moving: bool = False


class Connection:
    """A client's side of one connection, and the server behind it."""

    def __init__(self) -> None:
        self.replies: list[dict[str, Any]] = []
        self._came = asyncio.Event()
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def lines(self) -> AsyncIterator[bytes]:
        while (line := await self._lines.get()) is not None:
            yield line

    async def write(self, line: bytes) -> None:
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        self.replies.append(json.loads(line.decode()))
        self._came.set()

    def send(self, *lines: bytes) -> None:
        for line in lines:
            self._lines.put_nowait(line)

    def end(self) -> None:
        self._lines.put_nowait(None)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.replies) < count:
                self._came.clear()
                await self._came.wait()

    async def ask(self, line: bytes) -> dict[str, Any]:
        """Send a line, and wait for the next reply."""
        self.send(line)
        await self.until(len(self.replies) + 1)
        return self.replies[-1]

    async def open(self, era: Era) -> None:
        """As a client begins; with a call, that settles the era."""
        if not era.is_modern:
            await self.ask(era.initialize("init"))
            self.send(notify("initialized"))
        await self.ask(era.read("opens", "SELECT 1"))


def said(reply: dict[str, Any]) -> Any:
    """What a tool answered."""
    return json.loads(reply["result"]["content"][0]["text"])


type Open = Callable[[bool], contextlib.AbstractAsyncContextManager[Connection]]


@pytest.fixture(scope="session")
async def gateway(shelf: TestDatabase) -> AsyncIterator[Gateway]:
    """One that both kinds of connections are made to."""
    settings = Settings(drain_timeout_s=1, spare_connections=0)
    reader, writer = (Target(dsn, "coldquery/test/1/x", 10) for dsn in (shelf.reader_dsn, shelf.owner_dsn))
    async with Gateway(settings, reader, writer) as gateway:
        yield gateway


@pytest.fixture
def open_door(gateway: Gateway) -> Open:
    """A connection with the lane in front of the SDK, or without."""

    @asynccontextmanager
    async def opened(has_lane: bool) -> AsyncIterator[Connection]:
        connection, tools = Connection(), build_tools(gateway)
        lane = StdioLane(connection.lines(), connection, STDIO_CLIENT, Calls(tools, INFO))
        server = await build_server(gateway, tools, lane.open if has_lane else str)
        lines = lane if has_lane else connection.lines()
        serving = asyncio.create_task(run_stdio(server, lines, connection))
        try:
            yield connection
        finally:
            connection.end()
            async with asyncio.timeout(10):
                await serving
            assert not [each for each in asyncio.all_tasks() if each.get_name() == "express call"]

    return opened


@contextlib.contextmanager
def counting() -> Iterator[dict[str, int]]:
    """How many calls each door served meanwhile."""

    def now() -> dict[str, float]:
        samples = sample_values()
        return {door: samples["coldquery_calls_by_door_total", (("door", door),)] for door in CALLS_BY_DOOR}

    before, counts = now(), dict[str, int]()
    yield counts
    counts.update({door: int(count - before[door]) for door, count in now().items()})


def settled(value: Any) -> Any:
    """A reply without what is passing, and with the JSON in its texts as JSON."""
    if isinstance(value, dict):
        text = value.get("text")
        if isinstance(text, str) and text.startswith("{"):
            value = {**value, "text": json.loads(text)}
        # The message's own id is compared apart.
        return {key: "passing" if key in PASSING else settled(each) for key, each in value.items()}
    return [settled(each) for each in value] if isinstance(value, list) else value


def shape(value: Any, depth: int = 3) -> Any:
    """What an answer is made of, whose figures are others each time."""
    if isinstance(value, dict) and depth:
        return {key: shape(each, depth - 1) for key, each in value.items()}
    return type(value).__name__


def told(reply: dict[str, Any], *, is_moving: bool = False) -> Any:
    body = settled({key: each for key, each in reply.items() if key != "id"})
    return [type(reply.get("id")), reply.get("id"), shape(body) if is_moving else body]


async def play(connection: Connection, script: list[Line]) -> list[Any]:
    """Send a script, line after line: what is answered to each."""
    answers = []
    for line in script:
        began = len(connection.replies)
        connection.send(line.sent)
        try:
            await connection.until(began + line.answers)
        except TimeoutError:
            pytest.fail(f"not answered: {line.sent[:300]!r}")
        answers.append([told(each, is_moving=line.is_moving) for each in connection.replies[began:]])
    # What should not have been answered would have been by now.
    await connection.ask(message(id="last", method="ping"))
    answers.append([told(connection.replies[-1])])
    return answers


async def compare(open_door: Open, script: list[Line]) -> None:
    """Play a script to both doors."""
    async with open_door(False) as connection:
        with counting() as alone:
            expected = await play(connection, script)
    async with open_door(True) as connection:
        with counting() as both:
            found = await play(connection, script)
    for line, by_sdk, by_both in zip(script, expected, found, strict=False):
        assert by_both == by_sdk, line.sent[:300]
    assert found == expected
    assert alone["express"] == 0
    assert both["express"] == sum(line.by_lane for line in script)
    assert sum(both.values()) == sum(alone.values())


def opening(era: Era) -> list[Line]:
    """How a connection begins, up to the call that settles the era."""
    first = Line(era.read("first", "SELECT 1"))
    if era.is_modern:
        return [first]
    return [Line(era.initialize("init")), Line(notify("initialized"), answers=0), first]


CALLS: list[tuple[str, dict[str, Any]]] = [
    *(
        ("pg_query", {"action": "read", "sql": "SELECT * FROM item ORDER BY id", "format": each})
        for each in (
            *("table", "objects", "csv", "markdown"),
            "xml",
        )
    ),
    *(
        ("pg_query", {"action": "read", "sql": f"SELECT {each}"})
        for each in (
            *(
                "1",
                "NULL",
                "'ü\u2028🐘'",
                "1.50",
                "2^62",
                "'{\"a\": [1, null]}'::json",
                "E'{\\n\"b\": 1}'::json",
                "'NaN'::float8",
            ),
            *(
                "repeat('x', 200000)",
                "1/0",
                "nothing",
                "pg_sleep(0)",
                "now() - now()",
                "ARRAY[1, NULL]",
                "'\\x00'::bytea",
            ),
        )
    ),
    ("pg_query", {"action": "read", "sql": "SELECT i FROM generate_series(1, 5000) i"}),
    ("pg_query", {"action": "read", "sql": "SELECT i FROM generate_series(1, 5000) i", "max_rows": 3}),
    (
        "pg_query",
        {"action": "read", "sql": "SELECT $1::text, $2::int, $3::jsonb", "params": ["ü", 7, {"a": [1.0, 1e3]}]},
    ),
    ("pg_query", {"action": "read", "sql": "SELECT $1::numeric", "params": [12345678901234567890123]}),
    ("pg_query", {"action": "read", "sql": "INSERT INTO item VALUES (99, 'x')"}),
    ("pg_query", {"action": "write", "sql": "INSERT INTO item VALUES (99, 'x')"}),
    ("pg_query", {"action": "write", "sql": "INSERT INTO item VALUES (99, 'x')", "autocommit": True}),
    ("pg_query", {"action": "write", "sql": "INSERT INTO item VALUES (99, 'x')", "autocommit": True}),
    ("pg_query", {"action": "write", "sql": "DELETE FROM item WHERE id = 99 RETURNING *", "autocommit": True}),
    ("pg_query", {"action": "transaction", "operations": [{"sql": "SELECT 1"}, {"sql": "SELECT 2"}]}),
    ("pg_query", {"action": "transaction", "operations": []}),
    ("pg_query", {"action": "explain", "sql": "SELECT * FROM item"}),
    ("pg_query", {"action": "read", "sql": "SELECT 1", "session_id": "nobody"}),
    ("pg_query", {"action": "read", "sql": "SELECT pg_sleep(5)", "timeout_ms": 20}),
    ("pg_query", {"action": "read", "sql": 7}),
    ("pg_query", {"action": "reed", "sql": "SELECT 1"}),
    ("pg_query", {"sqll": "SELECT 1", "ü\x1b": [True, None]}),
    ("pg_query", {}),
    ("pg_tx", {"action": "list"}),
    ("pg_tx", {"action": "commit", "session_id": "nobody"}),
    ("pg_tx", {"action": "begin", "isolation_level": "none"}),
    ("pg_schema", {"action": "list", "schema": "public"}),
    ("pg_schema", {"action": "describe", "name": "item"}),
    ("pg_schema", {"action": "describe", "name": "itm"}),
    ("pg_admin", {"action": "settings", "setting_name": "work_mem"}),
    ("pg_admin", {"action": "vacuum", "table": "nothing", "autocommit": True}),
    ("pg_monitor", {"action": "slow_queries", "order_by": "x"}),
]
MOVING = [{"action": each} for each in ("health", "activity", "connections", "locks", "size", "progress")]


def calls(era: Era) -> list[Line]:
    lane = era.has_lane
    return [
        *(Line(era.call(f"call {n}", tool, **given), by_lane=lane) for n, (tool, given) in enumerate(CALLS)),
        *(Line(era.call(n, "pg_monitor", **each), by_lane=lane, is_moving=True) for n, each in enumerate(MOVING)),
        Line(era.ask("null arguments", "tools/call", name="pg_tx", arguments=None), by_lane=lane),
        Line(era.ask("no arguments", "tools/call", name="pg_tx"), by_lane=lane),
        Line(era.ask("array", "tools/call", name="pg_tx", arguments=[])),
    ]


def ids(era: Era) -> list[Line]:
    read, lane = "SELECT 1", era.has_lane
    # A message with what is no id is a notification of a method that is none.
    none: tuple[Any, ...] = (1.5, 7.0, None, True, [], {}, [1])
    return [
        *(
            Line(era.read(each, read), by_lane=lane)
            for each in (0, 7, "7", -1, 2**53 + 1, 2**63 - 1, -(2**63), "", " ", "ü", "🐘")
        ),
        *(
            Line(era.read(each, read), by_lane=lane)
            for each in ("\u2028\x7f\x00", '"\\', "x" * 10_000, "null", "1.5", "\u0667", "0x7")
        ),
        *(Line(era.read(each, read)) for each in (2**63, -(2**63) - 1, 10**30)),
        *(Line(era.read(each, read), answers=0) for each in none),
        Line(era.read(1, read).replace(b'"id": 1', b'"id": "\\ud83d\\ude00"'), by_lane=lane),
        Line(era.read(1, read).replace(b'"id": 1', b'"id": "\\ud800"'), answers=0),
        Line(era.read(1, read).replace(b'"id": 1', b'"id": 1, "id": 2'), by_lane=lane),
        Line(era.read(1, read).replace(b'"id": 1', b'"id": 01'), answers=0),
        Line(era.read(1, read).replace(b'"id": 1, ', b""), answers=0),
    ]


def odd(era: Era) -> list[Line]:
    lane, whole = era.has_lane, era.read("odd", "SELECT 'x'")
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    no_tokens: tuple[Any, ...] = (1.5, True, None, [])

    def tokened(tool: str, token: Any) -> bytes:
        return era.ask("token", "tools/call", name=tool, arguments={"action": "list"}, _meta={"progressToken": token})

    def within(meta: Any) -> bytes:
        params = {"name": "pg_tx", "arguments": {"action": "list"}, "_meta": meta}
        return message(id="meta", method="tools/call", params=params)

    return [
        *(Line(each, by_lane=lane) for each in (b" \t" + whole, whole[:-1] + b" \r\n", whole[:-1])),
        # Bytes that are no UTF-8 are replaced by the SDK.
        *(
            Line(whole.replace(b"'x'", b"'" + each + b"'"))
            for each in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80")
        ),
        *(
            Line(each, answers=0)
            for each in (b"\n", b"  \r\n", b"{}\n", b"[]\n", b"null\n", b"too long", b"\xff\xfe\n", b'"x"\n', b"7")
        ),
        *(
            Line(each, answers=0)
            for each in (b"[" + whole[:-1] + b"]\n", whole[:40] + b"\n", whole[:-2] + b"\n", b"\xef\xbb\xbf" + whole)
        ),
        *(
            Line(each, answers=0)
            for each in (whole[:-1] + b" x\n", whole.replace(b"2.0", b"1.0"), whole.replace(b'"2.0"', b"2.0"))
        ),
        Line(b"[" * 100_000 + b"\n", answers=0),
        Line(b"x" * 3_000_000 + b"\n", answers=0),
        Line(era.read("large", f"SELECT 1 -- {'ü' * 500_000}"), by_lane=lane),
        Line(whole.replace(b"{", b'{"more": 1, ', 1)),
        Line(whole.replace(b'"params"', b'"result": {}, "params"', 1)),
        Line(era.ask("more", "tools/call", name="pg_tx", arguments={"action": "list"}, more=1)),
        *(Line(tokened("pg_tx", each), by_lane=lane) for each in (1, "p", -1, 2**70, "")),
        # What is no token is none to the SDK, or wrong.
        *(Line(tokened("pg_tx", each)) for each in no_tokens),
        *(Line(tokened("pg_admin", each)) for each in (1, "p")),
        Line(
            era.ask("trace", "tools/call", name="pg_tx", arguments={"action": "list"}, _meta={"traceparent": trace}),
            by_lane=lane,
        ),
        Line(within({})) if era.is_modern else Line(within({}), by_lane=lane),
        Line(within(None)),
        Line(within(envelope()), by_lane=era.is_modern),
        Line(within(envelope("2099-01-01"))),
        Line(within(envelope("2025-11-25"))),
        Line(within({f"{PREFIX}protocolVersion": MODERN})),
        Line(within({f"{PREFIX}clientCapabilities": {}})),
        Line(within({f"{PREFIX}clientInfo": CLIENT})),
        Line(within({**envelope(), f"{PREFIX}clientInfo": {"name": "x"}})),
        Line(
            message(id="bare", method="tools/call", params={"name": "pg_tx", "arguments": {"action": "list"}}),
            by_lane=lane and not era.is_modern,
        ),
        Line(message(id="params", method="tools/call")),
        Line(message(id="params", method="tools/call", params=[]), answers=0),
        *(Line(era.call("unknown", each)) for each in ("nothing", "", "PG_QUERY", "pg_query ", "ü")),
        Line(era.ask("no name", "tools/call", arguments={})),
        Line(era.ask("name", "tools/call", name=7)),
        *(
            Line(era.ask(each, each))
            for each in ("ping", "tools/list", "resources/list", "prompts/list", "server/discover", "tools/Call", "x")
        ),
        *(
            Line(notify(each), answers=0)
            for each in ("initialized", "progress", "cancelled", "roots/list_changed", "nothing")
        ),
        Line(notify("cancelled", requestId="nobody"), answers=0),
        Line(message(id="asked", method="notifications/cancelled", params={"requestId": 1})),
        Line(message(id=1, result={}), answers=0),
        Line(message(id=1, error={"code": 1, "message": "x"}), answers=0),
        Line(era.read("after all this", "SELECT 1"), by_lane=lane),
    ]


@pytest.mark.parametrize("era", ERAS, ids=lambda era: era.version)
@pytest.mark.parametrize("script", [calls, ids, odd], ids=lambda script: script.__name__)
async def test_both_doors_answer_the_same(open_door: Open, era: Era, script: Callable[[Era], list[Line]]) -> None:
    await compare(open_door, [*opening(era), *script(era)])


def test_the_scripts_are_long() -> None:
    assert sum(len(script(ERAS[-1])) for script in (calls, ids, odd)) > 120


@pytest.mark.parametrize("era", ERAS[:-1], ids=lambda era: era.version)
async def test_calls_before_the_handshake_are_refused_by_both(open_door: Open, era: Era) -> None:
    early = [Line(era.read(n, "SELECT 1")) for n in range(3)]
    late = [Line(era.read(n, "SELECT 2"), by_lane=era.has_lane) for n in range(3)]
    await compare(open_door, [*early, *opening(era), *late])


@pytest.mark.parametrize("era", WITH_LANE, ids=lambda era: era.version)
async def test_a_client_that_asks_for_something_else_first_has_the_lane_from_its_second_call_on(
    open_door: Open, era: Era
) -> None:
    asked = [Line(era.ask(each, each)) for each in ("tools/list", "ping")]
    if not era.is_modern:
        asked = [Line(era.initialize("init")), *asked]
    await compare(open_door, [*asked, Line(era.read(1, "SELECT 1")), Line(era.read(2, "SELECT 1"), by_lane=True)])


@pytest.mark.parametrize("era", WITH_LANE, ids=lambda era: era.version)
async def test_a_second_handshake_shuts_the_lane_and_the_answers_are_those_of_its_version(
    open_door: Open, era: Era
) -> None:
    # An error has structured content, which the first revision does not know.
    wrong = era.call("wrong", "pg_query")
    before = [Line(wrong, by_lane=True), Line(era.initialize("again", "2024-11-05"))]
    # A client of the 2026-07-28 revision is refused, and has met no handshake before.
    await compare(open_door, [*opening(era), *before, Line(wrong), *[Line(wrong, by_lane=era.is_modern)] * 3])


@pytest.mark.parametrize("bytes_that_are_no_text", [b"", b"\xff"])
async def test_a_call_that_runs_through_a_second_handshake_does_not_open_the_lane(
    open_door: Open, bytes_that_are_no_text: bytes
) -> None:
    era = Era("2025-11-25")
    again = era.initialize("again", "2024-11-05").replace(b'"tests"', b'"tests' + bytes_that_are_no_text + b'"')
    shown = []
    for has_lane in (False, True):
        async with open_door(has_lane) as connection:
            await connection.open(era)
            # By the SDK's door, for what more it says; the next line has come before it has begun.
            with_more = era.ask(1, "tools/call", name="pg_tx", arguments={}, _meta={"example.org/more": 1})
            connection.send(with_more, again)
            await connection.until(4)
            with counting() as counts:
                shown.append(told(await connection.ask(era.call("wrong", "pg_query"))))
            assert counts["express"] == 0
    assert shown[0] == shown[1]


# Calls that are cancelled.

type Cancel = Callable[[Any], bytes]


def _cancel(key: Any) -> bytes:
    return notify("cancelled", requestId=key, reason="enough")


CANCELS: dict[str, tuple[Any, Cancel]] = {
    "by int": (77, _cancel),
    "by string": ("work", _cancel),
    "int by string": (77, lambda key: _cancel(str(key))),
    "string by int": ("77", lambda key: _cancel(int(key))),
    "reason that is no text": (77, lambda key: _cancel(key).replace(b"enough", b"\xff")),
    "reason that is no JSON": (77, lambda key: _cancel(key).replace(b'"enough"', b"NaN")),
    "id null": (77, lambda key: message(id=None, method="notifications/cancelled", params={"requestId": key})),
    "twice": (77, lambda key: _cancel(key) + _cancel(key)),
}


@pytest.mark.parametrize("era", BOTH, ids=lambda era: era.version)
@pytest.mark.parametrize("door", ["lane", "SDK behind the lane", "SDK"])
async def test_a_cancelled_call_stops_is_not_answered_and_leaves_its_session(
    open_door: Open, observer: asyncpg.Connection[Any], era: Era, door: str
) -> None:
    meta = {"example.org/more": 1} if door == "SDK behind the lane" else {}
    async with open_door(door != "SDK") as connection:
        await connection.open(era)
        session = said(await connection.ask(era.call("begin", "pg_tx", action="begin")))["session_id"]
        for how, (key, cancel) in CANCELS.items():
            began = len(connection.replies)
            arguments = {"action": "read", "sql": "SELECT pg_sleep(60)", "session_id": session}
            with counting() as counts:
                connection.send(era.ask(key, "tools/call", name="pg_query", arguments=arguments, _meta=meta))
                await until(observer, SLEEPING, wanted=1)
                connection.send(*cancel(key).splitlines(keepends=True))
                await until(observer, SLEEPING, wanted=0, within_s=1)
                status = await connection.ask(era.call("status", "pg_tx", action="status", session_id=session))
            assert counts["express"] == {"lane": 2, "SDK behind the lane": 1, "SDK": 0}[door], how
            # What was cancelled is undone, and no more.
            assert said(status)["session"]["state"] == "idle in transaction", how
            assert [each["id"] for each in connection.replies[began:]] == ["status"], how
        ended = said(await connection.ask(era.call("end", "pg_tx", action="rollback", session_id=session)))
        assert "error" not in ended


@pytest.mark.parametrize("era", BOTH, ids=lambda era: era.version)
@pytest.mark.parametrize("has_lane", [True, False])
async def test_what_does_not_cancel_a_call_leaves_it_running(
    open_door: Open, observer: asyncpg.Connection[Any], era: Era, has_lane: bool
) -> None:
    idle = [
        *(_cancel(each) for each in ("nobody", 7.0, True, None, [7], "7.0", 8)),
        # A request, and not a notification.
        message(id="asked", method="notifications/cancelled", params={"requestId": 7}),
        _cancel(7).replace(b"2.0", b"1.0"),
    ]
    async with open_door(has_lane) as connection:
        await connection.open(era)
        began = len(connection.replies)
        connection.send(era.read(7, "SELECT pg_sleep(0.1)"))
        await until(observer, SLEEPING, wanted=1)
        connection.send(*idle)
        await connection.until(began + 2)
        assert {each["id"] for each in connection.replies[began:]} == {"asked", 7}
        # And after the reply there is nothing to cancel.
        connection.send(_cancel(7))
        assert (await connection.ask(era.read(7, "SELECT 1")))["id"] == 7


@pytest.mark.parametrize("era", BOTH, ids=lambda era: era.version)
@pytest.mark.parametrize("has_lane", [True, False])
async def test_of_two_calls_with_one_id_the_later_is_cancelled(
    open_door: Open, observer: asyncpg.Connection[Any], era: Era, has_lane: bool
) -> None:
    async with open_door(has_lane) as connection:
        await connection.open(era)
        began = len(connection.replies)
        connection.send(era.read(7, "SELECT 'earlier', pg_sleep(0.3)"))
        await until(observer, SLEEPING, wanted=1)
        connection.send(era.read("7", "SELECT 'later', pg_sleep(60)"))
        await until(observer, SLEEPING, wanted=2)
        connection.send(_cancel(7))
        await until(observer, SLEEPING, wanted=0, within_s=1)
        await connection.until(began + 1)
        (reply,) = connection.replies[began:]
        assert reply["id"] == 7
        assert "earlier" in reply["result"]["content"][0]["text"]
        connection.send(era.read(7, "SELECT 1"), era.read(7, "SELECT 1"))
        await connection.until(began + 3)
        assert [each["id"] for each in connection.replies[began:]] == [7, 7, 7]


@pytest.mark.parametrize("era", BOTH, ids=lambda era: era.version)
@pytest.mark.parametrize("has_lane", [True, False])
async def test_calls_that_run_when_the_input_ends_are_told_so(
    open_door: Open, observer: asyncpg.Connection[Any], era: Era, has_lane: bool
) -> None:
    async with open_door(has_lane) as connection:
        await connection.open(era)
        began = len(connection.replies)
        connection.send(*(era.read(each, "SELECT pg_sleep(60)") for each in (1, "2", "drei")))
        await until(observer, SLEEPING, wanted=3)
        connection.end()
        await connection.until(began + 3)
    closed = {each["id"]: each["error"] for each in connection.replies[began:]}
    assert closed == {1: CLOSED, "2": CLOSED, "drei": CLOSED}
    await until(observer, SLEEPING, wanted=0, within_s=1)


@pytest.mark.parametrize("era", BOTH, ids=lambda era: era.version)
async def test_a_call_that_comes_with_the_end_of_the_input_is_answered(open_door: Open, era: Era) -> None:
    async with open_door(True) as connection:
        await connection.open(era)
        connection.send(era.read("with the end", "SELECT 1"))
        connection.end()
    assert (connection.replies[-1]["id"], connection.replies[-1]["error"]) == ("with the end", CLOSED)
