"""Changes of a schema: the statement that makes one.

What a caller says in arguments becomes SQL here, names always quoted. A column's type and default are SQL of the
caller's own; the statement that comes of them is parsed like any other, so that it can only be one of the kind meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coldquery.postgres.identifiers import literal, quote
from coldquery.postgres.parser import Unparsable, tokens

# The scanner's number of a word that is no keyword.
_WORD = 258


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
        parts = [_quoted(self.name), self.type, *(["NOT NULL"] if self.not_null else [])]
        return " ".join([*parts, *([f"DEFAULT {self.default}"] if self.default is not None else [])])


def create_table(name: Sequence[str], columns: Sequence[Column], *, if_not_exists: bool = False) -> str:
    """A table of these columns; those that are its primary key make one key together."""
    keys = [_quoted(each.name) for each in columns if each.primary_key]
    parts = [*(each.sql for each in columns), *([f"PRIMARY KEY ({', '.join(keys)})"] if keys else [])]
    return f"CREATE TABLE {_unless(if_not_exists)}{_full(name)} ({', '.join(parts)})"


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
    named = [] if name is None else [_unless(if_not_exists) + _quoted(name)]
    return " ".join([*words, *named, "ON", _full(table), f"({', '.join(map(_quoted, columns))})"])


def create_schema(name: str, *, if_not_exists: bool = False) -> str:
    """A schema."""
    return f"CREATE SCHEMA {_unless(if_not_exists)}{_quoted(name)}"


def add_column(table: Sequence[str], column: Column, *, if_not_exists: bool = False) -> str:
    """A column more; it may be the primary key, alone."""
    key = " PRIMARY KEY" if column.primary_key else ""
    return f"ALTER TABLE {_full(table)} ADD COLUMN {_unless(if_not_exists)}{column.sql}{key}"


def drop_column(table: Sequence[str], column: str, *, cascade: bool = False, if_exists: bool = False) -> str:
    """A column less, with what depends on it only if that is said."""
    return f"ALTER TABLE {_full(table)} DROP COLUMN {_if(if_exists)}{_quoted(column)}{_cascade(cascade)}"


def rename_column(target: str, name: Sequence[str], column: str, new_name: str) -> str:
    """Another name for a column of a table or view."""
    return f"ALTER {_object(target, name, None)} RENAME COLUMN {_quoted(column)} TO {_quoted(new_name)}"


def set_type(table: Sequence[str], column: str, type_name: str) -> str:
    """Another type for a column, by a cast."""
    name = _quoted(column)
    return f"ALTER TABLE {_full(table)} ALTER COLUMN {name} TYPE {type_name} USING {name}::{type_name}"


def rename(target: str, name: Sequence[str], new_name: str, signature: str | None = None) -> str:
    """Another name for an object; `signature` has the argument types of a function."""
    return f"ALTER {_object(target, name, signature)} RENAME TO {_quoted(new_name)}"


def comment(target: str, name: Sequence[str], text: str | None, signature: str | None = None) -> str:
    """What is said of an object; None takes it away."""
    return f"COMMENT ON {_object(target, name, signature)} IS {_text(text)}"


def comment_on_column(table: Sequence[str], column: str, text: str | None) -> str:
    """What is said of a column."""
    return f"COMMENT ON COLUMN {_full([*table, column])} IS {_text(text)}"


def drop(
    target: str,
    name: Sequence[str],
    signature: str | None = None,
    *,
    cascade: bool = False,
    if_exists: bool = False,
    concurrently: bool = False,
) -> str:
    """An object less, with what depends on it only if that is said; an index also without locking out others."""
    condition = f"{'CONCURRENTLY ' if concurrently else ''}{_if(if_exists)}"
    return f"DROP {_object(target, name, signature, condition)}{_cascade(cascade)}"


def _object(target: str, name: Sequence[str], signature: str | None, condition: str = "") -> str:
    # A function may be a procedure or an aggregate, which ROUTINE stands for as well.
    words = "ROUTINE" if target == "function" else target.replace("_", " ").upper()
    return f"{words} {condition}{_full(name)}{'' if signature is None else f'({signature})'}"


def _full(parts: Sequence[str]) -> str:
    return ".".join(map(_quoted, parts))


def _quoted(name: str) -> str:
    """A name as `quote` has it, but for keywords: PostgreSQL takes `if` for a name, but not after ADD COLUMN."""
    if quote(name) == name and not _is_keyword(name):
        return name
    return '"' + name.replace('"', '""') + '"'


def _is_keyword(word: str) -> bool:
    try:
        return tokens(word)[0].kind != _WORD
    except Unparsable:
        return True


def _text(text: str | None) -> str:
    return "NULL" if text is None else literal(text)


def _unless(exists: bool) -> str:
    return "IF NOT EXISTS " if exists else ""


def _if(exists: bool) -> str:
    return "IF EXISTS " if exists else ""


def _cascade(cascade: bool) -> str:
    return " CASCADE" if cascade else ""
