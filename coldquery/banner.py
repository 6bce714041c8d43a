"""What a person sees at start-up: what is served where, the line to paste into a client, the database, and warnings."""

import json
import sys

import structlog

from coldquery.gateway import Gateway
from coldquery.postgres.availability import Down, Up
from coldquery.settings import Loaded

_log = structlog.get_logger(__name__)


def show(
    loaded: Loaded,
    gateway: Gateway,
    place: str,
    *,
    url: str | None = None,
    health: str | None = None,
    metrics: str | None = None,
) -> None:
    """One screen on a terminal, one log event elsewhere.

    Args:
        loaded: the settings and what was odd about them.
        gateway: for the database's state.
        place: where an embedded server keeps its data; "" for a given database.
        url: where MCP is served; None on standard input and output.
        health: the health page.
        metrics: the page for Prometheus.
    """
    warnings = [*loaded.warnings, *_role_warnings(gateway)]
    if sys.stderr.isatty():
        print(screen(gateway, place, warnings, url=url, health=health, metrics=metrics), file=sys.stderr)  # noqa: T201
        return
    state = gateway.availability.state
    database = state.database if isinstance(state, Up) else None
    _log.info("serving", url=url or "stdio", metrics=metrics, database=database, embedded=place or None)
    for warning in warnings:
        _log.warning("attention", warning=warning)


def screen(
    gateway: Gateway,
    place: str,
    warnings: list[str],
    *,
    url: str | None = None,
    health: str | None = None,
    metrics: str | None = None,
) -> str:
    """The start-up screen as text."""
    state = gateway.availability.state
    lines = ["", "  ColdQuery is serving."]
    if url:
        lines += [f"    MCP        {url}", f"    health     {health}"]
    else:
        lines += ["    MCP        on standard input and output"]
    if metrics:
        lines.append(f"    metrics    {metrics}")
    match state:
        case Up():
            lines.append(f"    database   {state.database} as {state.role}, PostgreSQL {state.version}")
        case Down():
            lines.append(f"    database   not reachable yet ({state.reason}); trying again by itself")
    if place:
        lines.append(f"    embedded   {place}")
    if url:
        entry = {"mcpServers": {"coldquery": {"type": "http", "url": url}}}
        lines += [
            "",
            f"  Claude Code:   claude mcp add --transport http coldquery {url}",
            f"  Other clients: {json.dumps(entry)}",
        ]
    lines += ["", *(f"  Warning: {warning}" for warning in warnings)] if warnings else [""]
    return "\n".join(lines)


def _role_warnings(gateway: Gateway) -> list[str]:
    state = gateway.availability.state
    if not isinstance(state, Up):
        return []
    if state.superuser:
        return [f"{state.role} is a superuser: a read can reach the server's files. Use a role that can only read."]
    return [f"{state.role} is a member of {power}: a read can reach the server's files." for power in state.powers]
