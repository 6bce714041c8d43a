"""Changes of a schema that are told in arguments: which SQL makes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from coldquery.errors import Code, Refusal
from coldquery.mcp.arguments import Arguments
from coldquery.postgres import ddl
from coldquery.postgres.identifiers import parse

if TYPE_CHECKING:
    from coldquery.mcp.pg_schema import PgSchemaArguments


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
    verb: ddl.Verb = arguments.action  # type: ignore[assignment]  # the caller has matched it
    sql = arguments.sql or _made(arguments, [_parts(each, schema) for each in names])
    ddl.require(sql, verb, arguments.target)
    return sql


def _made(arguments: PgSchemaArguments, names: list[list[str]]) -> str:
    target, columns = arguments.target, arguments.columns or []
    if target is None:
        raise _missing("target", "what kind of object it is, or the whole as `sql`,")
    if target == "trigger" and arguments.action != "create":
        # It is named with its table.
        raise _missing("sql", f"the whole {arguments.action.upper()} TRIGGER")
    match arguments.action:
        case "create" if target == "table":
            return ddl.create_table(
                _the_name(names), [_column(each) for each in columns], if_not_exists=bool(arguments.if_not_exists)
            )
        case "create" if target == "index":
            return ddl.create_index(
                names[0][-1] if names else None,
                _parts(_given("table", arguments.table), None),
                [each.name for each in columns] or _given("columns", None),
                unique=bool(arguments.unique),
                concurrently=bool(arguments.concurrently),
                if_not_exists=bool(arguments.if_not_exists),
            )
        case "create" if target == "schema":
            return ddl.create_schema(_the_name(names)[-1], if_not_exists=bool(arguments.if_not_exists))
        case "drop":
            return ddl.drop(
                target, _the_name(names), cascade=bool(arguments.cascade), if_exists=bool(arguments.if_exists)
            )
        case "alter":
            return _altered(arguments, target, _the_name(names), columns)
    raise _missing("sql", f"the whole {arguments.action.upper()} {target.replace('_', ' ').upper()}")


def _altered(arguments: PgSchemaArguments, target: str, name: list[str], columns: list[ColumnArguments]) -> str:
    column = columns[0] if columns else None
    match arguments.change:
        case "rename":
            return ddl.rename(target, name, _given("new_name", arguments.new_name))
        case "comment":
            return ddl.comment(target, name, arguments.comment or None, column.name if column else None)
        case None:
            raise _missing("change", "add_column, drop_column, rename_column, set_type, rename or comment; or `sql`")
    if column is None:
        raise _missing("columns", "[{name, …}], the one that it is about")
    match arguments.change:
        case "add_column":
            return ddl.add_column(name, _column(column), if_not_exists=bool(arguments.if_not_exists))
        case "drop_column":
            return ddl.drop_column(
                name, column.name, cascade=bool(arguments.cascade), if_exists=bool(arguments.if_exists)
            )
        case "rename_column":
            return ddl.rename_column(name, column.name, _given("new_name", arguments.new_name))
        case "set_type":
            return ddl.set_type(name, column.name, _given("columns[].type", column.type))


def _column(column: ColumnArguments) -> ddl.Column:
    return ddl.Column(
        column.name,
        _given("columns[].type", column.type),
        not_null=bool(column.not_null),
        default=column.default,
        primary_key=bool(column.primary_key),
    )


def _parts(name: str, schema: str | None) -> list[str]:
    parsed = parse(name)
    own = parsed.schema.name if parsed.schema is not None else schema
    return [*([own] if own is not None else []), parsed.name.name]


def _the_name(names: list[list[str]]) -> list[str]:
    if len(names) != 1:
        raise _missing("name", "one name")
    return names[0]


def _given[T](name: str, value: T | None) -> T:
    if value is None:
        raise _missing(name, "what is missing")
    return value


def _missing(name: str, what: str) -> Refusal:
    return Refusal(Code.INVALID_ARGUMENT, f"`{name}` is missing.", next=f"Pass {what} as `{name}`.")
