"""What an operator sees of a gateway that runs as a user starts it: metrics, logs, audit."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
from fastmcp import Client
from fastmcp.client.transports import StdioTransport
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.conftest import TestDatabase
from tests.e2e.conftest import COLDQUERY, RunningGateway, clean_environment, run_gateway
from tests.e2e.modern import ask, http_client

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture
async def ledger(database: TestDatabase) -> TestDatabase:
    connection = await asyncpg.connect(database.superuser_dsn)
    await connection.execute("CREATE TABLE ledger (entry text)")
    await connection.execute("ALTER TABLE ledger OWNER TO coldquery_owner; GRANT SELECT ON ledger TO coldquery_reader")
    await connection.close()
    return database


def environment(database: TestDatabase, **more: str) -> dict[str, str]:
    return {"COLDQUERY_DSN": database.owner_dsn, "COLDQUERY_READER_DSN": database.reader_dsn, **more}


async def get(url: str, **headers: str) -> httpx2.Response:
    async with http_client() as http:
        return await http.get(url, headers=headers)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def ended(*flags: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """A `coldquery serve` that is expected to end by itself: its exit code, and what it said."""
    process = await asyncio.create_subprocess_exec(
        COLDQUERY,
        "serve",
        *("--port", "0", *flags),
        env=clean_environment(env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        _, said = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


@pytest.mark.parametrize("where", ["header", "meta"])
@pytest.mark.parametrize(("flag", "door"), [("--express", "express"), ("--no-express", "fastmcp")])
async def test_a_clients_trace_joins_all_that_is_told_of_its_call(
    ledger: TestDatabase, tmp_path: Path, flag: str, door: str, where: str
) -> None:
    audit, told = tmp_path / "audit.jsonl", {"traceparent": TRACEPARENT}
    env = environment(ledger, COLDQUERY_SLOW_STATEMENT_MS="1")
    sql = "INSERT INTO ledger SELECT 1 FROM pg_sleep(0.01)"
    async with run_gateway(flag, "--audit", str(audit), env=env) as gateway:
        arguments = {"action": "write", "sql": sql, "autocommit": True}
        await ask(gateway, "pg_query", arguments, **{"headers" if where == "header" else "meta": told})
        call, slow = await gateway.event("call"), await gateway.event("slow_statement")
        await gateway.stop()
    assert (call["request"], call["door"], slow["request"]) == (TRACE, door, TRACE)
    assert {line["request"] for line in lines(audit)} == {TRACE}


@pytest.mark.parametrize(("flag", "door"), [("--express", "express"), ("--no-express", "fastmcp")])
async def test_a_session_can_be_followed_from_its_begin_to_its_end(
    ledger: TestDatabase, tmp_path: Path, flag: str, door: str
) -> None:
    """One event for each call, each with what joins it to the session's own events, to the audit and to PostgreSQL."""
    audit = tmp_path / "audit.jsonl"
    env = environment(ledger, COLDQUERY_SLOW_STATEMENT_MS="1", COLDQUERY_LOG_STATEMENTS="true")
    async with run_gateway(flag, "--audit", str(audit), env=env) as gateway:
        began = await ask(gateway, "pg_tx", {"action": "begin", "label": "import"})
        session_id = began["session_id"]
        sql = "INSERT INTO ledger SELECT 'x' FROM pg_sleep(0.01)"
        await ask(gateway, "pg_query", {"action": "write", "sql": sql, "session_id": session_id})
        await ask(gateway, "pg_tx", {"action": "commit", "session_id": session_id})
        await gateway.event("session_ended")
        await gateway.stop()
    calls = [each for each in gateway.log if each["event"] == "call"]
    short = session_id[:8]
    assert [(each["tool"], each["action"], each["outcome"], each["door"], each["session"]) for each in calls] == [
        ("pg_tx", "begin", "ok", door, None),
        ("pg_query", "write", "ok", door, short),
        ("pg_tx", "commit", "ok", door, short),
    ]
    assert len({each["request"] for each in calls}) == len(calls)
    (start,), (end,) = (
        [each for each in gateway.log if each["event"] == name] for name in ("session_began", "session_ended")
    )
    (slow,) = [each for each in gateway.log if each["event"] == "slow_statement" and each.get("kind") == "write"]
    assert (start["session"], start["label"], start["request"]) == (short, "import", calls[0]["request"])
    assert (end["session"], end["reason"], end["outcome"]) == (short, "committed", "committed")
    assert (slow["session"], slow["request"]) == (short, calls[1]["request"])
    assert (slow["statement"], slow["tables"]) == ("INSERT INTO ledger SELECT ? FROM pg_sleep(?)", ["ledger"])
    statement, commit = (next(one for one in lines(audit) if one["event"] == name) for name in ("statement", "commit"))
    assert (statement["request"], commit["request"]) == (calls[1]["request"], calls[2]["request"])
    assert statement["fingerprint"] == slow["fingerprint"]


