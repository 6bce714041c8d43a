"""Who is measured: how each is started, and how it is asked for rows."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COLDQUERY = str(Path(sys.executable).with_name("coldquery"))
# 200 sessions held, and 64 callers; a slot is free a moment after its COMMIT was answered.
MAX_SESSIONS = "400"

# The tool to call, and its arguments.
type Asked = tuple[str, dict[str, Any]]


def as_gateway(sql: str, params: Sequence[int]) -> Asked:
    return "pg_query", {"action": "read", "sql": sql, "params": list(params)}


def as_naive(sql: str, params: Sequence[int]) -> Asked:
    return "query", {"sql": sql, "params": list(params)}


def literally(tool: str) -> Callable[[str, Sequence[int]], Asked]:
    """For tools that take no parameters: the numbers become a part of the SQL."""

    def asked(sql: str, params: Sequence[int]) -> Asked:
        for number, value in enumerate(params, 1):
            sql = sql.replace(f"${number}", str(value))
        return tool, {"sql": sql}

    return asked


@dataclass(frozen=True)
class Subject:
    """A server, and the wire that it is spoken to over: lines (stdio), handshake or modern (HTTP)."""

    name: str
    what: str
    wire: str
    command: Callable[[str, int], Sequence[str]]
    read: Callable[[str, Sequence[int]], Asked] = as_naive
    environment: Callable[[str], Mapping[str, str]] = lambda _: {}
    constant: bool = False
    transactions: bool = False
    peer: bool = False


def _naive(*flags: str, dsn: bool = True, port: bool = True) -> Callable[[str, int], Sequence[str]]:
    def command(address: str, number: int) -> Sequence[str]:
        listening = ["--port", str(number)] if port else []
        return [sys.executable, "-m", "ops.bench.naive", *(["--dsn", address] if dsn else []), *listening, *flags]

    return command


def _floor(dsn: str, port: int) -> Sequence[str]:
    return [sys.executable, "-m", "ops.bench.floor", "--dsn", dsn, "--port", str(port)]


def _gateway(*flags: str) -> Callable[[str, int], Sequence[str]]:
    def command(dsn: str, port: int) -> Sequence[str]:
        return [COLDQUERY, "serve", "--dsn", dsn, "--port", str(port), "--max-sessions", MAX_SESSIONS, *flags]

    return command


# The express lane off: what the framework's door costs.
_SLOW = "--no-express"


OWN = (
    Subject("floor", "asyncpg's pool behind the smallest HTTP server", "modern", _floor),
    Subject(
        "constant", "FastMCP as it comes, a tool that returns a constant", "modern", _naive(dsn=False), constant=True
    ),
    Subject(
        "constant-fast", "constant, with the gateway's settings", "modern", _naive("--fast", dsn=False), constant=True
    ),
    Subject("naive", "FastMCP as it comes, a tool over an asyncpg pool", "modern", _naive()),
    Subject("naive-fast", "naive, with the gateway's settings", "modern", _naive("--fast")),
    Subject("naive-handshake", "naive-fast, in the handshake era", "handshake", _naive("--fast")),
    Subject("naive-stdio", "naive-fast, over stdio", "lines", _naive("--fast", port=False)),
    Subject("coldquery", "HTTP, 2026-07-28", "modern", _gateway(), as_gateway, transactions=True),
    Subject(
        "coldquery-fastmcp", "the same by FastMCP's door", "modern", _gateway(_SLOW), as_gateway, transactions=True
    ),
    Subject("coldquery-handshake", "HTTP, handshake era", "handshake", _gateway(), as_gateway, transactions=True),
    Subject("coldquery-stdio", "stdio", "lines", _gateway("--transport", "stdio"), as_gateway, transactions=True),
    Subject(
        *("coldquery-stdio-fastmcp", "the same by FastMCP's door", "lines"),
        _gateway("--transport", "stdio", _SLOW),
        as_gateway,
        transactions=True,
    ),
)
