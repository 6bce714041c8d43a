"""Changes of a schema that are told in arguments: which SQL makes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from coldquery.errors import Code, Refusal
from coldquery.mcp.arguments import Arguments
from coldquery.postgres import ddl
from coldquery.postgres.change import Verb, require
from coldquery.postgres.identifiers import parse

if TYPE_CHECKING:
    from coldquery.mcp.pg_schema import PgSchemaArguments

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
    sql = arguments.sql or _made(arguments, names, schema)
    require(sql, verb, arguments.target)
    return sql


def _made(arguments: PgSchemaArguments, names: Sequence[str], schema: str | None) -> str:
    target, columns = arguments.target, arguments.columns or []
    if target is None:
        raise _missing("target", "what kind of object it is, or the whole as `sql`,")
    if target == "trigger" and arguments.action != "create":
        # It is named with its table.
        raise _missing("sql", f"the whole {arguments.action.upper()} TRIGGER")
    match arguments.action:
        case "create" if target == "table":
            return ddl.create_table(
                _parts(_the(names), schema),
                [_column(each) for each in columns],
                if_not_exists=bool(arguments.if_not_exists),
            )
        case "create" if target == "index":
            return ddl.create_index(
                _parts(names[0], None)[-1] if names else None,
                _parts(_given("table", arguments.table), schema),
                [_plain(each.name) for each in columns] or _given("columns", None),
                unique=bool(arguments.unique),
                concurrently=bool(arguments.concurrently),
                if_not_exists=bool(arguments.if_not_exists),
            )
        case "create" if target == "schema":
            return ddl.create_schema(_parts(_the(names), None)[-1], if_not_exists=bool(arguments.if_not_exists))
        case "drop":
            name, signature = _signed(_the(names), schema, target)
            return ddl.drop(
                target, name, signature, cascade=bool(arguments.cascade), if_exists=bool(arguments.if_exists)
            )
        case "alter":
            return _altered(arguments, target, *_signed(_the(names), schema, target))
    raise _missing("sql", f"the whole {arguments.action.upper()} {target.replace('_', ' ').upper()}")


def _altered(arguments: PgSchemaArguments, target: str, name: list[str], signature: str | None) -> str:
    column = arguments.columns[0] if arguments.columns else None
    match arguments.change:
        case "rename":
            return ddl.rename(target, name, _plain(_given("new_name", arguments.new_name)), signature)
        case "comment":
            text = arguments.comment or None
            of_column = column and ddl.comment_on_column(name, _plain(column.name), text)
            return of_column or ddl.comment(target, name, text, signature)
        case None:
            raise _missing("change", "add_column, drop_column, rename_column, set_type, rename or comment; or `sql`")
    if column is None:
        raise _missing("columns", "[{name, …}], the one that it is about")
    own = _plain(column.name)
    match arguments.change:
        case "add_column":
            return ddl.add_column(name, _column(column), if_not_exists=bool(arguments.if_not_exists))
        case "drop_column":
            return ddl.drop_column(name, own, cascade=bool(arguments.cascade), if_exists=bool(arguments.if_exists))
        case "rename_column":
            return ddl.rename_column(name, own, _plain(_given("new_name", arguments.new_name)))
        case "set_type":
            return ddl.set_type(name, own, _given("columns[].type", column.type))


def _column(column: ColumnArguments) -> ddl.Column:
    return ddl.Column(
        _plain(column.name),
        _given("columns[].type", column.type),
        not_null=bool(column.not_null),
        default=column.default,
        primary_key=bool(column.primary_key),
    )


def _parts(name: str, schema: str | None) -> list[str]:
    return _signed(name, schema)[0]


def _signed(name: str, schema: str | None, target: str | None = None) -> tuple[list[str], str | None]:
    """A name in its parts, and the argument types that may stand behind that of a function."""
    parsed = parse(name)
    if parsed.arguments is not None and target != "function":
        raise Refusal(
            Code.INVALID_ARGUMENT,
            f"`{name}` has parentheses, which are for a function's argument types.",
            next="Pass the name alone; columns go into `columns`.",
        )
    own = parsed.schema.name if parsed.schema is not None else schema
    return [*([own] if own is not None else []), parsed.name.name], parsed.arguments


def _plain(name: str) -> str:
    """A name that has no schema, as it stands or in quotes, as the catalog's answers have it."""
    return name[1:-1].replace('""', '"') if _IN_QUOTES.fullmatch(name) else name


def _the(names: Sequence[str]) -> str:
    if len(names) != 1:
        raise _missing("name", "one name")
    return names[0]


def _given[T](name: str, value: T | None) -> T:
    if value is None:
        raise _missing(name, "what is missing")
    return value


def _missing(name: str, what: str) -> Refusal:
    return Refusal(Code.INVALID_ARGUMENT, f"`{name}` is missing.", next=f"Pass {what} as `{name}`.")
