"""The console command as people type it: good and bad starts, signals, exit codes, and no traceback ever."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
from fastmcp import Client

from tests.conftest import TestDatabase
from tests.e2e.conftest import COLDQUERY, MEASURED, MEASURED_GATEWAY, clean_environment, run_gateway
from tests.e2e.test_clients import body, call
from tests.faults.proxy import Proxy, through

SECRET = "s3cr3t"


async def run(*arguments: str, env: Mapping[str, str] | None = None, measured: bool = False) -> tuple[int, str, str]:
    """Run a command that ends by itself: its exit code, output and error output.

    Measure one that gets to lines which no other test reaches: it takes twice as long.
    """
    process = await asyncio.create_subprocess_exec(
        COLDQUERY,
        *arguments,
        env=clean_environment({**(MEASURED if measured else {}), **(env or {})}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode is not None
    assert "Traceback" not in out.decode() + err.decode()
    assert SECRET not in out.decode() + err.decode()
    return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def server_that_refuses(sqlstate: str, message: str) -> AsyncIterator[int]:
    """A server that answers each connection with an error, as PostgreSQL does before it is satisfied who asks."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int.from_bytes(await reader.readexactly(4))
        await reader.readexactly(length - 4)
        fields = b"".join(
            kind + text.encode() + b"\0"
            for kind, text in ((b"S", "FATAL"), (b"V", "FATAL"), (b"C", sqlstate), (b"M", message))
        )
        writer.write(b"E" + (len(fields) + 5).to_bytes(4) + fields + b"\0")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.mark.parametrize(
    ("sqlstate", "message", "step"),
    [
        ("28P01", 'password authentication failed for user "agent"', "password"),
        ("3D000", 'database "shop" does not exist', "Create the database"),
        ("28000", 'no pg_hba.conf entry for host "x"', "pg_hba.conf"),
    ],
)
async def test_settings_that_the_server_refuses_end_the_start_with_the_reason(
    sqlstate: str, message: str, step: str
) -> None:
    async with server_that_refuses(sqlstate, message) as port:
        dsn = f"postgresql://agent:{SECRET}@127.0.0.1:{port}/shop?sslmode=disable"
        code, _, err = await run("serve", "--port", "0", env={"COLDQUERY_DSN": dsn}, measured=sqlstate == "28P01")
    assert code == 1
    assert message in err
    assert step in err


@pytest.mark.parametrize(
    ("arguments", "env", "words"),
    [
        (["--port", "70000"], {}, "port (from --port)"),
        ([], {"COLDQUERY_PROT": "1"}, "did you mean COLDQUERY_PORT?"),
        ([], {"COLDQUERY_DSN": f"http://u:{SECRET}@h/d"}, "must begin with postgresql://"),
        ([], {"COLDQUERY_DSN": f"postgresql://u:{SECRET}@h:x/d"}, "DSN"),
        (["--host", "0.0.0.0"], {}, "no authentication yet"),
        (["--config", "/no/such/file"], {}, "/no/such/file"),
        (["--pg-bin", "/no/such/bin"], {}, "/no/such/bin"),
        (["--data-dir", "/proc/nowhere"], {}, "/proc/nowhere"),
    ],
)
async def test_a_bad_setting_ends_the_start_with_the_next_step(
    arguments: list[str], env: dict[str, str], words: str
) -> None:
    code, _, err = await run("serve", "--port", "0", *arguments, env=env)
    assert code == 1
    assert words in err
    assert "Next: " in err


@pytest.mark.parametrize("arguments", [["serv"], ["serve", "--prot", "1"], ["serve", "--transport", "tcp"], []])
async def test_a_command_line_that_is_wrong_ends_with_code_2(arguments: list[str]) -> None:
    code, _, err = await run(*arguments)
    assert code == 2
    assert "usage: coldquery" in err


async def test_an_unknown_flag_is_named_without_its_value() -> None:
    for given in (["--password", SECRET], [f"--pasword={SECRET}"]):
        code, _, err = await run("serve", *given, measured=True)
        assert code == 2
        assert given[0].partition("=")[0] in err


