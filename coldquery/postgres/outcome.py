"""What an exception of the driver means, decided by SQLSTATE and severity alone.

Sources: https://www.postgresql.org/docs/current/errcodes-appendix.html for the codes. asyncpg raises its own errors
with an SQLSTATE too, though PostgreSQL saw nothing; only those that came from the server carry a severity.
"""

import re
from collections.abc import Sequence

import asyncpg

from coldquery.errors import Cause, Code, Refusal, cut
from coldquery.postgres.answer import Notices
from coldquery.postgres.parameters import Unfit
from coldquery.postgres.position import excerpt, locate
from coldquery.telemetry.metrics import DATABASE_ERRORS, SQLSTATE_CLASSES, known

# The exact code first, then its class (the first two characters).
_CODES: dict[str, Code] = {
    "25006": Code.READ_ONLY,
    "25P02": Code.TRANSACTION_ABORTED,
    "40001": Code.SERIALIZATION_FAILURE,
    "40P01": Code.DEADLOCK,
    "42501": Code.PERMISSION_DENIED,
    "55P03": Code.LOCK_TIMEOUT,
    "57014": Code.CANCELLED,
    "57P01": Code.CONNECTION_LOST,
    "57P02": Code.CONNECTION_LOST,
    "57P03": Code.DATABASE_UNAVAILABLE,
    "57P05": Code.CONNECTION_LOST,
    "53300": Code.DATABASE_UNAVAILABLE,
    "08": Code.CONNECTION_LOST,
}

# What the driver raises while a statement runs. ValueError and LookupError: an answer, or a parameter, that can't be
# put into words; InternalClientError: a type that it can't make out.
DRIVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    ValueError,
    LookupError,
)

RETRY_AFTER_S = 1.0

# PostgreSQL repeats values in its words, however long they are.
MAX_TEXT_LENGTH = 2_000
# Where in functions it happened, from the innermost outwards.
MAX_CONTEXT_LINES = 4

_SEVERAL_STATEMENTS = "cannot insert multiple commands into a prepared statement"

# Refusals of a connection that no waiting mends: the settings are wrong.
# https://www.postgresql.org/docs/current/errcodes-appendix.html: 28 invalid authorization, 3D invalid catalog name.
_WRONG_SETTINGS: dict[str, str] = {
    "28P01": "Check the user and the password in the DSN.",
    "28000": "Check the user in the DSN, and pg_hba.conf on the server.",
    "3D000": "Create the database, or correct its name in the DSN.",
    "42704": "Create the role, or correct its name in the DSN.",
}

_TOO_MANY_CONNECTIONS = "53300"
_MAKE_ROOM = (
    "Call again later. The operator can make room: `coldquery doctor` compares what PostgreSQL allows with "
    "`max_sessions` and the pools' sizes."
)

