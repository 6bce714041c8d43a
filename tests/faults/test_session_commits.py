"""A network at its worst round a session: nobody is told something untrue, and nothing stays open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, override

import asyncpg
import pytest

from actors import LoopClock
from coldquery.errors import Code, Refusal
from coldquery.postgres.connection import Backend
from coldquery.postgres.pool import Job, Pool
from coldquery.postgres.target import Target
from coldquery.sessions import Begin, SessionLimits, SessionRoot
from coldquery.sessions.commands import Commit, Operation
from coldquery.sessions.commit import settle
from coldquery.sessions.held import HeldTransaction
from coldquery.sessions.replies import Outcome
from coldquery.writes import LoneWrite, Write, Written
from tests.conftest import TestDatabase
from tests.faults.proxy import Proxy
from tests.integration.sessions.asking import (
    LIMITS,
    SLEEPING,
    Session,
    backends,
    ended,
    make_root,
    until,
)

type Loss = Literal["message", "answer", "answer, silently", "answer, and the database", "answer, and the network"]


class CommitProxy(Proxy):
    """Watches for COMMIT, and loses the message or its answer as `lose` says, once."""

    lose: Loss | None = None

    def is_armed(self) -> bool:
        return self.lose is not None

    @override
    def inspect(self, data: bytes) -> bytes:
        # https://www.postgresql.org/docs/current/protocol-message-formats.html: Query, CommandComplete
        asked, answered = data.startswith(b"Q") and b"COMMIT\0" in data, data.startswith(b"C") and b"COMMIT\0" in data
        match self.lose:
            case "message" if asked:
                self.cut()
            case "answer" if answered:
                self.cut()
            case "answer, silently" if answered:
                """The bytes vanish, and that is all."""
            case "answer, and the database" if answered:
                assert self._server is not None
                self._server.close()
                self.cut()
            case "answer, and the network" if answered:
                self.swallow()
            case _:
                return data
        self.lose = None
        return b""


@dataclass
class Fault:
    proxy: CommitProxy
    root: SessionRoot
    observer: Any


@pytest.fixture
async def fault(database: TestDatabase) -> AsyncIterator[Fault]:
    observer = await asyncpg.connect(database.superuser_dsn)
    await observer.execute("CREATE TABLE t (i int); GRANT ALL ON t TO PUBLIC")
    endpoint = database.endpoint
    async with CommitProxy(endpoint.socket_dir / f".s.PGSQL.{endpoint.port}") as proxy:
        dsn = f"postgresql://coldquery_owner@127.0.0.1:{proxy.port}/{database.name}?sslmode=disable"
        root = make_root(dsn, LoopClock(), control_timeout_s=1, stop_grace_s=1)
        yield Fault(proxy, root, observer)
        assert await root.drain(0, 5) == 0
    await observer.close()


async def count(fault: Fault) -> int:
    return int(await fault.observer.fetchval("SELECT count(*) FROM t"))


async def on_pool[T](fault: Fault, job: Job[T]) -> T:
    """One job without a session."""
    pool = Pool(fault.root.target, size=1, acquire_timeout_s=2)
    await pool.open()
    try:
        return await pool.run(job)
    finally:
        await pool.close(timeout_s=1)


async def write(fault: Fault, sql: str, *, commit_timeout_s: float = 5) -> Written:
    bounds = SessionLimits(commit_timeout_s=commit_timeout_s, control_timeout_s=1)
    return await on_pool(fault, Write((Operation(sql=sql),), LIMITS, 5_000, Begin(), bounds, fault.root.target))


async def write_alone(fault: Fault, sql: str, *, timeout_ms: int = 60_000) -> Any:
    return await on_pool(fault, LoneWrite(Operation(sql=sql), LIMITS, timeout_ms, fault.root.target))


@pytest.mark.parametrize("silently", [False, True])
async def test_a_statement_that_runs_alone_and_is_cut_off_may_have_taken_effect(
    fault: Fault, silently: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coldquery.writes.DEADLINE_MARGIN_S", -1)
    sql = "DO 'BEGIN INSERT INTO t VALUES (1); COMMIT; PERFORM pg_sleep(60); END'"
    call = asyncio.create_task(write_alone(fault, sql, timeout_ms=2_000 if silently else 60_000))
    await until(fault.observer, SLEEPING, wanted=1)
    if silently:
        fault.proxy.swallow()
    else:
        fault.proxy.cut()
    with pytest.raises(Refusal, match="what it had committed by itself stays") as caught:
        await call
    code = Code.DEADLINE_EXCEEDED if silently else Code.CONNECTION_LOST
    assert (caught.value.code, caught.value.retryable) == (code, False)
    assert await count(fault) == 1


async def test_a_deadline_that_passes_during_commit_is_no_answer(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coldquery.writes.DEADLINE_MARGIN_S", -6.9)  # less 5 s for the statement and 2 s to connect
    await fault.observer.execute(
        "CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END';"
        "CREATE CONSTRAINT TRIGGER nap AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION nap()"
    )
    assert (await write(fault, "INSERT INTO t VALUES (1)")).xid is not None
    assert await count(fault) == 1


@pytest.mark.parametrize("loss", ["answer", "answer, silently"])
async def test_a_commit_whose_answer_is_lost_is_found_out_to_be_committed(fault: Fault, loss: Loss) -> None:
    session = await Session.begin(fault.root)
    await session.run("INSERT INTO t VALUES (1)")
    fault.proxy.lose = loss
    finished = await session.commit()
    assert (finished.outcome, finished.echo.state) == (Outcome.COMMITTED, "committed")
    assert "asked on another" in (finished.note or "")
    assert finished.xid is not None
    assert await count(fault) == 1
    assert "(committed)" in (await session.refused("SELECT 1")).message


async def test_a_commit_that_is_lost_is_found_out_to_be_rolled_back(fault: Fault) -> None:
    session = await Session.begin(fault.root)
    await session.run("INSERT INTO t VALUES (1)")
    fault.proxy.lose = "message"
    finished = await session.commit()
    assert (finished.outcome, finished.echo.state) == (Outcome.ROLLED_BACK, "rolled_back")
    assert await count(fault) == 0


async def test_a_write_whose_commit_is_lost_is_told_as_it_is(fault: Fault) -> None:
    fault.proxy.lose = "answer"
    assert (await write(fault, "INSERT INTO t VALUES (1)")).xid is not None
    assert await count(fault) == 1
    fault.proxy.lose = "message"
    with pytest.raises(Refusal, match="rolled the transaction back") as caught:
        await write(fault, "INSERT INTO t VALUES (2)")
    assert (caught.value.code, caught.value.retryable) == (Code.CONNECTION_LOST, True)
    assert caught.value.next == "Nothing was kept: call again."
    assert await count(fault) == 1


@pytest.mark.parametrize("loss", ["answer, and the database", "answer, and the network"])
async def test_a_commit_that_nobody_can_be_asked_about_is_unknown_within_the_deadline(fault: Fault, loss: Loss) -> None:
    session = await Session.begin(fault.root)
    await session.run("INSERT INTO t VALUES (1)")
    fault.proxy.lose = loss
    async with asyncio.timeout(1.5):
        refusal = await session.refused(Commit(), timeout_s=1.5)
    assert refusal.code is Code.COMMIT_UNKNOWN
    xid = await fault.observer.fetchval("SELECT xmin::text FROM t")
    assert xid in refusal.message
    assert f"pg_xact_status('{xid}'" in refusal.next
    await ended(fault.root)
    story = await session.refused("SELECT 1")
    assert "(commit_unknown)" in story.message
    assert xid in story.message


async def test_a_write_whose_commit_nobody_can_be_asked_about_is_not_told_as_rolled_back(fault: Fault) -> None:
    fault.proxy.lose = "answer, and the database"
    with pytest.raises(Refusal) as caught:
        await write(fault, "INSERT INTO t VALUES (1)", commit_timeout_s=1.5)
    assert caught.value.code is Code.COMMIT_UNKNOWN
    assert await count(fault) == 1


async def test_a_lost_commit_of_a_transaction_that_wrote_nothing_needs_no_asking(fault: Fault) -> None:
    session = await Session.begin(fault.root)
    await session.run("SELECT 1", access="read")
    fault.proxy.lose = "answer, and the database"
    finished = await session.commit()
    assert (finished.outcome, finished.xid) == (Outcome.ROLLED_BACK, None)


async def test_what_is_written_only_by_the_commit_itself_is_asked_about_too(fault: Fault) -> None:
    heard: list[Any] = []
    await fault.observer.add_listener("jobs", lambda *told: heard.append(told[3]))
    session = await Session.begin(fault.root)
    await session.run("SELECT pg_notify('jobs', 'hello')")
    fault.proxy.lose = "answer"
    assert (await session.commit()).outcome is Outcome.COMMITTED
    await until(fault.observer, "SELECT 1", wanted=1)
    assert heard == ["hello"]


async def test_a_commit_that_is_killed_in_the_gateway_is_found_out_all_the_same(fault: Fault) -> None:
    session = await Session.begin(fault.root)
    await session.run("INSERT INTO t VALUES (1)")
    fault.proxy.lose = "answer, silently"
    call = asyncio.create_task(session.refused(Commit(), timeout_s=30))
    async with asyncio.timeout(5):
        while fault.proxy.is_armed():
            await asyncio.sleep(0.005)
    assert await fault.root.drain(0.05, 5) == 0
    told = await call
    assert (told.code, told.next) == (Code.SESSION_ENDED, "Nothing is to be repeated: the transaction was committed.")
    assert "(committed)" in (await session.refused("SELECT 1")).message


async def test_a_transaction_left_in_progress_is_ended_to_know_what_became_of_it(
    fault: Fault, database: TestDatabase
) -> None:
    left = await asyncpg.connect(database.owner_dsn)
    await left.execute("BEGIN; INSERT INTO t VALUES (1)")
    xid = await left.fetchval("SELECT pg_current_xact_id()::text")
    started_us = await left.fetchval(
        "SELECT (extract(epoch FROM backend_start) * 1000000)::bigint FROM pg_stat_activity WHERE pid = $1",
        left.get_server_pid(),
    )
    target = Target(dsn=database.owner_dsn, application_name="coldquery/test/1/x", connect_timeout_s=2)
    other = Backend(left.get_server_pid(), started_us + 1)
    assert await settle(target, xid, other, timeout_s=0.8) is Outcome.UNKNOWN
    assert await left.fetchval("SELECT 1") == 1
    backend = Backend(left.get_server_pid(), started_us)
    assert await settle(target, xid, backend, timeout_s=5) is Outcome.ROLLED_BACK


async def test_a_transaction_that_postgresql_never_heard_of_is_unknown(database: TestDatabase) -> None:
    target = Target(dsn=database.owner_dsn, application_name="coldquery/test/1/x", connect_timeout_s=2)
    assert await settle(target, "99999999", Backend(0, 0), timeout_s=0.5) is Outcome.UNKNOWN


@pytest.mark.parametrize("busy", [None, "read", "write"])
async def test_a_cut_network_ends_the_session_and_frees_its_slot(fault: Fault, busy: str | None) -> None:
    session = await Session.begin(fault.root)
    await session.run("INSERT INTO t VALUES (1)")
    call = None
    if busy:
        call = asyncio.create_task(session.refused("SELECT pg_sleep(60)", access=busy, timeout_s=60))
        await until(fault.observer, SLEEPING, wanted=1)
    fault.proxy.cut()
    await ended(fault.root)
    if call is not None:
        assert (await call).code is Code.CONNECTION_LOST
    assert "(connection_lost)" in (await session.refused("SELECT 1")).message
    await backends(fault.observer, fault.root, 0)
    assert await count(fault) == 0


async def test_a_network_that_swallows_everything_ends_the_session_within_its_deadline(fault: Fault) -> None:
    session = await Session.begin(fault.root)
    await session.run("INSERT INTO t VALUES (1)")
    fault.proxy.swallow()
    async with asyncio.timeout(4):
        refusal = await session.refused("SELECT 1", timeout_s=0.3)
        assert refusal.code is Code.DEADLINE_EXCEEDED
        await ended(fault.root)
    assert "(connection_lost)" in (await session.refused("SELECT 1")).message


async def test_a_savepoint_that_the_network_swallows_ends_the_session(fault: Fault) -> None:
    session = await Session.begin(fault.root, auto_savepoint=True)
    fault.proxy.swallow()
    assert (await session.refused("SELECT 1")).code is Code.CONNECTION_LOST
    await ended(fault.root)


async def test_a_rollback_is_one_whatever_the_network_does(fault: Fault) -> None:
    session = await Session.begin(fault.root)
    await session.run("INSERT INTO t VALUES (1)")
    fault.proxy.swallow()
    assert (await session.rollback()).outcome is Outcome.ROLLED_BACK
    await ended(fault.root)
    fault.proxy.cut()
    await backends(fault.observer, fault.root, 0)
    assert await count(fault) == 0


async def test_a_connection_that_breaks_before_commit_is_sent_is_a_rollback(fault: Fault) -> None:
    session = await Session.begin(fault.root)
    await session.run("INSERT INTO t VALUES (1)")
    fault.proxy.swallow()
    refusal = await session.refused(Commit())
    assert refusal.code is Code.CONNECTION_LOST
    assert "nothing of the transaction was kept" in refusal.message


async def test_a_begin_that_the_network_swallows_leaves_no_slot_taken(
    fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = Target.connect

    async def connect_and_lose(target: Target) -> Any:
        connection = await connect(target)
        fault.proxy.swallow()
        return connection

    monkeypatch.setattr(Target, "connect", connect_and_lose)
    with pytest.raises(Exception, match="could not be opened"):
        await Session.begin(fault.root)
    assert fault.root.open_count == 0


async def test_a_connection_that_breaks_in_the_moment_it_is_open_is_no_session(
    fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = HeldTransaction.begin

    async def begin_and_lose(*args: Any) -> HeldTransaction:
        held = await begin(*args)
        held.connection.terminate()
        return held

    monkeypatch.setattr(HeldTransaction, "begin", begin_and_lose)
    with pytest.raises(Exception, match="as soon as it was open"):
        await Session.begin(fault.root)
    await ended(fault.root)
