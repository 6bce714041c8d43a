"""What all our tools share: arguments checked by a model, one log event for each call, errors from the catalogue."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar, override

import structlog
from fastmcp.tools import Tool, ToolResult
from mcp_types import ContentBlock, TextContent

from coldquery.errors import Code, Refusal
from coldquery.gateway import Caller, Gateway
from coldquery.mcp.arguments import Arguments, Takes, parse, schema
from coldquery.mcp.internals import client_of_call, request_id
from coldquery.mcp.rendering import ToolReply, refusal_result
from coldquery.postgres.digest import digest
from coldquery.sessions import short_id
from coldquery.telemetry.call import CURRENT, Call, Door
from coldquery.telemetry.metrics import DENIALS, OTHER, expect_calls

PRINCIPAL = "anonymous"
_CANCELLED = Code.CANCELLED.value

_log = structlog.get_logger(__name__)


class GatewayTool[A: Arguments](Tool):
    """A tool around a gateway: `answer` does the work, and may raise `Refusal`.

    A subclass names the model of its arguments, which is its schema too, what each of its actions takes, and whether it
    tells of progress a client that asks for that.
    """

    takes: ClassVar[type[Arguments]]
    actions: ClassVar[Mapping[str, Takes]]
    tells_progress: ClassVar[bool] = False
    _gateway: ClassVar[Gateway]

    def __init__(self, gateway: Gateway, **fields: Any) -> None:
        super().__init__(parameters=schema(self.takes), **fields)
        # Past pydantic, whose private attributes take a microsecond to look up; and each call does so several times.
        object.__setattr__(self, "_gateway", gateway)
        expect_calls(self.name, self.actions)

    async def answer(self, arguments: A) -> ToolReply:
        """Do what was asked.

        Raises:
            Refusal: for every failure that the caller can meet.
        """
        raise NotImplementedError

    def caller(self) -> Caller:
        """Who makes the call that runs now. There is no authentication yet, so that all are one principal."""
        call = CURRENT.get()
        return Caller(PRINCIPAL, None if call is None else call.client)

    @override
    async def run(self, arguments: dict[str, Any]) -> ToolResult:
        """As `reply`, for FastMCP."""
        reply = await self.reply(
            arguments, "fastmcp", request=request_id(), client=client_of_call(self._gateway.client_gone)
        )
        blocks: list[ContentBlock] = [TextContent(type="text", text=each) for each in reply.texts]
        return ToolResult(content=blocks, structured_content=reply.structured, is_error=reply.is_error)

    async def reply(self, arguments: dict[str, Any], door: Door, *, request: str, client: str | None) -> ToolReply:
        """Check the arguments, answer, and tell of the call. Never raises but for a cancelled call.

        Args:
            arguments: as JSON has them.
            door: by which the call came in.
            request: what joins the events of the call.
            client: who makes it, where their end can be known.
        """
        action, session = arguments.get("action"), arguments.get("session_id")
        settings = self._gateway.settings
        call = Call(
            self.name,
            action if isinstance(action, str) and action in self.actions else OTHER,
            PRINCIPAL,
            door=door,
            client=client,
            session=short_id(session) if isinstance(session, str) else None,
            request=request,
            slow_s=settings.slow_statement_ms / 1000,
            show_text=settings.log_statements,
        )
        token = CURRENT.set(call)
        outcome = _CANCELLED
        try:
            reply = await self.answer(parse(self.takes, self.actions, arguments))  # type: ignore[arg-type]  # takes is A's
            outcome = "ok"
        except Refusal as refusal:
            outcome = refusal.code.value
            self._note_denial(call, arguments, outcome)
            reply = refusal_result(refusal)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - told as a defect, without its text; the log has the rest
            outcome = Code.INTERNAL.value
            _log.error("call_crashed", request=call.request, tool=self.name, exc_info=error)
            reply = refusal_result(Refusal(Code.INTERNAL, "The call failed by a defect of the gateway."))
        finally:
            CURRENT.reset(token)
            call.end(outcome)
        return reply

    def _note_denial(self, call: Call, arguments: dict[str, Any], code: str) -> None:
        audit = self._gateway.audit
        if code in DENIALS and audit.on:
            sql = arguments.get("sql")
            audit.note("denial", call, **(digest(sql) if isinstance(sql, str) else {}), outcome=code)
