"""Requests that nobody has thought of, made from right ones by changing them anywhere: both doors answer alike."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e.doors.asking import LINES
from tests.e2e.doors.pair import Doors

CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", CAPABILITIES: {}}
FULL_META = {
    **META,
    CAPABILITIES: {
        "roots": {"listChanged": True},
        "sampling": {"tools": {}},
        "elicitation": {"form": {}},
        "extensions": {"a/b": {}},
    },
    "io.modelcontextprotocol/clientInfo": {
        "name": "a",
        "version": "1",
        "title": "A",
        "websiteUrl": "https://example.org",
    },
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "a=1",
    "baggage": "a=b",
}
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("pg_query", {"action": "read", "sql": "SELECT $1::int AS a, $2::text", "params": [1, "ü🐘"]}),
    (
        "pg_query",
        {
            "action": "read",
            "sql": "SELECT * FROM item ORDER BY id",
            "max_rows": 2,
            "timeout_ms": 5000,
            "format": "objects",
        },
    ),
    ("pg_query", {"action": "explain", "sql": "SELECT id FROM item"}),
    (
        "pg_query",
        {
            "action": "transaction",
            "operations": [{"sql": "SELECT 1"}, {"sql": "SELECT $1::jsonb", "params": [{"a": [None, 1.5]}]}],
        },
    ),
    ("pg_query", {"action": "write", "sql": "SELECT 1", "autocommit": True}),
    ("pg_schema", {"action": "list", "schema": "public", "limit": 3, "detail": "names"}),
    ("pg_schema", {"action": "describe", "name": ["item"], "detail": "summary"}),
    ("pg_admin", {"action": "settings", "setting_name": "work_mem"}),
    ("pg_tx", {"action": "status", "session_id": "nobody"}),
    ("pg_monitor", {"action": "locks"}),
]
WORDS = [
    *(
        "jsonrpc",
        "id",
        "method",
        "params",
        "name",
        "arguments",
        "_meta",
        "action",
        "sql",
        "session_id",
        "read",
        "pg_query",
        "pg_tx",
        "tools/call",
        "2.0",
    ),
    *(
        "progressToken",
        "traceparent",
        "task",
        "io.modelcontextprotocol/logLevel",
        "io.modelcontextprotocol/clientInfo",
        "inputResponses",
        "roots",
        "icons",
    ),
    *("", "x", "ü", "\x00", "\ud800", "SELECT 1/0", "2026-07-28", "notifications/cancelled", *META),
]
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [
            None,
            True,
            False,
            0,
            1,
            -1,
            1.0,
            1.5,
            -0.0,
            2**53,
            2**63 - 1,
            2**63,
            10**30,
            float("inf"),
            float("nan"),
            [],
            {},
            [{}],
            {"": None},
        ]
    ),
    st.sampled_from(WORDS),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=6,
    ),
)
LINES_ELSE = [
    *(
        "Accept: */*",
        "Accept: application/json",
        "Content-Type: text/plain",
        "Content-Type: application/json; charset=utf-8",
        "MCP-Protocol-Version: 2025-11-25",
        "Mcp-Method: tools/list",
    ),
    *(
        "Mcp-Name: pg_tx",
        "Mcp-Name: =?base64?cGdfcXVlcnk=?=",
        "Mcp-Param-Sql: x",
        "Host: localhost",
        "Host: evil.example",
        "Origin: null",
        "Connection: close",
        "Mcp-Session-Id: x",
        "X: \x80\xff",
        "traceparent: x",
    ),
]


# What is changed, once or more: mostly once, so that a request is wrong in one place only, or not at all.
CHANGES = [(), ("message",), ("message",), ("message",), ("lines",), ("message", "message"), ("message", "lines")]


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every member and element in it, as what holds it and its key."""
    found: list[tuple[Any, Any]] = []
    members = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    for key, within in members:
        found += [(value, key), *places(within)]
    return found


def changed(draw: st.DrawFn, message: dict[str, Any]) -> None:
    """Change one thing anywhere in a message."""
    found = places(message)
    if not found:
        message[draw(st.sampled_from(WORDS))] = draw(VALUES)
        return
    holder, key = draw(st.sampled_from(found))
    other, there = draw(st.sampled_from(found))
    match draw(st.sampled_from(["drop", "replace", "replace", "add", "rename", "copy", "wrap"])):
        case "drop":
            del holder[key]
        case "replace":
            holder[key] = draw(VALUES)
        case "add" if isinstance(holder, dict):
            holder[draw(st.sampled_from(WORDS))] = draw(VALUES)
        case "rename" if isinstance(holder, dict):
            holder[draw(st.sampled_from(WORDS))] = holder.pop(key)
        case "copy":
            holder[key] = copy.deepcopy(other[there])
        case _:
            holder[key] = draw(
                st.sampled_from([[holder[key]], {"x": holder[key]}, str(holder[key]), json.dumps(holder[key])])
            )


def changed_bytes(draw: st.DrawFn, body: bytes) -> bytes:
    """Drop, double, insert or change some bytes of a body."""
    start = draw(st.integers(0, len(body)))
    end = min(len(body), start + draw(st.integers(0, 12)))
    inserted = draw(
        st.sampled_from(
            [b"", body[start:end] * 2, b'"', b"{", b"}", b",", b"\\", b"\x00", b"\xff", b" ", b"0", b"null", b'"id":2,']
        )
        | st.binary(max_size=3)
    )
    return body[:start] + inserted + body[end:]


def changed_lines(draw: st.DrawFn, lines: list[str]) -> None:
    """Drop, double, add or change a line of a head."""
    at = draw(st.integers(0, len(lines) - 1))
    name, _, value = lines[at].partition(":")
    match draw(st.sampled_from(["drop", "double", "add", "case", "value", "space"])):
        case "drop":
            del lines[at]
        case "double":
            lines.append(lines[at])
        case "add":
            lines.insert(at, draw(st.sampled_from(LINES_ELSE)))
        case "case":
            lines[at] = (
                draw(st.sampled_from([name.lower(), name.upper()]))
                + ":"
                + draw(st.sampled_from([value, value.upper()]))
            )
        case "value":
            character = draw(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"))
            place = draw(st.integers(0, len(value)))
            lines[at] = f"{name}:{value[:place]}{character}{value[place + 1 :]}"
        case _:
            lines[at] = (
                f"{name}:{draw(st.sampled_from(['', '  ', chr(9)]))}{value}{draw(st.sampled_from(['', ' ', chr(9)]))}"
            )


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A right request with some changes; it is always as long as it says, for else the server would wait."""
    tool, arguments = copy.deepcopy(draw(st.sampled_from(CALLS)))
    meta = copy.deepcopy(draw(st.sampled_from([META, FULL_META])))
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": tool, "arguments": arguments, "_meta": meta},
    }
    lines = [*LINES[:-1], f"Mcp-Name: {tool}"]
    for how in draw(st.sampled_from(CHANGES)):
        if how == "message":
            changed(draw, message)
        elif lines:
            changed_lines(draw, lines)
    body = json.dumps(message, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 7)) == 0:
        body = changed_bytes(draw, body)
    head = "\r\n".join(["POST /mcp HTTP/1.1", *lines, f"Content-Length: {len(body)}", "", ""])
    return head.encode("latin-1") + body


@settings(max_examples=250, deadline=None, suppress_health_check=[*HealthCheck])
@given(request=requests())
async def test_a_request_that_was_changed_is_answered_alike(doors: Doors, request: bytes) -> None:
    assert await doors.alike(request) is None
