"""How a call of a tool is written over HTTP, so that each part of it can be another."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

MODERN = "2026-07-28"
_PREFIX = "io.modelcontextprotocol/"
LINES = (
    "Host: 127.0.0.1",
    "Content-Type: application/json",
    "Accept: application/json, text/event-stream",
    f"MCP-Protocol-Version: {MODERN}",
    "Mcp-Method: tools/call",
    "Mcp-Name: pg_query",
)
ARGUMENTS = '{"action":"read","sql":"SELECT 1 AS one"}'


def envelope(
    version: str = f'"{MODERN}"', capabilities: str | None = "{}", client: str | None = None, more: str = ""
) -> str:
    """`_meta`, of parts that are JSON, or anything else."""
    parts = {"protocolVersion": version, "clientCapabilities": capabilities, "clientInfo": client}
    members = [f'"{_PREFIX}{name}":{value}' for name, value in parts.items() if value is not None]
    return "{" + ",".join([*members, *([more] if more else [])]) + "}"


def params(
    arguments: str | None = ARGUMENTS, *, name: str | None = '"pg_query"', meta: str | None = "", **more: str
) -> str:
    """`params`, of such parts. A part that is None is left out."""
    parts = {"name": name, "arguments": arguments, "_meta": envelope() if meta == "" else meta, **more}
    return "{" + ",".join(f'"{key}":{value}' for key, value in parts.items() if value is not None) + "}"


def message(
    within: str | None = "",
    *,
    id: str | None = "1",  # noqa: A002 - the member's name
    jsonrpc: str | None = '"2.0"',
    method: str | None = '"tools/call"',
    **more: str,
) -> str:
    """The whole message, of such parts."""
    parts = {"jsonrpc": jsonrpc, "id": id, "method": method, "params": params() if within == "" else within, **more}
    return "{" + ",".join(f'"{key}":{value}' for key, value in parts.items() if value is not None) + "}"


def http(
    body: str | bytes = "",
    *more: str,
    start: str = "POST /mcp HTTP/1.1",
    without: Iterable[str] = (),
    length: str | None = "",
) -> bytes:
    """A request.

    Args:
        body: of it; a call of `pg_query` when nothing is said.
        more: lines of its head beside `LINES`.
        start: its first line.
        without: the names of those of `LINES` that it does not have.
        length: what it says of its own length: the truth if empty, nothing if None.
    """
    data = (body or message()).encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    left_out = tuple(f"{name.lower()}:" for name in without)
    lines = [start, *(line for line in LINES if not line.lower().startswith(left_out)), *more]
    if length is not None:
        lines.append(f"Content-Length: {length or len(data)}")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + data


def call(tool: str, **arguments: Any) -> bytes:
    """A call as a good client sends it."""
    body = message(params(json.dumps(arguments), name=json.dumps(tool)))
    return http(body, f"Mcp-Name: {tool}", without=["Mcp-Name"])