async def test_without_its_database_it_serves_says_so_and_recovers(database: TestDatabase) -> None:
    upstream = database.endpoint.socket_dir / f".s.PGSQL.{database.endpoint.port}"
    async with Proxy(upstream) as proxy:
        await proxy.refuse()
        env = {"COLDQUERY_DSN": through(proxy, database), **MEASURED_GATEWAY}
        async with run_gateway(env=env) as gateway, httpx2.AsyncClient() as http, Client(gateway.url) as client:
            assert (await http.get(f"{gateway.base}/livez")).status_code == 200
            ready = await http.get(f"{gateway.base}/readyz")
            assert ready.status_code == 503
            assert "connection refused" in ready.json()["reason"]
            error, answer = await call(client, action="read", sql="SELECT 1")
            assert (error, answer["error"]["code"]) == (True, "database_unavailable")
            assert answer["error"]["retry_after_s"] > 0
            await proxy.listen()
            async with asyncio.timeout(20):
                while (await http.get(f"{gateway.base}/readyz")).status_code != 200:
                    await asyncio.sleep(0.05)
            assert (await call(client, action="read", sql="SELECT 1"))[1]["rows"] == [[1]]


async def test_a_port_in_use_is_told_before_anything_starts(scratch: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, _, err = await run("serve", "--port", port, "--data-dir", str(scratch / "data"), measured=True)
    assert code == 1
    assert f"port {port}" in err
    assert "--port" in err
    assert not (scratch / "data").exists()


async def test_a_data_directory_of_another_major_is_told_with_both(scratch: Path) -> None:
    data = scratch / "data"
    async with run_gateway("--data-dir", str(data)) as gateway:
        await gateway.stop()
    version = min(data.rglob("PG_VERSION"), key=lambda path: len(path.parts))
    version.write_text("12\n")
    code, _, err = await run("serve", "--port", "0", "--data-dir", str(data))
    assert code == 1
    assert "12" in err
    assert "18" in err


async def test_settings_are_printed_with_sources_and_without_secrets() -> None:
    env = {"COLDQUERY_DSN": f"postgresql://u:{SECRET}@h/d", "COLDQUERY_MAX_ROWS": "7"}
    code, out, _ = await run("settings", env=env, measured=True)
    assert code == 0
    assert ["max_rows", "7", "COLDQUERY_MAX_ROWS"] in [line.split() for line in out.splitlines()]
    code, out, _ = await run("settings", "--json", "--port", "1", env=env, measured=True)
    rows = {row["name"]: row for row in json.loads(out)}
    assert rows["dsn"]["value"] == "postgresql://u:***@h/d"
    assert rows["port"] == {"name": "port", "value": "1", "source": "--port"}


async def test_help_and_version_answer() -> None:
    code, out, _ = await run("--version")
    assert (code, out.strip()) == (0, "0.1.0")
    code, out, _ = await run("serve", "--help")
    assert code == 0
    assert "--demo" in out


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_the_gateway_in_order_with_exit_code_0(
    database: TestDatabase, how: signal.Signals
) -> None:
    measured = MEASURED_GATEWAY if how == signal.SIGTERM else {}
    async with run_gateway(env={"COLDQUERY_DSN": database.reader_dsn, **measured}) as gateway:
        async with Client(gateway.url) as client:
            await call(client, action="read", sql="SELECT 1")
        assert await gateway.stop(how) == 0
    assert gateway.log[-1]["event"] == "stopped"
    connection = await asyncpg.connect(database.superuser_dsn)
    left = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'coldquery/%/read' AND datname = $1"
    assert await connection.fetchval(left, database.name) == 0
    await connection.close()


async def test_a_running_read_may_end_while_the_gateway_stops(database: TestDatabase) -> None:
    async with run_gateway(env={"COLDQUERY_DSN": database.reader_dsn}) as gateway:
        observer = await asyncpg.connect(database.superuser_dsn)
        request = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {
                "name": "pg_query",
                "arguments": {"action": "read", "sql": "SELECT 7 FROM pg_sleep(0.5)"},
                "_meta": {
                    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                    "io.modelcontextprotocol/clientCapabilities": {},
                },
            },
        }
        headers = {
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2026-07-28",
            "Mcp-Method": "tools/call",
            "Mcp-Name": "pg_query",
        }
        async with httpx2.AsyncClient() as http:
            reading = asyncio.create_task(http.post(gateway.url, json=request, headers=headers))
            async with asyncio.timeout(10):
                sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
                while not await observer.fetchval(sql):
                    await asyncio.sleep(0.01)
            assert await gateway.stop() == 0
            response = await reading
        assert json.loads(response.json()["result"]["content"][0]["text"])["rows"] == [[7]]
        await observer.close()


