"""`coldquery sessions` against gateways that really run: what an operator sees, and what an eviction does."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from fastmcp import Client
from fastmcp.client.transports import StdioTransport

from tests.conftest import TestDatabase
from tests.e2e.conftest import COLDQUERY, RunningGateway, clean_environment, run_gateway
from tests.e2e.test_cli import run
from tests.e2e.test_clients import body

SHORT_ID_LENGTH = 8


class House:
    """Gateways on one database, and the command as their user types it."""

    def __init__(self, database: TestDatabase, runtime: Path) -> None:
        self.env = {"COLDQUERY_DSN": database.owner_dsn, "XDG_RUNTIME_DIR": str(runtime)}
        self.control = runtime / "coldquery"
        self.measured = False

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[RunningGateway]:
        async with run_gateway(env=self.env) as running:
            yield running

    async def sessions(self, *arguments: str) -> tuple[int, str, str]:
        return await run("sessions", *arguments, env=self.env, measured=self.measured)

    async def listed(self, *arguments: str) -> list[dict[str, Any]]:
        code, out, _ = await self.sessions("--json", *arguments)
        assert code == 0
        rows: list[dict[str, Any]] = json.loads(out)
        return rows


@pytest.fixture
def house(database: TestDatabase, scratch: Path) -> House:
    return House(database, scratch)


async def begin(client: Client[Any], **arguments: Any) -> str:
    answer = body(await client.call_tool("pg_tx", {"action": "begin", **arguments}))
    session_id: str = answer["session_id"]
    return session_id


def short(session_id: str) -> str:
    return session_id[:SHORT_ID_LENGTH]


def after_evict(session_id: str) -> list[str]:
    """The words that follow `evict`: an id may begin with a dash."""
    return ["--", short(session_id)]


async def test_without_a_gateway_the_command_says_so_and_what_to_do(house: House) -> None:
    house.measured = True
    for arguments in ((), ("--json",), ("evict", "nobody")):
        code, out, err = await house.sessions(*arguments)
        assert (code, out) == (1, "")
        assert "coldquery serve" in err


async def test_a_gateway_without_sessions_lists_none_and_takes_its_socket_with_it(house: House) -> None:
    async with house.gateway() as gateway:
        assert (await house.sessions())[:2] == (0, "no sessions\n")
        assert await house.listed() == []
        (path,) = house.control.iterdir()
        assert path.name == f"{gateway.process.pid}.sock"
        assert await gateway.stop() == 0
    assert list(house.control.iterdir()) == []


async def test_the_socket_of_a_killed_gateway_is_cleared_away(house: House) -> None:
    async with house.gateway() as gateway:
        await gateway.stop(signal.SIGKILL)
    assert list(house.control.iterdir())
    assert (await house.sessions())[0] == 1
    assert list(house.control.iterdir()) == []


async def test_a_directory_that_is_open_to_others_is_refused_and_the_gateway_serves_on(house: House) -> None:
    house.control.mkdir()
    house.control.chmod(0o777)
    async with house.gateway() as gateway:
        warning = await gateway.event("control_unavailable")
        assert "open to other users" in warning["reason"]
        code, _, err = await house.sessions()
        assert code == 1
        assert "chmod 700" in err


async def test_sessions_are_listed_by_their_short_ids_with_labels_that_cant_steer_the_terminal(house: House) -> None:
    async with house.gateway() as gateway, Client(gateway.url) as client:
        session_id = await begin(client, label="nightly \x1b[2Jimport")
        write = {"action": "write", "session_id": session_id, "sql": "CREATE TABLE t (i int)"}
        await client.call_tool("pg_query", write)
        code, out, _ = await house.sessions()
        assert code == 0
        heading, line = out.splitlines()
        assert heading.split()[:4] == ["session", "state", "age", "idle"]
        assert line.startswith(f"{short(session_id)}  idle in transaction  ")
        assert line.endswith("nightly \\x1b[2Jimport")
        assert " query " in line
        (row,) = await house.listed()
        assert (row["gateway"], row["short_id"]) == (gateway.process.pid, short(session_id))
        assert row["label"] == "nightly \x1b[2Jimport"
        assert session_id not in out + json.dumps(row)


async def test_an_evicted_session_rolls_back_and_its_client_is_told(house: House) -> None:
    async with house.gateway() as gateway, Client(gateway.url) as client:
        session_id = await begin(client)
        write = {"action": "write", "session_id": session_id, "sql": "CREATE TABLE t (i int)"}
        await client.call_tool("pg_query", write)
        house.measured = True
        code, out, _ = await house.sessions("evict", *after_evict(session_id))
        assert code == 0
        assert short(session_id) in out
        ended = await gateway.event("session_ended")
        assert (ended["session"], ended["reason"]) == (short(session_id), "evicted")
        late = await client.call_tool("pg_query", write, raise_on_error=False)
        assert late.is_error
        assert body(late)["error"]["code"] == "session_ended"
        assert await house.listed() == []
        code, _, err = await house.sessions("evict", *after_evict(session_id))
        assert code == 1
        assert "`coldquery sessions`" in err
    connection = await asyncpg.connect(house.env["COLDQUERY_DSN"])
    assert await connection.fetchval("SELECT to_regclass('t')") is None
    await connection.close()


async def test_of_several_gateways_each_lists_its_own_and_the_right_one_evicts(house: House) -> None:
    stdio = StdioTransport(
        COLDQUERY, ["serve", "--transport", "stdio"], env=clean_environment(house.env), keep_alive=False
    )
    async with house.gateway() as gateway, Client(gateway.url) as http_client, Client(stdio) as stdio_client:
        over_http, over_stdio = await begin(http_client), await begin(stdio_client)
        by_gateway = {row["gateway"]: row["short_id"] for row in await house.listed()}
        house.measured = True
        pid = gateway.process.pid
        (other,) = by_gateway.keys() - {pid}
        assert by_gateway == {pid: short(over_http), other: short(over_stdio)}
        _, out, _ = await house.sessions()
        assert f"gateway {pid}\n" in out
        assert f"gateway {other}\n" in out
        (row,) = await house.listed("--gateway", str(other))
        assert row["short_id"] == short(over_stdio)
        assert (await house.sessions("evict", "--gateway", str(pid), *after_evict(over_stdio)))[0] == 1
        code, out, _ = await house.sessions("evict", *after_evict(over_stdio))
        assert code == 0
        assert f"gateway {other}" in out
        code, _, err = await house.sessions("--gateway", str(os.getpid()))
        assert code == 1
        assert str(os.getpid()) in err
