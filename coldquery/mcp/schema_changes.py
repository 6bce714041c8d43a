"""Changes of a schema that are told in arguments: which SQL makes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from coldquery.errors import Code, Refusal
from coldquery.mcp.arguments import Arguments
from coldquery.postgres import ddl
from coldquery.postgres.change import Verb, one, require
from coldquery.postgres.identifiers import parse

if TYPE_CHECKING:
    from coldquery.mcp.pg_schema import PgSchemaArguments

# What says where and about what, in every call.
_ALWAYS = {"action", "target", "name", "schema", "session_id", "autocommit"}
_TAKES: dict[str, tuple[str, ...]] = {
    "add_column": ("columns", "if_not_exists"),
    "drop_column": ("columns", "cascade", "if_exists"),
    "rename_column": ("columns", "new_name"),
    "set_type": ("columns",),
    "rename": ("new_name",),
    "comment": ("columns", "comment"),
}
# Which kinds of objects can be changed so; all, where none is named.
_CHANGED_SO: dict[str, set[str]] = {
    "add_column": {"table"},
    "drop_column": {"table"},
    "set_type": {"table"},
    "rename_column": {"table", "view", "materialized_view"},
    "rename": {"schema", "table", "view", "materialized_view", "sequence", "function", "index", "type", "role"},
}
_WITHOUT_SCHEMA = {"schema", "extension", "role"}
_IN_QUOTES = re.compile(r'"(?:[^"]|"")+"')


class ColumnArguments(Arguments):
    """A column: `type` and `default` are SQL."""

    name: str
    type: str | None = None
    not_null: bool | None = None
    default: str | None = None
    primary_key: bool | None = None


def statement(arguments: PgSchemaArguments, names: Sequence[str], schema: str | None) -> str:
    """The SQL of a change.

    Args:
        arguments: the call's.
        names: of the object; one, or none for an index that PostgreSQL is to name.
        schema: of the object, where its name does not say it.

    Raises:
        Refusal: `invalid_argument` if something is missing, `statement_not_allowed` if `sql` is another change.
    """
    verb: Verb = arguments.action  # type: ignore[assignment]  # the caller has matched it
    if arguments.sql is not None:
        _hold(arguments, "sql")
    sql = _made(arguments, names, schema) if arguments.sql is None else arguments.sql
    require(sql, verb, arguments.target)
    return sql


def _made(arguments: PgSchemaArguments, names: Sequence[str], schema: str | None) -> str:
    target = arguments.target
    if target is None:
        raise _missing("target", "what kind of object it is, or the whole as `sql`,")
    if target == "trigger" and arguments.action != "create":
        # It is named with its table.
        raise _missing("sql", f"the whole {arguments.action.upper()} TRIGGER")
    match arguments.action:
        case "create" if target == "table":
            _hold(arguments, "columns", "if_not_exists")
            return ddl.create_table(
                _parts(_the(names), schema, target),
                [_column(each) for each in arguments.columns or ()],
                if_not_exists=bool(arguments.if_not_exists),
            )
        case "create" if target == "index":
            _hold(arguments, "table", "columns", "unique", "concurrently", "if_not_exists")
            return _index(arguments, names, _parts(_given("table", arguments.table), schema, "table"))
        case "create" if target == "schema":
            _hold(arguments, "if_not_exists")
            (name,) = _parts(_the(names), schema, target)
            return ddl.create_schema(name, if_not_exists=bool(arguments.if_not_exists))
        case "drop":
            _hold(arguments, "cascade", "if_exists", *(["concurrently"] if target == "index" else []))
            return ddl.drop(
                target,
                *_signed(_the(names), schema, target),
                cascade=bool(arguments.cascade),
                if_exists=bool(arguments.if_exists),
                concurrently=bool(arguments.concurrently),
            )
        case "alter":
            return _altered(arguments, target, *_signed(_the(names), schema, target))
    raise _missing("sql", f"the whole {arguments.action.upper()} {target.replace('_', ' ').upper()}")


def _index(arguments: PgSchemaArguments, names: Sequence[str], table: list[str]) -> str:
    name = _parts(_the(names), None, "index") if names else None
    if name is not None and name[:-1] not in ([], table[:-1]):
        raise Refusal(
            Code.INVALID_ARGUMENT,
            "An index is in the schema of its table.",
            next="Leave the schema out of `name`.",
        )
    if name is None and arguments.if_not_exists:
        raise _missing("name", "the index's own, without which PostgreSQL can't tell whether it is there,")
    columns = [_only(each, "an index") for each in arguments.columns or ()] or _given("columns", None)
    return ddl.create_index(
        None if name is None else name[-1],
        table,
        columns,
        unique=bool(arguments.unique),
        concurrently=bool(arguments.concurrently),
        if_not_exists=bool(arguments.if_not_exists),
    )


def _altered(arguments: PgSchemaArguments, target: str, name: list[str], signature: str | None) -> str:
    change = arguments.change
    if change is None:
        raise _missing("change", "add_column, drop_column, rename_column, set_type, rename or comment; or `sql`")
    _hold(arguments, "change", *_TAKES[change])
    if target not in _CHANGED_SO.get(change, {target}):
        raise Refusal(
            Code.INVALID_ARGUMENT,
            f"change={change} is none of {one(target)}.",
            next=f"It is for target={' or '.join(sorted(_CHANGED_SO[change]))}; pass another change as `sql`.",
        )
    if change == "rename":
        return ddl.rename(target, name, _plain(_given("new_name", arguments.new_name)), signature)
    if change == "comment" and arguments.columns is None:
        return ddl.comment(target, name, _text(arguments), signature)
    return _with_column(arguments, change, target, name)


def _with_column(arguments: PgSchemaArguments, change: str, target: str, name: list[str]) -> str:
    column = _the_column(arguments)
    if change == "add_column":
        return ddl.add_column(name, _column(column), if_not_exists=bool(arguments.if_not_exists))
    own = _only(column, f"change={change}", *(["type"] if change == "set_type" else []))
    match change:
        case "drop_column":
            return ddl.drop_column(name, own, cascade=bool(arguments.cascade), if_exists=bool(arguments.if_exists))
        case "rename_column":
            return ddl.rename_column(target, name, own, _plain(_given("new_name", arguments.new_name)))
        case "set_type":
            return ddl.set_type(name, own, _given("columns[].type", column.type))
        case _:
            return ddl.comment_on_column(name, own, _text(arguments))


def _text(arguments: PgSchemaArguments) -> str | None:
    if arguments.comment is None:
        raise _missing("comment", "the text, or an empty one to take it away,")
    return arguments.comment or None


def _hold(arguments: PgSchemaArguments, *takes: str) -> None:
    """Refuse what would be passed over in silence.

    Raises:
        Refusal: `invalid_argument`, naming it.
    """
    if extra := sorted(_said(arguments) - _ALWAYS - set(takes)):
        what = "a call with `sql`" if "sql" in takes else f"{arguments.action} of {one(arguments.target or 'thing')}"
        what = f"change={arguments.change}" if "change" in takes else what
        raise Refusal(
            Code.INVALID_ARGUMENT,
            f"{'; '.join(f'`{name}` has no place in {what}' for name in extra)}.",
            next=f"Leave it out, or pass the whole statement as `sql`. Here there is: {', '.join(takes)}.",
        )


def _the_column(arguments: PgSchemaArguments) -> ColumnArguments:
    columns = arguments.columns or []
    if len(columns) > 1:
        raise Refusal(
            Code.INVALID_ARGUMENT,
            f"`columns` names {len(columns)}, and a change is of one.",
            next="Call once for each; in a session they are one transaction. Or pass the whole ALTER TABLE as `sql`.",
        )
    if not columns:
        raise _missing("columns", "[{name, …}], the one that it is about,")
    return columns[0]


def _only(column: ColumnArguments, where: str, *takes: str) -> str:
    """The column's name, of which nothing is said that has no place there."""
    if extra := sorted(_said(column) - {"name"} - set(takes)):
        raise Refusal(
            Code.INVALID_ARGUMENT,
            f"`columns[].{extra[0]}` has no place in {where}.",
            next="Leave it out, or pass the whole statement as `sql`.",
        )
    return _plain(column.name)


