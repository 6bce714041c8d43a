"""Calls of tools by the frames that ask for them, whichever transport these came by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import structlog

from coldquery.express.frames import INTERNAL_ERROR, CallFrame, answered, failed
from coldquery.telemetry import tracing
from coldquery.telemetry.call import request_of

if TYPE_CHECKING:
    from coldquery.mcp.tool import GatewayTool

_log = structlog.get_logger(__name__)


class Calls:
    """The tools of a server, for frames.

    Args:
        tools: that may be called.
        server: its name and version, which the 2026-07-28 revision has in every result.
    """

    def __init__(self, tools: Iterable[GatewayTool[Any]], server: Mapping[str, Any]) -> None:
        self._tools = {each.name: each for each in tools}
        self._meta = {"io.modelcontextprotocol/serverInfo": dict(server)}

    def serve(self, frame: CallFrame) -> bool:
        """Whether the frame is for one of the tools, and wants nothing that only the framework gives."""
        tool = self._tools.get(frame.params.name)
        return tool is not None and not (tool.tells_progress and frame.wants_progress) and not tracing.wanted()

    async def answer(self, frame: CallFrame, client: str | None, *traceparents: str) -> bytes:
        """Call the tool. Returns its reply as a message, and raises only if it is cancelled.

        Args:
            frame: that `serve` was true for.
            client: whose call it is, where their end can be known.
            *traceparents: told beside the frame.
        """
        params = frame.params
        request = request_of(params.meta.traceparent, *traceparents)
        try:
            tool = self._tools[params.name]
            reply = await tool.reply(params.arguments or {}, "express", request=request, client=client)
            return answered(frame, reply, self._meta)
        except Exception as error:  # noqa: BLE001 - a defect is told as such, and stays here
            _log.error("call_crashed", request=request, tool=params.name, exc_info=error)
            return failed(frame, INTERNAL_ERROR, "Internal server error")
