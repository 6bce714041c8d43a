"""Answers and errors as MCP tool results.

Rows go out once, as one compact JSON text block: structured content would be walked five times on its way and sent a
second time as text. Errors are small, so they go out as structured content and as the same in text.
"""

from typing import Any

import msgspec
from fastmcp.tools import ToolResult
from mcp_types import TextContent

from coldquery.errors import Refusal
from coldquery.gateway import Answer
from coldquery.postgres.connection import Result, Truncation

_encode = msgspec.json.Encoder().encode

_NEXT_PAGE = {
    "rows": "There are more rows. Page by key (WHERE key > last ORDER BY key), aggregate, or raise max_rows.",
    "bytes": "There are more rows, too wide to send at once. Select fewer columns, page by key, or aggregate.",
    "cell": "Long values are cut, as each says. Select a part with substring().",
}


def answer_result(answer: Answer) -> ToolResult:
    """Columns, rows as arrays, and what PostgreSQL said, as one JSON text."""
    return ToolResult(content=[TextContent(type="text", text=answer_text(answer))])


def answer_text(answer: Answer) -> str:
    """The JSON text of an answer: `{columns, rows, row_count, command, truncated?, duration_ms}`."""
    result = answer.result
    body: dict[str, Any] = {
        "columns": [{"name": each.name, "type": each.type} for each in result.columns],
        "rows": msgspec.Raw(result.rows_json),
        "row_count": result.row_count,
        "command": result.command,
    }
    if result.truncated:
        body["truncated"] = _truncation(result, result.truncated)
    body["duration_ms"] = round(answer.duration_ms, 2)
    return _encode(body).decode()


def refusal_result(refusal: Refusal) -> ToolResult:
    """An error result that says the same in structured content and in text."""
    body = {"error": refusal.to_dict()}
    return ToolResult(
        content=[TextContent(type="text", text=_encode(body).decode())],
        structured_content=body,
        is_error=True,
    )


def _truncation(result: Result, truncation: Truncation) -> dict[str, Any]:
    step = _NEXT_PAGE[truncation.by]
    if truncation.by == "bytes" and not result.rows:
        step = "The first row alone is larger than the limit. Select fewer columns, or parts with substring()."
    return {"by": truncation.by, "limit": truncation.limit, "next": step}
