"""What all our tools share: arguments checked by a model, one log event for each call, errors from the catalogue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, ClassVar, override

import structlog
from fastmcp.tools import Tool, ToolResult
from pydantic import PrivateAttr

from coldquery.errors import Code, Refusal
from coldquery.gateway import Caller, Gateway
from coldquery.mcp.arguments import Arguments, Takes, parse, schema
from coldquery.mcp.internals import client_of_call
from coldquery.mcp.rendering import refusal_result
from coldquery.sessions import short_id

PRINCIPAL = "anonymous"

_log = structlog.get_logger(__name__)


class GatewayTool[A: Arguments](Tool):
    """A tool around a gateway: `answer` does the work, and may raise `Refusal`.

    A subclass names the model of its arguments, which is its schema too, and what each of its actions takes.
    """

    takes: ClassVar[type[Arguments]]
    actions: ClassVar[Mapping[str, Takes]]
    _gateway: Gateway = PrivateAttr()

    def __init__(self, gateway: Gateway, **fields: Any) -> None:
        super().__init__(parameters=schema(self.takes), **fields)
        self._gateway = gateway

    async def answer(self, arguments: A) -> ToolResult:
        """Do what was asked.

        Raises:
            Refusal: for every failure that the caller can meet.
        """
        raise NotImplementedError

    def caller(self) -> Caller:
        """Who makes the call that runs now. There is no authentication yet, so that all are one principal."""
        return Caller(PRINCIPAL, client_of_call(self._gateway.client_gone))

    @override
    async def run(self, arguments: dict[str, Any]) -> ToolResult:
        """Check the arguments, answer, and log the call. Never raises but for a cancelled call."""
        started = time.perf_counter()
        session = arguments.get("session_id")
        outcome = "cancelled"
        try:
            result = await self.answer(parse(self.takes, self.actions, arguments))  # type: ignore[arg-type]  # takes is A's
            outcome = "ok"
        except Refusal as refusal:
            outcome = refusal.code.value
            result = refusal_result(refusal)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - told as a defect, without its text; the log has the rest
            outcome = Code.INTERNAL.value
            _log.error("call_crashed", tool=self.name, exc_info=error)
            result = refusal_result(Refusal(Code.INTERNAL, "The call failed by a defect of the gateway."))
        finally:
            _log.info(
                "call",
                tool=self.name,
                action=str(arguments.get("action"))[:20],
                session=short_id(session) if isinstance(session, str) else None,
                outcome=outcome,
                duration_ms=round((time.perf_counter() - started) * 1000, 2),
            )
        return result
