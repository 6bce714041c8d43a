"""How sessions come, wait, expire, and end; who may use them; and what is told of those that have ended."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from actors import LoopClock
from actors.testing import ManualClock, settle
from coldquery.errors import Code, Refusal
from coldquery.sessions import Begin, SessionRoot
from coldquery.sessions.commands import Batch, Commit, Inspect, Operation, Query, Savepoint
from coldquery.sessions.replies import Outcome
from coldquery.sessions.root import MAX_GONE_CLIENTS
from coldquery.sessions.session import SessionActor
from tests.conftest import TestDatabase
from tests.integration.sessions.asking import ANN, LIMITS, SLEEPING, Session, backends, ended, make_root, until

WRITE = Query(sql="INSERT INTO t VALUES (1)", access="write", limits=LIMITS)


async def refused(root: SessionRoot, principal: str, session_id: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await root.ask(principal, session_id, WRITE)
    return caught.value


async def no_slot(root: SessionRoot, principal: str = ANN, **options: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await root.begin(principal, Begin(**options))
    return caught.value


@pytest.mark.parametrize("session_id", ["", "nonsense", "x" * 10_000, "\0", "\ud800", "é"])
async def test_an_id_that_never_was_is_not_found_and_nothing_runs(root: SessionRoot, session_id: str) -> None:
    assert (await refused(root, ANN, session_id)).code is Code.SESSION_NOT_FOUND


async def test_anothers_session_is_answered_like_one_that_never_was(root: SessionRoot, observer: Any) -> None:
    session = await Session.begin(root)
    foreign, unknown = await refused(root, "bob", session.id), await refused(root, "bob", "x" * 32)
    assert foreign.to_dict() == unknown.to_dict()
    await session.commit()
    await ended(root)
    assert (await refused(root, "bob", session.id)).to_dict() == unknown.to_dict()
    assert await observer.fetchval("SELECT count(*) FROM t") == 0


async def test_an_ended_session_tells_its_story_to_its_owner(root: SessionRoot, clock: ManualClock) -> None:
    session = await Session.begin(root)
    await session.commit()
    await ended(root)
    clock.advance(12)
    refusal = await refused(root, ANN, session.id)
    assert refusal.code is Code.SESSION_ENDED
    assert refusal.message == "The session ended 12 s ago (committed). It was committed. The last command was commit."


async def test_ids_are_unguessable_and_never_the_same(root: SessionRoot) -> None:
    one, two = await Session.begin(root), await Session.begin(root)
    assert one.id != two.id
    assert len(one.id) >= 32


async def test_a_full_mailbox_is_told_at_once(database: TestDatabase, observer: Any) -> None:
    root = make_root(database.owner_dsn, LoopClock(), mailbox_capacity=2)
    session = await Session.begin(root)
    calls = [asyncio.create_task(session.run("SELECT pg_sleep(0.3)"))]
    await until(observer, SLEEPING, wanted=1)
    calls += [asyncio.create_task(session.run("SELECT 1")) for _ in range(2)]
    await settle()
    refusal = await session.refused("SELECT 1")
    assert (refusal.code, refusal.retryable) == (Code.SESSION_BUSY, True)
    await asyncio.gather(*calls)
    await root.drain(0, 5)


async def test_an_idle_session_expires_and_postgresql_has_rolled_back(
    root: SessionRoot, clock: ManualClock, observer: Any
) -> None:
    session = await Session.begin(root)
    await session.run("INSERT INTO t VALUES (1)")
    clock.advance(1000)
    echo = (await session.run("SELECT 1", access="read")).echo
    assert (echo.idle_expires_in_s, echo.lifetime_left_s) == (1800, 13400)
    clock.advance(1799)
    await settle()
    assert root.open_count == 1
    clock.advance(1)
    await ended(root)
    await backends(observer, root, 0)
    refusal = await session.refused("SELECT 1")
    assert "(idle_timeout)" in refusal.message
    assert "rolled back" in refusal.message
    assert await observer.fetchval("SELECT count(*) FROM t") == 0


async def test_a_session_can_ask_for_less_idle_time_and_not_for_more(root: SessionRoot, clock: ManualClock) -> None:
    assert (await no_slot(root, idle_timeout_s=1801)).code is Code.INVALID_ARGUMENT
    session = await Session.begin(root, idle_timeout_s=30)
    echo = (await session.run("SELECT 1")).echo
    assert echo.idle_expires_in_s == 30
    assert "30 s pass" in (echo.warning or "")
    clock.advance(30)
    await ended(root)


async def test_a_statement_that_runs_is_not_idle(root: SessionRoot, clock: ManualClock, observer: Any) -> None:
    session = await Session.begin(root)
    call = asyncio.create_task(session.run("SELECT pg_sleep(0.3)"))
    await until(observer, SLEEPING, wanted=1)
    clock.advance(5000)
    await call
    assert root.open_count == 1
    assert (await session.ask(Inspect())).age_s == 5000


async def test_the_lifetime_ends_a_session_in_mid_statement(
    root: SessionRoot, clock: ManualClock, observer: Any
) -> None:
    session = await Session.begin(root)
    for _ in range(8):
        clock.advance(1795)
        echo = (await session.run("SELECT 1")).echo
    assert echo.lifetime_left_s == 40
    assert "ends in 40 s" in (echo.warning or "")
    call = asyncio.create_task(session.refused("SELECT pg_sleep(60)", timeout_s=60))
    await until(observer, SLEEPING, wanted=1)
    clock.advance(40)
    assert (await call).code is Code.CANCELLED
    await ended(root)
    assert "(max_lifetime)" in (await session.refused("SELECT 1")).message


async def test_at_a_limit_the_others_are_told_when_the_next_can_expire(
    database: TestDatabase, clock: ManualClock
) -> None:
    root = make_root(database.owner_dsn, clock, max_sessions=3, max_sessions_per_principal=2)
    await Session.begin(root)
    clock.advance(300)
    await Session.begin(root)
    mine = await no_slot(root)
    assert (mine.code, mine.retry_after_s) == (Code.SESSION_LIMIT, 1500)
    assert "2 sessions of yours" in mine.message
    await root.begin("bob", Begin())
    all_full = await no_slot(root, "carol")
    assert "3 sessions are open" in all_full.message
    await root.drain(0, 5)


async def test_a_thousand_begins_at_once_get_exactly_the_slots_there_are(
    database: TestDatabase, clock: ManualClock
) -> None:
    root = make_root(database.owner_dsn, clock, max_sessions=10)
    answers = await asyncio.gather(*(root.begin(ANN, Begin()) for _ in range(1000)), return_exceptions=True)
    refusals = [answer for answer in answers if isinstance(answer, Refusal)]
    assert len(refusals) == 990
    assert {refusal.code for refusal in refusals} == {Code.SESSION_LIMIT}
    assert root.open_count == len(root.list()) == 10
    await root.drain(0, 5)
    assert root.open_count == 0


async def test_who_has_just_committed_can_begin_again_even_at_the_limit(
    database: TestDatabase, observer: Any, clock: ManualClock
) -> None:
    root = make_root(database.owner_dsn, clock, max_sessions=1)
    for _ in range(20):
        session = await Session.begin(root)
        await session.commit()
    await root.drain(0, 5)


async def test_no_slot_is_lost_when_connecting_fails(clock: ManualClock) -> None:
    root = make_root("postgresql://nobody@127.0.0.1:1/nothing", clock, max_sessions=10)
    for _ in range(3):
        answers = await asyncio.gather(*(root.begin(ANN, Begin()) for _ in range(10)), return_exceptions=True)
        assert {getattr(answer, "code", answer) for answer in answers} == {Code.DATABASE_UNAVAILABLE}
    assert root.open_count == 0
    assert root.facts() == ()


async def test_no_slot_and_no_backend_is_lost_when_callers_leave_during_begin(root: SessionRoot, observer: Any) -> None:
    for turns in range(0, 60, 3):
        begin = asyncio.create_task(root.begin(ANN, Begin()))
        await settle(turns)
        begin.cancel()
        await asyncio.wait([begin])
    # One may have been begun before its caller left; then it was answered.
    answered = len(root.list())
    async with asyncio.timeout(5):
        while root.open_count > answered:
            await asyncio.sleep(0.005)
    await backends(observer, root, answered)


async def test_a_begin_that_takes_too_long_is_undone(clock: ManualClock) -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    root = make_root(f"postgresql://x@127.0.0.1:{port}/x", clock, begin_timeout_s=0.1)
    assert (await no_slot(root)).code is Code.DATABASE_UNAVAILABLE
    await ended(root)
    server.close()


async def test_a_caller_who_leaves_stops_its_statement_and_the_session_lives_on(
    root: SessionRoot, observer: Any
) -> None:
    session = await Session.begin(root, auto_savepoint=True)
    await session.run("INSERT INTO t VALUES (1)")
    call = asyncio.create_task(session.run("SELECT pg_sleep(60)", timeout_s=60))
    await until(observer, SLEEPING, wanted=1)
    call.cancel()
    await asyncio.wait([call])
    await until(observer, SLEEPING, wanted=0, within_s=1)
    reply = await session.run("SELECT i FROM t", access="read")
    assert reply.result.rows == [(1,)]
    assert "canceling statement" in (reply.echo.abandoned or "")
    assert (await session.run("SELECT 1")).echo.abandoned is None


async def test_a_deadline_says_whether_the_call_had_begun(root: SessionRoot, observer: Any) -> None:
    session = await Session.begin(root)
    first = asyncio.create_task(session.refused("SELECT pg_sleep(60)", timeout_s=0.4))
    await until(observer, SLEEPING, wanted=1)
    queued = await session.refused("INSERT INTO t VALUES (1)", timeout_s=0.05)
    assert (queued.code, queued.retryable) == (Code.DEADLINE_EXCEEDED, True)
    assert "never runs" in queued.message
    started = await first
    assert (started.code, started.retryable) == (Code.DEADLINE_EXCEEDED, False)
    assert "had begun" in started.message
    await until(observer, SLEEPING, wanted=0, within_s=1)
    status = await session.ask(Inspect())
    assert status.echo.state == "idle in transaction (aborted)"
    assert "canceling statement" in status.echo.abandoned


async def test_a_caller_who_leaves_during_savepoint_or_commit_cancels_nothing(root: SessionRoot, observer: Any) -> None:
    session = await Session.begin(root)
    await session.run("INSERT INTO t VALUES (1)")
    for command in (Savepoint(name="a"), Commit()):
        call = asyncio.create_task(session.ask(command))
        async with asyncio.timeout(5):
            while root.list()[0].last_command != command.kind:
                await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        if isinstance(command, Savepoint):
            told = (await session.run("SELECT 1")).echo
            assert (told.savepoints, told.abandoned) == (("a",), "An earlier savepoint, whose caller had left, ran.")
    await ended(root)
    assert await observer.fetchval("SELECT count(*) FROM t") == 1
    assert "(committed)" in (await session.refused("SELECT 1")).message


async def test_a_caller_who_leaves_a_batch_has_nothing_of_it_kept(root: SessionRoot, observer: Any) -> None:
    operations = (Operation(sql="INSERT INTO t VALUES (1)"), Operation(sql="SELECT pg_sleep(60)"))
    session = await Session.begin(root)
    call = asyncio.create_task(session.ask(Batch(operations=operations, limits=LIMITS)))
    await until(observer, SLEEPING, wanted=1)
    call.cancel()
    await asyncio.wait([call])
    assert await session.rows("SELECT count(*) FROM t") == [(0,)]


async def test_a_killed_backend_ends_its_session_and_nobody_elses(root: SessionRoot, observer: Any) -> None:
    idle, busy, other = [await Session.begin(root) for _ in range(3)]
    call = asyncio.create_task(busy.refused("SELECT pg_sleep(60)", timeout_s=60))
    await until(observer, SLEEPING, wanted=1)
    for session in (idle, busy):
        name = f"{root.tag}/{session.id[:8]}"
        await observer.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{name}'"
        )
    answer = await call
    assert (answer.code, answer.retryable) == (Code.CONNECTION_LOST, False)
    async with asyncio.timeout(5):
        while root.open_count > 1:
            await asyncio.sleep(0.005)
    for session in (idle, busy):
        refusal = await session.refused("SELECT 1")
        assert "(connection_lost)" in refusal.message
        assert "rolled back" in refusal.message
    assert await other.rows("SELECT 1") == [(1,)]


async def test_an_actor_that_dies_of_a_defect_leaves_nothing_behind(
    root: SessionRoot, observer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await Session.begin(root)
    await session.run("INSERT INTO t VALUES (1)")

    async def defect(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(SessionActor, "_query", defect)
    refusal = await session.refused("SELECT 1")
    assert refusal.code is Code.SESSION_ENDED
    assert "(crashed)" in refusal.message
    assert "had begun" in refusal.message
    await ended(root)
    await backends(observer, root, 0)
    assert "rolled back" in (await session.refused("SELECT 1")).message


async def test_an_administrator_sees_all_and_can_evict_one(root: SessionRoot, observer: Any) -> None:
    session = await Session.begin(root, label="stocktaking")
    await session.run("INSERT INTO t VALUES (1)")
    other = (await root.begin("bob", Begin())).id
    shown = root.list(ANN)
    assert [(each.short_id, each.label, each.state, each.last_command) for each in shown] == [
        (session.id[:8], "stocktaking", "idle in transaction", "query")
    ]
    assert session.id not in str(shown)
    assert len(root.list()) == 2
    call = asyncio.create_task(session.refused("SELECT pg_sleep(60)", timeout_s=60))
    await until(observer, SLEEPING, wanted=1)
    assert root.list(ANN)[0].state == "active"
    assert root.evict(session.id[:8]) is True
    assert root.evict("nobody!!") is False
    assert (await call).code is Code.CANCELLED
    async with asyncio.timeout(5):
        while root.open_count > 1:
            await asyncio.sleep(0.005)
    assert "(evicted)" in (await session.refused("SELECT 1")).message
    assert root.list()[0].short_id == other[:8]


async def test_a_client_that_is_gone_takes_its_sessions_along_unless_they_are_kept(root: SessionRoot) -> None:
    lost = await root.begin(ANN, Begin(), client="c1")
    kept = await root.begin(ANN, Begin(keep=True), client="c1")
    others = await root.begin(ANN, Begin(), client="c2")
    assert root.client_gone("c1") == 1
    async with asyncio.timeout(5):
        while root.open_count > 2:
            await asyncio.sleep(0.005)
    assert "(client_gone)" in (await Session(root, lost.id).refused("SELECT 1")).message
    for each in (kept, others):
        assert await Session(root, each.id).rows("SELECT 1") == [(1,)]


async def test_the_clients_that_are_remembered_as_gone_are_bounded(root: SessionRoot) -> None:
    for number in range(MAX_GONE_CLIENTS + 1):
        root.client_gone(str(number))
    assert len(root._gone) == MAX_GONE_CLIENTS


async def test_a_session_that_ends_before_it_was_begun_is_not_begun(
    root: SessionRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = SessionActor.setup

    async def break_at_once(actor: SessionActor) -> None:
        await setup(actor)
        actor.ref.stop("connection_lost")

    monkeypatch.setattr(SessionActor, "setup", break_at_once)
    assert (await no_slot(root)).code is Code.DATABASE_UNAVAILABLE
    await ended(root)


async def test_draining_lets_a_running_command_end_and_rolls_back_the_rest(root: SessionRoot, observer: Any) -> None:
    idle, busy = [await Session.begin(root) for _ in range(2)]
    await idle.run("INSERT INTO t VALUES (1)")
    call = asyncio.create_task(busy.run("SELECT pg_sleep(0.3)"))
    await until(observer, SLEEPING, wanted=1)
    drain = asyncio.create_task(root.drain(soft_timeout_s=1000, hard_timeout_s=5))
    await settle()
    assert (await no_slot(root)).code is Code.SHUTTING_DOWN
    await call
    assert await drain == 0
    await backends(observer, root, 0)
    assert "(drained)" in (await idle.refused("SELECT 1")).message
    assert await observer.fetchval("SELECT count(*) FROM t") == 0


async def test_draining_kills_what_outlasts_the_soft_time(database: TestDatabase, observer: Any) -> None:
    root = make_root(database.owner_dsn, LoopClock())
    session = await Session.begin(root)
    call = asyncio.create_task(session.refused("SELECT pg_sleep(60)", timeout_s=60))
    await until(observer, SLEEPING, wanted=1)
    assert await root.drain(soft_timeout_s=0.1, hard_timeout_s=5) == 0
    assert (await call).code is Code.SESSION_ENDED
    await until(observer, SLEEPING, wanted=0, within_s=1)
    await backends(observer, root, 0)


async def test_new_sessions_go_where_the_root_is_sent_and_old_ones_stay(
    root: SessionRoot, database: TestDatabase
) -> None:
    old = await Session.begin(root)
    root.retarget(replace(root.target, dsn="postgresql://nobody@127.0.0.1:1/nothing"))
    assert (await no_slot(root)).code is Code.DATABASE_UNAVAILABLE
    assert await old.rows("SELECT 1") == [(1,)]


async def test_postgresql_holds_the_limits_too(root: SessionRoot) -> None:
    session = await Session.begin(root, idle_timeout_s=60)
    names = "('idle_in_transaction_session_timeout', 'transaction_timeout', 'lock_timeout', 'application_name')"
    sql = f"SELECT name, setting FROM pg_settings WHERE name IN {names}"
    shown = dict(await session.rows(sql))
    assert shown["application_name"] == f"{root.tag}/{session.id[:8]}"
    assert shown["idle_in_transaction_session_timeout"] == "120000"
    assert shown["lock_timeout"] == "5000"
    assert shown.get("transaction_timeout", "14460000") == "14460000"


async def test_commits_in_numbers_leave_nothing_behind(root: SessionRoot, observer: Any) -> None:
    async def cycle() -> None:
        session = await Session.begin(root)
        await session.run("INSERT INTO t VALUES (1)")
        assert (await session.commit()).outcome is Outcome.COMMITTED

    tasks = len(asyncio.all_tasks())
    for _ in range(10):
        await asyncio.gather(*(cycle() for _ in range(5)))
        await ended(root)
    await backends(observer, root, 0)
    assert len(asyncio.all_tasks()) == tasks
    assert await observer.fetchval("SELECT count(*) FROM t") == 50
