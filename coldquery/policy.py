"""Which statement may run where: pure verdicts, for good error messages.

This is not the wall. What a read may not do is refused by PostgreSQL itself (coldquery/reads.py); the words here only
save a round trip and say better what to do instead, and they keep out the few statements that would confuse the driver.
"""

import re

from coldquery.errors import Code, Refusal

_TRANSACTION = (
    "A read is one statement in a transaction of its own that is always rolled back: {word} has no place in it.",
    "Send the query alone, without transaction control.",
)
_SETTINGS = (
    "Settings do not outlive a read, so {word} would have no effect.",
    "Use `timeout_ms` for a time limit; schema-qualify names instead of setting search_path.",
)
_COPY = (
    "COPY can't run as a read: its data stream has no place in a result.",
    "Use SELECT (or TABLE name); `max_rows` and `max_bytes` bound the answer.",
)
_NOTIFICATIONS = (
    "Notifications need a lasting connection, and a read has none: {word} would have no effect.",
    "Poll with a query instead.",
)
_PREPARED = (
    "Prepared statements and cursors do not outlive a read: {word} would have no effect.",
    "Send the query itself, with its values in `params`.",
)

_REFUSED_IN_A_READ = {
    **dict.fromkeys(("abort", "begin", "commit", "end", "release", "rollback", "savepoint", "start"), _TRANSACTION),
    **dict.fromkeys(("set", "reset", "discard"), _SETTINGS),
    **dict.fromkeys(("listen", "notify", "unlisten"), _NOTIFICATIONS),
    **dict.fromkeys(("close", "deallocate", "declare", "execute", "fetch", "move", "prepare"), _PREPARED),
    "copy": _COPY,
}

# Space, a line comment, or an opening parenthesis. Block comments nest in SQL, so a regular expression can't skip them.
_SKIPPED = re.compile(r"(?:[\s(;]|--[^\n\r]*)+")
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_WORD = re.compile(r"[A-Za-z_]+")


def first_word(sql: str) -> str:
    """The statement's first keyword in lower case, past space, comments and parentheses; "" if there is none.

    Source: https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-COMMENTS
    """
    at = _start(sql)
    word = _WORD.match(sql, at)
    return word.group().lower() if word else ""


def check_read(sql: str) -> None:
    """Refuse a statement that can't be a read, before anything is sent.

    Raises:
        Refusal: `invalid_argument` for a text that PostgreSQL can't take, `statement_not_allowed` for an empty one or
            one that has no place in a read.
    """
    if "\0" in sql:
        raise Refusal(Code.INVALID_ARGUMENT, "The SQL contains a NUL character, which PostgreSQL can't take.")
    try:
        sql.encode()
    except UnicodeEncodeError:
        message = "The SQL is not valid Unicode: it contains half a surrogate pair."
        raise Refusal(Code.INVALID_ARGUMENT, message) from None
    if _start(sql) == len(sql):
        raise Refusal(Code.STATEMENT_NOT_ALLOWED, "The SQL holds no statement.", next="Send one statement.")
    word = first_word(sql)
    if word in _REFUSED_IN_A_READ:
        message, step = _REFUSED_IN_A_READ[word]
        raise Refusal(Code.STATEMENT_NOT_ALLOWED, message.format(word=word.upper()), next=step)


def _start(sql: str) -> int:
    """Where the first token begins."""
    at = 0
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
