"""Answers and errors as MCP tool results.

Rows go out once, as one compact JSON text block: structured content would be walked five times on its way and sent a
second time as text. Errors are small, so they go out as structured content and as the same in text.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from fastmcp.tools import ToolResult
from mcp_types import TextContent

from coldquery.errors import Refusal
from coldquery.gateway import Answer, Committed
from coldquery.postgres.connection import Result, Truncation
from coldquery.sessions.commands import Echo

_encode = msgspec.json.Encoder().encode

_NEXT_PAGE = {
    "rows": "There are more rows. Page by key (WHERE key > last ORDER BY key), aggregate, or raise max_rows.",
    "bytes": "There are more rows, too wide to send at once. Select fewer columns, page by key, or aggregate.",
    "cell": "Long values are cut, as each says. Select a part with substring().",
}


def answer_result(answer: Answer) -> ToolResult:
    """Columns, rows as arrays, and what PostgreSQL said, as one JSON text."""
    return _text({**_table(answer.result), "duration_ms": round(answer.duration_ms, 2)})


def ran_result(result: Result, duration_ms: float, session: Echo) -> ToolResult:
    """The same of a statement in a session, with how the session is now."""
    return _text({**_table(result), "duration_ms": round(duration_ms, 2), "session": session.to_dict()})


def committed_result(committed: Committed, *, alone: bool) -> ToolResult:
    """What was committed: one table, or a list of them in `results`."""
    tables = [_table(each) for each in committed.results]
    outcome = {"outcome": "committed", "xid": committed.xid} if committed.xid else {"outcome": "committed"}
    body = tables[0] if alone else {"results": tables}
    return _text({**body, **outcome, "duration_ms": round(committed.duration_ms, 2)})


def batch_result(results: Sequence[Result], duration_ms: float, session: Echo) -> ToolResult:
    """The tables of a batch in a session, with how the session is now."""
    tables = [_table(each) for each in results]
    return _text({"results": tables, "duration_ms": round(duration_ms, 2), "session": session.to_dict()})


def small_result(body: dict[str, Any]) -> ToolResult:
    """A small answer: structured content, and the same as text."""
    return ToolResult(content=[TextContent(type="text", text=_encode(body).decode())], structured_content=body)


def refusal_result(refusal: Refusal) -> ToolResult:
    """An error result that says the same in structured content and in text."""
    body: dict[str, Any] = {"error": refusal.to_dict()}
    if refusal.session is not None:
        body["session"] = dict(refusal.session)
    result = small_result(body)
    result.is_error = True
    return result


def _text(body: dict[str, Any]) -> ToolResult:
    return ToolResult(content=[TextContent(type="text", text=_encode(body).decode())])


def _table(result: Result) -> dict[str, Any]:
    body: dict[str, Any] = {
        "columns": [{"name": each.name, "type": each.type} for each in result.columns],
        "rows": msgspec.Raw(result.rows_json),
        "row_count": result.row_count,
        "command": result.command,
    }
    if result.truncated:
        body["truncated"] = _truncation(result, result.truncated)
    return body


def _truncation(result: Result, truncation: Truncation) -> dict[str, Any]:
    step = _NEXT_PAGE[truncation.by]
    if truncation.by == "bytes" and not result.rows:
        step = "The first row alone is larger than the limit. Select fewer columns, or parts with substring()."
    return {"by": truncation.by, "limit": truncation.limit, "next": step}
