"""What kind of statement a text is, as far as its first words tell. For advice and for choices, never for safety."""

import re

# Space, a line comment, or an opening parenthesis. Block comments nest in SQL, so a regular expression can't skip them.
_SKIPPED = re.compile(r"(?:[\s(;]|--[^\n\r]*)+")
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_WORD = re.compile(r"[A-Za-z_]+")
_WORD_OR_NAME = re.compile(r'[A-Za-z_]+|"[A-Za-z_]+"')
_REINDEXES_SEVERAL = re.compile(r"\b(?:concurrently|database|schema|system)\b", re.IGNORECASE)
_DETACHES_CONCURRENTLY = re.compile(r"\bdetach\s+partition\b.*\bconcurrently\b", re.IGNORECASE | re.DOTALL)
# What PostgreSQL refuses to run in a transaction block, by its beginning; each command's page says so.
_NOT_IN_A_BLOCK = (
    *(("vacuum",), ("alter", "system"), ("create", "subscription"), ("drop", "subscription")),
    *((verb, thing) for verb in ("create", "drop") for thing in ("database", "tablespace")),
    *(("create", "index", "concurrently"), ("create", "unique", "index", "concurrently")),
    ("drop", "index", "concurrently"),
)
# https://www.postgresql.org/docs/current/plpgsql-transactions.html
_MAY_END_TRANSACTIONS = {"call", "do"}


def first_word(sql: str) -> str:
    """The statement's first keyword in lower case, past space, comments and parentheses; "" if there is none.

    Source: https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-COMMENTS
    """
    word = _WORD.match(sql) or _WORD.match(sql, _start(sql))
    return word.group().lower() if word else ""


def is_empty(sql: str) -> bool:
    """Whether the text holds no statement."""
    return _start(sql) == len(sql)


def is_refused_in_a_block(sql: str) -> bool:
    """Whether PostgreSQL runs the statement only outside a transaction block."""
    match words := first_words(sql, 4):
        case ("reindex", *_):
            return _REINDEXES_SEVERAL.search(sql) is not None
        case ("alter", "table", *_):
            return _DETACHES_CONCURRENTLY.search(sql) is not None
        case ("cluster",) | ("cluster", "verbose"):
            return True
    return any(words[: len(each)] == each for each in _NOT_IN_A_BLOCK)


def may_end_transactions(sql: str) -> bool:
    """Whether PostgreSQL lets the statement commit and roll back by itself, if it is not in a transaction block."""
    return first_word(sql) in _MAY_END_TRANSACTIONS


def may_write(sql: str) -> bool:
    """Whether the statement can be one that writes by itself, and not only by a function that it calls."""
    return first_word(sql) not in {"select", "values", "table"}


def first_words(sql: str, count: int) -> tuple[str, ...]:
    """Up to so many words from the start, in lower case and without quotes, up to the first token that is none."""
    words: list[str] = []
    at = 0
    while len(words) < count:
        at = _start(sql, at)
        word = _WORD_OR_NAME.match(sql, at)
        if word is None:
            break
        words.append(word.group().strip('"').lower())
        at = word.end()
    return tuple(words)


def _start(sql: str, at: int = 0) -> int:
    """Where the first token at or after a position begins."""
    while True:
        skipped = _SKIPPED.match(sql, at)
        at = skipped.end() if skipped else at
        if not sql.startswith("/*", at):
            return at
        depth = 0
        for edge in _BLOCK_EDGE.finditer(sql, at):
            depth += 1 if edge.group() == "/*" else -1
            if depth == 0:
                at = edge.end()
                break
        else:
            return len(sql)
