"""Which calls of tools are served, and what becomes of one that a defect fails."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from coldquery.express.calls import Calls
from coldquery.express.frames import CallFrame, understood
from coldquery.mcp.rendering import ToolReply
from coldquery.telemetry import tracing

TRACES = [
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
]


class Tool:
    """One whose replies are given."""

    name = "pg_query"

    def __init__(self, *, tells_progress: bool = False, reply: object = ToolReply(("{}",))) -> None:
        self.tells_progress = tells_progress
        self.asked: list[tuple[Any, ...]] = []
        self._reply = reply

    async def reply(self, arguments: dict[str, Any], door: str, *, request: str, client: str | None) -> ToolReply:
        self.asked.append((arguments, door, request, client))
        if isinstance(self._reply, Exception):
            raise self._reply
        return cast("ToolReply", self._reply)


def calls(tool: Tool) -> Calls:
    return Calls([cast("Any", tool)], {"name": "coldquery", "version": "1"})


def frame(name: str = "pg_query", **params: Any) -> CallFrame:
    message = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": name, **params}}
    found = understood(json.dumps(message).encode())
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "meta", "tells_progress", "served"),
    [
        ("pg_query", {}, False, True),
        ("pg_query", {}, True, True),
        ("pg_tx", {}, False, False),
        ("pg_query", {"progressToken": 0}, False, True),
        ("pg_query", {"progressToken": 0}, True, False),
        ("pg_query", {"progressToken": ""}, True, False),
    ],
)
def test_those_for_a_tool_are_served_unless_it_is_to_tell_of_progress(
    name: str, meta: dict[str, Any], tells_progress: bool, served: bool
) -> None:
    assert calls(Tool(tells_progress=tells_progress)).serve(frame(name, _meta=meta)) is served


def test_none_is_served_while_calls_are_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_wanted", True)
    assert not calls(Tool()).serve(frame())


@pytest.mark.parametrize(("meta", "trace"), [({}, TRACES[1]), ({"traceparent": TRACES[0]}, TRACES[0])])
async def test_the_tool_gets_the_arguments_and_the_first_trace_that_was_told(meta: dict[str, Any], trace: str) -> None:
    tool = Tool()
    answer = json.loads(await calls(tool).answer(frame(arguments={"a": 1}, _meta=meta), "me", TRACES[1]))
    assert tool.asked == [({"a": 1}, "express", trace.split("-")[1], "me")]
    assert answer == {
        "jsonrpc": "2.0",
        "id": 7,
        "result": {"content": [{"type": "text", "text": "{}"}], "isError": False},
    }


@pytest.mark.parametrize("reply", [RuntimeError("hunter2"), ToolReply((cast("Any", object()),)), None])
async def test_a_defect_is_told_as_one_and_not_how_it_came(reply: object) -> None:
    answer = json.loads(await calls(Tool(reply=reply)).answer(frame(), None))
    assert answer == {"jsonrpc": "2.0", "id": 7, "error": {"code": -32603, "message": "Internal server error"}}
