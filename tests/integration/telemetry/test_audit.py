"""What the audit holds of real work on a real PostgreSQL, and what becomes of commits when it can't be written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Literal

import asyncpg
import pytest

from coldquery.errors import Code, Refusal
from coldquery.gateway import Caller, Gateway
from coldquery.postgres.connection import Connection
from coldquery.postgres.target import Target
from coldquery.sessions import Begin, SessionLimits, held
from coldquery.sessions.commands import (
    Batch,
    Command,
    Commit,
    Explain,
    Operation,
    Query,
    Rollback,
    RollbackTo,
    Savepoint,
)
from coldquery.sessions.replies import Reply
from coldquery.settings import Settings
from coldquery.telemetry.audit import Audit
from coldquery.telemetry.call import CURRENT, Call
from coldquery.telemetry.metrics import COMMITS, sample_values
from tests.conftest import TestDatabase
from tests.integration.sessions.asking import LIMITS

CALLER = Caller("ada")


class Memory:
    """A sink that keeps what it is given, and what PostgreSQL had committed by then."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.synced = 0
        self.broken = False

    def append(self, data: bytes, *, sync: bool) -> None:
        if self.broken:
            raise OSError(28, "No space left on device")
        self.lines += map(json.loads, data.splitlines())
        if sync:
            self.synced = len(self.lines)

    def close(self) -> None:
        """Nothing to do."""


@pytest.fixture
async def observer(database: TestDatabase) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(database.superuser_dsn)
    await connection.execute("CREATE TABLE t (i int, secret text); GRANT ALL ON t TO coldquery_owner")
    await connection.execute("ALTER TABLE t OWNER TO coldquery_owner")
    yield connection
    await connection.close()


@pytest.fixture
def sink() -> Memory:
    return Memory()


@pytest.fixture
async def gateway(database: TestDatabase, observer: object, sink: Memory) -> AsyncIterator[Gateway]:
    settings = Settings(write_pool_size=1, drain_timeout_s=1)
    reader, writer = (Target(dsn, "coldquery/test/1/x", 2) for dsn in (database.reader_dsn, database.owner_dsn))
    async with Gateway(settings, reader, writer, audit=Audit(sink)) as gateway:
        yield gateway


async def ask(gateway: Gateway, session_id: str, command: Command) -> Reply:
    return await gateway.ask(CALLER, session_id, command)


def query(sql: str, access: Literal["read", "write"] = "write") -> Query:
    return Query(sql=sql, access=access, limits=LIMITS)


async def commit(gateway: Gateway, session_id: str, how: str) -> None:
    """Insert a row and commit it, in the session or without one."""
    insert = "INSERT INTO t VALUES (1)"
    match how:
        case "write":
            await gateway.write(insert)
        case "transact":
            await gateway.transact([Operation(sql=insert), Operation(sql=insert)])
        case "session":
            await ask(gateway, session_id, query(insert))
            await ask(gateway, session_id, Commit())
        case "batch":
            await ask(gateway, session_id, Batch(operations=(Operation(sql=insert),), limits=LIMITS))
            await ask(gateway, session_id, Commit())


def committed(outcome: str) -> float:
    return sample_values()["coldquery_commit_outcomes_total", (("outcome", outcome),)]


async def events(gateway: Gateway, sink: Memory) -> list[dict[str, Any]]:
    await gateway.audit.settle()
    return sink.lines


