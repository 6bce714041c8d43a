"""PostgreSQL's settings: one, a search, and setting one in a session's transaction."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from coldquery.errors import Cause, Code, Refusal
from coldquery.mcp.admin_subject import Asking
from coldquery.policy import check_session_statement
from coldquery.sessions.commands import Batch, Operation
from coldquery.sessions.replies import BatchRan

DEFAULT_LIMIT = 50
LARGEST_LIMIT = 500
_LARGEST_OFFSET = 1_000_000
_NEAR = 3
# A setting of an extension's or of nobody's, which PostgreSQL knows from its first SET on.
_CUSTOM = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+", re.ASCII)
_RESTART, _RELOAD = (
    "The operator sets it in postgresql.conf or by ALTER SYSTEM, and it holds after a restart of PostgreSQL.",
    "The operator sets it in postgresql.conf or by ALTER SYSTEM, and it holds after a reload.",
)
# https://www.postgresql.org/docs/current/view-pg-settings.html
_UNCHANGEABLE: dict[str, tuple[str, str]] = {
    "internal": ("tells how PostgreSQL was built or set up, and nobody can set it", "Leave it as it is."),
    "postmaster": ("can't be set while PostgreSQL runs", _RESTART),
    "sighup": ("is the server's, and can't be set in a session", _RELOAD),
    "backend": ("is settled when a connection opens", "Leave it as it is."),
    "superuser-backend": ("is settled when a connection opens", "Leave it as it is."),
    "superuser": (
        "is not for the gateway's role to set",
        "Ask the operator for GRANT SET ON PARAMETER, or do without it.",
    ),
}


async def get_setting(asking: Asking, name: str) -> dict[str, Any]:
    """All that PostgreSQL says of a setting.

    Raises:
        Refusal: there is none of this name; with the nearest that there are.
    """
    row = await _row(asking, name)
    if row is None:
        raise await _unknown(asking, name)
    return {"setting": _told(row)}


async def search_settings(
    asking: Asking, pattern: str | None, category: str | None, limit: int | None, offset: int | None
) -> dict[str, Any]:
    """One page of the settings that fit.

    Raises:
        Refusal: nothing is in a category of that name, or there is no such page.
    """
    size = _within("limit", DEFAULT_LIMIT if limit is None else limit, 1, LARGEST_LIMIT)
    start = _within("offset", offset or 0, 0, _LARGEST_OFFSET)
    rows = await asking.look("admin_settings", [pattern, category, start, size])
    if not rows and start == 0 and category is not None:
        raise await _no_category(asking, category, pattern)
    total = rows[0]["total"] if rows else 0
    settings = [
        {key: value for key, value in row.items() if key != "total" and value not in {None, False}} for row in rows
    ]
    body: dict[str, Any] = {"settings": settings, "total": total}
    if start + len(rows) < total:
        body["next"] = f"Pass offset={start + len(rows)} for more, or narrow it by pattern or category."
    return body


async def set_setting(asking: Asking, name: str, value: str) -> dict[str, Any]:
    """Set it for the rest of the session's transaction, as SET LOCAL does.

    Raises:
        Refusal: it guards the session, can't be set there, or the value is none for it; the transaction goes on.
    """
    assert asking.caller is not None  # noqa: S101 - the tool passes one with a session
    assert asking.session_id is not None  # noqa: S101 - checked by the tool
    before = await _row(asking, name)
    sql = _set_local(before["name"] if before else await _custom(asking, name))
    if before is not None and not before["changeable"]:
        why, step = _UNCHANGEABLE.get(before["context"], _UNCHANGEABLE["superuser"])
        raise Refusal(Code.STATEMENT_NOT_ALLOWED, f"{before['name']} {why}.", next=step)
    check_session_statement(sql)
    # As a batch, so that a value that PostgreSQL refuses costs nothing but itself.
    batch = Batch(operations=(Operation(sql=sql, params=(value,)),), limits=asking.gateway.limits(None))
    try:
        reply = await asking.gateway.ask(asking.caller, asking.session_id, batch)
    except Refusal as refusal:
        if refusal.code is Code.SQL_ERROR:
            refusal.next = "Correct `setting_value`; pg_admin settings with `setting_name` alone tells what it takes."
        raise
    assert isinstance(reply, BatchRan)  # noqa: S101 - the answer to a batch
    body: dict[str, Any] = {"setting": before["name"] if before else name, "value": reply.results[0].rows[0][0]}
    if before is not None:
        body["was"] = before["shown"]
    return {**body, "until": "the end of the transaction", "session": reply.echo.to_dict()}


def _set_local(name: str) -> str:
    # A literal, for the policy to see which setting it is: some guard the session.
    return f"SELECT pg_catalog.set_config('{name}', $1, true)"


async def _custom(asking: Asking, name: str) -> str:
    if not _CUSTOM.fullmatch(name):
        raise await _unknown(asking, name)
    return name


async def _row(asking: Asking, name: str) -> dict[str, Any] | None:
    rows = await asking.look("admin_setting", [name])
    return rows[0] if rows else None


async def _unknown(asking: Asking, name: str) -> Refusal:
    names = [row["name"] for row in await asking.look("admin_setting_names")]
    near = difflib.get_close_matches(name.lower(), names, n=_NEAR)
    return Refusal(
        Code.INVALID_ARGUMENT,
        f"PostgreSQL knows no setting {name}.",
        next="Correct `setting_name`, or look for it by `pattern`.",
        cause=Cause(hint=f"There is {', '.join(near)}." if near else None),
    )


async def _no_category(asking: Asking, category: str, pattern: str | None) -> Refusal:
    every = [row["category"] for row in await asking.look("admin_setting_categories")]
    if fitting := [each for each in every if category.lower() in each.lower()]:
        message = f"No setting in {', '.join(fitting)} fits `pattern` {pattern}."
        return Refusal(Code.INVALID_ARGUMENT, message, next="Leave `pattern` or `category` out.")
    return Refusal(
        Code.INVALID_ARGUMENT,
        f"No category of settings has {category} in its name.",
        next="Pass a part of one of the names in `hint`.",
        cause=Cause(hint=", ".join(dict.fromkeys(each.partition(" / ")[0] for each in every))),
    )


def _within(name: str, value: int, least: int, most: int) -> int:
    if least <= value <= most:
        return value
    message = f"`{name}` is {value}; it must lie between {least} and {most}."
    raise Refusal(Code.INVALID_ARGUMENT, message, next=f"Pass another `{name}`, or leave it out.")


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in row.items() if value is not None and name not in {"value", "changeable"}}
    told = {"name": told.pop("name"), "value": told.pop("shown", row["value"]), "raw_value": row["value"], **told}
    if not row["changeable"]:
        told["set_by"] = _UNCHANGEABLE.get(row["context"], _UNCHANGEABLE["superuser"])[1]
    return told
