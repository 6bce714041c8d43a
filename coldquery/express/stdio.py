"""The express lane on standard input and output, for both eras of the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from pydantic_core import from_json

from coldquery.express.calls import Calls
from coldquery.express.frames import CONNECTION_CLOSED, MODERN, CallFrame, failed, understood
from coldquery.mcp.stdio import Output

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
        calls: that can be answered.
    """

    def __init__(self, lines: AsyncIterator[bytes], output: Output, client: str, calls: Calls) -> None:
        self._lines = lines
        self._output = output
        self._client = client
        self._calls = calls
        self._version: str | None = None
        self._handshakes = 0
        # By what each can be cancelled; None when its reply is on its way, or is not wanted any more.
        self._running: dict[asyncio.Task[None], int | str | None] = {}

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
        for each in self._running:
            each.cancel()
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=LAST_REPLIES_S)
            # When they end there may be no output any more.
            self._running.update(dict.fromkeys(late))

    def _serves(self, frame: CallFrame) -> bool:
        fits = frame.is_modern if self._version == MODERN else frame.is_bare
        return self._version is not None and fits and self._calls.serve(frame)

    def _start(self, frame: CallFrame) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(frame), name="express call")
        self._running[task] = _key(frame.id)
        task.add_done_callback(self._running.pop)

    async def _answer(self, frame: CallFrame) -> None:
        try:
            message = await self._calls.answer(frame, self._client)
        except asyncio.CancelledError:
            message = failed(frame, CONNECTION_CLOSED, "Connection closed")
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - `_start` has made it
        if self._running[task] is not None:
            self._running[task] = None
            await self._output.write(message + b"\n")

    def _look(self, line: bytes) -> None:
        """Heed what a line says beside what FastMCP makes of it."""
        try:
            # As the SDK reads it, which is not as strict as `understood`.
            message = from_json(line.decode("utf-8", "replace"))
        except ValueError:
            return
        match message:
            case {"method": "initialize"}:
                self._version = None
                self._handshakes += 1
            case {
                "jsonrpc": "2.0",
                "method": "notifications/cancelled",
                "params": {"requestId": request},
                **more,
            } if _is_id(request) and not _is_id(more.get("id")):
                self._cancel(_key(request))

    def _cancel(self, key: int | str) -> None:
        # A later call may have taken the same id.
        for task in reversed(self._running):
            if self._running[task] == key:
                self._running[task] = None
                task.cancel()
                return


def _key(request: int | str) -> int | str:
    """By which a request is found again: clients may write the id 7 as "7"."""
    try:
        return int(request)
    except ValueError:
        return request


def _is_id(value: object) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)
