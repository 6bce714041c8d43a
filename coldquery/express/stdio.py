"""The express lane on standard input and output, for both eras of the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

import structlog
from pydantic_core import from_json

from coldquery.express.frames import CONNECTION_CLOSED, INTERNAL_ERROR, MODERN, CallFrame, Replies, failed, understood
from coldquery.telemetry import tracing
from coldquery.telemetry.call import request_of

if TYPE_CHECKING:
    from coldquery.mcp.stdio import Output
    from coldquery.mcp.tool import GatewayTool

_log = structlog.get_logger(__name__)

# The older ones are left to FastMCP.
HANDSHAKE = ("2025-06-18", "2025-11-25")
# How long the last replies may take.
LAST_REPLIES_S = 1.0


class StdioLane:
    """The lines that come in, but for the calls among them that are understood: these are answered here.

    The lane is closed until FastMCP has let a call through on this connection, and so has settled its era.

    Args:
        lines: what comes in.
        output: where replies go.
        client: whose end is that of the input.
        tools: that may be called.
        replies: how they are answered.
    """

    def __init__(
        self,
        lines: AsyncIterator[bytes],
        output: Output,
        client: str,
        tools: Iterable[GatewayTool[Any]],
        replies: Replies,
    ) -> None:
        self._lines = lines
        self._output = output
        self._client = client
        self._tools = {each.name: each for each in tools}
        self._replies = replies
        self._version: str | None = None
        self._handshakes = 0
        self._running: dict[int | str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._unwanted: set[asyncio.Task[None]] = set()

    def open(self, version: str) -> None:
        """FastMCP has let a call through, of this version of the protocol."""
        is_served = version == MODERN or version in HANDSHAKE
        # After a second handshake it may have been a call from before it.
        self._version = version if is_served and self._handshakes <= 1 else None

    def __aiter__(self) -> StdioLane:
        return self

    async def __anext__(self) -> bytes:
        """The next line that is not for this lane."""
        async for line in self._lines:
            frame = understood(line)
            if frame is None:
                self._look(line)
            elif self._serves(frame):
                self._start(frame)
                continue
            return line
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Cancel what runs, and say so."""
        self._version = None
        # A task that is cancelled before it has begun does nothing at all.
        await asyncio.sleep(0)
        for each in self._tasks:
            each.cancel()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=LAST_REPLIES_S)
            # When they end there may be no output any more.
            self._unwanted |= late

    def _serves(self, frame: CallFrame) -> bool:
        tool = self._tools.get(frame.params.name)
        if self._version is None or tool is None or not frame.is_for(tool) or tracing.wanted():
            return False
        return frame.is_modern if self._version == MODERN else frame.is_bare

    def _start(self, frame: CallFrame) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(frame), name="express call")
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        self._running[_key(frame.id)] = task

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._unwanted.discard(task)

    async def _answer(self, frame: CallFrame) -> None:
        request = request_of(frame.params.meta.traceparent)
        tool, arguments = self._tools[frame.params.name], frame.params.arguments or {}
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - `_start` has made it
        try:
            reply = await tool.reply(arguments, "express", request=request, client=self._client)
            message = self._replies.encode(frame, reply)
        except asyncio.CancelledError:
            message = failed(frame, CONNECTION_CLOSED, "Connection closed")
        except Exception as error:  # noqa: BLE001 - a defect is told as such, and stays here
            _log.error("call_crashed", request=request, tool=tool.name, exc_info=error)
            message = failed(frame, INTERNAL_ERROR, "Internal server error")
        finally:
            # A later call may have taken the same id.
            if self._running.get(_key(frame.id)) is task:
                del self._running[_key(frame.id)]
        if task not in self._unwanted:
            await self._output.write(message + b"\n")

    def _look(self, line: bytes) -> None:
        """Heed what a line says beside what FastMCP makes of it."""
        match _read(line):
            case {"method": "initialize"}:
                self._version = None
                self._handshakes += 1
            case {
                "jsonrpc": "2.0",
                "method": "notifications/cancelled",
                "params": {"requestId": request},
                **more,
            } if _is_id(request) and not _is_id(more.get("id")):
                if task := self._running.pop(_key(request), None):
                    self._unwanted.add(task)
                    task.cancel()


def _key(request: int | str) -> int | str:
    """By which a request is found again: clients may write the id 7 as "7"."""
    try:
        return int(request)
    except ValueError:
        return request


def _is_id(value: object) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _read(line: bytes) -> Any:
    """What is in a line, as the SDK reads it, which is not as strict as `understood`."""
    try:
        return from_json(line.decode("utf-8", "replace"))
    except ValueError:
        return None
