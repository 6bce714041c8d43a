"""A real PgBouncer before the run's PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from coldquery.postgres.cluster import Identity
from coldquery.postgres.embedded import OWNER, READER
from tests.conftest import TestDatabase

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
NEEDS_PGBOUNCER = pytest.mark.skipif(
    PROGRAM is None, reason="pgbouncer is not installed (Debian: apt install pgbouncer)"
)

CONFIGURATION = """\
[databases]
* = host={host} port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = {mode}
"""


@dataclass(frozen=True, slots=True)
class PgBouncer:
    """One that listens, and whose clients may use a database."""

    port: int
    database: str

    def dsn(self, role: str) -> str:
        return f"postgresql://{role}@127.0.0.1:{self.port}/{self.database}?sslmode=disable"

    @property
    def both(self) -> dict[str, str]:
        """The environment of a command that reads as one role and writes as another."""
        return {"COLDQUERY_DSN": self.dsn(OWNER), "COLDQUERY_READER_DSN": self.dsn(READER)}


@asynccontextmanager
async def pgbouncer(database: TestDatabase, scratch: Path, mode: str) -> AsyncIterator[PgBouncer]:
    """Run one in a pool mode until the block ends."""
    assert PROGRAM is not None
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    users, configuration = scratch / "users.txt", scratch / "pgbouncer.ini"
    users.write_text("".join(f'"{role}" ""\n' for role in (OWNER, READER)))
    endpoint = database.endpoint
    configuration.write_text(
        CONFIGURATION.format(host=endpoint.socket_dir, server_port=endpoint.port, port=port, users=users, mode=mode)
    )
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "--quiet", str(configuration), cwd="/", stdin=asyncio.subprocess.DEVNULL, **_identity()
    )
    try:
        async with asyncio.timeout(10):
            while not await _listens(port):
                assert process.returncode is None, "PgBouncer did not start"
                await asyncio.sleep(0.01)
        yield PgBouncer(port, database.name)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


def _identity() -> Identity:
    """It refuses to run as root, and only the server's user can enter the directory of the server's socket."""
    if os.geteuid() != 0:
        return {"user": None, "group": None, "extra_groups": None}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
