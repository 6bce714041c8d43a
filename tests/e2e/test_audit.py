"""The audit of a gateway that runs as a user starts it: what its file holds, by either door, and a full disk."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.conftest import TestDatabase
from tests.e2e.conftest import COLDQUERY, RunningGateway, clean_environment, reader_and_writer, run_gateway
from tests.e2e.modern import ask, http_client

DOORS = pytest.mark.parametrize("flag", ["--express", "--no-express"])
WHO = {"time", "event", "request", "principal", "tool", "action"}


@pytest.fixture
async def ledger(database: TestDatabase) -> TestDatabase:
    connection = await asyncpg.connect(database.superuser_dsn)
    await connection.execute("CREATE TABLE ledger (entry text); ALTER TABLE ledger OWNER TO coldquery_owner")
    await connection.close()
    return database


def lines(*paths: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


async def write(gateway: RunningGateway, sql: str, **more: Any) -> dict[str, Any]:
    how = more or {"autocommit": True}
    return await ask(gateway, "pg_query", {"action": "write", "sql": sql, **how})


async def begin(gateway: RunningGateway) -> str:
    return str((await ask(gateway, "pg_tx", {"action": "begin"}))["session_id"])


async def samples(gateway: RunningGateway, name: str) -> list[float]:
    async with http_client() as http:
        page = (await http.get(gateway.base + "/metrics")).text
    return [float(each) for each in re.findall(rf"^{name} (\S+)$", page, re.MULTILINE)]


async def evict(short_id: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(COLDQUERY, "sessions", "evict", short_id), env=clean_environment(), stdout=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0


@DOORS
async def test_a_commits_line_is_in_the_file_before_its_caller_hears_of_it(
    ledger: TestDatabase, tmp_path: Path, flag: str
) -> None:
    path = tmp_path / "audit.jsonl"

    def commits() -> int:
        return sum(line["event"] == "commit" for line in lines(path))

    async with run_gateway(flag, "--audit", str(path), env=reader_and_writer(ledger)) as gateway:
        for number in range(1, 4):
            await write(gateway, "INSERT INTO ledger VALUES ('x')")
            assert commits() == 2 * number - 1
            session_id = await begin(gateway)
            await write(gateway, "DELETE FROM ledger", session_id=session_id)
            await ask(gateway, "pg_tx", {"action": "commit", "session_id": session_id})
            assert commits() == 2 * number


@DOORS
async def test_every_kind_of_event_has_its_line(ledger: TestDatabase, tmp_path: Path, flag: str) -> None:
    path = tmp_path / "audit.jsonl"
    async with run_gateway(flag, "--audit", str(path), env=reader_and_writer(ledger)) as gateway:
        await write(gateway, "INSERT INTO ledger VALUES ('x')")
        await ask(
            gateway,
            "pg_schema",
            {"action": "create", "target": "table", "sql": "CREATE TABLE more (i int)", "autocommit": True},
        )
        await ask(gateway, "pg_admin", {"action": "vacuum", "table": "ledger", "autocommit": True})
        await ask(gateway, "pg_query", {"action": "write", "sql": "DELETE FROM ledger"})
        await ask(gateway, "pg_query", {"action": "read", "sql": "DELETE FROM ledger"})
        session_id = await begin(gateway)
        await write(gateway, "UPDATE ledger SET entry = 'y' WHERE entry = 'x'", session_id=session_id)
        await ask(gateway, "pg_tx", {"action": "rollback", "session_id": session_id})
        evicted = (await begin(gateway))[:8]
        await evict(evicted)
        async with http_client() as http:
            assert (await http.get(gateway.url, headers={"host": "evil.example"})).status_code == 421
        await gateway.stop()
    found = lines(path)
    told = [(line["event"], line.get("kind"), line.get("tables"), line.get("outcome")) for line in found]
    for expected in (
        ("statement", "write", ["ledger"], "ok"),
        ("statement", "ddl", ["more"], "ok"),
        ("statement", "maintenance", ["public.ledger"], "begins"),
        ("statement", "maintenance", ["public.ledger"], "ok"),
        ("commit", None, None, "committed"),
        ("denial", "write", ["ledger"], "write_denied"),
        ("denial", "write", ["ledger"], "read_only"),
        ("rollback", None, None, None),
        ("request_refused", None, None, None),
    ):
        assert expected in told, f"{expected} is not in {told}"
    ends = {line["session"]: line["reason"] for line in found if line["event"] == "session_ended"}
    assert ends == {session_id[:8]: "rolled_back", evicted: "evicted"}
    for line in found:
        if line["event"] in {"statement", "denial"}:
            assert line.keys() >= {*WHO, "kind", "statement", "fingerprint", "tables", "outcome"}
    done = [line for line in found if line["event"] == "statement" and line["outcome"] == "ok"]
    assert all(line.keys() >= {"rows", "duration_ms"} or line["kind"] != "write" for line in done)
    in_session = next(line for line in done if "session" in line)
    assert (in_session["session"], in_session["rows"]) == (session_id[:8], 1)
    assert in_session["statement"] == "UPDATE ledger SET entry = ? WHERE entry = ?"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("policy", ["refuse", "warn"])
async def test_on_a_full_disk_commits_are_refused_or_go_on_and_it_is_counted(ledger: TestDatabase, policy: str) -> None:
    flags = ("--audit", "/dev/full", "--audit-failure", policy)
    async with run_gateway(*flags, env=reader_and_writer(ledger)) as gateway:
        answer = await write(gateway, "INSERT INTO ledger VALUES ('x')")
        read = await ask(gateway, "pg_query", {"action": "read", "sql": "SELECT 1"})
        (failures,) = await samples(gateway, "coldquery_audit_write_failures_total")
        (pending,) = await samples(gateway, "coldquery_audit_pending_lines")
        assert "No space left" in (await gateway.event("audit_failing"))["reason"]
        assert await gateway.stop() == 0
    if policy == "refuse":
        assert answer["error"]["code"] == "audit_unavailable"
    else:
        assert answer["outcome"] == "committed"
    assert read["row_count"] == 1, "reads go on"
    assert failures >= 1
    assert pending >= 1
    assert (await gateway.event("audit_lines_lost"))["lines"] >= 1
    connection = await asyncpg.connect(ledger.superuser_dsn)
    assert await connection.fetchval("SELECT count(*) FROM ledger") == (policy == "warn")
    await connection.close()


async def test_a_full_file_is_rotated_and_no_line_is_lost(ledger: TestDatabase, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    flags = ("--audit", str(path), "--audit-max-bytes", "4096", "--audit-keep", "50")
    async with run_gateway(*flags, env=reader_and_writer(ledger)) as gateway:
        for _ in range(30):
            await write(gateway, "INSERT INTO ledger VALUES ('x')")
        assert await samples(gateway, "coldquery_audit_lines_total") == [60]
        await gateway.stop()
    older = sorted(tmp_path.glob("audit.jsonl.*"), key=lambda each: -int(each.suffix[1:]))
    assert len(older) > 2
    assert all(each.stat().st_size <= 4096 for each in (*older, path))
    found = lines(*older, path)
    assert [line["event"] for line in found] == ["statement", "commit"] * 30
    assert [line["time"] for line in found] == sorted(line["time"] for line in found)
