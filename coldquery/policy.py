"""Which statement may run where: pure verdicts, for good error messages.

This is not the wall. What a read may not do is refused by PostgreSQL itself (coldquery/reads.py); the words here only
save a round trip and say better what to do instead, and they keep out the few statements that would confuse the driver.
"""

import re

from coldquery.errors import Code, Refusal
from coldquery.postgres.syntax import first_word, first_words, is_empty, is_refused_in_a_block, may_end_transactions

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

_ENDS = ("The transaction ends by pg_tx, not by {what}, so that the gateway knows what became of it.",)
_TWO_PHASE = (
    "{what} would leave a transaction behind that no session owns.",
    "Commit with pg_tx commit, or roll back with pg_tx rollback.",
)
_BEGINS = (
    "Transactions are begun by pg_tx, not by {what}.",
    "Call pg_tx begin; or send the statements, without BEGIN and COMMIT, as `operations` of pg_query transaction.",
)
_CHARACTERISTICS = (
    "What kind of transaction this is was settled when it began: {what} comes too late.",
    "Begin another with pg_tx begin, which takes `isolation_level`, `read_only` and `deferrable`.",
)
_AUTHORIZATION = (
    "A session keeps the role of the gateway: {what} is not allowed.",
    "Ask the operator for a gateway with the role that you need.",
)
_LISTENS = (
    "A notification has nowhere to go in a session: {what} would have no effect.",
    "Poll with a query instead.",
)
_COPY_STREAM = (
    "COPY can't stream to or from the gateway: its data has no place in a call.",
    "Insert with pg_query write (INSERT ... SELECT FROM unnest($1::int[], ...) takes many rows); read with SELECT.",
)

_BACKSTOP = (
    "By this setting PostgreSQL guards the session should the gateway be gone, so that {what} is not allowed.",
    "Pass `idle_timeout_s` to pg_tx begin, or leave it as it is.",
)
_TIME_LIMIT = ("The time limit of a statement is set by its call, not by {what}.", "Pass `timeout_ms`.")
_ENCODING = ("Texts travel as UTF-8 here, so that {what} is not allowed.", "Use convert() and convert_to() in SQL.")
_ALL_SETTINGS = (
    "{what} would take away the limits that guard the session.",
    "Reset the settings that you mean, by name.",
)
_OWN_STATEMENTS = ("{what} would drop the gateway's own prepared statements too.", "Deallocate yours by name.")


def _setting(name: str, why: tuple[str, str]) -> dict[tuple[str, ...], tuple[str, str]]:
    beginnings = (("set",), ("set", "local"), ("set", "session"), ("reset",))
    return {(*beginning, name): why for beginning in beginnings}


# What a statement may not begin with in a session. PostgreSQL would obey all of these.
_REFUSED_IN_A_SESSION: dict[tuple[str, ...], tuple[str, str]] = {
    ("commit",): (*_ENDS, "Use pg_tx commit."),
    ("end",): (*_ENDS, "Use pg_tx commit."),
    ("rollback",): (*_ENDS, "Use pg_tx rollback, with `savepoint_name` to keep what came before the savepoint."),
    ("abort",): (*_ENDS, "Use pg_tx rollback."),
    ("savepoint",): ("Savepoints are set by pg_tx, not by {what}.", "Use pg_tx savepoint with `savepoint_name`."),
    ("release",): ("Savepoints are released by pg_tx, not by {what}.", "Use pg_tx release with `savepoint_name`."),
    ("begin",): _BEGINS,
    ("start",): _BEGINS,
    ("prepare", "transaction"): _TWO_PHASE,
    **_setting("transaction", _CHARACTERISTICS),
    **_setting("transaction_isolation", _CHARACTERISTICS),
    **_setting("transaction_read_only", _CHARACTERISTICS),
    **_setting("transaction_deferrable", _CHARACTERISTICS),
    ("set", "session", "characteristics"): _CHARACTERISTICS,
    **_setting("session_authorization", _AUTHORIZATION),
    ("set", "session", "authorization"): _AUTHORIZATION,
    ("set", "local", "session", "authorization"): _AUTHORIZATION,
    ("set", "session", "session", "authorization"): _AUTHORIZATION,
    ("reset", "session", "authorization"): _AUTHORIZATION,
    **_setting("idle_in_transaction_session_timeout", _BACKSTOP),
    **_setting("transaction_timeout", _BACKSTOP),
    **_setting("client_connection_check_interval", _BACKSTOP),
    **_setting("statement_timeout", _TIME_LIMIT),
    **_setting("client_encoding", _ENCODING),
    **_setting("names", _ENCODING),
    ("reset", "all"): _ALL_SETTINGS,
    ("listen",): _LISTENS,
    ("deallocate", "all"): _OWN_STATEMENTS,
    ("deallocate", "prepare", "all"): _OWN_STATEMENTS,
}

