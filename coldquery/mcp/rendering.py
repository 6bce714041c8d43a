"""Answers and errors as what a tool says.

Rows go out once, as compact text: structured content would be walked five times on its way and sent a second time as
text. In CSV and Markdown they are a text block of their own, before that with all else. Errors are small, so they go
out as structured content and as the same in text.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from coldquery.errors import Refusal
from coldquery.gateway import Answer, Committed
from coldquery.mcp.formats import Format, rows_of
from coldquery.postgres.answer import Result, Truncation
from coldquery.postgres.json_text import escaped_json
from coldquery.sessions.replies import Echo

_encode = msgspec.json.Encoder().encode

_NEXT_PAGE = {
    "rows": "There are more rows. Page by key (WHERE key > last ORDER BY key), aggregate, or raise max_rows.",
    "bytes": "There are more rows, too wide to send at once. Select fewer columns, page by key, or aggregate.",
    "cell": "Long values are cut, as each says. Select a part with substring().",
}


class ToolReply(msgspec.Struct, frozen=True):
    """What a tool says, whichever door it goes out by.

    Attributes:
        texts: a block each.
        structured: what the last of them says, as JSON that a program can use.
        is_error: the call failed.
    """

    texts: tuple[str, ...]
    structured: dict[str, Any] | None = None
    is_error: bool = False


def answer_result(answer: Answer, form: Format) -> ToolReply:
    """Rows in the form that was asked for, and what PostgreSQL said."""
    return _text(_table(answer.result, form), answer.duration_ms)


def written_result(written: Answer | Committed, form: Format) -> ToolReply:
    """The same of a write without a session; with the outcome, where it was a transaction."""
    if isinstance(written, Answer):
        return _text(_table(written.result, form, wrote=True), written.duration_ms)
    (result,) = written.results
    return _text({**_table(result, form, wrote=True), **_outcome(written)}, written.duration_ms)


def transacted_result(committed: Committed, form: Format) -> ToolReply:
    """The same for each operation in `results`, and the outcome of all."""
    tables = [_table(each, form, wrote=True) for each in committed.results]
    return _text({"results": tables, **_outcome(committed)}, committed.duration_ms)


def ran_result(result: Result, form: Format, duration_ms: float, session: Echo, *, wrote: bool) -> ToolReply:
    """Rows, and how the session is now."""
    return _text(_table(result, form, wrote=wrote), duration_ms, session)


def batch_result(results: Sequence[Result], form: Format, duration_ms: float, session: Echo) -> ToolReply:
    """Rows for each operation, and how the session is now."""
    return _text({"results": [_table(each, form, wrote=True) for each in results]}, duration_ms, session)


def small_result(body: dict[str, Any], *, is_error: bool = False) -> ToolReply:
    """A small answer: structured content, and the same as text."""
    return ToolReply((json_text(body),), body, is_error)


def refusal_result(refusal: Refusal) -> ToolReply:
    """An error result that says the same in structured content and in text."""
    body: dict[str, Any] = {"error": refusal.to_dict()}
    if refusal.notices is not None:
        body.update(refusal.notices)
    if refusal.session is not None:
        body["session"] = dict(refusal.session)
    return small_result(body, is_error=True)


def _text(body: dict[str, Any], duration_ms: float, session: Echo | None = None) -> ToolReply:
    body["duration_ms"] = round(duration_ms, 2)
    if session is not None:
        body["session"] = session.to_dict()
    # A table in CSV or Markdown is read as it is, and not as a string within JSON.
    tables = [body.pop(form) for form in ("csv", "markdown") if form in body]
    return ToolReply((*tables, json_text(body)))


def json_text(body: dict[str, Any]) -> str:
    """A body as compact JSON in which nothing hides."""
    return escaped_json(_encode(body)).decode()


def _outcome(committed: Committed) -> dict[str, str]:
    return {"outcome": "committed", **({"xid": committed.xid} if committed.xid else {})}


def _table(result: Result, form: Format, *, wrote: bool = False) -> dict[str, Any]:
    body: dict[str, Any] = {**rows_of(result, form), "row_count": result.row_count, "command": result.command}
    if result.truncated:
        body["truncated"] = _truncation(result, result.truncated, wrote=wrote)
    if result.notices:
        body.update(result.notices.to_dict())
    return body


def _truncation(result: Result, truncation: Truncation, *, wrote: bool) -> dict[str, Any]:
    step = _NEXT_PAGE[truncation.by]
    if wrote:
        step = "The statement ran to its end; only its answer is cut. Do not repeat it: read with action=read."
    elif truncation.by == "bytes" and not result.rows:
        step = "The first row alone is larger than the limit. Select fewer columns, or parts with substring()."
    return {"by": truncation.by, "limit": truncation.limit, "next": step}
