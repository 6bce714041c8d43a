"""The express lane on lines: which it serves, which it passes on, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Literal, cast

import pytest

from coldquery.express import stdio
from coldquery.express.calls import Calls
from coldquery.express.stdio import StdioLane
from coldquery.mcp.rendering import ToolReply
from coldquery.telemetry import tracing

VERSION = "2025-11-25"
CLOSED = {"code": -32000, "message": "Connection closed"}


class Tool:
    """One that answers when it is let, and may take a cancellation in its stride."""

    name = "pg_query"
    tells_progress = False

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.started: list[dict[str, Any]] = []
        self.heeds_cancelling = True

    async def reply(
        self, arguments: dict[str, Any], door: Literal["express"], *, request: str, client: str | None
    ) -> ToolReply:
        assert (door, client) == ("express", "the client")
        self.started.append(arguments)
        while True:
            try:
                await self.let.wait()
            except asyncio.CancelledError:
                if self.heeds_cancelling:
                    raise
            else:
                return ToolReply(("{}",))


class Talk:
    """A lane, and what comes in and goes out."""

    def __init__(self) -> None:
        self.tool = Tool()
        self.written: list[dict[str, Any]] = []
        self.passed: list[bytes] = []
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.lane = StdioLane(self._coming(), self, "the client", Calls([cast("Any", self.tool)], {}))
        self.reading = asyncio.ensure_future(self._read())

    async def _coming(self) -> AsyncIterator[bytes]:
        while (line := await self._lines.get()) is not None:
            yield line

    async def _read(self) -> None:
        async for line in self.lane:
            self.passed.append(line)

    async def write(self, line: bytes) -> None:
        self.written.append(json.loads(line))

    async def send(self, *lines: bytes | None) -> None:
        for line in lines:
            self._lines.put_nowait(line)
        await turns()

    @property
    def answered(self) -> list[Any]:
        return [each["id"] for each in self.written]

    @property
    def left(self) -> list[object]:
        """What the lane still remembers of calls."""
        return [*self.lane._running]


async def turns() -> None:
    """Let all run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


def call(key: int | str, name: str = "pg_query") -> bytes:
    params = {"name": name, "arguments": {"n": key}}
    return json.dumps({"jsonrpc": "2.0", "id": key, "method": "tools/call", "params": params}).encode() + b"\n"


def cancel(key: Any) -> bytes:
    message = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": key}}
    return json.dumps(message).encode() + b"\n"


INITIALIZE = b'{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}\n'


async def test_it_is_closed_until_it_is_opened_and_for_tools_that_it_does_not_have() -> None:
    talk = Talk()
    await talk.send(call(1))
    talk.lane.open(VERSION)
    await talk.send(call(2), call(3, "nothing"))
    assert talk.passed == [call(1), call(3, "nothing")]
    assert talk.tool.started == [{"n": 2}]
    await talk.send(None)


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2099-01-01", ""])
async def test_it_does_not_open_for_versions_whose_results_it_does_not_write(version: str) -> None:
    talk = Talk()
    talk.lane.open(VERSION)
    talk.lane.open(version)
    await talk.send(call(1), None)
    assert talk.passed == [call(1)]


async def test_calls_that_a_tool_is_to_tell_the_progress_of_are_passed_on() -> None:
    talk = Talk()
    talk.tool.tells_progress = True
    talk.lane.open(VERSION)
    with_token = call(1).replace(b'"params": {', b'"params": {"_meta": {"progressToken": 1}, ')
    await talk.send(with_token, call(2), None)
    assert talk.passed == [with_token]
    assert talk.tool.started == [{"n": 2}]


async def test_it_is_closed_while_calls_are_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    talk = Talk()
    talk.lane.open(VERSION)
    monkeypatch.setattr(tracing, "_wanted", True)
    await talk.send(call(1), None)
    assert talk.passed == [call(1)]


async def test_a_handshake_closes_it_and_a_second_one_for_good() -> None:
    talk = Talk()
    talk.lane.open(VERSION)
    await talk.send(INITIALIZE, call(1))
    talk.lane.open(VERSION)
    await talk.send(call(2), INITIALIZE, call(3))
    talk.lane.open(VERSION)
    await talk.send(call(4))
    assert talk.passed == [INITIALIZE, call(1), INITIALIZE, call(3), call(4)]
    await talk.send(None)


