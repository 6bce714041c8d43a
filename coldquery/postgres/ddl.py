"""Changes of a schema: what a statement changes, and the statement that makes a change.

What a caller says in arguments becomes SQL here, names always quoted. A column's type and default are SQL of the
caller's own; the statement that comes of them is parsed like any other, so that it can only be the one that was meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec

from coldquery.errors import Code, Refusal
from coldquery.postgres.identifiers import literal, quote, quote_name
from coldquery.postgres.parser import Unparsable, tree

type Verb = Literal["create", "alter", "drop"]


class Change(NamedTuple):
    """What a statement does to which kind of object, in the words of pg_schema.

    `target` is None for a kind that has none.
    """

    verb: Verb
    target: str | None


_TARGETS = {
    **dict.fromkeys(("TABLE", "FOREIGN_TABLE", "COLUMN", "TABCONSTRAINT", "POLICY", "RULE"), "table"),
    **dict.fromkeys(("FUNCTION", "PROCEDURE", "ROUTINE", "AGGREGATE"), "function"),
    **dict.fromkeys(("TYPE", "DOMAIN", "ATTRIBUTE", "DOMCONSTRAINT"), "type"),
    "EXTENSION": "extension",
    "INDEX": "index",
    "MATVIEW": "materialized_view",
    "ROLE": "role",
    "SCHEMA": "schema",
    "SEQUENCE": "sequence",
    "TRIGGER": "trigger",
    "VIEW": "view",
}

# PostgreSQL's names for the statements, and what they change; or the field that says so.
_CREATES = {
    **dict.fromkeys(("CreateStmt", "CreateForeignTableStmt", "CreatePolicyStmt", "RuleStmt"), "table"),
    **dict.fromkeys(("CompositeTypeStmt", "CreateEnumStmt", "CreateRangeStmt", "CreateDomainStmt"), "type"),
    "CreateExtensionStmt": "extension",
    "CreateFunctionStmt": "function",
    "CreateRoleStmt": "role",
    "CreateSchemaStmt": "schema",
    "CreateSeqStmt": "sequence",
    "CreateTrigStmt": "trigger",
    "IndexStmt": "index",
    "ViewStmt": "view",
}
_ALTERS = {
    **dict.fromkeys(("AlterEnumStmt", "AlterDomainStmt", "AlterTypeStmt"), "type"),
    **dict.fromkeys(("AlterExtensionStmt", "AlterExtensionContentsStmt"), "extension"),
    **dict.fromkeys(("AlterRoleStmt", "AlterRoleSetStmt"), "role"),
    "AlterFunctionStmt": "function",
    "AlterPolicyStmt": "table",
    "AlterSeqStmt": "sequence",
}
_TOLD_BY: dict[str, tuple[Verb, tuple[str, ...]]] = {
    "CreateTableAsStmt": ("create", ("objtype",)),
    "DefineStmt": ("create", ("kind",)),
    "AlterTableStmt": ("alter", ("objtype",)),
    # Of a column it is the relation's kind that counts.
    "RenameStmt": ("alter", ("relationType", "renameType")),
    "AlterObjectSchemaStmt": ("alter", ("objectType",)),
    "AlterOwnerStmt": ("alter", ("objectType",)),
    "CommentStmt": ("alter", ("objtype",)),
    "DropStmt": ("drop", ("removeType",)),
}


def change_of(sql: str) -> Change | None:
    """What a statement changes; None if it changes no schema, or if there is none.

    Raises:
        Unparsable: that can't be told.
    """
    try:
        statements = msgspec.json.decode(tree(sql))["stmts"]
    except RecursionError:
        raise Unparsable("the statement is nested too deeply") from None
    if not statements:
        return None
    ((node, fields),) = statements[0]["stmt"].items()
    if node in _CREATES:
        return Change("create", _CREATES[node])
    if node in _ALTERS:
        return Change("alter", _ALTERS[node])
    if node == "DropRoleStmt":
        return Change("drop", "role")
    if node in _TOLD_BY:
        verb, names = _TOLD_BY[node]
        found = (_TARGETS.get(str(fields.get(each, "")).removeprefix("OBJECT_")) for each in names)
        return Change(verb, next(filter(None, found), None))
    return None


def require(sql: str, verb: Verb, target: str | None) -> None:
    """Refuse a statement that is not the change that was announced.

    Raises:
        Refusal: `statement_not_allowed`.
    """
    try:
        change = change_of(sql)
    except Unparsable as problem:
        message = f"What the statement changes can't be told: {problem}."
        raise Refusal(Code.STATEMENT_NOT_ALLOWED, message, next="Send it with pg_query write.") from None
    if change is None or change.verb != verb or (target is not None and change.target != target):
        wanted = f"{verb} of a {target.replace('_', ' ')}" if target else verb
        is_what = "changes no schema" if change is None else f"is the {change.verb} of a {change.target or 'thing'}"
        raise Refusal(
            Code.STATEMENT_NOT_ALLOWED,
            f"The statement {is_what}, and not the {wanted}.",
            next="Say the `action` and the `target` that it is, or send it with pg_query write.",
        )


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table to be: `type` and `default` are SQL."""

    name: str
    type: str
    not_null: bool = False
    default: str | None = None
    primary_key: bool = False

    @property
    def sql(self) -> str:
        """As CREATE TABLE has it."""
        parts = [quote(self.name), self.type, *(["NOT NULL"] if self.not_null else [])]
        return " ".join([*parts, *([f"DEFAULT {self.default}"] if self.default is not None else [])])