async def test_a_transaction_is_told_from_its_beginning_to_its_commit(gateway: Gateway, sink: Memory) -> None:
    echo = await gateway.begin(CALLER, Begin(label="import"))
    await ask(gateway, echo.id, query("INSERT INTO t VALUES (1, 'hidden'), (2, 'hidden')"))
    await ask(gateway, echo.id, Savepoint(name="s"))
    with pytest.raises(Refusal):
        await ask(gateway, echo.id, query("INSERT INTO t VALUES ('hidden')"))
    await ask(gateway, echo.id, RollbackTo(name="s"))
    await ask(gateway, echo.id, Commit())
    assert sink.synced >= 5, "the commit's line is on the disk before its caller hears of it"
    lines = await events(gateway, sink)
    told = [(line["event"], line.get("outcome")) for line in lines]
    assert told[:5] == [
        ("session_began", None),
        ("statement", "ok"),
        ("statement", "sql_error"),
        ("rollback_to", None),
        ("commit", "committed"),
    ]
    assert {line["session"] for line in lines} == {echo.id[:8]}
    assert lines[0]["label"] == "import"
    statement = lines[1]
    assert (statement["kind"], statement["tables"], statement["rows"]) == ("write", ["t"], 2)
    assert statement["statement"] == "INSERT INTO t VALUES (?, …), (?, …)"
    assert (lines[2]["sqlstate"], lines[4]["xid"].isdigit()) == ("22P02", True)
    assert "hidden" not in json.dumps(lines)
    assert echo.id not in json.dumps(lines)


async def test_reads_leave_no_lines(gateway: Gateway, sink: Memory) -> None:
    await gateway.read("SELECT 1")
    echo = await gateway.begin(CALLER, Begin())
    await ask(gateway, echo.id, query("SELECT 1", "read"))
    await ask(gateway, echo.id, Explain(sql="SELECT 1", limits=LIMITS))
    await ask(gateway, echo.id, Rollback())
    told = {line["event"] for line in await events(gateway, sink)}
    assert told <= {"session_began", "rollback", "session_ended"}


@pytest.mark.parametrize("how", ["write", "transact", "session", "batch"])
async def test_what_is_committed_was_written_before(gateway: Gateway, sink: Memory, observer: Any, how: str) -> None:
    """Without the audit nothing is kept, the session's transaction is still open, and later it commits."""
    echo = await gateway.begin(CALLER, Begin())
    sink.broken = True
    with pytest.raises(Refusal) as caught:
        await commit(gateway, echo.id, how)
    assert caught.value.code is Code.AUDIT_UNAVAILABLE
    assert await observer.fetchval("SELECT count(*) FROM t") == 0
    sink.broken = False
    await ask(gateway, echo.id, Commit())
    assert await observer.fetchval("SELECT count(*) FROM t") == (how in {"session", "batch"})
    lines = await events(gateway, sink)
    assert [line["event"] for line in lines].index("statement") < [line["event"] for line in lines].index("commit")


async def test_a_statement_that_runs_alone_has_its_line_before_it_begins(
    gateway: Gateway, sink: Memory, observer: Any
) -> None:
    await gateway.write("VACUUM t")
    with pytest.raises(Refusal):
        await gateway.write("CREATE INDEX CONCURRENTLY i ON t (nothing)")
    lines = [line for line in await events(gateway, sink) if line["event"] == "statement"]
    assert [(line["kind"], line["outcome"]) for line in lines] == [
        ("maintenance", "begins"),
        ("maintenance", "ok"),
        ("ddl", "begins"),
        ("ddl", "sql_error"),
    ]
    assert lines[3]["sqlstate"] == "42703"
    sink.broken = True
    with pytest.raises(Refusal) as caught:
        await gateway.write("CREATE INDEX CONCURRENTLY i ON t (i)")
    assert caught.value.code is Code.AUDIT_UNAVAILABLE
    assert await observer.fetchval("SELECT to_regclass('i')") is None


async def test_of_a_statement_that_runs_alone_a_parameter_too_many_is_told_as_what_it_is(
    gateway: Gateway, sink: Memory
) -> None:
    with pytest.raises(Refusal) as caught:
        await gateway.write("VACUUM t", ["hidden"])
    assert caught.value.code is Code.INVALID_ARGUMENT
    lines = await events(gateway, sink)
    assert [line["outcome"] for line in lines] == ["begins", "invalid_argument"]


