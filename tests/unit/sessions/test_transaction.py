"""The table of a transaction's life: every state, every command, every event."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldquery.errors import Code
from coldquery.postgres.answer import Limits
from coldquery.sessions.commands import (
    Batch,
    Commit,
    Explain,
    Inspect,
    Operation,
    Query,
    Release,
    Rollback,
    RollbackTo,
    Savepoint,
)
from coldquery.sessions.replies import Outcome
from coldquery.sessions.transaction import (
    MAX_SAVEPOINTS,
    Done,
    Ended,
    Error,
    Failed,
    NotSent,
    Open,
    after,
    allow,
    way_back,
    words,
)

LIMITS = Limits(max_rows=1, max_bytes=100, max_cell_bytes=100)
QUERY = Query(sql="SELECT 1", access="write", limits=LIMITS)
STATEMENTS = [
    QUERY,
    Query(sql="SELECT 1", access="read", limits=LIMITS),
    Explain(sql="SELECT 1", limits=LIMITS),
    Batch(operations=(Operation(sql="SELECT 1"),), limits=LIMITS),
]
COMMANDS = [*STATEMENTS, Savepoint(name="a"), RollbackTo(name="a"), Release(name="a"), Commit(), Rollback(), Inspect()]
STATES = [Open(), Open(("a",)), Failed((), "22012"), Failed(("a",), "22012"), Ended(Outcome.COMMITTED)]


def verdict(state: Any, command: Any) -> Code | None:
    refusal = allow(state, command)
    return None if refusal is None else refusal.code


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.kind)
def test_an_open_transaction_takes_every_command_whose_savepoint_exists(command: Any) -> None:
    assert verdict(Open(("a",)), command) is None
    needs_one = isinstance(command, RollbackTo | Release)
    assert verdict(Open(), command) == (Code.INVALID_ARGUMENT if needs_one else None)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.kind)
def test_a_failed_transaction_takes_only_what_leads_out_of_it(command: Any) -> None:
    allowed = isinstance(command, RollbackTo | Commit | Rollback | Inspect)
    assert verdict(Failed(("a",), "22012"), command) == (None if allowed else Code.TRANSACTION_ABORTED)
    if isinstance(command, RollbackTo):
        assert verdict(Failed((), "22012"), command) is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.kind)
def test_an_ended_transaction_takes_nothing_and_never_changes(command: Any) -> None:
    assert verdict(Ended(Outcome.COMMITTED), command) is Code.SESSION_ENDED
    for event in (Done(), NotSent(), Error("22012"), Ended(Outcome.UNKNOWN)):
        assert after(Ended(Outcome.COMMITTED), command, event) == Ended(Outcome.COMMITTED)


@pytest.mark.parametrize(("state", "command"), list(itertools.product(STATES[:4], COMMANDS)))
def test_what_was_not_sent_changes_nothing_and_what_failed_keeps_the_savepoints(state: Any, command: Any) -> None:
    assert after(state, command, NotSent()) == state
    assert after(state, command, Error("23505")) == Failed(state.savepoints, "23505")
    assert after(state, command, Ended(Outcome.ROLLED_BACK)) == Ended(Outcome.ROLLED_BACK)


@pytest.mark.parametrize("command", STATEMENTS, ids=lambda c: c.kind)
def test_a_statement_that_ran_leaves_the_transaction_open(command: Any) -> None:
    assert after(Open(("a",)), command, Done()) == Open(("a",))


def test_savepoints_nest_and_the_same_name_hides_the_outer_one() -> None:
    state: Any = Open()
    for name in ("a", "b", "a", "c"):
        state = after(state, Savepoint(name=name), Done())
    assert state == Open(("a", "b", "a", "c"))
    assert after(state, RollbackTo(name="a"), Done()) == Open(("a", "b", "a"))
    assert after(state, RollbackTo(name="b"), Done()) == Open(("a", "b"))
    assert after(state, Release(name="a"), Done()) == Open(("a", "b"))
    assert after(state, Release(name="b"), Done()) == Open(("a",))


def test_rolling_back_to_a_savepoint_makes_a_failed_transaction_open_again() -> None:
    assert after(Failed(("a", "b"), "22012"), RollbackTo(name="a"), Done()) == Open(("a",))


@pytest.mark.parametrize("name", ["", "x" * 64, "é" * 32, "a\0b", "\ud800"])
def test_a_name_that_postgresql_would_cut_or_refuse_is_refused_first(name: str) -> None:
    assert verdict(Open(), Savepoint(name=name)) is Code.INVALID_ARGUMENT


def test_a_name_that_just_fits_is_taken() -> None:
    assert verdict(Open(), Savepoint(name="é" * 31 + "x")) is None


def test_savepoints_are_bounded() -> None:
    full = Open(("a",) * MAX_SAVEPOINTS)
    assert verdict(full, Savepoint(name="b")) is Code.INVALID_ARGUMENT
    assert verdict(Open(full.savepoints[1:]), Savepoint(name="b")) is None


def test_the_way_back_names_each_savepoint_once_innermost_first() -> None:
    assert "(one of: a, b)" in way_back(("a", "b", "a"))
    assert "no savepoint" in way_back(())


def test_states_are_told_in_postgresqls_words() -> None:
    assert words(Open()) == "idle in transaction"
    assert words(Failed((), "22012")) == "idle in transaction (aborted)"
    assert words(Ended(Outcome.UNKNOWN)) == "unknown"


@given(st.lists(st.tuples(st.sampled_from("srR"), st.sampled_from("abc")), max_size=30))
def test_whatever_is_allowed_can_be_done(steps: list[tuple[str, str]]) -> None:
    kinds: dict[str, Any] = {"s": Savepoint, "r": RollbackTo, "R": Release}
    state: Any = Open()
    for kind, name in steps:
        command = kinds[kind](name=name)
        if allow(state, command) is None:
            state = after(state, command, Done())
        assert isinstance(state, Open)