async def test_the_end_of_standard_input_ends_a_stdio_gateway(database: TestDatabase) -> None:
    process = await asyncio.create_subprocess_exec(
        COLDQUERY,
        "serve",
        "--transport",
        "stdio",
        env=clean_environment({"COLDQUERY_DSN": database.reader_dsn, **MEASURED_GATEWAY}),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate(b"")
    assert process.returncode == 0
    assert out == b""
    assert json.loads(err.splitlines()[-1])["event"] == "stopped"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_a_stdio_gateway_too(database: TestDatabase, how: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        COLDQUERY,
        "serve",
        "--transport",
        "stdio",
        env=clean_environment({"COLDQUERY_DSN": database.reader_dsn}),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    async with asyncio.timeout(30):
        while b'"serving"' not in await process.stderr.readline():
            pass
        process.send_signal(how)
        assert await process.wait() == 0


async def test_sighup_reloads_the_settings_and_a_bad_file_changes_nothing(
    database: TestDatabase, scratch: Path
) -> None:
    file = scratch / "coldquery.toml"
    file.write_text("max_rows = 5\n")
    env = {"COLDQUERY_DSN": database.reader_dsn, **MEASURED_GATEWAY}
    async with run_gateway("--config", str(file), env=env) as gateway, Client(gateway.url) as client:

        async def rows() -> int:
            _, answer = await call(client, action="read", sql="SELECT generate_series(1, 100)")
            return len(answer["rows"])

        assert await rows() == 5
        file.write_text("max_rows = 9\n")
        gateway.process.send_signal(signal.SIGHUP)
        await gateway.event("reloaded")
        assert await rows() == 9
        file.write_text("max_rowz = 1\n")
        gateway.process.send_signal(signal.SIGHUP)
        refused = await gateway.event("reload_refused")
        assert "did you mean max_rows?" in refused["reason"]
        assert await rows() == 9


async def test_the_demo_shop_can_be_read_through_the_embedded_server(scratch: Path) -> None:
    flags = ("--demo", "--data-dir", str(scratch / "data"))
    async with run_gateway(*flags, env=MEASURED_GATEWAY) as gateway, Client(gateway.url) as client:
        result = await client.call_tool("pg_query", {"action": "read", "sql": "SELECT count(*) FROM shop.order_lines"})
        assert body(result)["rows"] == [[100_000]]
        error, answer = await call(client, action="read", sql="DELETE FROM shop.order_lines")
        assert error
        assert answer["error"]["code"] in {"read_only", "permission_denied"}
        assert await gateway.stop() == 0
    serving = next(each for each in gateway.log if each["event"] == "serving")
    assert str(scratch / "data") in serving["embedded"]


async def test_an_embedded_server_that_is_killed_comes_back_and_its_sessions_are_told_as_lost(scratch: Path) -> None:
    async with (
        run_gateway("--data-dir", str(scratch / "data"), env=MEASURED_GATEWAY) as gateway,
        Client(gateway.url) as client,
    ):

        async def ask(tool: str, **arguments: Any) -> dict[str, Any]:
            return body(await client.call_tool(tool, arguments, raise_on_error=False))

        await ask("pg_query", action="write", sql="CREATE TABLE t AS SELECT 1 AS i", autocommit=True)
        session_id = (await ask("pg_tx", action="begin"))["session_id"]
        await ask("pg_query", action="write", sql="INSERT INTO t VALUES (2)", session_id=session_id)
        (pid_file,) = (scratch / "data").rglob("postmaster.pid")
        os.kill(int(pid_file.read_text().splitlines()[0]), signal.SIGKILL)
        ended = await gateway.event("session_ended")
        assert (ended["reason"], ended["outcome"]) == ("connection_lost", "rolled_back")
        late = await ask("pg_query", action="write", sql="INSERT INTO t VALUES (3)", session_id=session_id)
        assert late["error"]["code"] == "session_ended"
        async with asyncio.timeout(30):
            while "error" in (answer := await ask("pg_query", action="read", sql="SELECT i FROM t")):
                await asyncio.sleep(0.05)
        assert answer["rows"] == [[1]]
        assert "session_id" in await ask("pg_tx", action="begin")


async def test_logs_are_json_lines_without_secrets_or_values(database: TestDatabase) -> None:
    dsn = database.reader_dsn.replace("coldquery_reader@", f"coldquery_reader:{SECRET}@")
    async with run_gateway(env={"COLDQUERY_DSN": dsn}) as gateway, Client(gateway.url) as client:
        for sql in (f"SELECT '{SECRET}'", f"SELECT '{SECRET}'::int", f"SELEC {SECRET}", "SELECT $1"):
            await call(client, action="read", sql=sql, params=[SECRET] if "$1" in sql else [])
        calls = [each for each in gateway.log if each["event"] == "call"]
        assert [each["outcome"] for each in calls] == ["ok", "sql_error", "sql_error", "ok"]
        assert SECRET not in json.dumps(gateway.log)
        assert not [each for each in gateway.log if each["event"] == "not json"]


@pytest.mark.parametrize("power", ["superuser", "member"])
async def test_a_role_that_reaches_beyond_the_database_is_warned_of_at_the_start(
    database: TestDatabase, power: str
) -> None:
    dsn, words = database.superuser_dsn, "postgres is a superuser: a read can reach the server's files."
    administrator = await asyncpg.connect(dsn)
    try:
        if power == "member":
            await administrator.execute(
                "CREATE ROLE files_reader LOGIN; GRANT pg_read_server_files TO files_reader;"
                f"GRANT CONNECT ON DATABASE {database.name} TO files_reader"
            )
            dsn = database.endpoint.dsn("files_reader", database.name)
            words = "files_reader is a member of pg_read_server_files: a read can reach the server's files."
        async with run_gateway(env={"COLDQUERY_DSN": dsn}) as gateway:
            async with asyncio.timeout(10):
                while not (told := [each["warning"] for each in gateway.log if each["event"] == "attention"]):
                    await asyncio.sleep(0.01)
        assert any(each.startswith(words) for each in told)
    finally:
        if power == "member":
            await administrator.execute("DROP OWNED BY files_reader; DROP ROLE files_reader")
        await administrator.close()


async def test_a_person_at_a_terminal_sees_one_friendly_screen(database: TestDatabase) -> None:
    ours, theirs = os.openpty()
    process = await asyncio.create_subprocess_exec(
        COLDQUERY,
        "serve",
        "--port",
        "0",
        env=clean_environment({"COLDQUERY_DSN": database.reader_dsn, "TERM": "dumb", **MEASURED_GATEWAY}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    async with asyncio.timeout(30):
        while b"Other clients" not in seen:
            seen += await asyncio.to_thread(os.read, ours, 4096)
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(30):
        assert await process.wait() == 0
    os.close(ours)
    screen = seen.decode()
    assert "ColdQuery is serving." in screen
    assert "claude mcp add --transport http coldquery http://127.0.0.1:" in screen
    assert f"{database.name} as coldquery_reader" in screen
