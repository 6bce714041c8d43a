"""Which messages are calls that the express lane understands, and what its replies look like."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coldquery.express.frames import CONNECTION_CLOSED, MODERN, CallFrame, answered, failed, understood
from coldquery.mcp.rendering import ToolReply

PREFIX = "io.modelcontextprotocol/"
VERSION, CAPABILITIES, CLIENT = (f"{PREFIX}{each}" for each in ("protocolVersion", "clientCapabilities", "clientInfo"))
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
WHOLE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "pg_query", "arguments": {"action": "read"}, "_meta": {VERSION: MODERN, CAPABILITIES: {}}},
}
SERVER = {"name": "coldquery", "version": "1"}
META = {f"{PREFIX}serverInfo": SERVER}


def any_of(*values: Any) -> tuple[Any, ...]:
    return values


def read(message: dict[str, Any]) -> CallFrame | None:
    return understood(json.dumps(message).encode())


def with_meta(meta: Any) -> dict[str, Any]:
    return {**WHOLE, "params": {**WHOLE["params"], "_meta": meta}}


def with_params(**params: Any) -> dict[str, Any]:
    return {**WHOLE, "params": {**WHOLE["params"], **params}}


@pytest.mark.parametrize("name", ["jsonrpc", "id", "method", "params"])
def test_a_message_without_one_of_its_members_is_not_understood(name: str) -> None:
    assert read(WHOLE) is not None
    assert read({key: value for key, value in WHOLE.items() if key != name}) is None
    assert read({**WHOLE, name: None}) is None


@pytest.mark.parametrize(
    "message",
    [
        *({**WHOLE, "jsonrpc": each} for each in any_of("1.0", 2.0, 2, "2", "")),
        *({**WHOLE, "method": each} for each in any_of("tools/list", "tools/Call", "", 1, "initialize")),
        *({**WHOLE, "id": each} for each in any_of(1.0, 1.5, True, [], {}, 2**63, -(2**63) - 1)),
        *({**WHOLE, "params": each} for each in any_of([], "x", {}, {"arguments": {}}, [WHOLE["params"]])),
        *({**WHOLE, each: 1} for each in any_of("more", "_meta", "ID", "")),
        *(with_params(**{each: 1}) for each in any_of("more", "task", "inputResponses", "requestState", "Name")),
        *(with_params(name=each) for each in any_of(None, 1, ["pg_query"], True)),
        *(with_params(arguments=each) for each in any_of([], "x", 1, True)),
        *(with_meta(each) for each in any_of(None, [], "x", 1)),
        *(with_meta({"progressToken": each}) for each in any_of(None, True, 1.5, [], {})),
        *(with_meta({each: 1}) for each in (f"{PREFIX}logLevel", "more", VERSION, CAPABILITIES, CLIENT)),
        *(
            with_meta({each: None})
            for each in any_of(VERSION, CAPABILITIES, CLIENT, "traceparent", "tracestate", "baggage")
        ),
        *(with_meta({CLIENT: each}) for each in any_of({}, {"name": "x"}, {"name": "x", "version": 1})),
        with_meta({CLIENT: {"name": "x", "version": "1", "more": 1}}),
        *(
            with_meta({CAPABILITIES: each})
            for each in any_of({"more": {}}, {"roots": 1}, {"sampling": {"tools": 1}}, [])
        ),
    ],
)
def test_what_has_anything_else_or_anything_more_in_it_is_not_understood(message: dict[str, Any]) -> None:
    assert read(message) is None


@pytest.mark.parametrize(
    "text",
    [
        *(
            b"",
            b" ",
            b"\n",
            b"null",
            b"[]",
            b"{}",
            b"7",
            b'"x"',
            b"\xff",
            b"\xef\xbb\xbf{}",
            b"{" * 100_000,
            b"[" * 100_000,
        ),
        *(json.dumps(WHOLE).encode()[:-1], json.dumps(WHOLE).encode() + b" x", json.dumps([WHOLE]).encode()),
        *(
            json.dumps(WHOLE).encode().replace(b'"read"', each)
            for each in (b"NaN", b"1e400", b'"\\ud800"', b'"\xff"', b"01")
        ),
        *(
            json.dumps(WHOLE).encode().replace(b'"read"', each)
            for each in (b'"\t"', b"'x'", b"-Infinity", b"1,", b"9" * 5000)
        ),
        json.dumps(WHOLE).encode().replace(b'"read"', b"[" * 50_000 + b"]" * 50_000),
    ],
)
def test_what_is_no_message_is_not_understood(text: bytes) -> None:
    assert understood(text) is None


@pytest.mark.parametrize(
    ("meta", "is_modern", "is_bare"),
    [
        ({VERSION: MODERN, CAPABILITIES: {}}, True, False),
        ({VERSION: MODERN, CAPABILITIES: {"roots": {}, "elicitation": {"form": {}}}, CLIENT: SERVER}, True, False),
        ({VERSION: MODERN, CAPABILITIES: {}, "traceparent": TRACE, "tracestate": "a=1", "baggage": "b"}, True, False),
        ({VERSION: MODERN}, False, False),
        ({CAPABILITIES: {}}, False, False),
        ({CLIENT: SERVER}, False, False),
        ({VERSION: "2025-11-25", CAPABILITIES: {}}, False, False),
        ({VERSION: "2099-01-01", CAPABILITIES: {}}, False, False),
        ({VERSION: "", CAPABILITIES: {}}, False, False),
        ({}, False, True),
        ({"traceparent": TRACE}, False, True),
        ({"progressToken": "p"}, False, True),
        ({"progressToken": 1, VERSION: MODERN, CAPABILITIES: {}}, True, False),
    ],
)
def test_a_call_is_of_the_era_that_its_envelope_says(meta: dict[str, Any], is_modern: bool, is_bare: bool) -> None:
    frame = read(with_meta(meta))
    assert frame is not None
    assert (frame.is_modern, frame.is_bare) == (is_modern, is_bare)


def test_a_call_without_meta_or_arguments_is_bare_and_has_none() -> None:
    frame = read({**WHOLE, "params": {"name": "pg_tx"}})
    assert frame is not None
    assert frame.is_bare
    assert frame.params.arguments is None


@pytest.mark.parametrize("era", [True, False])
@pytest.mark.parametrize("key", [0, -1, 2**63 - 1, -(2**63), "", "7", "ü🐘\u2028\x00", "x" * 10_000])
def test_a_reply_is_one_line_of_json_with_the_same_id(key: int | str, era: bool) -> None:
    frame = read({**(WHOLE if era else {**WHOLE, "params": {"name": "pg_query"}}), "id": key})
    assert frame is not None
    structured = {"error": {"code": "x"}}
    said = ToolReply(("a,b\n1,2\n\u2028", json.dumps(structured)), structured, is_error=True)
    for line in (answered(frame, said, META), failed(frame, CONNECTION_CLOSED, "Connection closed")):
        assert b"\n" not in line
        answer = json.loads(line)
        assert (type(answer["id"]), answer["id"], answer["jsonrpc"]) == (type(key), key, "2.0")
    told = json.loads(failed(frame, CONNECTION_CLOSED, "Connection closed"))
    assert told["error"] == {"code": -32000, "message": "Connection closed"}
    result = json.loads(answered(frame, said, META))["result"]
    assert [each["text"] for each in result["content"]] == list(said.texts)
    assert (result["isError"], result["structuredContent"]) == (True, structured)
    assert (result.get("resultType"), "_meta" in result) == (("complete", True) if era else (None, False))


def test_an_answer_without_structured_content_has_none() -> None:
    frame = read(WHOLE)
    assert frame is not None
    result = json.loads(answered(frame, ToolReply(('{"rows":[]}',)), META))["result"]
    assert "structuredContent" not in result
    assert result["isError"] is False
    assert result["_meta"] == META


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Equal in every value and type, and in the sign of zero."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return bool(one == other)


@given(st.dictionaries(st.text(), JSON, max_size=5), st.booleans())
@example({"a": [-0.0, 1.0, 1e22, 5e-324, 1.7976931348623157e308, 2**64, -(2**64), 10**400]}, False)
@example({"\x00\u2028": ["\x7f\U0010ffff\ufffe", "\ud83d", ""]}, True)
def test_arguments_are_read_as_json_has_them(arguments: dict[str, Any], is_ascii: bool) -> None:
    written = json.dumps(with_params(arguments=arguments), ensure_ascii=is_ascii).encode(errors="surrogatepass")
    frame = understood(written)
    if frame is None:
        # What is half a character is no text.
        assert any(0xD800 <= ord(each) <= 0xDFFF for each in json.dumps(arguments, ensure_ascii=False))
    else:
        assert same(frame.params.arguments, json.loads(written)["params"]["arguments"])


@given(st.from_regex(rb"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", fullmatch=True))
@example(b"9" * 4300)
@example(b"-0")
@example(b"9223372036854775808")
@example(b"0.1e-999")
def test_numbers_are_read_as_json_has_them(number: bytes) -> None:
    written = json.dumps(WHOLE).encode().replace(b'"read"', number)
    frame = understood(written)
    value = json.loads(number)
    if frame is None:
        assert math.isinf(value)
    else:
        assert same(frame.params.arguments, {"action": value})


@given(st.binary())
def test_no_bytes_make_it_fail(message: bytes) -> None:
    assert understood(message) is None


@given(st.data())
def test_no_damage_to_a_message_makes_it_fail(data: st.DataObject) -> None:
    whole = bytearray(json.dumps(WHOLE).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    frame = understood(bytes(whole))
    # What is still understood is what JSON has in it.
    assert frame is None or frame.id == json.loads(bytes(whole))["id"]


@given(st.integers(-(2**63), 2**63 - 1) | st.text(), st.lists(st.text(), min_size=1), JSON)
def test_replies_carry_the_id_and_the_texts_as_they_were(key: int | str, texts: list[str], structured: Any) -> None:
    frame = read({**WHOLE, "id": key})
    if frame is None:
        return
    texts = [each.encode(errors="replace").decode() for each in texts]
    said = ToolReply((*texts, json.dumps(structured)), structured)
    line = answered(frame, said, META)
    answer = json.loads(line)
    assert b"\n" not in line
    assert same(answer["id"], key)
    assert [each["text"] for each in answer["result"]["content"]] == list(said.texts)
    assert structured is None or same(answer["result"]["structuredContent"], json.loads(json.dumps(structured)))
