"""What a call of `pg_admin` is about: the table, index or schema that it names, as the catalog has it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from coldquery.errors import Cause, Code, Refusal
from coldquery.gateway import Caller, Gateway
from coldquery.postgres.catalog.nearest import MissingTable
from coldquery.postgres.maintenance.statements import Subject, What

# https://www.postgresql.org/docs/current/catalog-pg-class.html
_KINDS = {
    "r": "table",
    "p": "partitioned table",
    "m": "materialized view",
    "f": "foreign table",
    "t": "TOAST table",
    "i": "index",
    "I": "partitioned index",
    "v": "view",
    "S": "sequence",
    "c": "composite type",
}
TABLES = "rpmt"
ANALYZED = "rpmf"
INDEXES = "iI"
_PARTITIONED = "pI"

# parse_ident() refuses what is no name. https://www.postgresql.org/docs/current/functions-string.html
_NO_NAME = "22023"
_LIKE = 3


@dataclass(frozen=True, slots=True)
class Asking:
    """Where the catalog is asked: in a session, if the call names one, so that what it has made is found."""

    gateway: Gateway
    caller: Caller | None = None
    session_id: str | None = None

    async def look(self, name: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """See `Gateway.look`."""
        return await self.gateway.look(name, params, caller=self.caller, session_id=self.session_id)


async def find_relation(asking: Asking, what: What, name: str, schema: str | None, kinds: str) -> Subject:
    """The table or index of that name.

    Args:
        asking: where.
        what: is looked for; the argument's name too.
        name: as SQL writes it, or as it stands.
        schema: of it, as it stands.
        kinds: that will do, as letters of pg_class.relkind.

    Raises:
        Refusal: there is none, or it is of another kind.
    """
    try:
        found = await asking.look("admin_relation", [name, schema])
    except Refusal as refusal:
        if refusal.cause.sqlstate != _NO_NAME:
            raise
        step = 'Write it as in SQL: shop.orders, or shop."Odd Name".'
        raise Refusal(Code.INVALID_ARGUMENT, f"`{what}` is no name.", next=step) from None
    if not found:
        raise await _missing(asking, what, name, schema)
    (row,) = found
    if row["kind"] not in kinds:
        is_index = row["kind"] in INDEXES
        other = "index" if is_index else "table"
        step = f"Pass it as `{other}`." if other != what and row["kind"] in TABLES + INDEXES else f"Name a {what}."
        kind = _KINDS.get(row["kind"], "relation of another kind")
        raise Refusal(Code.INVALID_ARGUMENT, f"{row['name']} is {_a(kind)}, and no {what} for this.", next=step)
    return Subject(what, row["name"], row["oid"], row["kind"] in _PARTITIONED)


async def find_schema(asking: Asking, name: str) -> Subject:
    """The schema of that name.

    Raises:
        Refusal: there is none.
    """
    rows = await asking.look("admin_schema", [name])
    if not rows or not rows[0]["meant"]:
        near = difflib.get_close_matches(name, [row["plain"] for row in rows], n=_LIKE)
        raise _not_found("schema", name, f"There is {', '.join(near)}." if near else None)
    return Subject("schema", rows[0]["name"], rows[0]["oid"])


async def _missing(asking: Asking, what: What, name: str, schema: str | None) -> Refusal:
    last = name.rpartition(".")[2].strip('"')
    if what == "index":
        rows = await asking.look("admin_index_names")
        near = difflib.get_close_matches(last, list({row["name"] for row in rows}), n=_LIKE)
        found = [f"{row['schema']}.{row['name']}" for row in rows if row["name"] in near][:_LIKE]
        return _not_found(what, name, f"There is {', '.join(found)}." if found else None, schema)
    rows = await asking.look("similar_tables", [last])
    return _not_found(what, name, MissingTable(last).hint([(row["schema"], row["name"]) for row in rows]), schema)


def _not_found(what: str, name: str, hint: str | None, schema: str | None = None) -> Refusal:
    where = f" in schema {schema}" if schema is not None else ""
    return Refusal(
        Code.INVALID_ARGUMENT,
        f"There is no {what} {name}{where}.",
        next=f"Correct `{what}` and call again; pg_schema list knows them all.",
        cause=Cause(hint=hint),
    )


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
