"""What a statement changes of a schema, by PostgreSQL's own parser."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from coldquery.errors import Code, Refusal
from coldquery.postgres.parser import Unparsable, tree

type Verb = Literal["create", "alter", "drop"]


class Change(NamedTuple):
    """What a statement does to which kind of object, in the words of pg_schema.

    `target` is None for a kind that has none, and `column` for what may be one of a table's, a view's or a type's.
    """

    verb: Verb
    target: str | None


_TARGETS = {
    **dict.fromkeys(("TABLE", "FOREIGN_TABLE", "TABCONSTRAINT", "POLICY", "RULE"), "table"),
    **dict.fromkeys(("FUNCTION", "PROCEDURE", "ROUTINE", "AGGREGATE"), "function"),
    **dict.fromkeys(("TYPE", "DOMAIN", "ATTRIBUTE", "DOMCONSTRAINT"), "type"),
    "COLUMN": "column",
    "EXTENSION": "extension",
    "INDEX": "index",
    "MATVIEW": "materialized_view",
    "ROLE": "role",
    "SCHEMA": "schema",
    "SEQUENCE": "sequence",
    "TRIGGER": "trigger",
    "VIEW": "view",
}

_WITH_COLUMNS = {"table", "view", "materialized_view", "type"}

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
        Refusal: there are several.
        Unparsable: that can't be told.
    """
    try:
        statements = msgspec.json.decode(tree(sql))["stmts"]
    except RecursionError:
        raise Unparsable("the statement is nested too deeply") from None
    if not statements:
        return None
    if len(statements) > 1:
        raise Refusal(
            Code.STATEMENT_NOT_ALLOWED,
            f"The SQL holds {len(statements)} statements; nothing was run.",
            next="Send exactly one statement for each call.",
        )
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
    if change is None or change.verb != verb or not _is_of(change.target, target):
        wanted = f"{verb} of {one(target)}" if target else verb
        is_what = "changes no schema" if change is None else f"is the {change.verb} of {one(change.target or 'thing')}"
        raise Refusal(
            Code.STATEMENT_NOT_ALLOWED,
            f"The statement {is_what}, and not the {wanted}.",
            next="Say the `action` and the `target` that it is, or send it with pg_query write.",
        )


def one(target: str) -> str:
    """One object of a kind, in words: a materialized view, an index."""
    return f"{'an' if target[0] in 'aeiou' else 'a'} {target.replace('_', ' ')}"


def _is_of(changed: str | None, announced: str | None) -> bool:
    return announced in {None, changed} or (changed == "column" and announced in _WITH_COLUMNS)