_FORGOTTEN = (
    "What {what} does lasts as long as a transaction or a connection, and without a session that is this call.",
    "Open a transaction with pg_tx begin, and send it there.",
)
_REFUSED_WITHOUT_A_SESSION = {
    *("close", "deallocate", "declare", "discard", "execute", "fetch", "lock", "move", "prepare", "reset", "set"),
}

_ALONE = (
    "PostgreSQL does not run {what} in a transaction.",
    "Send it by itself: pg_query write with `autocommit: true`, without `session_id`.",
)
# Nothing that begins so is refused: no need to look further.
_PLAIN = {"select", "insert", "update", "delete", "with", "values"}
_LOOKED_AT = {"copy", *(beginning[0] for beginning in _REFUSED_IN_A_SESSION)}
_CLIENT_STREAM = re.compile(r"\b(?:stdin|stdout)\b", re.IGNORECASE)


def check_read(sql: str) -> None:
    """Refuse a statement that can't be a read, before anything is sent.

    Raises:
        Refusal: `invalid_argument` for a text that PostgreSQL can't take, `statement_not_allowed` for an empty one or
            one that has no place in a read.
    """
    word = _checked_word(sql)
    if word in _REFUSED_IN_A_READ:
        message, step = _REFUSED_IN_A_READ[word]
        raise Refusal(Code.STATEMENT_NOT_ALLOWED, message.format(word=word.upper()), next=step)


def check_session_statement(sql: str) -> None:
    """Refuse a statement that has no place in a session's transaction, before anything is sent.

    Raises:
        Refusal: as `check_read`; `next` names what to use instead.
    """
    word = _checked_word(sql)
    if word in _PLAIN:
        return
    if is_refused_in_a_block(sql):
        raise Refusal(Code.STATEMENT_NOT_ALLOWED, _ALONE[0].format(what=word.upper()), next=_ALONE[1])
    if word not in _LOOKED_AT:
        return
    words = first_words(sql, 5)
    for beginning, (message, step) in _REFUSED_IN_A_SESSION.items():
        if words[: len(beginning)] == beginning:
            what = " ".join(beginning).upper()
            raise Refusal(Code.STATEMENT_NOT_ALLOWED, message.format(what=what), next=step)
    if words[:1] == ("copy",) and _CLIENT_STREAM.search(sql):
        raise Refusal(Code.STATEMENT_NOT_ALLOWED, _COPY_STREAM[0], next=_COPY_STREAM[1])


def check_lone_write(sql: str) -> None:
    """Refuse a statement that has no place in a call of its own.

    Raises:
        Refusal: as `check_session_statement`.
    """
    word = _checked_word(sql)
    if is_refused_in_a_block(sql):
        return
    check_session_statement(sql)
    if word in _REFUSED_WITHOUT_A_SESSION:
        message, step = _FORGOTTEN
        raise Refusal(Code.STATEMENT_NOT_ALLOWED, message.format(what=word.upper()), next=step)


def check_operation(sql: str) -> None:
    """Refuse a statement that has no place in a transaction that is committed as a whole.

    Raises:
        Refusal: as `check_session_statement`.
    """
    check_session_statement(sql)
    if may_end_transactions(sql):
        raise Refusal(
            Code.STATEMENT_NOT_ALLOWED,
            f"{first_word(sql).upper()} may end transactions by itself, so that it can't be a part of one.",
            next=_ALONE[1],
        )


def check_explained(sql: str) -> None:
    """Refuse a statement that can't be explained.

    Raises:
        Refusal: as `check_session_statement`.
    """
    check_session_statement(sql)
    if first_word(sql) == "explain":
        raise Refusal(
            Code.STATEMENT_NOT_ALLOWED, "The `sql` begins with EXPLAIN itself.", next="Leave EXPLAIN out of it."
        )


def _checked_word(sql: str) -> str:
    """The first word of a text that PostgreSQL can take, and that holds a statement."""
    if "\0" in sql:
        raise Refusal(Code.INVALID_ARGUMENT, "The SQL contains a NUL character, which PostgreSQL can't take.")
    try:
        sql.encode()
    except UnicodeEncodeError:
        message = "The SQL is not valid Unicode, so it can't be sent to PostgreSQL."
        raise Refusal(Code.INVALID_ARGUMENT, message) from None
    word = first_word(sql)
    if not word and is_empty(sql):
        raise Refusal(Code.STATEMENT_NOT_ALLOWED, "The SQL holds no statement.", next="Send one statement.")
    return word