_CONNECTION_PROBLEMS: dict[type[Exception], str] = {
    TimeoutError: "no answer in time",
    ConnectionRefusedError: "connection refused",
    FileNotFoundError: "its socket does not exist",
    asyncpg.ClientConfigurationError: "the DSN can't be understood",
    ValueError: "the DSN can't be understood",
}


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone, so that nothing more can be said to this backend."""
    if isinstance(error, asyncpg.PostgresConnectionError | OSError):
        return True
    if isinstance(error, asyncpg.PostgresError):
        return severity(error) in {"FATAL", "PANIC"}
    # asyncpg has no class of its own for a call on a connection that closed a moment ago.
    return isinstance(error, asyncpg.InterfaceError) and "closed" in str(error)


def severity(error: BaseException) -> str | None:
    """What PostgreSQL says of how bad it is, such as ERROR or FATAL; None if the error is the driver's own.

    Field V, which is not translated. https://www.postgresql.org/docs/current/protocol-error-fields.html
    """
    told = getattr(error, "severity_en", None) or getattr(error, "severity", None)
    return None if told is None else str(told)


def wrong_setting(error: BaseException) -> str | None:
    """The remedy if the server refused the connection for a reason that only new settings can mend, else None."""
    if isinstance(error, asyncpg.PostgresError):
        return _WRONG_SETTINGS.get(error.sqlstate or "")
    if isinstance(error, asyncpg.ClientConfigurationError | ValueError):
        return "Correct the DSN: postgresql://user:password@host:port/database"
    return None


def remedy(error: BaseException) -> str | None:
    """What mends that no connection could be had, if that is known."""
    full = isinstance(error, asyncpg.PostgresError) and error.sqlstate == _TOO_MANY_CONNECTIONS
    return _MAKE_ROOM if full else wrong_setting(error)


def unavailable(what: str, why: BaseException | str) -> Refusal:
    """No connection could be had.

    Args:
        what: could not be done, as the beginning of a sentence.
        why: the driver's error, or words for what is none of the driver's.
    """
    if isinstance(why, str):
        return Refusal(Code.DATABASE_UNAVAILABLE, f"{what}: {why}.", retry_after_s=RETRY_AFTER_S)
    sqlstate = why.sqlstate if isinstance(why, asyncpg.PostgresError) else None
    return Refusal(
        Code.DATABASE_UNAVAILABLE,
        f"{what}: {connection_problem(why)}.",
        next=remedy(why),
        cause=Cause(sqlstate=sqlstate),
        retry_after_s=RETRY_AFTER_S,
    )


def connection_problem(error: BaseException) -> str:
    """Why no connection could be had, in words without an address book: never the DSN, never a password."""
    if isinstance(error, asyncpg.PostgresError):
        return str(error.message or type(error).__name__)
    for kind, words in _CONNECTION_PROBLEMS.items():
        if isinstance(error, kind):
            return words
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__


def refusal(
    error: BaseException,
    parameter_types: Sequence[str] = (),
    *,
    sql: str | None = None,
    notices: Notices | None = None,
    overdue: bool = False,
) -> Refusal:
    """The catalogue's form of an error that running a statement raised.

    Args:
        error: what asyncpg raised.
        parameter_types: the types that the statement wants, to say what a value does not fit.
        sql: the statement, to show where in it PostgreSQL found the error.
        notices: what PostgreSQL had said before.
        overdue: it had run for as long as it may, for PostgreSQL may say why it stopped in any language.
    """
    match error:
        case asyncpg.PostgresError() if severity(error) is not None:
            refused = _from_server(error, overdue=overdue)
            if sql is not None:
                locate(refused, sql, refused.cause.position)
            refused.notices = None if notices is None else notices.to_dict()
            return refused
        case asyncpg.DataError():
            return _unfit_parameter(str(error), parameter_types)
        case asyncpg.InterfaceError() if "argument" in str(error):
            return _unfit_parameter(str(error), parameter_types)
        case _ if is_lost(error):
            return Refusal(Code.CONNECTION_LOST, "The connection to PostgreSQL broke while the statement ran.")
        case UnicodeEncodeError():
            return Refusal(Code.INVALID_ARGUMENT, "The text is not valid Unicode, so it can't be sent to PostgreSQL.")
        case _:
            return Refusal(Code.INTERNAL, "The gateway could not understand PostgreSQL's answer.")


def _from_server(error: asyncpg.PostgresError, *, overdue: bool) -> Refusal:
    DATABASE_ERRORS.labels(known((error.sqlstate or "XX")[:2], SQLSTATE_CLASSES)).inc()
    if isinstance(error.__cause__, Unfit):
        return error.__cause__.refusal(Cause(sqlstate=error.sqlstate))
    sqlstate = error.sqlstate or "XX000"
    message = error.message or "PostgreSQL refused the statement"
    code = _CODES.get(sqlstate) or _CODES.get(sqlstate[:2]) or Code.SQL_ERROR
    step = None
    if sqlstate == "42601" and _SEVERAL_STATEMENTS in message:
        code, message = Code.STATEMENT_NOT_ALLOWED, "The SQL holds several statements; nothing was run."
    elif sqlstate == "57014" and ("statement timeout" in message or (overdue and "user request" not in message)):
        code = Code.STATEMENT_TIMEOUT
    elif sqlstate == "25001" and "read-write mode" in message:
        code = Code.READ_ONLY
    elif sqlstate in {"42P01", "42703"}:
        step = "Correct the name and call again; pg_schema list and describe tell what there is."
    elif code is Code.SQL_ERROR and not error.position:
        step = "Correct the statement and call again."
    position = error.position
    return Refusal(
        code,
        cut(message, MAX_TEXT_LENGTH),
        next=step,
        retry_after_s=RETRY_AFTER_S if code is Code.DATABASE_UNAVAILABLE else None,
        cause=Cause(
            sqlstate=sqlstate,
            detail=error.detail and cut(error.detail, MAX_TEXT_LENGTH),
            hint=error.hint and cut(error.hint, MAX_TEXT_LENGTH),
            position=int(position) if position else None,
            excerpt=_inner_excerpt(error),
            context=error.context and cut("\n".join(error.context.splitlines()[:MAX_CONTEXT_LINES]), MAX_TEXT_LENGTH),
            constraint=error.constraint_name,
            table=error.table_name,
            column=error.column_name,
        ),
    )


def _inner_excerpt(error: asyncpg.PostgresError) -> str | None:
    """The place in what a function ran, where it is there that PostgreSQL found the error."""
    if error.internal_query is None or not error.internal_position:
        return None
    return excerpt(error.internal_query, int(error.internal_position))


def _unfit_parameter(text: str, types: Sequence[str]) -> Refusal:
    # asyncpg's own message repeats the value; ours names the parameter and what it should have been.
    counted = re.search(r"expects (\d+) arguments? for this query, (\d+) (?:was|were) passed", text)
    if counted:
        wanted, given = map(int, counted.groups())
        return Refusal(
            Code.INVALID_ARGUMENT,
            f"The statement has {wanted} parameter{'s' * (wanted != 1)}, and `params` holds {given}.",
            next="Pass one element in `params` for each of $1, $2, … in the SQL.",
        )
    named = re.search(r"query argument \$(\d+)", text)
    if named is None:
        return Refusal(Code.INVALID_ARGUMENT, "A value in `params` can't be sent to PostgreSQL.")
    number = int(named.group(1))
    wanted_type = types[number - 1] if number <= len(types) else "the parameter's type"
    return Refusal(
        Code.INVALID_ARGUMENT,
        f"Parameter ${number} does not fit {wanted_type}.",
        next=f"Pass a {wanted_type} as element {number} of `params`, or cast it in the SQL: ${number}::text.",
    )
