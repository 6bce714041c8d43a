"""Other servers that give agents a PostgreSQL, as they are published, installed into a cache directory."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from ops.bench.subjects import Subject, literally
from ops.conformance.toolchain import _node_package, _version_of_node

# What DBHub asks for; an older Node.js is left alone, and npm's own build of a newer one is used.
NODE = (22, 5)
DBHUB, TOOLBOX, REFERENCE = "@bytebase/dbhub", "@toolbox-sdk/server", "@modelcontextprotocol/server-postgres"
POSTGRES_MCP = "postgres-mcp"
VERSIONS = {DBHUB: "1.4.0", TOOLBOX: "1.12.0", REFERENCE: "0.6.2", POSTGRES_MCP: "0.3.0"}
INSTALL_LIMIT_S = 600


class AbsentError(Exception):
    """A peer can't be run here; the message says why."""


@dataclass
class Peers:
    """Those that can be run, and why the others can't."""

    subjects: list[Subject] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def install(wanted: Sequence[str] = ()) -> Peers:
    """Install what is not there yet.

    Args:
        wanted: names of subjects; without any, all of them.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coldquery-bench"
    peers = Peers()
    for package, names, make in (
        (DBHUB, ("dbhub", "dbhub-stdio"), _dbhub),
        (TOOLBOX, ("toolbox", "toolbox-stdio"), _toolbox),
        (POSTGRES_MCP, ("postgres-mcp",), _postgres_mcp),
        (REFERENCE, ("server-postgres",), _reference),
    ):
        if wanted and not set(names) & set(wanted):
            continue
        try:
            peers.subjects += [replace(subject, peer=True) for subject in make(home, peers.notes)]
        except AbsentError as error:
            peers.skipped |= dict.fromkeys(names, f"{package}: {error}")
    return peers


def _dbhub(home: Path, _: dict[str, str]) -> list[Subject]:
    program = [_node(home), str(_npm(home, DBHUB) / "dist" / "index.js")]

    def http(dsn: str, port: int) -> Sequence[str]:
        return [*program, "--transport", "http", "--port", str(port), "--dsn", dsn]

    what, read = f"{DBHUB} {VERSIONS[DBHUB]}", literally("execute_sql")
    return [
        Subject("dbhub", f"{what}, HTTP", "handshake", http, read),
        Subject(
            "dbhub-stdio",
            f"{what}, stdio",
            "lines",
            lambda dsn, _: [*program, "--transport", "stdio", "--dsn", dsn],
            read,
        ),
    ]


def _toolbox(home: Path, _: dict[str, str]) -> list[Subject]:
    # The package is a script that starts this program, which alone is measured.
    found = list((_npm(home, TOOLBOX).parent).glob("server-*/bin/toolbox"))
    if not found:
        raise AbsentError("it has no program for this machine")
    found[0].chmod(0o755)
    program = [str(found[0]), "--prebuilt", "postgres"]
    what, read = f"MCP Toolbox {VERSIONS[TOOLBOX]}", literally("execute_sql")
    return [
        Subject("toolbox", f"{what}, HTTP", "handshake", lambda _, port: [*program, "--port", str(port)], read, _parts),
        Subject("toolbox-stdio", f"{what}, stdio", "lines", lambda *_: [*program, "--stdio"], read, _parts),
    ]


def _parts(dsn: str) -> Mapping[str, str]:
    parts = urlsplit(dsn)
    return {
        "POSTGRES_HOST": parts.hostname or "localhost",
        "POSTGRES_PORT": str(parts.port or 5432),
        "POSTGRES_DATABASE": parts.path.removeprefix("/"),
        "POSTGRES_USER": parts.username or "",
        "POSTGRES_PASSWORD": parts.password or "",
    }


def _reference(home: Path, _: dict[str, str]) -> list[Subject]:
    program = [_node(home), str(_npm(home, REFERENCE) / "dist" / "index.js")]
    what = f"{REFERENCE} {VERSIONS[REFERENCE]}, stdio"
    return [Subject("server-postgres", what, "lines", lambda dsn, _: [*program, dsn], literally("query"))]


def _postgres_mcp(home: Path, notes: dict[str, str]) -> list[Subject]:
    target = home / "postgres-mcp"
    program, note = target / "bin" / "postgres-mcp", target / "note"
    if not note.exists():
        shutil.rmtree(target, ignore_errors=True)
        note_text = _pip(target, f"{POSTGRES_MCP}=={VERSIONS[POSTGRES_MCP]}")
        note.write_text(note_text)
    notes["postgres-mcp"] = note.read_text()
    return [
        Subject(
            "postgres-mcp",
            f"Postgres MCP Pro {VERSIONS[POSTGRES_MCP]}, stdio",
            "lines",
            lambda *_: [str(program), "--access-mode=unrestricted"],
            literally("execute_sql"),
            lambda dsn: {"DATABASE_URI": dsn},
        )
    ]


def _pip(target: Path, requirement: str) -> str:
    """Install it into an environment of its own; what had to be changed for it to run."""
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        raise AbsentError("there is no uv on PATH")
    _run([uv, "venv", "--quiet", "--python", sys.executable, str(target)])
    install = [uv, "pip", "install", "--quiet", "--python", str(target / "bin" / "python")]
    # It asks for any `mcp`, and version 2 has not what it imports.
    limits = target / "overrides.txt"
    changes = (("mcp<2",), ("mcp<2", "pglast>=7.2,<8"))
    for number, change in enumerate(changes, 1):
        limits.write_text("\n".join(change))
        try:
            _run([*install, "--override", str(limits), requirement])
        except AbsentError:
            if number == len(changes):
                raise
        else:
            return f"installed with {' and '.join(change)} in place of what it asks for"
    raise AssertionError


def _node(home: Path) -> str:
    if _version_of_node() >= NODE:
        return "node"
    package = _node_package()
    return str(_npm(home, package, f"^{NODE[0]}.{NODE[1]}.0") / "bin" / "node")


def _npm(home: Path, package: str, version: str = "") -> Path:
    """The directory of an installed package. Each is installed apart, so that one that fails takes no other with it."""
    version = version or VERSIONS[package]
    target = home / package.replace("/", "-").removeprefix("@")
    installed = target / "installed"
    if not installed.exists() or installed.read_text() != version:
        npm = shutil.which("npm")
        if npm is None:
            raise AbsentError("there is no npm on PATH")
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        (target / "package.json").write_text(json.dumps({"private": True, "dependencies": {package: version}}))
        # None of them needs its install scripts, so that nobody's are run.
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        _run([npm, "install", "--prefix", str(target), *quiet])
        installed.write_text(version)
    return target / "node_modules" / package


def _run(command: Sequence[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_LIMIT_S)
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split())[-300:]
        raise AbsentError(f"{Path(command[0]).name} could not install it: {said}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AbsentError(f"{Path(command[0]).name} could not install it: {error}") from None
