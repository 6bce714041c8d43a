"""What the names in a call stand for, chosen from all that the catalog has by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coldquery.errors import Cause, Code, Refusal
from coldquery.postgres.catalog.nearest import alike
from coldquery.postgres.identifiers import Identifier, QualifiedName, quote

# What a name means first, where the call does not say. A range type has functions of its name.
_FIRST = ("relation", "sequence", "index", "type", "function")
# Where the call does not say, a name that is like a table's is told before one that is like an index's.
_WITH_ROWS = {"table", "view", "materialized_view"}
_MOST_NAMED = 5
# https://www.postgresql.org/docs/current/datatype.html
_ALIASES = {
    "int": "integer",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "bool": "boolean",
    "decimal": "numeric",
    "float": "double precision",
    "float4": "real",
    "float8": "double precision",
    "varchar": "character varying",
    "char": "character",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "time": "time without time zone",
    "timetz": "time with time zone",
}

type Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NotFound:
    """A name that stands for nothing, or for nobody knows which."""

    name: str
    why: str
    hint: str | None = None

    def to_dict(self) -> dict[str, str]:
        """The wire form."""
        return {"name": self.name, "why": self.why, **({"hint": self.hint} if self.hint else {})}

    def refusal(self) -> Refusal:
        """The error, where nothing else was found."""
        return Refusal(
            Code.INVALID_ARGUMENT,
            self.why,
            cause=Cause(hint=self.hint),
            next="Correct `name` and call again; action=list with a `pattern` finds names.",
        )


def parameters(names: Sequence[QualifiedName], target: str | None = None) -> list[Any]:
    """Those of the question `resolve`."""

    def column(pick: str) -> list[str | None]:
        return [getattr(each.schema, pick) if each.schema else None for each in names]

    return [
        column("name"),
        [each.name.name for each in names],
        column("written"),
        [each.name.written for each in names],
        target,
    ]


def choose(name: QualifiedName, text: str, rows: Sequence[Row], target: str | None) -> tuple[Row, ...] | NotFound:
    """What one name stands for: one object, or the overloads of a function, or the triggers of one name.

    Args:
        name: what was asked for.
        text: the same as the caller wrote it.
        rows: the answer to `resolve`, as far as it is about this name.
        target: the kind that the caller wants; None for any.
    """
    found = [row for row in rows if row["class"] is not None]
    wanted = _of_target(found, target)
    if not wanted:
        return _nothing(name, text, found, rows, target)
    best = max((row["visible"], not row["as_written"]) for row in wanted)
    wanted = [row for row in wanted if (row["visible"], not row["as_written"]) == best]
    # Not on the search_path: as good as named, if there is only one.
    if not best[0] and len({row["schema"] for row in wanted}) > 1:
        where = ", ".join(_full_name(row) for row in wanted[:_MOST_NAMED])
        return NotFound(text, f"`{text}` is not on the search_path, and in several schemas.", f"There is {where}.")
    if name.arguments is not None and wanted[0]["class"] == "function":
        types = _types(name.arguments)
        overloads = [row for row in wanted if _types(row["signature"]) == types]
        if not overloads:
            there = ", ".join(_full_name(row) for row in wanted[:_MOST_NAMED])
            return NotFound(text, f"No function {text} has these argument types.", f"There is {there}.")
        return tuple(overloads)
    return tuple(wanted)


def with_schema(name: QualifiedName, schema: Identifier | None, text: str) -> QualifiedName:
    """The name, in the schema that the call names for all.

    Raises:
        Refusal: it is said to be in another.
    """
    if schema is None:
        return name
    if name.schema is not None and name.schema != schema:
        raise Refusal(
            Code.INVALID_ARGUMENT,
            f"`{text}` names one schema, and `schema` another.",
            next="Leave `schema` out, or the schema in `name`.",
        )
    return QualifiedName(name.name, schema, name.arguments)


def _of_target(found: Sequence[Row], target: str | None) -> list[Row]:
    if target is not None:
        return [row for row in found if row["kind"] == target]
    for each in _FIRST:
        if first := [row for row in found if row["class"] == each]:
            return first
    return list(found)


def _nothing(name: QualifiedName, text: str, found: Sequence[Row], rows: Sequence[Row], target: str | None) -> NotFound:
    what = _words(target or "object")
    if found:
        kinds = ", ".join(dict.fromkeys(f"{_words(row['kind'])} {_full_name(row)}" for row in found[:3]))
        return NotFound(text, f"There is no {what} {text}.", f"There is {kinds}.")
    similar = next((row["similar"] for row in rows if row["similar"]), None) or []
    with_rows = {_called(*each): each[1] for each in similar if each[2] in _WITH_ROWS}
    others = {f"{_words(kind)} {_called(schema, it)}": it for schema, it, kind in similar if kind not in _WITH_ROWS}
    if target is not None:
        with_rows, others = {_called(*each): each[1] for each in similar}, {}
    hint = alike(name.name.name, with_rows) or alike(name.name.name, others)
    return NotFound(text, f"There is no {what} {text}.", hint)


def _called(schema: str | None, name: str, _kind: str | None = None) -> str:
    return quote(name) if schema is None else f"{quote(schema)}.{quote(name)}"


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _full_name(row: Row) -> str:
    name = _called(row["schema"], row["name"])
    return name if row["signature"] is None else f"{name}({row['signature']})"


def _types(arguments: str) -> list[str]:
    types = (" ".join(each.split()).lower() for each in arguments.split(","))
    return [_ALIASES.get(each, each) for each in types if each]
