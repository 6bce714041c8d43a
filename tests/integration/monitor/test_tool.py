"""`pg_monitor` as a client sees it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastmcp import Client, FastMCP
from mcp_types import TextContent

from coldquery.gateway import Gateway
from coldquery.mcp.pg_monitor import PgMonitor

MOST_CHARACTERS = 1_100


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[Client[Any]]:
    async with Client(FastMCP("tests", tools=[PgMonitor(gateway)])) as client:
        yield client


def text_of(result: Any) -> Any:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return json.loads(block.text)


async def test_the_tool_is_small_and_reads_only(client: Client[Any]) -> None:
    (tool,) = await client.list_tools()
    assert tool.annotations is not None
    hints = tool.annotations
    assert (hints.read_only_hint, hints.idempotent_hint, hints.destructive_hint) == (True, True, False)
    text = json.dumps(tool.model_dump(mode="json", by_alias=True, exclude_none=True), separators=(",", ":"))
    assert len(text) <= MOST_CHARACTERS


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"action": "health"}, "verdict"),
        ({"action": "health", "checks": ["connections", "bloat"]}, "checks"),
        ({"action": "activity", "include_idle": True, "limit": 3}, "backends"),
        ({"action": "connections"}, "by_state"),
        ({"action": "locks"}, "blockers"),
        ({"action": "size", "schema": "public"}, "tables"),
        ({"action": "slow_queries", "order_by": "mean", "limit": 3}, "statements"),
        ({"action": "progress"}, "running"),
    ],
)
async def test_each_action_answers_the_same_as_structure_and_as_text(
    client: Client[Any], arguments: dict[str, Any], key: str
) -> None:
    result = await client.call_tool("pg_monitor", arguments)
    assert result.structured_content is not None
    assert key in result.structured_content
    assert text_of(result) == result.structured_content


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"action": "helth"}, "`action` must be"),
        ({"action": "locks", "limit": 3}, "`limit` has no place in action=locks"),
        ({"action": "health", "checks": []}, "`checks`"),
        ({"action": "health", "checks": ["conections"]}, "There is `connections`."),
        ({"action": "slow_queries", "order_by": "size"}, "`order_by` must be"),
        ({"action": "activity", "limit": 0}, "`limit`"),
        ({"action": "size", "database": "nowhere"}, "There is no database `nowhere`."),
    ],
)
async def test_bad_input_is_refused_with_the_next_step(
    client: Client[Any], arguments: dict[str, Any], words: str
) -> None:
    result = await client.call_tool("pg_monitor", arguments, raise_on_error=False)
    assert result.is_error
    error = text_of(result)["error"]
    assert error["code"] == "invalid_argument"
    assert words in error["message"]
    assert error["next"]
