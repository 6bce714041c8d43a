"""Resources: what some calls of the tools answer, under addresses that a client can offer to its user.

Each is one call of a tool, so that a resource never says other than its tool does.
"""

from __future__ import annotations

import logging
from typing import Any

from fastmcp import FastMCP
from fastmcp.exceptions import ResourceError
from fastmcp.resources import ResourceSecurity
from mcp_types import Completion, CompletionArgument, CompletionContext, PromptReference, ResourceTemplateReference

from coldquery.errors import Refusal
from coldquery.gateway import Gateway
from coldquery.mcp.rendering import json_text
from coldquery.postgres.identifiers import quote_name

TABLE = "postgres://schema/{schema}/{table}"

# Address, name, description, the tool, its arguments.
_FIXED: tuple[tuple[str, str, str, str, dict[str, Any]], ...] = (
    (
        "postgres://schema/tables",
        "tables",
        "The tables of the database, by schema.",
        "pg_schema",
        {"action": "list", "target": "table"},
    ),
    (
        "postgres://monitor/health",
        "health",
        "The health of the database: each check with its figure, its threshold and what to do.",
        "pg_monitor",
        {"action": "health"},
    ),
    (
        "postgres://monitor/activity",
        "activity",
        "What the database's connections do now.",
        "pg_monitor",
        {"action": "activity"},
    ),
)
_JSON = "application/json"
# A table's name is no path: it may hold what it likes.
_ANY_NAME = ResourceSecurity(exempt_params={"schema", "table"})
# The protocol's own limit.
_MOST_VALUES = 100


def add_resources(server: FastMCP, gateway: Gateway) -> None:
    """Register the resources, the template of a table, and the completion of its names.

    Args:
        server: with the tools that the resources call.
        gateway: whose database has the names.
    """
    for uri, name, description, tool, arguments in _FIXED:
        server.resource(uri, name=name, description=description, mime_type=_JSON)(_reader(server, tool, arguments))

    @server.resource(
        TABLE,
        name="table",
        description="One table or view: its columns, keys, indexes and all else that pg_schema describe tells.",
        mime_type=_JSON,
        security=_ANY_NAME,
    )
    async def read_table(schema: str, table: str) -> str:
        return await _answer(server, "pg_schema", {"action": "describe", "name": quote_name((schema, table))})

    @server.completion
    async def complete(
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion | None:
        if not isinstance(ref, ResourceTemplateReference) or ref.uri != TABLE:
            return None
        chosen = ((context and context.arguments) or {}).get("schema", "public")
        try:
            match argument.name:
                case "schema":
                    found = await gateway.look("complete_schemas", [argument.value])
                case "table":
                    found = await gateway.look("complete_tables", [chosen, argument.value])
                case _:
                    return None
        except Refusal:
            # No help while typing is better than an error.
            return None
        names = [each["name"] for each in found]
        return Completion(values=names[:_MOST_VALUES], has_more=len(names) > _MOST_VALUES)


def _reader(server: FastMCP, tool: str, arguments: dict[str, Any]) -> Any:
    async def read() -> str:
        return await _answer(server, tool, arguments)

    return read


async def _answer(server: FastMCP, name: str, arguments: dict[str, Any]) -> str:
    """What a tool answers, as JSON.

    Raises:
        ResourceError: it refused, with its code, its message and the next step.
    """
    tool = await server.get_tool(name)
    if tool is None:
        raise _mistaken(f"There is no {name} here.")
    result = await tool.run(arguments)
    body = result.structured_content or {}
    if result.is_error:
        error = body["error"]
        raise _mistaken(" ".join([f"{error['code']}:", error["message"], error.get("hint") or "", error["next"]]))
    return json_text(body)


def _mistaken(message: str) -> ResourceError:
    # The tool's call has an event of its own. FastMCP would log a traceback besides, and what the client asked for.
    return ResourceError(message, log_level=logging.DEBUG)
