"""Calls as a plain client of the 2026-07-28 revision sends them: by the express lane, unlike those of FastMCP's own."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from typing import Any

import httpx2

from tests.e2e.conftest import RunningGateway

MODERN = "2026-07-28"
# Of no use here, where nothing is encrypted; and to make one anew takes longer than a call.
_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def http_client() -> httpx2.AsyncClient:
    """A client of the web that is soon made."""
    return httpx2.AsyncClient(timeout=10, verify=_TLS)


async def ask(
    gateway: RunningGateway,
    tool: str,
    arguments: Mapping[str, Any],
    *,
    meta: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What a tool answers, be it an error.

    Args:
        gateway: that has the tool.
        tool: its name.
        arguments: as JSON has them.
        meta: more for the request's `_meta`.
        headers: more of them.
    """
    envelope = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": tool, "arguments": arguments, "_meta": {**envelope, **(meta or {})}}
    head = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": MODERN,
        "mcp-method": "tools/call",
        "mcp-name": tool,
    }
    async with http_client() as http:
        answer = await http.post(
            gateway.url,
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params},
            headers={**head, **(headers or {})},
        )
    assert answer.status_code == 200, answer.text
    text = answer.text
    # FastMCP answers in a stream.
    message = json.loads(text.partition("data: ")[2] if text.startswith("event:") else text)
    body: dict[str, Any] = json.loads(message["result"]["content"][-1]["text"])
    return body
