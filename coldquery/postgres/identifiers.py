"""Names of PostgreSQL's objects: how they are written in SQL, and what a written one means.

https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from coldquery.errors import Code, Refusal, cut

# NAMEDATALEN - 1, in bytes. PostgreSQL cuts longer ones without an error, and so do we.
MAX_LENGTH = 63

# All that are not "unreserved" up to PostgreSQL 18: quote_ident quotes these, and those that its own version knows.
# https://www.postgresql.org/docs/current/sql-keywords-appendix.html
_KEYWORDS = """
all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case cast
char character check coalesce collate collation column concurrently constraint create cross current_catalog
current_date current_role current_schema current_time current_timestamp current_user dec decimal default deferrable
desc distinct do else end except exists extract false fetch float for foreign freeze from full grant greatest group
grouping having ilike in initially inner inout int integer intersect interval into is isnull join json json_array
json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_serialize json_table json_value
lateral leading least left like limit localtime localtimestamp merge_action national natural nchar none normalize
not notnull null nullif numeric offset on only or order out outer overlaps overlay placing position precision
primary real references returning right row select session_user setof similar smallint some substring symmetric
system_user table tablesample then time timestamp to trailing treat trim true union unique user using values
varchar variadic verbose when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest
xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable
"""
KEYWORDS = frozenset(_KEYWORDS.split())

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_PART = re.compile(r'\s*(?:"(?P<quoted>(?:[^"\x00]|"")+)"|(?P<bare>[A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*))\s*')
_UPPER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_LONGEST_ECHO = 80


@dataclass(frozen=True, slots=True)
class Identifier:
    """One name.

    Attributes:
        name: as PostgreSQL has it.
        written: the same before PostgreSQL folds it: who writes Orders without quotes may mean "Orders".
    """

    name: str
    written: str


@dataclass(frozen=True, slots=True)
class QualifiedName:
    """A name as a user writes it, with its schema or without, and with argument types where it is a function's."""

    name: Identifier
    schema: Identifier | None = None
    arguments: str | None = None


def quote(name: str) -> str:
    """A name as it must be written in SQL, quoted only if need be: PostgreSQL's `quote_ident`."""
    if _PLAIN.fullmatch(name) and name not in KEYWORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


def quote_name(parts: Iterable[str]) -> str:
    """The same of a name in parts: schema.name, schema.table.column."""
    return ".".join(map(quote, parts))


def literal(text: str) -> str:
    """A string as it must be written in SQL. A backslash is a backslash: standard_conforming_strings is on.

    Source: https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-STRINGS
    """
    return "'" + text.replace("'", "''") + "'"


def parse(text: str) -> QualifiedName:
    """What a name means that is written as in SQL.

    Raises:
        Refusal: `invalid_argument`, if it is not written so.
    """
    bare, arguments = _without_arguments(text)
    parts: list[Identifier] = []
    at = 0
    while (match := _PART.match(bare, at)) is not None:
        parts.append(_identifier(match))
        at = match.end()
        if at == len(bare) or bare[at] != ".":
            break
        at += 1
    else:
        raise _refusal(text)
    if at < len(bare):
        raise _refusal(text)
    match parts:
        case [name]:
            return QualifiedName(name, None, arguments)
        case [schema, name]:
            return QualifiedName(name, schema, arguments)
        case _:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                f"`{cut(text, _LONGEST_ECHO)}` has {len(parts)} parts; a name has one, or two with its schema.",
                next="Write name or schema.name. The database is always the gateway's own.",
            )


def _identifier(match: re.Match[str]) -> Identifier:
    if (quoted := match["quoted"]) is not None:
        name = _shortened(quoted.replace('""', '"'))
        return Identifier(name, name)
    written = _shortened(match["bare"])
    # Only ASCII: of other letters PostgreSQL folds none where the encoding is UTF-8.
    return Identifier(written.translate(_UPPER), written)


def _shortened(name: str) -> str:
    return name.encode()[:MAX_LENGTH].decode(errors="ignore")


def _without_arguments(text: str) -> tuple[str, str | None]:
    """A function's name without the types in parentheses that may follow it."""
    stripped = text.rstrip()
    # A parenthesis within quotes is a part of the name, and then a quote ends it.
    if not stripped.endswith(")"):
        return text, None
    at = stripped.rfind('"') + 1
    opened = stripped.find("(", at)
    return (text, None) if opened < 0 else (stripped[:opened], stripped[opened + 1 : -1])


def _refusal(text: str) -> Refusal:
    quoted = quote(cut(text, MAX_LENGTH))
    return Refusal(
        Code.INVALID_ARGUMENT,
        f"`{cut(text, _LONGEST_ECHO)}` is not a name as SQL writes it.",
        next=f"Quote what is not plain, schema and name each by itself; as one name it is {quoted}.",
    )
