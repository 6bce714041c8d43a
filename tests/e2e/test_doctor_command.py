"""`coldquery doctor` as an operator types it: exit codes, words for people, JSON for programs, and no secrets."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import asyncpg
import pytest

from tests.conftest import TestDatabase
from tests.e2e.conftest import reader_and_writer
from tests.e2e.test_cli import SECRET, run, server_that_refuses


async def test_all_well_is_told_line_by_line_with_code_0(database: TestDatabase) -> None:
    code, out, err = await run("doctor", env=reader_and_writer(database), measured=True)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert all(line.startswith("ok    ") for line in lines[:-2])
    assert lines[-2:] == ["", "18 ok, 0 warnings, 0 failures."]


async def test_programs_get_the_same_as_json(database: TestDatabase) -> None:
    code, out, _ = await run("doctor", "--json", env=reader_and_writer(database), measured=True)
    answer = json.loads(out)
    assert (code, answer["exit_code"]) == (0, 0)
    assert {each["verdict"] for each in answer["checks"]} == {"ok"}
    assert {each["name"] for each in answer["checks"]} == {
        *("settings", "connection", "version", "database", "pooler", "TLS", "role", "roles apart", "reader's grants"),
        *("reads can't write", "connections", "timeouts", "pg_stat_statements", "clock"),
    }


async def test_a_superuser_is_a_warning_with_code_1_and_a_next_step(database: TestDatabase) -> None:
    code, out, _ = await run("doctor", env={"COLDQUERY_DSN": database.superuser_dsn})
    assert code == 1
    assert "warn  role " in out
    assert "postgres is a superuser" in out
    assert "\n      Next: Use another role; docs/roles.md" in out


async def test_a_server_that_is_away_is_a_failure_with_code_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    dsn = f"postgresql://agent:{SECRET}@127.0.0.1:{port}/shop"
    code, out, _ = await run("doctor", env={"COLDQUERY_DSN": dsn})
    assert code == 2
    assert f"postgresql://agent:***@127.0.0.1:{port}/shop: connection refused" in out
    assert "Next: Start PostgreSQL, or correct host and port" in out
    assert "skip  the rest" in out
    code, out, _ = await run("doctor", "--json", env={"COLDQUERY_DSN": dsn})
    assert code == 2
    assert json.loads(out)["exit_code"] == 2


async def test_a_wrong_password_is_a_failure_with_code_2() -> None:
    async with server_that_refuses("28P01", 'password authentication failed for user "agent"') as port:
        dsn = f"postgresql://agent:{SECRET}@127.0.0.1:{port}/shop?sslmode=disable"
        code, out, _ = await run("doctor", env={"COLDQUERY_DSN": dsn})
    assert code == 2
    assert 'password authentication failed for user "agent"' in out
    assert "Next: Check the user and the password in the DSN." in out


async def test_only_one_of_two_identities_that_can_connect_is_a_failure_that_names_the_other(
    database: TestDatabase,
) -> None:
    env = reader_and_writer(database, COLDQUERY_DSN=database.endpoint.dsn("nobody_like_that", database.name))
    code, out, _ = await run("doctor", env=env)
    assert code == 2
    assert "ok    connection (reader)" in out
    assert "FAIL  connection (writer)" in out


@pytest.mark.parametrize("arguments", [["--port", "70000"], ["--pg-bin", "/no/such/bin"]])
async def test_what_would_keep_a_gateway_from_starting_is_a_failure_with_code_2(arguments: list[str]) -> None:
    code, out, err = await run("doctor", *arguments, measured="--port" in arguments)
    assert (code, out) == (2, "")
    assert "Next: " in err


async def test_odd_settings_are_a_warning(database: TestDatabase) -> None:
    env = reader_and_writer(database, COLDQUERY_DATA_DIR="/nowhere")
    code, out, _ = await run("doctor", env=env)
    assert code == 1
    assert "warn  settings " in out
    assert "data_dir (COLDQUERY_DATA_DIR) has no effect" in out


async def test_a_role_cant_steer_the_terminal_by_its_name(database: TestDatabase) -> None:
    name = "evil\x1b[2J"
    administrator = await asyncpg.connect(database.superuser_dsn)
    await administrator.execute(f'CREATE ROLE "{name}" LOGIN; GRANT CONNECT ON DATABASE {database.name} TO "{name}"')
    try:
        code, out, _ = await run("doctor", env={"COLDQUERY_DSN": database.endpoint.dsn(name, database.name)})
    finally:
        await administrator.execute(f'DROP OWNED BY "{name}"; DROP ROLE "{name}"')
        await administrator.close()
    assert code == 1
    assert "evil\\x1b[2J" in out
    assert "\x1b" not in out


async def test_without_a_database_the_embedded_server_is_started_examined_and_stopped(scratch: Path) -> None:
    code, out, _ = await run("doctor", "--data-dir", str(scratch / "data"))
    assert code == 0
    assert f"(embedded), data in {scratch / 'data'}" in out
    assert not list((scratch / "data").rglob("postmaster.pid"))


async def test_help_says_what_the_exit_codes_mean() -> None:
    code, out, _ = await run("doctor", "--help")
    assert code == 0
    assert "Exit code: 0 if all is well, 1 if something deserves a warning, 2 if" in " ".join(out.split())
    assert "--json" in out
    assert "--reader-dsn" in out