async def test_metrics_are_on_the_mcp_port_unless_they_have_their_own(ledger: TestDatabase) -> None:
    async with run_gateway("--metrics-address", "127.0.0.1:0", env=environment(ledger)) as gateway:
        assert (await get(gateway.base + "/metrics")).status_code == 404
        address = (await gateway.event("serving"))["metrics"]
        page = await get(address)
        assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert "coldquery_sessions_limit 10.0" in page.text
        # Whoever scrapes may call the gateway by any name.
        assert (await get(address, host="coldquery.example:9")).status_code == 200
        assert (await get(address.replace("/metrics", "/readyz"))).json() == {"status": "ok"}
        check = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "coldquery.healthcheck", address.removeprefix("http://").removesuffix("/metrics")),
        )
        assert await check.wait() == 0


async def test_a_gateway_on_standard_input_has_metrics_too(ledger: TestDatabase, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    audit = tmp_path / "audit.jsonl"
    flags = ["--transport", "stdio", "--metrics-address", f"127.0.0.1:{port}", "--audit", str(audit)]
    over = StdioTransport(COLDQUERY, ["serve", *flags], env=clean_environment(environment(ledger)), keep_alive=False)
    arguments = {"action": "write", "sql": "DELETE FROM ledger", "autocommit": True}
    async with Client(over, mode="legacy") as client:
        for _ in range(2):
            await client.call_tool("pg_query", arguments, meta={"traceparent": TRACEPARENT})
        page = (await get(f"http://127.0.0.1:{port}/metrics")).text
    assert 'coldquery_calls_total{action="write",outcome="ok",tool="pg_query"} 2.0' in page
    # The first call of a connection goes by FastMCP.
    for door in ("fastmcp", "express"):
        assert f'coldquery_calls_by_door_total{{door="{door}"}} 1.0' in page
    assert [(line["event"], line["request"]) for line in lines(audit)] == [("statement", TRACE), ("commit", TRACE)] * 2


@pytest.fixture
async def watched(ledger: TestDatabase) -> AsyncIterator[RunningGateway]:
    async with run_gateway(env=environment(ledger)) as gateway:
        yield gateway


async def test_names_from_outside_make_no_series(watched: RunningGateway) -> None:
    before = (await get(watched.base + "/metrics")).text.count("\n")
    async with Client(watched.url) as client:
        for number in range(20):
            await client.call_tool("pg_query", {"action": f"nonsense_{number}"}, raise_on_error=False)
            await client.call_tool(f"no_tool_{number}", {}, raise_on_error=False)
            sql = f"DO $$ BEGIN RAISE SQLSTATE 'X{number:04}'; END $$"
            arguments = {"action": "write", "sql": sql, "autocommit": True}
            await client.call_tool("pg_query", arguments, raise_on_error=False)
    page = (await get(watched.base + "/metrics")).text
    assert page.count("\n") == before
    assert 'coldquery_db_errors_total{sqlstate_class="other"} 20.0' in page
    assert 'coldquery_calls_total{action="other",outcome="error",tool="pg_query"} 20.0' in page
    assert len(page) < 100_000


async def test_a_request_that_is_refused_is_counted(watched: RunningGateway) -> None:
    assert (await get(watched.url, host="evil.example")).status_code == 421
    assert (await get(watched.url, origin="https://evil.example")).status_code == 403
    page = (await get(watched.base + "/metrics")).text
    for status in ("403", "421"):
        assert f'coldquery_auth_failures_total{{reason="{status}"}} 1.0' in page


@pytest.mark.parametrize(
    ("flags", "variables", "words"),
    [
        (
            ["--audit", "/no/such/directory/audit.jsonl"],
            {},
            "The audit can't be written to /no/such/directory/audit.jsonl",
        ),
        (["--audit", "/"], {}, "The audit can't be written to /: Is a directory"),
        (["--audit", "stdout", "--transport", "stdio"], {}, "standard output belongs to MCP"),
        ([], {"COLDQUERY_LOG_LEVEL": "loud"}, "must be one of debug, info, warning, error"),
        (["--metrics-address", "9464"], {}, "must be an address and a port, such as 127.0.0.1:19003"),
        # Nobody's: it is for documentation.
        (["--metrics-address", "192.0.2.1:9464"], {}, "Can't listen on 192.0.2.1 port 9464"),
        (["--slow-statement-ms", "0"], {}, "must be a whole number from 1"),
        ([], {"COLDQUERY_AUDIT_FAILURE": "ignore"}, "must be one of refuse, warn"),
    ],
)
async def test_what_cant_be_used_ends_the_start_with_the_reason(
    flags: list[str], variables: dict[str, str], words: str
) -> None:
    code, said = await ended(*flags, env=variables)
    assert (code, "Traceback" in said) == (1, False)
    assert words in said


async def test_a_metrics_port_in_use_ends_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = await ended("--metrics-address", f"127.0.0.1:{port}")
    assert code == 1
    assert f"Can't listen on 127.0.0.1 port {port}" in said
    assert "--metrics-address" in said


async def test_the_audit_goes_to_standard_output_for_who_collects_it(ledger: TestDatabase) -> None:
    process = await asyncio.create_subprocess_exec(
        *(COLDQUERY, "serve", "--port", "0", "--audit", "stdout"),
        env=clean_environment(environment(ledger)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    async with asyncio.timeout(30):
        async for line in process.stderr:
            if (told := json.loads(line))["event"] == "serving":
                break
        async with Client(told["url"]) as client:
            await client.call_tool("pg_query", {"action": "write", "sql": "DELETE FROM ledger", "autocommit": True})
        process.terminate()
        out, _ = await process.communicate()
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["statement", "commit"]


async def test_spans_are_exported_and_continue_the_clients_trace(ledger: TestDatabase) -> None:
    spans: list[Any] = []

    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        (length,) = (int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length"))
        body = await reader.readexactly(length)
        body = gzip.decompress(body) if "content-encoding: gzip" in head else body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            spans.extend(span for scope in resource.scope_spans for span in scope.spans)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    collector = await asyncio.start_server(collect, "127.0.0.1", 0)
    port = collector.sockets[0].getsockname()[1]
    env = environment(
        ledger,
        COLDQUERY_LOG_STATEMENTS="true",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
        OTEL_BSP_SCHEDULE_DELAY="100",
    )
    async with collector, run_gateway("--tracing", env=env) as gateway, Client(gateway.url) as client:
        arguments = {"action": "read", "sql": "SELECT 'canary-literal'"}
        await client.call_tool("pg_query", arguments, meta={"traceparent": TRACEPARENT})
        await gateway.stop()
    ours = {span.name: span for span in spans if span.trace_id.hex() == TRACE}
    assert {"tools/call pg_query", "pg_query read", "wait for connection", "read"} <= set(ours)
    call, statement = ours["pg_query read"], ours["read"]
    assert call.parent_span_id == ours["tools/call pg_query"].span_id
    assert statement.parent_span_id == call.span_id
    assert call.start_time_unix_nano <= statement.start_time_unix_nano <= statement.end_time_unix_nano
    text = next(each.value.string_value for each in statement.attributes if each.key == "db.query.text")
    assert text == "SELECT ?"
    assert (await gateway.event("call"))["request"] == TRACE


async def test_logs_that_nobody_takes_fail_no_call(ledger: TestDatabase) -> None:
    async with run_gateway(env=environment(ledger)) as gateway:
        gateway.process._transport.get_pipe_transport(2).close()  # type: ignore[attr-defined]
        async with Client(gateway.url) as client:
            told = await client.call_tool(
                "pg_query", {"action": "write", "sql": "DELETE FROM ledger", "autocommit": True}
            )
            assert json.loads(told.content[0].text)["outcome"] == "committed"
            assert (await client.call_tool("pg_tx", {"action": "begin"})).data is not None
        assert await gateway.stop() == 0


async def test_who_asks_for_metrics_and_does_not_read_them_holds_up_no_exit(ledger: TestDatabase) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host, port = free.getsockname()
    async with run_gateway("--metrics-address", f"{host}:{port}", env=environment(ledger)) as gateway:
        with socket.socket() as idler:
            idler.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            idler.connect((host, port))
            idler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                for _ in range(3_000):
                    idler.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.sleep(0.2)
            async with asyncio.timeout(10):
                assert await gateway.stop() == 0


async def test_an_audit_that_nobody_reads_holds_up_no_exit(ledger: TestDatabase) -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write, b"x" * 4096)
    os.set_blocking(write, True)
    process = await asyncio.create_subprocess_exec(
        *(COLDQUERY, "serve", "--port", "0", "--audit", "stdout"),
        env=clean_environment(environment(ledger)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=write,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(write)
    assert process.stderr is not None
    async with asyncio.timeout(30):
        async for line in process.stderr:
            if (told := json.loads(line))["event"] == "serving":
                break
        async with Client(told["url"]) as client:
            await client.call_tool("pg_tx", {"action": "begin"})
        process.terminate()
        said = await process.stderr.read()
        assert await process.wait() == 0
    assert b"audit_lines_lost" in said
    os.close(read)
