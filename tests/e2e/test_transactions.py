"""Real MCP clients hold transactions open, over both transports and in both protocol eras."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx2
import pytest
from fastmcp import Client
from fastmcp.client.transports import StdioTransport

from tests.conftest import TestDatabase
from tests.e2e.conftest import (
    COLDQUERY,
    RunningGateway,
    StdioClients,
    clean_environment,
    reader_and_writer,
    run_gateway,
)
from tests.e2e.test_clients import ERAS, TRANSPORTS, body, modern
from tests.integration.sessions.asking import SLEEPING, until


@asynccontextmanager
async def over(
    transport: str, era: str, gateway: RunningGateway, over_stdio: StdioClients
) -> AsyncIterator[Client[Any]]:
    if transport == "stdio":
        yield await over_stdio(era)
    else:
        async with Client(gateway.url, mode=era) as client:
            yield client


@pytest.fixture
async def client(ledger_gateway: RunningGateway, ledger: TestDatabase) -> AsyncIterator[Client[Any]]:
    async with Client(ledger_gateway.url) as client:
        yield client


@pytest.fixture
async def observer(ledger: TestDatabase) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(ledger.superuser_dsn)
    yield connection
    await connection.close()


class Agent:
    """An MCP client that works in one transaction at a time."""

    def __init__(self, client: Client[Any]) -> None:
        self.client = client
        self.session_id = ""

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self.client.call_tool(tool, arguments, raise_on_error=False)
        answer = body(result)
        assert result.is_error is ("error" in answer)
        if result.structured_content is not None:
            assert result.structured_content == answer
        return answer

    async def begin(self, **options: Any) -> dict[str, Any]:
        answer = await self.call("pg_tx", action="begin", **options)
        self.session_id = answer["session_id"]
        return answer

    async def tx(self, action: str, **arguments: Any) -> dict[str, Any]:
        return await self.call("pg_tx", action=action, session_id=self.session_id, **arguments)

    async def query(self, action: str, sql: str, *params: Any, **arguments: Any) -> dict[str, Any]:
        return await self.call(
            "pg_query", action=action, sql=sql, params=list(params), session_id=self.session_id, **arguments
        )

    async def write(self, sql: str, *params: Any) -> dict[str, Any]:
        return await self.query("write", sql, *params)


OPEN_TRANSACTIONS = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND datname = $1"


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_agent_changes_its_mind_and_commits(
    transport: str, era: str, ledger_gateway: RunningGateway, ledger_over_stdio: StdioClients, observer: Any
) -> None:
    async with over(transport, era, ledger_gateway, ledger_over_stdio) as client:
        agent = Agent(client)
        began = await agent.begin(isolation_level="REPEATABLE READ", label="closing the month")
        assert began["session"]["state"] == "idle in transaction"
        assert began["session"]["id"] == began["session_id"]
        wrote = await agent.write("INSERT INTO entry VALUES ($1, $2) RETURNING id", 1, "12.50")
        assert (wrote["rows"], wrote["command"], wrote["row_count"]) == ([[1]], "INSERT", 1)
        assert (await agent.tx("savepoint", savepoint_name="before"))["session"]["savepoints"] == ["before"]
        failed = await agent.write("INSERT INTO entry VALUES (1, 0)")
        assert (failed["error"]["code"], failed["error"]["sqlstate"]) == ("sql_error", "23505")
        assert failed["session"]["state"] == "idle in transaction (aborted)"
        assert "before" in failed["error"]["next"]
        assert (await agent.query("read", "SELECT 1"))["error"]["code"] == "transaction_aborted"
        await agent.tx("rollback", savepoint_name="before")
        status = await agent.tx("status")
        # PostgreSQL counts the row of the failed INSERT too, though it was undone.
        assert status["changes"] == [{"table": "public.entry", "inserted": 2, "updated": 0, "deleted": 0}]
        assert status["label"] == "closing the month"
        assert (await agent.query("read", "SELECT sum(amount) FROM entry"))["rows"] == [["12.50"]]
        assert await observer.fetchval("SELECT count(*) FROM entry") == 0
        listed = await agent.call("pg_tx", action="list")
        assert [each["label"] for each in listed["sessions"]] == ["closing the month"]
        committed = await agent.tx("commit")
        assert (committed["outcome"], committed["session"]["state"]) == ("committed", "committed")
        assert await observer.fetchval("SELECT count(*) FROM entry") == 1
        late = await agent.write("INSERT INTO entry VALUES (2, 0)")
        assert late["error"]["code"] == "session_ended"
        assert await observer.fetchval("SELECT count(*) FROM entry") == 1


async def test_a_handle_is_all_that_another_client_of_the_2026_revision_needs(
    ledger_gateway: RunningGateway, ledger: TestDatabase, observer: Any
) -> None:
    async with Client(ledger_gateway.url) as one:
        agent = Agent(one)
        await agent.begin()
        await agent.write("INSERT INTO entry VALUES (1, 1)")
    async with httpx2.AsyncClient() as http:
        arguments = {"action": "commit", "session_id": agent.session_id}
        call = modern("tools/call", {"name": "pg_tx", "arguments": arguments}, "pg_tx")
        result = (await http.post(ledger_gateway.url, **call)).json()["result"]
    assert result["structuredContent"]["outcome"] == "committed"
    assert await observer.fetchval("SELECT count(*) FROM entry") == 1


async def test_every_bad_call_is_told_and_writes_nothing(client: Client[Any], observer: Any) -> None:
    agent = Agent(client)
    await agent.begin()
    mine = agent.session_id
    insert = "INSERT INTO entry VALUES (1, 1)"
    bad: list[tuple[str, dict[str, Any], str, str]] = [
        ("pg_query", {"action": "write", "sql": insert}, "write_denied", "autocommit"),
        ("pg_query", {"action": "write", "sql": insert, "autocommit": False}, "write_denied", "autocommit"),
        ("pg_query", {"action": "write", "sql": insert, "session_id": ""}, "invalid_argument", "`session_id`"),
        ("pg_query", {"action": "write", "sql": insert, "session_id": mine[:8]}, "session_not_found", "short id"),
        ("pg_query", {"action": "write", "sql": "VACUUM", "session_id": mine}, "statement_not_allowed", "VACUUM"),
        ("pg_tx", {"action": "begin", "deferrable": True}, "invalid_argument", "`deferrable`"),
        ("pg_query", {"action": "write", "sql": insert, "session_id": "x" * 32}, "session_not_found", "no session"),
        (
            "pg_query",
            {"action": "write", "sql": insert, "session_id": mine, "autocommit": True},
            "invalid_argument",
            "contradict",
        ),
        ("pg_query", {"action": "read", "sql": insert}, "read_only", "read-only"),
        ("pg_query", {"action": "read", "sql": insert, "session_id": mine}, "read_only", "read-only"),
        ("pg_query", {"action": "write", "sql": "COMMIT", "session_id": mine}, "statement_not_allowed", "pg_tx"),
        ("pg_query", {"action": "write", "sql": "COMMIT", "autocommit": True}, "statement_not_allowed", "pg_tx"),
        ("pg_query", {"action": "write", "sql": " ", "session_id": mine}, "statement_not_allowed", "no statement"),
        ("pg_query", {"action": "write", "sql": "\0", "session_id": mine}, "invalid_argument", "NUL"),
        (
            "pg_query",
            {"action": "transaction", "operations": [{"sql": insert}], "autocommit": False},
            "write_denied",
            "commits",
        ),
        (
            "pg_query",
            {
                "action": "transaction",
                "operations": [{"sql": insert}],
                "session_id": mine,
                "isolation_level": "serializable",
            },
            "invalid_argument",
            "isolation_level",
        ),
        ("pg_query", {"action": "transaction"}, "invalid_argument", "`operations` is missing"),
        ("pg_tx", {"action": "commit"}, "invalid_argument", "`session_id` is missing"),
        ("pg_tx", {"action": "savepoint", "session_id": mine}, "invalid_argument", "`savepoint_name` is missing"),
        (
            "pg_tx",
            {"action": "savepoint", "session_id": mine, "savepoint_name": ""},
            "invalid_argument",
            "savepoint's name",
        ),
        (
            "pg_tx",
            {"action": "rollback", "session_id": mine, "savepoint_name": "no"},
            "invalid_argument",
            "no savepoint",
        ),
        ("pg_tx", {"action": "begin", "session_id": mine}, "invalid_argument", "no place"),
        ("pg_tx", {"action": "begin", "isolation_level": "chaos"}, "invalid_argument", "`isolation_level`"),
        ("pg_tx", {"action": "begin", "idle_timeout_s": 1e9}, "invalid_argument", "`idle_timeout_s`"),
        ("pg_tx", {"action": "begin", "idle_timeout_s": 0}, "invalid_argument", "`idle_timeout_s`"),
    ]
    for tool, arguments, code, words in bad:
        told = (await agent.call(tool, **arguments))["error"]
        assert told["code"] == code, (arguments, told)
        assert words in told["message"], (arguments, told)
        assert told["next"], arguments
    assert (await agent.tx("commit"))["outcome"] == "committed"
    assert await observer.fetchval("SELECT count(*) FROM entry") == 0


async def test_a_commit_of_a_failed_transaction_is_told_as_rolled_back(client: Client[Any], observer: Any) -> None:
    agent = Agent(client)
    await agent.begin()
    await agent.write("INSERT INTO entry VALUES (1, 1)")
    await agent.write("SELECT 1/0")
    ended = await agent.tx("commit")
    assert (ended["outcome"], ended["session"]["state"]) == ("rolled_back", "rolled_back")
    assert "Nothing was kept" in ended["note"]
    assert await observer.fetchval("SELECT count(*) FROM entry") == 0


async def test_a_write_and_a_batch_without_a_session_are_committed_at_once(client: Client[Any], observer: Any) -> None:
    agent = Agent(client)
    wrote = await agent.call(
        "pg_query", action="write", sql="INSERT INTO entry VALUES (1, 1) RETURNING id", autocommit=True
    )
    assert (wrote["rows"], wrote["outcome"]) == ([[1]], "committed")
    operations = [{"sql": "INSERT INTO entry VALUES ($1, 2)", "params": [n]} for n in (2, 3)]
    batch = await agent.call("pg_query", action="transaction", operations=operations, isolation_level="serializable")
    assert [each["row_count"] for each in batch["results"]] == [1, 1]
    assert (batch["outcome"], batch["xid"]) == (
        "committed",
        await observer.fetchval("SELECT xmin::text FROM entry WHERE id = 3"),
    )
    failed = await agent.call("pg_query", action="transaction", operations=[*operations, {"sql": "SELECT 1/0"}])
    assert failed["error"]["message"].startswith("Operation 1 of 3 failed, and nothing of them was kept")
    assert await observer.fetchval("SELECT count(*) FROM entry") == 3


async def test_a_plan_in_a_session_sees_and_undoes(client: Client[Any]) -> None:
    agent = Agent(client)
    alone = await agent.call("pg_query", action="explain", sql="DELETE FROM entry")
    assert alone["plan"].startswith("Delete on public.entry")
    await agent.begin()
    await agent.write("CREATE TABLE fresh AS SELECT generate_series(1, 10) AS i")
    plan = await agent.query("explain", "DELETE FROM fresh", analyze=True)
    assert "rows=10" in plan["plan"]
    assert (await agent.query("read", "SELECT count(*) FROM fresh"))["rows"] == [[10]]
    batch = await agent.call(
        "pg_query",
        action="transaction",
        operations=[{"sql": "DELETE FROM fresh"}, {"sql": "SELECT 1/0"}],
        session_id=agent.session_id,
    )
    assert batch["session"]["state"] == "idle in transaction"
    assert (await agent.query("read", "SELECT count(*) FROM fresh"))["rows"] == [[10]]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_cancelled_call_stops_its_statement_and_the_session_goes_on(
    transport: str, era: str, ledger_gateway: RunningGateway, ledger_over_stdio: StdioClients, observer: Any
) -> None:
    async with over(transport, era, ledger_gateway, ledger_over_stdio) as client:
        agent = Agent(client)
        await agent.begin(auto_savepoint=True)
        await agent.write("INSERT INTO entry VALUES (1, 1)")
        sleeping = asyncio.create_task(agent.write("SELECT pg_sleep(60)"))
        await until(observer, SLEEPING, wanted=1)
        sleeping.cancel()
        await asyncio.wait([sleeping])
        await until(observer, SLEEPING, wanted=0, within_s=1)
        told = await agent.query("read", "SELECT count(*) FROM entry")
        assert told["rows"] == [[1]]
        assert "canceling statement" in told["session"]["abandoned"]
        await agent.tx("rollback")


async def test_two_calls_at_once_on_one_session_are_both_answered(client: Client[Any]) -> None:
    agent = Agent(client)
    await agent.begin()
    answers = await asyncio.gather(*(agent.write("INSERT INTO entry VALUES ($1, 0)", n) for n in range(10)))
    assert [answer["row_count"] for answer in answers] == [1] * 10


@pytest.mark.parametrize("keep", [False, True])
async def test_the_end_of_a_handshake_era_client_ends_its_sessions_unless_kept(
    ledger_gateway: RunningGateway, ledger: TestDatabase, observer: Any, keep: bool
) -> None:
    async with Client(ledger_gateway.url, mode="legacy") as client:
        agent, other = Agent(client), Agent(client)
        await agent.begin(keep=keep)
        await other.begin(keep=True)
        await until(observer, OPEN_TRANSACTIONS, ledger.name, wanted=2)
    await until(observer, OPEN_TRANSACTIONS, ledger.name, wanted=1 + keep)
    if not keep:
        async with Client(ledger_gateway.url) as client:
            late = Agent(client)
            late.session_id = agent.session_id
            assert "(client_gone)" in (await late.tx("status"))["error"]["message"]


async def test_the_end_of_a_2026_client_over_http_ends_nothing(
    ledger_gateway: RunningGateway, ledger: TestDatabase
) -> None:
    for _ in range(2):
        async with Client(ledger_gateway.url) as client:
            await Agent(client).begin()
    async with Client(ledger_gateway.url) as client:
        assert len((await Agent(client).call("pg_tx", action="list"))["sessions"]) == 2


@pytest.mark.parametrize("era", ERAS)
async def test_the_end_of_standard_input_ends_the_sessions(era: str, ledger: TestDatabase, observer: Any) -> None:
    environment = clean_environment(reader_and_writer(ledger))
    stdio = StdioTransport(COLDQUERY, ["serve", "--transport", "stdio"], env=environment, keep_alive=False)
    async with Client(stdio, mode=era) as client:
        agent = Agent(client)
        assert "no effect" in (await agent.call("pg_tx", action="begin", keep=True))["error"]["message"]
        await agent.begin()
        await until(observer, OPEN_TRANSACTIONS, ledger.name, wanted=1)
    await until(observer, OPEN_TRANSACTIONS, ledger.name, wanted=0)


async def test_a_handshake_era_connection_that_merely_drops_ends_its_statement_by_the_deadline(
    ledger_gateway: RunningGateway, ledger: TestDatabase, observer: Any
) -> None:
    async with Client(ledger_gateway.url) as client:
        agent = Agent(client)
        await agent.begin()
        headers = {"Accept": "application/json, text/event-stream"}
        async with httpx2.AsyncClient(headers=headers) as http:

            async def send(method: str, params: dict[str, Any], **more: Any) -> httpx2.Response:
                message = {"jsonrpc": "2.0", "method": method, "params": params, **more}
                return await http.post(ledger_gateway.url, json=message)

            hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "0"}}
            began = await send("initialize", hello, id=1)
            http.headers["Mcp-Session-Id"] = began.headers["mcp-session-id"]
            await send("notifications/initialized", {})
            arguments = {
                "action": "write",
                "sql": "SELECT pg_sleep(60)",
                "session_id": agent.session_id,
                "timeout_ms": 700,
            }
            call = asyncio.create_task(send("tools/call", {"name": "pg_query", "arguments": arguments}, id=2))
            await until(observer, SLEEPING, wanted=1)
            call.cancel()
            await asyncio.wait([call])
        await until(observer, SLEEPING, wanted=0, within_s=2)
        assert (await agent.tx("status"))["session"]["state"] == "idle in transaction (aborted)"


@asynccontextmanager
async def mid_transaction(ledger: TestDatabase, **more: str) -> AsyncIterator[tuple[RunningGateway, Agent]]:
    """A gateway with one session that has written, and one that has a statement running."""
    async with run_gateway(env=reader_and_writer(ledger, **more)) as gateway, Client(gateway.url) as client:
        agent = Agent(client)
        await agent.begin()
        await agent.write("INSERT INTO entry VALUES (1, 1)")
        yield gateway, agent


async def test_a_gateway_that_is_killed_leaves_nothing_in_postgresql(ledger: TestDatabase, observer: Any) -> None:
    # The client's own end is an error, since the gateway it talks to is gone.
    with contextlib.suppress(httpx2.HTTPError):
        async with mid_transaction(ledger) as (gateway, agent):
            running = asyncio.create_task(agent.write("SELECT pg_sleep(60)"))
            await until(observer, SLEEPING, wanted=1)
            await gateway.stop(signal.SIGKILL)
            # PostgreSQL looks every 2 s whether its client is still there (client_connection_check_interval).
            ours = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND usename <> 'postgres'"
            await until(observer, ours, ledger.name, wanted=0, within_s=5)
            await asyncio.wait([running], timeout=5)
    assert await observer.fetchval("SELECT count(*) FROM entry") == 0


async def test_a_gateway_that_is_told_to_stop_rolls_back_and_exits_with_0(ledger: TestDatabase, observer: Any) -> None:
    async with mid_transaction(ledger, COLDQUERY_DRAIN_TIMEOUT_S="1") as (gateway, agent):
        running = asyncio.create_task(agent.write("SELECT pg_sleep(60)"))
        await until(observer, SLEEPING, wanted=1)
        async with asyncio.timeout(20):
            assert await gateway.stop() == 0
        await asyncio.wait([running], timeout=5)
        ended = await gateway.event("session_ended")
        assert (ended["reason"], ended["outcome"]) == ("drained", "rolled_back")
        await until(observer, OPEN_TRANSACTIONS, ledger.name, wanted=0)
    assert await observer.fetchval("SELECT count(*) FROM entry") == 0


async def test_no_secret_and_no_whole_session_id_is_logged(ledger: TestDatabase) -> None:
    async with run_gateway("--log-level", "debug", env=reader_and_writer(ledger)) as gateway:
        async with Client(gateway.url) as client:
            agent = Agent(client)
            await agent.begin()
            await agent.write("SELECT $1::text, 's3cret-literal'", "s3cret-value")
            await agent.write("SELECT $1::text::int, 's3cret-literal'::int", "s3cret-value")
            await agent.tx("commit")
            await gateway.event("session_ended")
        log = json.dumps(gateway.log)
        assert agent.session_id[:8] in log
        for secret in (agent.session_id, "s3cret-value", "s3cret-literal"):
            assert secret not in log
