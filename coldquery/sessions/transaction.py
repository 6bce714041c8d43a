"""The life of a session's transaction, as a table. Pure: no connection, no clock.

::

               statement failed                     COMMIT, ROLLBACK, connection lost
    Open ───────────────────────────► Failed       Open, Failed ────────────────────► Ended
         ◄───────────────────────────
               rollback to a savepoint

What happened is PostgreSQL's to say (`Event`); what may be sent is ours (`allow`).
"""

from __future__ import annotations

from dataclasses import dataclass

from coldquery.errors import Code, Refusal
from coldquery.sessions.commands import Command, Commit, Inspect, Query, Release, Rollback, RollbackTo, Savepoint
from coldquery.sessions.replies import Outcome, StateWords

# PostgreSQL keeps so many subtransactions of a backend where others find them cheaply.
# https://www.postgresql.org/docs/current/subxacts.html
MAX_SAVEPOINTS = 64
# NAMEDATALEN - 1: PostgreSQL cuts a longer name, and two names could become one.
MAX_NAME_BYTES = 63


@dataclass(frozen=True, slots=True)
class Open:
    """Takes statements: "idle in transaction". Savepoints are outermost first, and names may repeat."""

    savepoints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """A statement failed: "idle in transaction (aborted)". The savepoints were all set before."""

    savepoints: tuple[str, ...]
    sqlstate: str


@dataclass(frozen=True, slots=True)
class Ended:
    """Over. `xid` is known when a COMMIT was tried after a write; `lost`: the connection broke."""

    outcome: Outcome
    xid: str | None = None
    lost: bool = False


type State = Open | Failed | Ended


@dataclass(frozen=True, slots=True)
class Done:
    """PostgreSQL did what the command says."""


@dataclass(frozen=True, slots=True)
class NotSent:
    """PostgreSQL saw nothing of it."""


@dataclass(frozen=True, slots=True)
class Error:
    """PostgreSQL answered with an error and is still in the transaction."""

    sqlstate: str


type Event = Done | NotSent | Error | Ended


def allow(state: State, command: Command) -> Refusal | None:  # noqa: PLR0911 - a table
    """Why the command must not be sent now, or None. So no mistake of ours, or of a name, fails the transaction."""
    match state, command:
        case Open(), Query():
            return None
        case Ended(), _:
            return Refusal(Code.SESSION_ENDED, f"The transaction has ended: {state.outcome}.")
        case _, Commit() | Rollback() | Inspect():
            return None
        case _, RollbackTo(name=name):
            return None if name in state.savepoints else _no_savepoint(name, state.savepoints)
        case Failed(), _:
            return Refusal(
                Code.TRANSACTION_ABORTED,
                f"A statement has failed (SQLSTATE {state.sqlstate}), and PostgreSQL takes no other before a rollback.",
                next=way_back(state.savepoints),
            )
        case _, Savepoint(name=name):
            return _unfit_name(name) or _too_many(state.savepoints)
        case _, Release(name=name):
            return None if name in state.savepoints else _no_savepoint(name, state.savepoints)
        case _:
            return None


def after(state: State, command: Command | None, event: Event) -> State:  # noqa: PLR0911 - a table
    """The state after a command, by what PostgreSQL said. A commit or rollback that is done comes as `Ended`."""
    match state, event, command:
        case Ended(), _, _:
            return state
        case _, Ended(), _:
            return event
        case _, Error(sqlstate=sqlstate), _:
            return Failed(state.savepoints, sqlstate)
        case _, Done(), Savepoint(name=name):
            return Open((*state.savepoints, name))
        case _, Done(), RollbackTo(name=name):
            return Open(_up_to(state.savepoints, name, keep=True))
        case _, Done(), Release(name=name):
            return Open(_up_to(state.savepoints, name, keep=False))
        case _:
            return state


def words(state: State) -> StateWords:
    """The state in PostgreSQL's own words, or what became of the transaction."""
    match state:
        case Open():
            return "idle in transaction"
        case Failed():
            return "idle in transaction (aborted)"
        case Ended(outcome=outcome):
            return outcome.value


def way_back(savepoints: tuple[str, ...]) -> str:
    """What to do in a failed transaction, in one sentence."""
    whole = "call pg_tx rollback to give up the whole transaction"
    if not savepoints:
        return f"The transaction has failed and has no savepoint: {whole}, and begin again."
    names = ", ".join(dict.fromkeys(reversed(savepoints)))
    return (
        f"The transaction has failed: call pg_tx rollback with `savepoint_name` (one of: {names}) to go on, or {whole}."
    )


def _up_to(savepoints: tuple[str, ...], name: str, *, keep: bool) -> tuple[str, ...]:
    # The innermost of that name: https://www.postgresql.org/docs/current/sql-savepoint.html
    innermost = len(savepoints) - 1 - savepoints[::-1].index(name)
    return savepoints[: innermost + keep]


def _no_savepoint(name: str, savepoints: tuple[str, ...]) -> Refusal:
    there = f"There are: {', '.join(dict.fromkeys(reversed(savepoints)))}." if savepoints else "There is none."
    return Refusal(
        Code.INVALID_ARGUMENT,
        f"This transaction has no savepoint {name!r}. {there}",
        next="Pass the name of a savepoint that stands as `savepoint_name`.",
    )


def _unfit_name(name: str) -> Refusal | None:
    try:
        fits = 1 <= len(name.encode()) <= MAX_NAME_BYTES and "\0" not in name
    except UnicodeEncodeError:
        fits = False
    if fits:
        return None
    return Refusal(
        Code.INVALID_ARGUMENT,
        f"A savepoint's name has 1 to {MAX_NAME_BYTES} bytes of UTF-8 and no NUL.",
        next="Pass another `savepoint_name`.",
    )


def _too_many(savepoints: tuple[str, ...]) -> Refusal | None:
    if len(savepoints) < MAX_SAVEPOINTS:
        return None
    return Refusal(
        Code.INVALID_ARGUMENT,
        f"This transaction has {MAX_SAVEPOINTS} savepoints, and may not have more.",
        next="Release one with pg_tx release first; what was done after it is kept.",
    )