def create_table(name: Sequence[str], columns: Sequence[Column], *, if_not_exists: bool = False) -> str:
    """A table of these columns; those that are its primary key make one key together."""
    keys = [quote(each.name) for each in columns if each.primary_key]
    parts = [*(each.sql for each in columns), *([f"PRIMARY KEY ({', '.join(keys)})"] if keys else [])]
    return f"CREATE TABLE {_unless(if_not_exists)}{quote_name(name)} ({', '.join(parts)})"


def create_index(
    name: str | None,
    table: Sequence[str],
    columns: Sequence[str],
    *,
    unique: bool = False,
    concurrently: bool = False,
    if_not_exists: bool = False,
) -> str:
    """An index on columns; PostgreSQL finds a name for it if there is none."""
    words = ["CREATE", *(["UNIQUE"] if unique else []), "INDEX", *(["CONCURRENTLY"] if concurrently else [])]
    named = [] if name is None else [_unless(if_not_exists) + quote(name)]
    return " ".join([*words, *named, "ON", quote_name(table), f"({', '.join(map(quote, columns))})"])


def create_schema(name: str, *, if_not_exists: bool = False) -> str:
    """A schema."""
    return f"CREATE SCHEMA {_unless(if_not_exists)}{quote(name)}"


def add_column(table: Sequence[str], column: Column, *, if_not_exists: bool = False) -> str:
    """A column more."""
    return f"ALTER TABLE {quote_name(table)} ADD COLUMN {_unless(if_not_exists)}{column.sql}"


def drop_column(table: Sequence[str], column: str, *, cascade: bool = False, if_exists: bool = False) -> str:
    """A column less, with what depends on it only if that is said."""
    return f"ALTER TABLE {quote_name(table)} DROP COLUMN {_if(if_exists)}{quote(column)}{_cascade(cascade)}"


def rename_column(table: Sequence[str], column: str, new_name: str) -> str:
    """Another name for a column."""
    return f"ALTER TABLE {quote_name(table)} RENAME COLUMN {quote(column)} TO {quote(new_name)}"


def set_type(table: Sequence[str], column: str, type_name: str) -> str:
    """Another type for a column, by a cast."""
    name = quote(column)
    return f"ALTER TABLE {quote_name(table)} ALTER COLUMN {name} TYPE {type_name} USING {name}::{type_name}"


def rename(target: str, name: Sequence[str], new_name: str) -> str:
    """Another name for an object."""
    return f"ALTER {_words(target)} {quote_name(name)} RENAME TO {quote(new_name)}"


def comment(target: str, name: Sequence[str], text: str | None, column: str | None = None) -> str:
    """What is said of an object or of a column; None takes it away."""
    place = f"COLUMN {quote_name([*name, column])}" if column is not None else f"{_words(target)} {quote_name(name)}"
    return f"COMMENT ON {place} IS {'NULL' if text is None else literal(text)}"


def drop(target: str, name: Sequence[str], *, cascade: bool = False, if_exists: bool = False) -> str:
    """An object less, with what depends on it only if that is said."""
    return f"DROP {_words(target)} {_if(if_exists)}{quote_name(name)}{_cascade(cascade)}"


def _words(target: str) -> str:
    return target.replace("_", " ").upper()


def _unless(exists: bool) -> str:
    return "IF NOT EXISTS " if exists else ""


def _if(exists: bool) -> str:
    return "IF EXISTS " if exists else ""


def _cascade(cascade: bool) -> str:
    return " CASCADE" if cascade else ""