async def test_a_statement_that_nobody_waits_for_any_more_does_not_run_alone(
    gateway: Gateway, sink: Memory, observer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who leaves while the line before it is being written."""
    securing, secured = asyncio.Event(), asyncio.Event()

    async def secure() -> None:
        securing.set()
        await secured.wait()

    monkeypatch.setattr(gateway.audit, "secure", secure)
    call = asyncio.create_task(gateway.write("CREATE INDEX CONCURRENTLY i ON t (i)"))
    await securing.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    secured.set()
    while gateway.pools()[1].used:
        await asyncio.sleep(0.01)
    assert await observer.fetchval("SELECT to_regclass('i')") is None
    assert [line["outcome"] for line in await events(gateway, sink)] == ["begins", "cancelled"]


async def test_what_was_undone_while_the_transaction_went_on_is_told(
    gateway: Gateway, sink: Memory, observer: Any
) -> None:
    echo = await gateway.begin(CALLER, Begin())
    two = Operation(sql="INSERT INTO t VALUES (1)"), Operation(sql="INSERT INTO nothing VALUES (1)")
    with pytest.raises(Refusal):
        await ask(gateway, echo.id, Batch(operations=two, limits=LIMITS))
    await ask(gateway, echo.id, Commit())
    assert await observer.fetchval("SELECT count(*) FROM t") == 0
    told = [(line["event"], line.get("outcome")) for line in await events(gateway, sink)]
    assert told[1:5] == [
        ("statement", "ok"),
        ("statement", "sql_error"),
        ("rollback_to", None),
        ("commit", "committed"),
    ]


async def test_a_batch_that_failed_was_rolled_back(gateway: Gateway, sink: Memory) -> None:
    with pytest.raises(Refusal):
        await gateway.transact(
            [Operation(sql="INSERT INTO t VALUES (1)"), Operation(sql="INSERT INTO nothing VALUES (1)")]
        )
    told = [(line["event"], line.get("outcome")) for line in await events(gateway, sink)]
    assert told == [("statement", "ok"), ("statement", "sql_error"), ("rollback", None)]


async def test_a_write_that_was_run_to_be_explained_is_told(gateway: Gateway, sink: Memory) -> None:
    echo = await gateway.begin(CALLER, Begin())
    await ask(gateway, echo.id, Explain(sql="INSERT INTO t VALUES (1, 'hidden')", analyze=True, limits=LIMITS))
    await ask(gateway, echo.id, Explain(sql="INSERT INTO t VALUES (1, 'hidden')", limits=LIMITS))
    await ask(gateway, echo.id, Explain(sql="SELECT 1", analyze=True, limits=LIMITS))
    lines = [line for line in await events(gateway, sink) if line["event"] == "statement"]
    assert [(line["kind"], line["outcome"]) for line in lines] == [("explain", "ok")]
    assert lines[0]["statement"] == "EXPLAIN (FORMAT TEXT, ANALYZE) INSERT INTO t VALUES (?, …)"


@pytest.mark.parametrize("alone", [True, False])
async def test_a_commit_that_postgresql_refused_is_told_as_refused(
    gateway: Gateway, sink: Memory, observer: Any, *, alone: bool
) -> None:
    await observer.execute("CREATE TABLE u (i int UNIQUE DEFERRABLE INITIALLY DEFERRED); GRANT ALL ON u TO PUBLIC")
    sql, before = "INSERT INTO u VALUES (1), (1)", committed("refused")
    echo = await gateway.begin(CALLER, Begin())
    await ask(gateway, echo.id, query("SELECT 1" if alone else sql))
    with pytest.raises(Refusal):
        await (gateway.write(sql) if alone else ask(gateway, echo.id, Commit()))
    (line,) = [line for line in await events(gateway, sink) if line["event"] == "commit"]
    assert (line["outcome"], line["sqlstate"]) == ("refused", "23505")
    assert committed("refused") - before == 1


async def test_a_commit_that_was_not_sent_is_none(gateway: Gateway, sink: Memory, observer: Any) -> None:
    echo = await gateway.begin(CALLER, Begin())
    await ask(gateway, echo.id, query("INSERT INTO t VALUES (1)"))
    before = [committed(each) for each in COMMITS]
    await observer.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'coldquery_owner'")
    with pytest.raises(Refusal):
        await ask(gateway, echo.id, Commit())
    while gateway.sessions():
        await asyncio.sleep(0.01)
    assert "commit" not in {line["event"] for line in await events(gateway, sink)}
    assert [committed(each) for each in COMMITS] == before


async def test_a_commit_cut_off_while_its_fate_is_looked_for_is_told(
    database: TestDatabase, observer: object, sink: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    control, looking = Connection.control, asyncio.Event()

    async def lose_the_answer(self: Connection, sql: str, timeout_s: float) -> str:
        tag = await control(self, sql, timeout_s)
        if sql == "COMMIT":
            raise ConnectionResetError
        return tag

    async def look_for_ever(*_: object) -> None:
        looking.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Connection, "control", lose_the_answer)
    monkeypatch.setattr(held, "settle", look_for_ever)
    target, limits = Target(database.owner_dsn, "coldquery/test/1/x", 2), SessionLimits.of(Settings())
    audit, before = Audit(sink), committed("unknown")
    transaction = held.HeldTransaction(await target.connect(), limits, target, audit=audit, session="abcdefgh")
    await transaction.connection.execute("BEGIN")
    await transaction.run("INSERT INTO t VALUES (1)", (), LIMITS, writes=True)
    committing = asyncio.create_task(transaction.commit(5))
    await looking.wait()
    committing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await committing
    await transaction.close(1)
    await audit.settle()
    assert [(line["event"], line["outcome"]) for line in sink.lines] == [("statement", "ok"), ("commit", "unknown")]
    assert committed("unknown") - before == 1


async def test_only_to_be_warned_the_commit_goes_on(database: TestDatabase, observer: Any, sink: Memory) -> None:
    sink.broken = True
    target = Target(database.owner_dsn, "coldquery/test/1/x", 2)
    async with Gateway(Settings(drain_timeout_s=1), target, audit=Audit(sink, refuse=False)) as gateway:
        await gateway.write("INSERT INTO t VALUES (1)")
        assert await observer.fetchval("SELECT count(*) FROM t") == 1
        assert gateway.audit.pending == 2
        sink.broken = False
    assert [line["event"] for line in sink.lines] == ["statement", "commit"]


async def test_an_eviction_and_who_lost_what_by_it_are_told(gateway: Gateway, sink: Memory) -> None:
    echo = await gateway.begin(CALLER, Begin())
    await ask(gateway, echo.id, query("INSERT INTO t VALUES (1)"))
    assert gateway.evict(echo.id[:8])
    while gateway.sessions():
        await gateway.read("SELECT 1")
    last = (await events(gateway, sink))[-1]
    assert (last["event"], last["reason"], last["outcome"], last["principal"]) == (
        "session_ended",
        "evicted",
        "rolled_back",
        "ada",
    )


async def test_a_line_names_the_call_that_it_came_of(gateway: Gateway, sink: Memory) -> None:
    echo = await gateway.begin(CALLER, Begin())
    token = CURRENT.set(Call("pg_query", "write", "ada", session=echo.id[:8], request="trace-1"))
    try:
        await ask(gateway, echo.id, query("INSERT INTO t VALUES (1)"))
        await gateway.write("INSERT INTO t VALUES (2)")
    finally:
        CURRENT.reset(token)
    await ask(gateway, echo.id, query("INSERT INTO t VALUES (3)"))
    lines = [line for line in await events(gateway, sink) if line["event"] in {"statement", "commit"}]
    assert [line.get("request") for line in lines] == ["trace-1", "trace-1", "trace-1", None]


async def test_while_too_many_lines_wait_no_statement_runs_whose_line_might_be_lost(
    gateway: Gateway, sink: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coldquery.telemetry.audit.MAX_PENDING", 4)
    echo = await gateway.begin(CALLER, Begin())
    sink.broken = True
    await ask(gateway, echo.id, query("INSERT INTO t VALUES (1)"))
    with pytest.raises(Refusal) as caught:
        await ask(gateway, echo.id, query("INSERT INTO t VALUES (1)"))
    assert caught.value.code is Code.AUDIT_UNAVAILABLE
    sink.broken = False
    await ask(gateway, echo.id, Commit())
    told = [line["event"] for line in await events(gateway, sink)]
    assert told[:2] == ["session_began", "statement"]
    assert "lost" not in told
