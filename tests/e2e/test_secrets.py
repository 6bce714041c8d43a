"""No secret is told anywhere: not in the log at its most talkative, nor in metrics, nor in the audit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from fastmcp import Client
from fastmcp.client.transports import StdioTransport

from tests.conftest import TestDatabase
from tests.e2e.conftest import COLDQUERY, RunningGateway, clean_environment, reader_and_writer, run_gateway
from tests.e2e.modern import ask, http_client

PASSWORD, TOKEN, PARAMETER, ROW, LITERAL = (f"canary-{each}" for each in ("pass", "token", "param", "row", "literal"))
BEARER = {"Authorization": f"Bearer {TOKEN}"}
TALKATIVE = {"COLDQUERY_LOG_LEVEL": "debug", "COLDQUERY_SLOW_STATEMENT_MS": "1", "COLDQUERY_LOG_STATEMENTS": "true"}


@pytest.fixture
async def vault(database: TestDatabase) -> TestDatabase:
    connection = await asyncpg.connect(database.superuser_dsn)
    await connection.execute("CREATE TABLE vault (entry text UNIQUE)")
    await connection.execute("ALTER TABLE vault OWNER TO coldquery_owner; GRANT SELECT ON vault TO coldquery_reader")
    await connection.execute(f"INSERT INTO vault VALUES ('{ROW}')")
    await connection.close()
    return database


def settings(database: TestDatabase) -> dict[str, str]:
    dsn = database.owner_dsn.replace("coldquery_owner@", f"coldquery_owner:{PASSWORD}@")
    return {**reader_and_writer(database), **TALKATIVE, "COLDQUERY_DSN": dsn}


def calls(session_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Calls that hold secrets, or bring them up, whether they go right or wrong."""
    for arguments in (
        {"action": "read", "sql": "SELECT *, pg_sleep(0.01) FROM vault"},
        {"action": "read", "sql": f"SELECT '{LITERAL}', $1::text", "params": [PARAMETER]},
        {"action": "read", "sql": f"SELECT '{LITERAL}'::int"},
        {"action": "read", "sql": "SELECT $1::int", "params": [PARAMETER]},
        {"action": "read", "sql": "SELECT $1::int", "params": [PARAMETER, PARAMETER]},
        {"action": "read", "sql": "SELECT $1::int", "params": {"x": PARAMETER}},
        {"action": "read", "sql": [PARAMETER]},
        {"action": "read", "sql": "SELECT 1", "nonsense": PARAMETER},
        {"action": "read", "sql": "SELECT 1", "session_id": PARAMETER},
        {"action": "read", "sql": f"INSERT INTO vault VALUES ('{LITERAL}')"},
        {"action": "explain", "sql": f"SELECT * FROM vault WHERE entry = '{LITERAL}'", "analyze": True},
        {"action": "write", "sql": f"SELEC '{LITERAL}"},
        {"action": "write", "sql": f"CREATE ROLE x PASSWORD '{LITERAL}'", "autocommit": True},
        {"action": "write", "sql": f"COMMENT ON TABLE vault IS '{LITERAL}'", "autocommit": True},
        # Their errors quote the row that is in the way, and what the code chose to say.
        {"action": "write", "sql": f"INSERT INTO vault VALUES ('{ROW}')", "autocommit": True},
        {"action": "write", "sql": f"DO $$ BEGIN RAISE WARNING '{LITERAL}'; END $$", "autocommit": True},
        {"action": "write", "sql": f"DO $$ BEGIN RAISE '{LITERAL}'; END $$", "session_id": session_id},
        {
            "action": "transaction",
            "operations": [
                {"sql": f"INSERT INTO vault VALUES ('{LITERAL}')"},
                {"sql": "INSERT INTO vault VALUES ($1), ($1)", "params": [PARAMETER]},
            ],
        },
        {
            "action": "write",
            "sql": f"INSERT INTO vault VALUES ('{LITERAL}'), ($1)",
            "params": [PARAMETER],
            "session_id": session_id,
        },
    ):
        yield "pg_query", arguments
    yield "pg_tx", {"action": LITERAL}
    yield "pg_tx", {"action": "rollback", "session_id": session_id}


def assert_not_told(told: dict[str, str], session_ids: list[str]) -> None:
    assert "slow_statement" in told["log"]
    assert "statement" in told["audit"]
    for where, text in told.items():
        for secret in (PASSWORD, TOKEN, PARAMETER, ROW, LITERAL, *session_ids):
            assert secret not in text, f"{secret} in the {where}"


def doors_of(log: list[dict[str, Any]]) -> set[str]:
    return {each["door"] for each in log if each["event"] == "call"}


async def call_by_fastmcp(client: Client[Any]) -> str:
    """Make the calls; the session's id is returned, which is a secret too."""
    began = await client.call_tool("pg_tx", {"action": "begin"})
    assert began.structured_content is not None
    session_id = str(began.structured_content["session_id"])
    for tool, arguments in calls(session_id):
        await client.call_tool(tool, arguments, raise_on_error=False)
    return session_id


async def send_nonsense(gateway: RunningGateway) -> None:
    """What is no call: of another host, and no JSON, or JSON of another kind, as far as a server reads it."""
    async with http_client() as http:
        http.headers.update(BEARER)
        assert (await http.get(gateway.url, headers={"host": "evil.example"})).status_code == 421
        for body in (f'{{"{PARAMETER}', f'"{PARAMETER}"', f'{{"jsonrpc":"2.0","id":1,"method":"{PARAMETER}"}}'):
            await http.post(gateway.url, content=body, headers={"content-type": "application/json"})


@pytest.mark.parametrize(("flag", "doors"), [("--express", {"express", "fastmcp"}), ("--no-express", {"fastmcp"})])
async def test_no_secret_is_told_over_http(vault: TestDatabase, tmp_path: Path, flag: str, doors: set[str]) -> None:
    audit = tmp_path / "audit.jsonl"
    async with run_gateway(flag, "--audit", str(audit), env=settings(vault)) as gateway:
        session_ids = [(await ask(gateway, "pg_tx", {"action": "begin"}, headers=BEARER))["session_id"]]
        for tool, arguments in calls(session_ids[0]):
            await ask(gateway, tool, arguments, headers=BEARER)
        # Answers of the handshake era come through other layers than those of today's.
        for era in ("auto", "legacy"):
            async with Client(gateway.url, auth=TOKEN, mode=era) as client:
                session_ids.append(await call_by_fastmcp(client))
        await send_nonsense(gateway)
        async with http_client() as http:
            metrics = (await http.get(gateway.base + "/metrics")).text
        await gateway.stop()
    assert doors_of(gateway.log) == doors
    assert not [each for each in gateway.log if each["event"] == "not json"]
    assert_not_told({"log": json.dumps(gateway.log), "metrics": metrics, "audit": audit.read_text()}, session_ids)


async def test_no_secret_is_told_over_standard_input(vault: TestDatabase, tmp_path: Path) -> None:
    audit, said = tmp_path / "audit.jsonl", tmp_path / "log"
    over = StdioTransport(
        COLDQUERY,
        ["serve", "--transport", "stdio", "--audit", str(audit)],
        env=clean_environment(settings(vault)),
        keep_alive=False,
        log_file=said,
    )
    async with Client(over, mode="legacy") as client:
        session_id = await call_by_fastmcp(client)
    log = [json.loads(line) for line in said.read_text().splitlines()]
    assert doors_of(log) == {"express", "fastmcp"}
    assert_not_told({"log": said.read_text(), "audit": audit.read_text()}, [session_id])
