"""The answers of `pg_query explain`: the plan as text, and what is worth knowing of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coldquery.errors import Code, Refusal
from coldquery.gateway import Gateway
from coldquery.hypothetical import Tried
from coldquery.mcp.formats import Format
from coldquery.mcp.rendering import ToolReply, json_text, small_result
from coldquery.postgres.answer import Result
from coldquery.postgres.catalog import records
from coldquery.postgres.plans import PLAN_LIMITS, Plan, plans_of, read, render
from coldquery.sessions.commands import Explain
from coldquery.sessions.replies import Echo


def explain_command(
    gateway: Gateway, sql: str, params: Sequence[Any] | None, *, analyze: bool, timeout_ms: int | None
) -> Explain:
    """EXPLAIN with all that a reading needs: the schemas of tables (VERBOSE), and what is not the planner's default."""
    return Explain(
        sql=sql,
        params=tuple(params or ()),
        analyze=analyze,
        buffers=analyze,
        verbose=True,
        settings=True,
        format="json",
        limits=PLAN_LIMITS,
        timeout_ms=gateway.time_limit_ms(timeout_ms),
    )


def check_form(form: Format | None) -> None:
    """Refuse a form that a plan does not have.

    Raises:
        Refusal: `invalid_argument`.
    """
    if form in {"csv", "markdown"}:
        raise Refusal(
            Code.INVALID_ARGUMENT,
            f"A plan has no format={form}.",
            next="Leave `format` out for the plan as text, or pass format=objects for PostgreSQL's JSON too.",
        )


def plan_result(result: Result, form: Format | None, duration_ms: float, session: Echo | None = None) -> ToolReply:
    """A plan and its reading; with format=objects also PostgreSQL's own JSON."""
    plans = plans_of(result)
    body = _body(plans)
    if result.notices:
        body.update(result.notices.to_dict())
    return _result(body, result, form, duration_ms, session)


def tried_result(tried: Tried, indexes: Sequence[str], form: Format | None, duration_ms: float) -> ToolReply:
    """The plan with indexes that are only imagined, which of them it uses, and what it would cost without them."""
    after = plans_of(tried.after)
    used = {node.text("Index Name") for plan in after for node in plan.nodes()}
    body = {
        "cost_without": _cost(plans_of(tried.before)),
        "cost_with": _cost(after),
        "used": [sql for sql, name in zip(indexes, tried.names, strict=False) if name in used],
        **_body(after),
    }
    return _result(body, tried.after, form, duration_ms, None)


def _body(plans: Sequence[Plan]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "plan": "\n\n".join(render(each) for each in plans),
        "reading": [finding.to_dict() for each in plans for finding in read(each)],
    }
    for name in ("planning_ms", "execution_ms"):
        times = [time for each in plans if (time := getattr(each, name)) is not None]
        if times:
            body[name] = round(sum(times), 3)
    return body


def _cost(plans: Sequence[Plan]) -> float:
    return round(sum(each.root.number("Total Cost") for each in plans if each.root is not None), 2)


def _result(
    body: dict[str, Any], result: Result, form: Format | None, duration_ms: float, session: Echo | None
) -> ToolReply:
    body["duration_ms"] = round(duration_ms, 2)
    if session is not None:
        body["session"] = session.to_dict()
    if form != "objects":
        return small_result(body)
    if result.truncated is None:
        (body["plan_json"],) = records(result)[0].values()
    # It may be large, so it goes out once, as rows do.
    return ToolReply((json_text(body),))
