"""What the driver's exceptions mean."""

import asyncpg
import pytest

from coldquery.errors import CATALOGUE, Code, Refusal
from coldquery.postgres.outcome import connection_problem, is_lost, refusal, remedy, unavailable, wrong_setting


def server_error(sqlstate: str, message: str = "no", severity: str = "ERROR", **fields: str) -> asyncpg.PostgresError:
    letters = {"detail": "D", "hint": "H", "position": "P", "constraint": "n", "table": "t", "column": "c"}
    raw = {"S": severity, "V": severity, "C": sqlstate, "M": message}
    raw |= {letters[name]: value for name, value in fields.items()}
    error: asyncpg.PostgresError = asyncpg.PostgresError.new(raw)
    return error


@pytest.mark.parametrize(
    ("sqlstate", "message", "code"),
    [
        ("25006", "cannot execute DELETE in a read-only transaction", Code.READ_ONLY),
        ("25001", "transaction read-write mode must be set before any query", Code.READ_ONLY),
        ("40001", "could not serialize access", Code.SERIALIZATION_FAILURE),
        ("40P01", "deadlock detected", Code.DEADLOCK),
        ("42501", "permission denied for table t", Code.PERMISSION_DENIED),
        ("55P03", "canceling statement due to lock timeout", Code.LOCK_TIMEOUT),
        ("57014", "canceling statement due to statement timeout", Code.STATEMENT_TIMEOUT),
        ("57014", "canceling statement due to user request", Code.CANCELLED),
        ("57P01", "terminating connection due to administrator command", Code.CONNECTION_LOST),
        ("08006", "connection failure", Code.CONNECTION_LOST),
        ("53300", "sorry, too many clients already", Code.DATABASE_UNAVAILABLE),
        ("42601", "syntax error", Code.SQL_ERROR),
        ("42601", "cannot insert multiple commands into a prepared statement", Code.STATEMENT_NOT_ALLOWED),
        ("22012", "division by zero", Code.SQL_ERROR),
    ],
)
def test_the_sqlstate_decides_the_code(sqlstate: str, message: str, code: Code) -> None:
    told = refusal(server_error(sqlstate, message))
    assert told.code is code
    assert told.cause.sqlstate == sqlstate
    assert told.retryable is CATALOGUE[code].retryable


def test_postgresqls_own_words_are_kept() -> None:
    error = server_error(
        "23505",
        "duplicate key",
        detail="Key exists.",
        hint="h",
        position="7",
        constraint="t_pkey",
        table="t",
        column="c",
    )
    told = refusal(error).to_dict()
    assert told["detail"] == "Key exists."
    assert told["hint"] == "h"
    assert told["position"] == 7
    assert (told["constraint"], told["table"], told["column"]) == ("t_pkey", "t", "c")


def test_a_parameter_that_does_not_fit_is_named_with_its_type_and_without_its_value() -> None:
    error = asyncpg.DataError("invalid input for query argument $2: 's3cret' (an integer is required)")
    told = refusal(error, ["text", "int4"])
    assert told.code is Code.INVALID_ARGUMENT
    assert "$2" in told.message
    assert "int4" in told.message
    assert "s3cret" not in str(told.to_dict())


