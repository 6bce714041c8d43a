"""Answers and errors as MCP results."""

import json
from typing import Any, Literal

import pytest
from msgspec.structs import replace

from coldquery.errors import Code, Refusal
from coldquery.gateway import Answer
from coldquery.mcp.rendering import ToolReply, answer_result, refusal_result
from coldquery.postgres.answer import MAX_NOTICES, Column, Notices, Result, Truncation


def answer(rows: list[tuple[Any, ...]], truncated: Truncation | None = None) -> Answer:
    encoded = json.dumps(rows).encode()
    result = Result((Column("a", "int4"),), rows, encoded, "SELECT", len(rows), truncated)
    return Answer(result, 1.2345)


def told(reply: ToolReply) -> dict[str, Any]:
    (text,) = reply.texts
    body: dict[str, Any] = json.loads(text)
    return body


def test_an_answer_is_one_compact_json_text_and_no_structured_content() -> None:
    result = answer_result(answer([(1,), (2,)]), "table")
    assert result.structured is None
    (text,) = result.texts
    assert json.loads(text) == {
        "columns": [{"name": "a", "type": "int4"}],
        "rows": [[1], [2]],
        "row_count": 2,
        "command": "SELECT",
        "duration_ms": 1.23,
    }
    assert '{"name":"a","type":"int4"}' in text


def test_a_cut_answer_says_by_which_limit_and_what_to_do() -> None:
    steps: dict[Literal["rows", "bytes", "cell"], str] = {
        "rows": "Page by key",
        "bytes": "fewer columns",
        "cell": "substring",
    }
    for by, words in steps.items():
        cut = told(answer_result(answer([(1,)], Truncation(by, 7)), "table"))["truncated"]
        assert (cut["by"], cut["limit"]) == (by, 7)
        assert words in cut["next"]


def test_a_first_row_that_is_too_large_alone_is_told_as_such() -> None:
    cut = told(answer_result(answer([], Truncation("bytes", 7)), "table"))["truncated"]
    assert "first row alone" in cut["next"]


@pytest.mark.parametrize("form", ["csv", "markdown"])
def test_csv_and_markdown_are_a_block_of_their_own(form: Literal["csv", "markdown"]) -> None:
    table, rest = answer_result(answer([(1,)]), form).texts
    assert table == {"csv": "a\n1\n", "markdown": "| a |\n| --- |\n| 1 |\n"}[form]
    assert json.loads(rest) == {"row_count": 1, "command": "SELECT", "duration_ms": 1.23}


def test_notices_are_told_with_the_answer_and_with_the_error() -> None:
    notices = Notices()
    for number in range(MAX_NOTICES + 2):
        notices.hear({"S": "NOTIZ", "V": "NOTICE", "M": f"notice {number}", "H": "a hint"})
    given = answer([(1,)])
    body = told(answer_result(Answer(replace(given.result, notices=notices), 1), "table"))
    assert body["notices"][0] == {"severity": "NOTICE", "message": "notice 0", "hint": "a hint"}
    assert (len(body["notices"]), body["notices_left_out"]) == (MAX_NOTICES, 2)
    refusal = Refusal(Code.SQL_ERROR, "no")
    refusal.notices = notices.to_dict()
    assert told(refusal_result(refusal))["notices"] == body["notices"]


def test_an_error_is_marked_and_says_the_same_twice() -> None:
    result = refusal_result(Refusal(Code.SQL_ERROR, "no"))
    assert result.is_error
    assert told(result) == result.structured
