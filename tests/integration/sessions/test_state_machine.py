"""Random commands against a model, with PostgreSQL itself as the oracle: its rows, its savepoints, its errors."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, override

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from actors import LoopClock
from coldquery.errors import Code, Refusal
from coldquery.sessions import SessionRoot
from coldquery.sessions.commands import Explain, Release, RollbackTo, Savepoint
from coldquery.sessions.replies import Outcome
from tests.conftest import TestDatabase
from tests.integration.sessions.asking import LIMITS, SLEEPING, Session, ended, make_root, until

NAMES = st.sampled_from(["a", "b", 'C "d"'])
# Nothing is sent, or PostgreSQL runs nothing: the transaction must not notice.
HARMLESS = st.sampled_from(
    [
        ("SELECT $1::int", ("x",), "write"),
        ("SELECT $1::int", (), "write"),
        ("COMMIT", (), "write"),
        ("ROLLBACK TO a", (), "write"),
        ("", (), "write"),
        ("COPY t FROM STDIN", (), "write"),
        ("SELECT 1/0", (), "read"),
        ("INSERT INTO t VALUES (99)", (), "read"),
        ("SELECT 1; SELECT 2", (), "read"),
    ]
)
# PostgreSQL answers with an error, and the transaction has failed.
HARMFUL = st.sampled_from(
    ["SELECT 1/0", "SELEC", "SELECT * FROM nowhere", "SELECT 1; SELECT 2", "INSERT INTO t VALUES ('x')"]
)

# The loop of the test that runs the machine; the machine itself runs in a thread, since Hypothesis is synchronous.
_environment: dict[str, Any] = {}


class SessionMachine(RuleBasedStateMachine):
    """The model: rows that are committed, rows as the transaction sees them, and the stack of savepoints."""

    def __init__(self) -> None:
        super().__init__()
        self.committed: list[int] = _environment["committed"]
        self.rows: list[int] = []
        self.stack: list[tuple[str, list[int]]] = []
        self.failed = False
        self.next = 0
        self.session: Session

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, _environment["loop"]).result(timeout=20)

    def refused(self, work: Coroutine[Any, Any, Any]) -> Refusal:
        with pytest.raises(Refusal) as caught:
            self.do(work)
        return caught.value

    @initialize()
    def begin(self) -> None:
        self.session = self.do(Session.begin(_environment["root"]))
        self.rows, self.stack, self.failed = list(self.committed), [], False

    def renew(self) -> None:
        self.do(ended(_environment["root"]))
        assert self.refused(self.session.run("INSERT INTO t VALUES (-1)")).code is Code.SESSION_ENDED
        self.begin()

    @rule(params=st.integers(1, 3))
    def insert(self, params: int) -> None:
        new = [self.next + n for n in range(params)]
        work = self.session.run("INSERT INTO t SELECT unnest($1::int[]) RETURNING i", new)
        self.next += params
        if self.failed:
            assert self.refused(work).code is Code.TRANSACTION_ABORTED
        else:
            assert self.do(work).result.rows == [(n,) for n in new]
            self.rows += new

    @rule(statement=HARMLESS)
    def say_something_harmless(self, statement: tuple[str, tuple[Any, ...], str]) -> None:
        sql, params, access = statement
        self.refused(self.session.run(sql, *params, access=access))

    @rule(sql=HARMFUL)
    def say_something_harmful(self, sql: str) -> None:
        refusal = self.refused(self.session.run(sql))
        assert (refusal.code is Code.TRANSACTION_ABORTED) is self.failed
        self.failed = True

    @precondition(lambda self: not self.failed)
    @rule()
    def explain_a_delete(self) -> None:
        self.do(self.session.ask(Explain(sql="DELETE FROM t", analyze=True, limits=LIMITS)))

    @precondition(lambda self: not self.failed)
    @rule()
    def leave_a_running_statement(self) -> None:
        async def leave() -> None:
            call = asyncio.create_task(self.session.run("SELECT pg_sleep(60)", timeout_s=60))
            await until(_environment["observer"], SLEEPING, wanted=1)
            call.cancel()
            await asyncio.wait([call])

        self.do(leave())
        self.failed = True

    @rule(name=NAMES)
    def savepoint(self, name: str) -> None:
        work = self.session.ask(Savepoint(name=name))
        if self.failed:
            assert self.refused(work).code is Code.TRANSACTION_ABORTED
        else:
            self.do(work)
            self.stack.append((name, list(self.rows)))

    @rule(name=NAMES)
    def rollback_to(self, name: str) -> None:
        work = self.session.ask(RollbackTo(name=name))
        if name not in self.names:
            assert self.refused(work).code is Code.INVALID_ARGUMENT
            return
        self.do(work)
        while self.stack[-1][0] != name:
            self.stack.pop()
        self.rows, self.failed = list(self.stack[-1][1]), False

    @rule(name=NAMES)
    def release(self, name: str) -> None:
        work = self.session.ask(Release(name=name))
        if self.failed:
            assert self.refused(work).code is Code.TRANSACTION_ABORTED
        elif name not in self.names:
            assert self.refused(work).code is Code.INVALID_ARGUMENT
        else:
            self.do(work)
            while self.stack.pop()[0] != name:
                pass

    @rule()
    def commit(self) -> None:
        finished = self.do(self.session.commit())
        assert finished.outcome is (Outcome.ROLLED_BACK if self.failed else Outcome.COMMITTED)
        if not self.failed:
            self.committed[:] = self.rows
        self.renew()

    @rule()
    def rollback(self) -> None:
        assert self.do(self.session.rollback()).outcome is Outcome.ROLLED_BACK
        self.renew()

    @rule()
    def lose_the_backend(self) -> None:
        name = f"{_environment['root'].tag}/{self.session.id[:8]}"
        self.do(
            _environment["observer"].fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", name
            )
        )
        self.renew()

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.stack]

    @invariant()
    def postgresql_agrees(self) -> None:
        seen = self.do(_environment["observer"].fetch("SELECT i FROM t ORDER BY i"))
        assert [row["i"] for row in seen] == sorted(self.committed)
        if self.failed:
            return
        reply = self.do(self.session.run("SELECT i FROM t ORDER BY i", access="read"))
        assert [row[0] for row in reply.result.rows] == sorted(self.rows)
        assert list(reply.echo.savepoints) == self.names
        assert reply.echo.state == "idle in transaction"

    @override
    def teardown(self) -> None:
        if hasattr(self, "session"):
            self.do(self.session.rollback())
            self.do(ended(_environment["root"]))


async def test_a_session_is_what_its_model_says(database: TestDatabase, observer: asyncpg.Connection[Any]) -> None:
    root: SessionRoot = make_root(database.owner_dsn, LoopClock())
    _environment.update(loop=asyncio.get_running_loop(), root=root, observer=observer, committed=[])
    profile = settings(
        max_examples=40,
        stateful_step_count=25,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    await asyncio.to_thread(run_state_machine_as_test, SessionMachine, settings=profile)
    await root.drain(0, 5)