def test_a_wrong_number_of_parameters_says_both_numbers() -> None:
    error = asyncpg.InterfaceError("the server expects 1 argument for this query, 2 were passed")
    told = refusal(error)
    assert told.code is Code.INVALID_ARGUMENT
    assert told.message == "The statement has 1 parameter, and `params` holds 2."


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (asyncpg.DataError("something else"), Code.INVALID_ARGUMENT),
        (
            asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
            Code.CONNECTION_LOST,
        ),
        (asyncpg.InterfaceError("connection is closed"), Code.CONNECTION_LOST),
        (ConnectionResetError(), Code.CONNECTION_LOST),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), Code.INVALID_ARGUMENT),
        (asyncpg.InternalClientError("odd"), Code.INTERNAL),
    ],
)
def test_what_the_driver_raises_by_itself_has_a_code_too(error: Exception, code: Code) -> None:
    assert refusal(error).code is code


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (server_error("57P01", severity="FATAL"), True),
        (server_error("42601"), False),
        (asyncpg.ConnectionDoesNotExistError("gone"), True),
        (BrokenPipeError(), True),
        (asyncpg.InterfaceError("connection is closed"), True),
        (asyncpg.InterfaceError("another operation is in progress"), False),
        (ValueError(), False),
    ],
)
def test_a_lost_connection_is_told_from_a_failed_statement(error: Exception, lost: bool) -> None:
    assert is_lost(error) is lost


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            server_error("28P01", 'password authentication failed for user "a"'),
            "password authentication failed",
        ),
        (TimeoutError(), "no answer in time"),
        (ConnectionRefusedError(111, "Connection refused"), "connection refused"),
        (FileNotFoundError(2, "No such file"), "its socket does not exist"),
        (OSError(113, "No route to host"), "No route to host"),
        (
            asyncpg.ClientConfigurationError("postgresql://u:s3cret@h/d is wrong"),
            "the DSN can't be understood",
        ),
        (RuntimeError("s3cret"), "RuntimeError"),
    ],
)
def test_why_there_is_no_connection_is_told_without_secrets(error: Exception, words: str) -> None:
    told = connection_problem(error)
    assert words in told
    assert "s3cret" not in told


def test_a_time_limit_is_known_in_any_language() -> None:
    german = server_error("57014", "storniere Anfrage wegen Zeitüberschreitung der Anfrage")
    assert refusal(german, overdue=True).code is Code.STATEMENT_TIMEOUT
    assert refusal(german).code is Code.CANCELLED
    by_hand = server_error("57014", "canceling statement due to user request")
    assert refusal(by_hand, overdue=True).code is Code.CANCELLED


def test_each_reason_for_having_no_connection_has_its_next_step() -> None:
    steps = {
        "53300": "coldquery doctor",
        "28P01": "Check the user and the password",
        "3D000": "Create the database",
        "57P03": "Call again after",
    }
    for sqlstate, step in steps.items():
        told = unavailable("It can't be reached", server_error(sqlstate, severity="FATAL"))
        assert (told.code, told.cause.sqlstate, told.retryable) == (Code.DATABASE_UNAVAILABLE, sqlstate, True)
        assert step in told.next
    told = unavailable("It can't be reached", "no answer in time")
    assert told.message == "It can't be reached: no answer in time."
    assert told.cause.sqlstate is None


def test_only_wrong_settings_are_told_as_such() -> None:
    assert wrong_setting(server_error("28P01", severity="FATAL"))
    assert wrong_setting(server_error("3D000", severity="FATAL"))
    assert wrong_setting(asyncpg.ClientConfigurationError("x"))
    assert wrong_setting(server_error("57P03", severity="FATAL")) is None
    assert wrong_setting(ConnectionRefusedError()) is None
    assert wrong_setting(server_error("53300", severity="FATAL")) is None


def test_a_server_without_room_is_no_wrong_setting_but_has_a_remedy_and_says_when_to_call_again() -> None:
    full = server_error("53300", severity="FATAL")
    assert "coldquery doctor" in (remedy(full) or "")
    assert remedy(server_error("28P01", severity="FATAL")) == wrong_setting(server_error("28P01", severity="FATAL"))
    assert remedy(ConnectionRefusedError()) is None
    assert refusal(server_error("53300")).retry_after_s
    assert refusal(server_error("42601")).retry_after_s is None


def test_every_code_is_in_the_catalogue_with_a_next_step() -> None:
    assert set(CATALOGUE) == set(Code)
    for code, entry in CATALOGUE.items():
        assert entry.meaning.endswith("."), code
        assert entry.next.endswith("."), code


def test_the_wire_form_leaves_out_what_says_nothing() -> None:
    assert Refusal(Code.INTERNAL, "m", next="n").to_dict() == {
        "code": "internal",
        "message": "m",
        "next": "n",
    }
    waiting = Refusal(Code.DATABASE_UNAVAILABLE, "m", retry_after_s=1.234).to_dict()
    assert waiting["retry_after_s"] == 1.2
    assert waiting["retryable"] is True