@pytest.mark.parametrize(
    "line",
    [
        *(
            b"",
            b"\n",
            b"\xff",
            b"[]",
            b"7",
            b"null",
            b"{}",
            b'{"method":1}',
            b'{"method":["initialize"]}',
            b"[" * 100_000,
        ),
        *(cancel(each) for each in ("nobody", 7.0, None, True, [1], {"a": 1}, 10**30, "9" * 5000)),
        *(cancel(1).replace(b'{"requestId": 1}', each) for each in (b"{}", b"[1]", b"null", b"1")),
        *(cancel(1).replace(b"2.0", each) for each in (b"1.0", b"")),
        cancel(1).replace(b"{", b'{"id": 5, ', 1),
        cancel(1).replace(b"{", b'{"id": "", ', 1),
    ],
)
async def test_odd_lines_are_passed_on_and_cancel_nothing(line: bytes) -> None:
    talk = Talk()
    talk.lane.open(VERSION)
    await talk.send(call(1), line)
    assert talk.passed == [line]
    talk.tool.let.set()
    await talk.send(None)
    assert talk.answered == [1]
    assert "result" in talk.written[0]


@pytest.mark.parametrize(
    "line",
    [
        *(cancel(7), cancel("7"), cancel(" 7 "), cancel(7).replace(b"{", b'{"more": NaN, ', 1)),
        *(cancel(7).replace(b"{", b'{"id": null, ', 1), cancel(7).replace(b"{", b'{"id": 1.5, ', 1)),
        cancel(7).replace(b"}}", b', "reason": "\xff"}}'),
    ],
)
@pytest.mark.parametrize("key", [7, "7"])
async def test_a_cancelled_call_is_not_answered(key: int | str, line: bytes) -> None:
    talk = Talk()
    talk.lane.open(VERSION)
    await talk.send(call(key), call(8), line, line)
    assert talk.passed == [line, line]
    talk.tool.let.set()
    await talk.send(None)
    assert talk.answered == [8]


@pytest.mark.parametrize("has_begun", [True, False])
@pytest.mark.parametrize("heeds", [True, False])
async def test_a_cancelled_call_is_not_answered_whenever_it_is_cancelled_and_leaves_nothing(
    has_begun: bool, heeds: bool
) -> None:
    talk = Talk()
    talk.tool.heeds_cancelling = heeds
    talk.lane.open(VERSION)
    await talk.send(call(1), *([] if has_begun else [cancel(1)]))
    await talk.send(cancel(1))
    talk.tool.let.set()
    await turns()
    assert talk.written == []
    assert not talk.left
    await talk.send(call(1), None)
    assert talk.answered == [1]


async def test_of_two_calls_with_one_id_the_later_is_found_and_each_is_answered() -> None:
    talk = Talk()
    talk.lane.open(VERSION)
    await talk.send(call(1), call("1"), cancel(1))
    talk.tool.let.set()
    await turns()
    assert talk.answered == [1]
    await talk.send(call(1), call(1))
    assert talk.answered == [1, 1, 1]
    assert not talk.left
    await talk.send(None)


@pytest.mark.parametrize("has_begun", [True, False])
async def test_when_the_input_ends_every_call_is_told_so_even_one_that_has_not_begun(has_begun: bool) -> None:
    talk = Talk()
    talk.lane.open(VERSION)
    if has_begun:
        await talk.send(call(1), call("2"))
        await talk.send(None)
    else:
        await talk.send(call(1), call("2"), None)
    await talk.reading
    assert {each["id"]: each["error"] for each in talk.written} == {1: CLOSED, "2": CLOSED}
    assert not talk.left


async def test_a_call_that_does_not_end_in_time_writes_nothing_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "LAST_REPLIES_S", 0.01)
    talk = Talk()
    talk.tool.heeds_cancelling = False
    talk.lane.open(VERSION)
    async with contextlib.aclosing(talk.lane):
        await talk.send(call(1), None)
        await talk.reading
    talk.tool.let.set()
    await turns()
    assert talk.tool.started == [{"n": 1}]
    assert talk.written == []
    assert not talk.lane._running


async def test_leaving_it_ends_its_calls_though_the_input_goes_on() -> None:
    talk = Talk()
    async with contextlib.aclosing(talk.lane):
        talk.lane.open(VERSION)
        await talk.send(call(1))
    assert talk.written[0]["error"] == CLOSED
    await talk.send(call(2), None)
    assert talk.passed == [call(2)]
