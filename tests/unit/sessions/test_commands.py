"""The wire form of commands and replies."""

import pytest
from pydantic import TypeAdapter, ValidationError

from coldquery.postgres.answer import Limits
from coldquery.sessions.commands import Batch, Begin, Command, IsolationLevel, Query
from coldquery.sessions.limits import SessionLimits
from coldquery.sessions.replies import Echo

LIMITS = Limits(max_rows=1, max_bytes=100, max_cell_bytes=100)


def test_a_command_survives_the_wire() -> None:
    adapter: TypeAdapter[Command] = TypeAdapter(Command)
    query = Query(sql="SELECT $1", params=(1, "x", None), access="read", limits=LIMITS, timeout_ms=5)
    assert adapter.validate_json(adapter.dump_json(query)) == query


def test_a_command_is_known_by_its_kind_and_takes_nothing_else() -> None:
    adapter: TypeAdapter[Command] = TypeAdapter(Command)
    assert adapter.validate_python({"kind": "savepoint", "name": "a"}).kind == "savepoint"
    with pytest.raises(ValidationError):
        adapter.validate_python({"kind": "savepoint", "name": "a", "sql": "x"})
    with pytest.raises(ValidationError):
        adapter.validate_python({"kind": "vacuum"})
    with pytest.raises(ValidationError):
        Batch(operations=(), limits=LIMITS)


@pytest.mark.parametrize(
    ("options", "sql"),
    [
        (Begin(), "BEGIN"),
        (Begin(isolation_level=IsolationLevel.REPEATABLE_READ), "BEGIN ISOLATION LEVEL REPEATABLE READ"),
        (
            Begin(isolation_level=IsolationLevel.SERIALIZABLE, read_only=True, deferrable=True),
            "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE",
        ),
    ],
)
def test_options_become_the_statement_that_begins(options: Begin, sql: str) -> None:
    assert options.sql == sql


def test_postgresqls_own_limits_lie_behind_the_gateways() -> None:
    settings = SessionLimits(idle_timeout_s=100, max_lifetime_s=1000).backstops(50)
    assert settings["idle_in_transaction_session_timeout"] == "110000ms"
    assert settings["transaction_timeout"] == "1060000ms"


def test_an_echo_says_only_what_says_something() -> None:
    echo = Echo(id="x", state="idle in transaction", savepoints=("a",), idle_expires_in_s=1, lifetime_left_s=2)
    assert echo.to_dict() == {
        "id": "x",
        "state": "idle in transaction",
        "savepoints": ["a"],
        "idle_expires_in_s": 1,
        "lifetime_left_s": 2,
    }
