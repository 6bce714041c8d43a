"""A place in a statement's text, as PostgreSQL names it: characters counted from 1."""

import re
from dataclasses import replace

from coldquery.errors import Refusal

WIDTH = 100

# A name with its schema or table before it. https://www.postgresql.org/docs/current/sql-syntax-lexical.html
_NAME = re.compile(r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)(?:\s*\.\s*(?:"(?:[^"]|"")+"|[^\W\d][\w$]*))*')
_PART = re.compile(r'"((?:[^"]|"")+)"|([^\W\d][\w$]*)')
_UNSEEN = re.compile(r"[^\x20-\x7e\xa0-\uffff]")


def excerpt(sql: str, position: int) -> str:
    """The line that the position is in, and a line with a caret under it.

    At most 100 characters of it, and one character for each, so that the caret stands right.
    """
    at = min(max(position - 1, 0), len(sql))
    start = sql.rfind("\n", 0, at) + 1
    end = sql.find("\n", at)
    number = sql.count("\n", 0, start) + 1
    line, column = sql[start : len(sql) if end < 0 else end], at - start
    before = after = ""
    if len(line) > WIDTH:
        first = min(max(column - WIDTH // 2, 0), len(line) - WIDTH)
        before, after = "…" * (first > 0), "…" * (first + WIDTH < len(line))
        line, column = line[first : first + WIDTH], column - first
    head = f"LINE {number}: {before}"
    return f"{head}{_UNSEEN.sub(' ', line)}{after}\n{' ' * (len(head) + column)}^"


def name_at(sql: str, position: int) -> tuple[str, ...]:
    """The parts of the name that begins there, as PostgreSQL understands them; none if there is no name."""
    found = _NAME.match(sql, max(position - 1, 0))
    if found is None:
        return ()
    return tuple(
        quoted.replace('""', '"') if quoted else plain.lower() for quoted, plain in _PART.findall(found.group())
    )


def locate(error: Refusal, sql: str, position: int | None) -> None:
    """Say of an error which text it is about, and where in it."""
    error.sql = sql
    if position is not None:
        error.cause = replace(error.cause, position=position, excerpt=excerpt(sql, position))
