"""What metrics, spans and the log of slow statements say of real calls."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import asyncpg
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.applications import Starlette
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from coldquery.errors import Code, Refusal
from coldquery.gateway import Caller, Gateway
from coldquery.mcp.server import build_server, build_tools
from coldquery.postgres.pool import Pool
from coldquery.postgres.target import Target
from coldquery.reads import Read
from coldquery.sessions import Begin
from coldquery.sessions.commands import Commit, Query, Rollback
from coldquery.settings import Settings
from coldquery.telemetry.call import CURRENT, Call
from coldquery.telemetry.metrics import sample_values
from coldquery.web.metrics import metrics_route
from tests.conftest import TestDatabase
from tests.integration.sessions.asking import LIMITS

CALLER = Caller("ada")
DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"


@pytest.fixture
async def observer(database: TestDatabase) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(database.superuser_dsn)
    await connection.execute("CREATE TABLE t (i int UNIQUE); GRANT ALL ON t TO coldquery_owner")
    yield connection
    await connection.close()


@pytest.fixture
async def gateway(database: TestDatabase, observer: object) -> AsyncIterator[Gateway]:
    settings = Settings(read_pool_size=2, max_sessions=2, drain_timeout_s=1, pool_acquire_timeout_s=1)
    reader, writer = (Target(dsn, "coldquery/test/1/x", 2) for dsn in (database.reader_dsn, database.owner_dsn))
    async with Gateway(settings, reader, writer) as gateway:
        yield gateway


def query(sql: str, access: Literal["read", "write"]) -> Query:
    return Query(sql=sql, access=access, limits=LIMITS)


@contextmanager
def counted() -> Iterator[dict[str, float]]:
    """What the block adds to each sample that it changes, by its name and labels as Prometheus writes them."""
    before = sample_values()
    found: dict[str, float] = {}
    yield found
    for (name, labels), value in sample_values().items():
        told = ",".join(f"{label}={each}" for label, each in labels)
        if name.startswith("coldquery_") and (added := value - before.get((name, labels), 0.0)):
            found[f"{name}{{{told}}}" if told else name] = added


@contextmanager
def during(call: Call) -> Iterator[None]:
    token = CURRENT.set(call)
    try:
        yield
    finally:
        CURRENT.reset(token)


def page(gateway: Gateway) -> dict[str, float]:
    text = TestClient(Starlette(routes=[metrics_route(gateway)])).get("/metrics").text
    samples = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}


async def test_a_sessions_life_is_counted(gateway: Gateway) -> None:
    with counted() as found:
        echo = await gateway.begin(CALLER, Begin())
        await gateway.ask(CALLER, echo.id, query("INSERT INTO t VALUES (1)", "write"))
        with pytest.raises(Refusal):
            await gateway.ask(CALLER, echo.id, query("INSERT INTO t VALUES (1)", "write"))
        await gateway.ask(CALLER, echo.id, Commit())
        other = await gateway.begin(CALLER, Begin(read_only=True))
        await gateway.ask(CALLER, other.id, Rollback())
        while gateway.sessions():
            await asyncio.sleep(0.01)
    assert found["coldquery_sessions_opened_total{access=read_write}"] == 1
    assert found["coldquery_sessions_opened_total{access=read_only}"] == 1
    # The commit came after an error, so that PostgreSQL rolled back, and said so.
    assert found["coldquery_sessions_ended_total{reason=rolled_back}"] == 2
    assert found["coldquery_commit_outcomes_total{outcome=rolled_back}"] == 1
    assert found["coldquery_db_errors_total{sqlstate_class=23}"] == 1
    assert found["coldquery_db_operation_duration_seconds_count{kind=write,outcome=ok}"] == 1
    assert found["coldquery_db_operation_duration_seconds_count{kind=write,outcome=error}"] == 1
    assert found["coldquery_session_age_seconds_count"] == 2
    assert found["coldquery_mailbox_wait_seconds_count"] == found["coldquery_session_idle_seconds_count"] == 4


async def test_what_was_refused_is_counted(gateway: Gateway) -> None:
    for _ in range(2):
        await gateway.begin(CALLER, Begin())
    with counted() as found:
        with pytest.raises(Refusal):
            await gateway.begin(CALLER, Begin())
        with pytest.raises(Refusal):
            await gateway.begin(CALLER, Begin(idle_timeout_s=80_000))
    assert found["coldquery_sessions_rejected_total{reason=session_limit}"] == 1
    assert found["coldquery_sessions_rejected_total{reason=invalid_argument}"] == 1


async def test_answers_are_measured(gateway: Gateway) -> None:
    with counted() as found:
        await gateway.read("SELECT * FROM generate_series(1, 30)", max_rows=20)
    assert found["coldquery_result_rows_sum"] == 20
    assert found["coldquery_results_truncated_total{limit=rows}"] == 1
    assert found["coldquery_result_bytes_sum"] > 60
    assert found["coldquery_pool_wait_seconds_count{pool=read}"] == 1


async def test_the_page_comes_at_once_while_everything_is_busy(gateway: Gateway) -> None:
    """Every connection of the pool has a statement, every session too, and others wait for them."""
    sleep = "SELECT pg_sleep(30)"
    sessions = [await gateway.begin(CALLER, Begin()) for _ in range(2)]
    busy = [
        *(asyncio.create_task(gateway.read(sleep)) for _ in range(3)),
        *(asyncio.create_task(gateway.ask(CALLER, each.id, query(sleep, "write"))) for each in sessions),
        asyncio.create_task(gateway.ask(CALLER, sessions[0].id, query("SELECT 1", "read"))),
    ]
    await asyncio.sleep(0.3)
    page(gateway)
    # CPU, for the machine may be busy with something else.
    began = time.process_time()
    found = page(gateway)
    took_s = time.process_time() - began
    assert found['coldquery_pool_connections{pool="read",state="used"}'] == 2
    assert found['coldquery_pool_pending_requests{pool="read"}'] == 1
    assert found['coldquery_sessions{state="executing"}'] == found["coldquery_sessions_limit"] == 2
    assert (found["coldquery_mailbox_waiting_commands"], found["coldquery_mailbox_deepest"]) == (1, 1)
    assert found["coldquery_session_oldest_age_seconds"] > 0.2
    assert found["coldquery_ready"] == found["coldquery_db_up"] == 1
    assert took_s < 0.1, "a page of which the most is the test client"
    for each in busy:
        each.cancel()
    await asyncio.gather(*busy, return_exceptions=True)


async def test_a_database_that_does_not_answer_is_no_pool_that_is_too_small() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, counted() as found:
        port = silent.getsockname()[1]
        pool = Pool(Target(f"postgresql://nobody@127.0.0.1:{port}/nothing", "coldquery/test/1/x", 5), 1, 0.2)
        await pool.open()
        with pytest.raises(Refusal) as caught:
            await pool.run(Read("SELECT 1", (), LIMITS, 1_000))
        await pool.close(1)
    assert caught.value.code is Code.DATABASE_UNAVAILABLE
    assert "coldquery_pool_timeouts_total{pool=read}" not in found


async def test_the_page_comes_while_the_database_is_away() -> None:
    nowhere = Target("postgresql://nobody@127.0.0.1:1/nothing", "coldquery/test/1/x", 1)
    async with Gateway(Settings(drain_timeout_s=1), nowhere) as gateway:
        with pytest.raises(Refusal):
            await gateway.begin(CALLER, Begin())
        found = page(gateway)
        assert (found["coldquery_db_up"], found["coldquery_ready"]) == (0, 0)


async def test_what_stands_in_the_way_of_others_is_told(gateway: Gateway, observer: Any) -> None:
    echo = await gateway.begin(CALLER, Begin())
    await gateway.ask(CALLER, echo.id, query("LOCK TABLE t", "write"))
    waiting = asyncio.create_task(observer.fetch("SELECT * FROM t"))
    async with asyncio.timeout(10):
        while page(gateway)["coldquery_sessions_blocking"] == 0:
            await asyncio.sleep(0.05)
            await gateway.reaper.sweep()
    await gateway.ask(CALLER, echo.id, Rollback())
    await waiting


async def test_a_slow_statement_is_told_with_its_call_and_without_its_values(gateway: Gateway) -> None:
    echo = await gateway.begin(CALLER, Begin())
    sql = "SELECT pg_sleep(0.05), 's3cret'"
    with capture_logs() as logs:
        with during(Call("pg_query", "read", "ada", request="r1", slow_s=0.05)):
            await gateway.read(sql)
        with during(Call("pg_query", "read", "ada", request="r2", session="Zx3", slow_s=0.05, show_text=True)):
            await gateway.ask(CALLER, echo.id, query(sql, "read"))
            await gateway.ask(CALLER, echo.id, query("SELECT 1", "read"))
    slow = [each for each in logs if each["event"] == "slow_statement"]
    assert [(each["request"], each["session"], each.get("statement")) for each in slow] == [
        ("r1", None, None),
        ("r2", "Zx3", "SELECT pg_sleep(?), ?"),
    ]
    assert slow[0]["duration_ms"] >= 50


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Spans, as they are exported. OpenTelemetry takes one provider for the life of a process."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("coldquery.telemetry.tracing._wanted", True)
    monkeypatch.setattr("coldquery.telemetry.tracing._tracer", provider.get_tracer("coldquery"))
    return exporter


async def test_spans_show_a_call_what_it_waited_for_and_its_statements(
    gateway: Gateway, spans: InMemorySpanExporter
) -> None:
    echo = await gateway.begin(CALLER, Begin())
    call = Call("pg_query", "read", "ada", session=echo.id[:8], show_text=True)
    with during(call):
        await gateway.read("SELECT 1, 's3cret'")
        with pytest.raises(Refusal):
            await gateway.ask(CALLER, echo.id, query("SELECT 1/0", "read"))
    call.end("sql_error")
    found: dict[str, list[ReadableSpan]] = {}
    for each in spans.get_finished_spans():
        found.setdefault(each.name, []).append(each)
    (whole,) = found["pg_query read"]
    attributes = dict(whole.attributes or {})
    assert attributes["mcp.method.name"] == "tools/call"
    assert attributes["gen_ai.tool.name"] == "pg_query"
    assert (attributes["coldquery.session"], attributes["error.type"]) == (echo.id[:8], "sql_error")
    assert set(found) == {"pg_query read", "wait for connection", "wait for mailbox", "read", "tx_control"}
    for each in spans.get_finished_spans():
        if each is not whole:
            assert each.parent is not None
            assert each.parent.span_id == whole.context.span_id
    good, bad = (dict(each.attributes or {}) for each in found["read"])
    assert (good["db.system.name"], good["db.query.text"]) == ("postgresql", "SELECT ?, …")
    assert bad["db.response.status_code"] == "22012"


async def test_the_series_of_a_server_with_all_its_tools_are_bounded(gateway: Gateway) -> None:
    await build_server(gateway, build_tools(gateway))
    series = page(gateway)
    assert len(series) <= 1_200
    assert len([each for each in series if each.startswith("coldquery_calls_total")]) > 150


async def test_the_documentation_tells_of_every_metric(gateway: Gateway) -> None:
    told = DOCS.read_text()
    for name in page(gateway):
        family = re.sub(r"(_bucket|_sum|_count|_created)?(\{.*)?$", "", name)
        assert family.startswith(("process_", "python_")) or f"`{family}`" in told, family