def _said(arguments: Arguments) -> set[str]:
    """What is asked for; a flag that is false asks for nothing."""
    values = {name: getattr(arguments, name) for name in arguments.model_fields_set}
    return {name for name, value in values.items() if value is not None and value is not False}


def _column(column: ColumnArguments) -> ddl.Column:
    return ddl.Column(
        _plain(column.name),
        _given("columns[].type", column.type),
        not_null=bool(column.not_null),
        default=column.default,
        primary_key=bool(column.primary_key),
    )


def _parts(name: str, schema: str | None, target: str) -> list[str]:
    return _signed(name, schema, target)[0]


def _signed(name: str, schema: str | None, target: str) -> tuple[list[str], str | None]:
    """A name in its parts, and the argument types that may stand behind that of a function."""
    parsed = parse(name)
    if parsed.arguments is not None and target != "function":
        raise Refusal(
            Code.INVALID_ARGUMENT,
            f"`{name}` has parentheses, which are for a function's argument types.",
            next="Pass the name alone; columns go into `columns`.",
        )
    own = parsed.schema.name if parsed.schema is not None else schema
    if own is not None and target in _WITHOUT_SCHEMA:
        raise Refusal(
            Code.INVALID_ARGUMENT,
            f"{one(target).capitalize()} belongs to no schema.",
            next="Pass its `name` alone.",
        )
    return [*([own] if own is not None else []), parsed.name.name], parsed.arguments


def _plain(name: str) -> str:
    """A name that has no schema, as it stands or in quotes, as the catalog's answers have it."""
    return name[1:-1].replace('""', '"') if _IN_QUOTES.fullmatch(name) else name


def _the(names: Sequence[str]) -> str:
    if len(names) > 1:
        raise Refusal(
            Code.INVALID_ARGUMENT,
            f"`name` holds {len(names)} names, and a change is of one.",
            next="Call once for each; in a session they are one transaction.",
        )
    if not names:
        raise _missing("name", "one name")
    return names[0]


def _given[T](name: str, value: T | None) -> T:
    if value is None:
        raise _missing(name, "what is missing")
    return value


def _missing(name: str, what: str) -> Refusal:
    return Refusal(Code.INVALID_ARGUMENT, f"`{name}` is missing.", next=f"Pass {what} as `{name}`.")
