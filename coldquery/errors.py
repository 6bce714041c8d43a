"""The error catalogue: every failure that a caller can meet, under a stable code.

A failure inside the gateway is raised as `Refusal` and rendered by each front door in the same shape
(`Refusal.to_dict`). The catalogue says what each code means and what to do next where the place that raises it
knows no better; docs/errors.md is generated from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, override


class Code(StrEnum):
    """The stable codes. A client may branch on them; their texts may change, they may not."""

    INVALID_ARGUMENT = "invalid_argument"
    STATEMENT_NOT_ALLOWED = "statement_not_allowed"
    WRITE_DENIED = "write_denied"
    SESSION_NOT_FOUND = "session_not_found"
    SESSION_ENDED = "session_ended"
    SESSION_LIMIT = "session_limit"
    SESSION_BUSY = "session_busy"
    TRANSACTION_ABORTED = "transaction_aborted"
    READ_ONLY = "read_only"
    SQL_ERROR = "sql_error"
    PERMISSION_DENIED = "permission_denied"
    LOCK_TIMEOUT = "lock_timeout"
    STATEMENT_TIMEOUT = "statement_timeout"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    CANCELLED = "cancelled"
    SERIALIZATION_FAILURE = "serialization_failure"
    DEADLOCK = "deadlock"
    CONNECTION_LOST = "connection_lost"
    COMMIT_UNKNOWN = "commit_unknown"
    DATABASE_UNAVAILABLE = "database_unavailable"
    POOL_EXHAUSTED = "pool_exhausted"
    OVERLOADED = "overloaded"
    SHUTTING_DOWN = "shutting_down"
    AUDIT_UNAVAILABLE = "audit_unavailable"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Entry:
    """What the catalogue says of a code: its meaning, the usual next step, whether the same call may be repeated."""

    meaning: str
    next: str
    retryable: bool = False


CATALOGUE: dict[Code, Entry] = {
    Code.INVALID_ARGUMENT: Entry(
        "An argument is missing, unknown or of the wrong kind. Nothing was sent to PostgreSQL, or PostgreSQL "
        "refused the value before running anything.",
        "Correct the argument that the message names and call again.",
    ),
    Code.STATEMENT_NOT_ALLOWED: Entry(
        "The SQL holds no statement, several, one that can't run where it was asked for, or a call that has no place "
        "in a read. Nothing was run.",
        "Send exactly one statement for each call.",
    ),
    Code.WRITE_DENIED: Entry(
        "A write came without a transaction to run in, and without a word that it may run alone. Nothing was run.",
        "Open a transaction with pg_tx begin and pass its `session_id`, or pass `autocommit: true`.",
    ),
    Code.SESSION_NOT_FOUND: Entry(
        "There is no session of this id that the caller may use. Nothing was run.",
        "Use the `session_id` that pg_tx begin answered, or begin again.",
    ),
    Code.SESSION_ENDED: Entry(
        "The session has ended; the message says why, and what became of its transaction. Nothing was run.",
        "Open a new transaction with pg_tx begin.",
    ),
    Code.SESSION_LIMIT: Entry(
        "As many sessions are open as there may be. Nothing was opened.",
        "Commit or roll back a session of your own, or try again later.",
        retryable=True,
    ),
    Code.SESSION_BUSY: Entry(
        "As many commands wait for this session as its mailbox holds. This one was not accepted and never runs.",
        "Wait for the answers to the earlier calls on this session, then call again.",
        retryable=True,
    ),
    Code.TRANSACTION_ABORTED: Entry(
        "An earlier statement failed, and PostgreSQL takes no other before a rollback. Nothing was run.",
        "Roll back with pg_tx rollback: to a savepoint with `savepoint_name`, or the whole transaction without.",
    ),
    Code.READ_ONLY: Entry(
        "A read tried to write. PostgreSQL refused it, and nothing was changed.",
        "To change data use pg_query write, with a `session_id` or `autocommit: true`.",
    ),
    Code.SQL_ERROR: Entry(
        "PostgreSQL refused the statement; `sqlstate`, `detail`, `hint` and `position` are its own words.",
        "Correct the statement; `position` counts characters from 1.",
    ),
    Code.PERMISSION_DENIED: Entry(
        "The gateway's database role lacks the right that the statement needs.",
        "Do without it, or ask the operator to grant the right to the gateway's role.",
    ),
    Code.LOCK_TIMEOUT: Entry(
        "The statement waited too long for a lock that another transaction holds.",
        "Try again later; pg_monitor locks tells who holds it.",
        retryable=True,
    ),
    Code.STATEMENT_TIMEOUT: Entry(
        "PostgreSQL stopped the statement at its time limit.",
        "Ask for less (a narrower WHERE, a LIMIT), or pass a larger `timeout_ms`.",
    ),
    Code.DEADLINE_EXCEEDED: Entry(
        "The call's own deadline passed before PostgreSQL answered; the statement was cancelled.",
        "Try again later, or pass a larger `timeout_ms`.",
        retryable=True,
    ),
    Code.CANCELLED: Entry(
        "The statement was cancelled: by an operator, or because the caller went away.",
        "Call again if the answer is still wanted.",
        retryable=True,
    ),
    Code.SERIALIZATION_FAILURE: Entry(
        "PostgreSQL could not order this statement among concurrent ones.",
        "Run it again.",
        retryable=True,
    ),
    Code.DEADLOCK: Entry(
        "Two transactions waited for each other, and PostgreSQL ended this one.",
        "Run it again.",
        retryable=True,
    ),
    Code.CONNECTION_LOST: Entry(
        "The connection to PostgreSQL broke while the statement ran.",
        "A read is safe to repeat: call again.",
        retryable=True,
    ),
    Code.COMMIT_UNKNOWN: Entry(
        "The connection broke during COMMIT, and PostgreSQL could not be asked in time what became of it.",
        "Ask PostgreSQL with pg_xact_status and the transaction id of the message before you repeat anything.",
    ),
    Code.DATABASE_UNAVAILABLE: Entry(
        "The gateway has no working connection to PostgreSQL; it keeps trying by itself.",
        "Call again after `retry_after_s` seconds.",
        retryable=True,
    ),
    Code.POOL_EXHAUSTED: Entry(
        "Every connection for such calls was busy for as long as the call could wait.",
        "Try again shortly; if it persists, the operator can raise `read_pool_size` or `write_pool_size`.",
        retryable=True,
    ),
    Code.OVERLOADED: Entry(
        "The gateway has more work than it takes on. Nothing was run.",
        "Call again after `retry_after_s` seconds, with fewer calls at once.",
        retryable=True,
    ),
    Code.SHUTTING_DOWN: Entry(
        "The gateway is stopping and takes no new work.",
        "Connect to another gateway, or call again once this one is back.",
        retryable=True,
    ),
    Code.AUDIT_UNAVAILABLE: Entry(
        "The gateway keeps an audit, can't write it now, and commits nothing without it. Nothing was committed; a "
        "session's transaction is still open.",
        "Tell the operator, and try again later; a session may also be rolled back.",
        retryable=True,
    ),
    Code.INTERNAL: Entry(
        "A defect of the gateway. The details are in its log, under the request's id, and nowhere else.",
        "Report it with the time of the call.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """PostgreSQL's own words on a failed statement, each as the server sent it.

    `hint` is ours where PostgreSQL gave none; `excerpt` shows `position` (in characters, from 1) in the caller's text,
    or the place in what a function ran, which `context` names.

    Source: https://www.postgresql.org/docs/current/protocol-error-fields.html
    """

    sqlstate: str | None = None
    detail: str | None = None
    hint: str | None = None
    position: int | None = None
    excerpt: str | None = None
    context: str | None = None
    constraint: str | None = None
    table: str | None = None
    column: str | None = None


def cut(text: str, length: int) -> str:
    """A text of at most so many characters, and a mark where more was."""
    return text if len(text) <= length else text[: length - 1] + "…"


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, part of the interface, not a crash
    """A failure with a stable code, told in the same form by every front door.

    Args:
        code: one of the catalogue.
        message: what happened, in a sentence for the caller. Never a secret, a traceback or a parameter's value.
        next: what the caller can do, in one sentence; the catalogue's when not given.
        cause: PostgreSQL's own words, where it was PostgreSQL that refused.
        retry_after_s: seconds until the same call has a chance, where that is known.

    Attributes:
        session: the session that refused, in its wire form, where it was a session.
        notices: what PostgreSQL had said before it refused, in their wire form.
        sql: the statement that PostgreSQL refused. Not for the wire, nor for any log.
    """

    session: Mapping[str, Any] | None = None
    notices: Mapping[str, Any] | None = None
    sql: str | None = None

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        next: str | None = None,  # noqa: A002 - the wire's name
        cause: Cause | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        entry = CATALOGUE[code]
        self.code = code
        self.message = message
        self.next = next or entry.next
        self.retryable = entry.retryable
        self.cause = cause or Cause()
        self.retry_after_s = retry_after_s

    @override
    def __str__(self) -> str:
        return self.message

    def to_dict(self) -> dict[str, Any]:
        """The wire form: `code`, `message`, `next`, and only those other fields that say something."""
        cause = {name: getattr(self.cause, name) for name in Cause.__slots__}
        fields = {
            "code": self.code.value,
            "message": self.message,
            **cause,
            "retryable": self.retryable or None,
            "retry_after_s": None if self.retry_after_s is None else round(self.retry_after_s, 1),
            "next": self.next,
        }
        return {name: value for name, value in fields.items() if value is not None}


class StartError(Exception):
    """The gateway can't start, and the operator can mend it.

    `str()` is what happened, `next` the remedy. The command line prints both and ends with exit code 1.
    """

    def __init__(self, message: str, *, next: str) -> None:  # noqa: A002 - as in Refusal
        super().__init__(message)
        self.next = next


def reference() -> str:
    """docs/errors.md: the catalogue as a page."""
    rows = [
        f"| `{code}` | {entry.meaning} | {entry.next} | {'yes' if entry.retryable else ''} |"
        for code, entry in CATALOGUE.items()
    ]
    return "\n".join([_REFERENCE_HEAD, *rows, ""])


_REFERENCE_HEAD = """\
# Errors

A call that fails answers with `isError: true` and this, as structured content and as the same in text:

```json
{"error": {"code": "sql_error", "message": "relation \\"shop.prodcuts\\" does not exist", "sqlstate": "42P01",
           "hint": "There is shop.products.", "position": 15,
           "excerpt": "LINE 1: SELECT * FROM shop.prodcuts\\n                      ^",
           "next": "Correct the name and call again; pg_schema list and describe tell what there is."}}
```

`code`, `message` and `next` are always there. `sqlstate`, `detail`, `hint`, `position`, `constraint`, `table` and
`column` are PostgreSQL's own words, where it was PostgreSQL that refused; `hint` is ours where it gave none, and
`excerpt` shows the position in your SQL, or in what a function ran, which `context` names. `notices` beside `error` are
what PostgreSQL said before. `retryable: true` says that the same call may succeed later, and `retry_after_s` when.
Branch on `code` (and `sqlstate`): they are stable; the texts are for reading.

| code | meaning | next step | retryable |
| --- | --- | --- | --- |"""


if __name__ == "__main__":
    print(reference(), end="")  # noqa: T201 - the page is the output
