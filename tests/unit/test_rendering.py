"""Answers and errors as MCP results."""

import json
from typing import Any

from fastmcp.tools import ToolResult
from mcp_types import TextContent

from coldquery.errors import Code, Refusal
from coldquery.gateway import Answer
from coldquery.mcp.rendering import answer_result, refusal_result
from coldquery.postgres.connection import Column, Result, Truncation


def answer(rows: list[tuple[Any, ...]], truncated: Truncation | None = None) -> Answer:
    encoded = json.dumps(rows).encode()
    result = Result((Column("a", "int4"),), rows, encoded, "SELECT", len(rows), truncated)
    return Answer(result, 1.2345)


def told(result: ToolResult) -> dict[str, Any]:
    (block,) = result.content
    assert isinstance(block, TextContent)
    body: dict[str, Any] = json.loads(block.text)
    return body


def test_an_answer_is_one_compact_json_text_and_no_structured_content() -> None:
    result = answer_result(answer([(1,), (2,)]))
    assert result.structured_content is None
    (block,) = result.content
    assert isinstance(block, TextContent)
    assert json.loads(block.text) == {
        "columns": [{"name": "a", "type": "int4"}],
        "rows": [[1], [2]],
        "row_count": 2,
        "command": "SELECT",
        "duration_ms": 1.23,
    }
    assert '{"name":"a","type":"int4"}' in block.text


def test_a_cut_answer_says_by_which_limit_and_what_to_do() -> None:
    for by, words in (("rows", "Page by key"), ("bytes", "fewer columns"), ("cell", "substring")):
        cut = told(answer_result(answer([(1,)], Truncation(by, 7))))["truncated"]  # type: ignore[arg-type]
        assert (cut["by"], cut["limit"]) == (by, 7)
        assert words in cut["next"]


def test_a_first_row_that_is_too_large_alone_is_told_as_such() -> None:
    cut = told(answer_result(answer([], Truncation("bytes", 7))))["truncated"]
    assert "first row alone" in cut["next"]


def test_an_error_is_marked_and_says_the_same_twice() -> None:
    result = refusal_result(Refusal(Code.SQL_ERROR, "no"))
    assert result.is_error
    assert told(result) == result.structured_content
