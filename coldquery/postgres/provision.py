"""What is put into an embedded server: the gateway's two roles and its database, and the demo shop.

It is done with psql, in one run each, so that no driver is imported while the gateway starts.
"""

from __future__ import annotations

import os
import subprocess
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from coldquery.errors import StartError

SUPERUSER = "postgres"
OWNER = "coldquery_owner"
READER = "coldquery_reader"
DATABASE = "coldquery"
# There is no TCP port: the number is only a part of the socket's name.
PORT = 5432

# What the scripts call them.
_ROLES = {"reader": READER, "writer": OWNER, "database": DATABASE}

_PSQL_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an embedded server listens: a Unix socket in a directory that only its user can enter."""

    socket_dir: Path
    port: int

    def dsn(self, role: str, database: str = DATABASE) -> str:
        """A libpq URI. It holds no secret: who can reach the socket is let in."""
        role, database, host = (quote(part, safe="") for part in (role, database, str(self.socket_dir)))
        return f"postgresql://{role}@/{database}?host={host}&port={self.port}"


def make_roles(endpoint: Endpoint, bin_dir: Path, marker: Path) -> None:
    """Make the roles and the database, unless the marker says that this version of them was made.

    Raises:
        StartError: PostgreSQL refused something.
    """
    script = _read("embedded.sql") + _read("roles.sql")
    version = f"{zlib.crc32(script.encode()):08x}\n"
    if marker.exists() and marker.read_text() == version:
        return
    names = [f"--set={name}={value}" for name, value in _ROLES.items()]
    run_psql(endpoint, bin_dir, SUPERUSER, SUPERUSER, script, options=names)
    marker.write_text(version)


def load_demo(endpoint: Endpoint, bin_dir: Path) -> None:
    """Load the demo shop, the schema `shop`, in one transaction, unless a schema of that name is there already.

    Raises:
        StartError: PostgreSQL refused something; then nothing of it was kept.
    """
    run_psql(endpoint, bin_dir, OWNER, DATABASE, _read("demo.sql"), options=["--single-transaction"])


def run_psql(
    endpoint: Endpoint, bin_dir: Path, role: str, database: str, script: str, *, options: Sequence[str] = ()
) -> None:
    """Run a script up to its first error.

    Raises:
        StartError: with PostgreSQL's words.
    """
    command = [str(bin_dir / "psql"), "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", *options]
    try:
        subprocess.run(  # noqa: S603 - PostgreSQL's own program, and a script of ours
            [*command, "--output", os.devnull, "--file", "-", endpoint.dsn(role, database)],
            input=script,
            env=clean_environment(),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=_PSQL_TIMEOUT_S,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise StartError(
            f"Setting up the embedded PostgreSQL failed: {error.stderr.strip()}",
            next="If its data was made by something else, choose another directory with --data-dir.",
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StartError(
            f"Setting up the embedded PostgreSQL failed: {error}.",
            next="Look at server.log in the data directory.",
        ) from None


def clean_environment() -> dict[str, str]:
    """This process's environment without what would change PostgreSQL's programs: PG* and the locale."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C", "PGCLIENTENCODING": "UTF8"}


def _read(name: str) -> str:
    from importlib.resources import files  # noqa: PLC0415 - slow to import, and the keeper's client is on the start-up path

    return files("coldquery.postgres").joinpath(name).read_text("utf-8")
