"""The audit: one JSON line for each write, commit, denial and the like, in a stream that is only ever added to.

No COMMIT is sent before the lines of what it commits are written, and nobody hears of a commit before its own line is
on the disk. Where lines can't be written, they are kept and tried again; with `refuse` nothing is committed meanwhile.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from coldquery.errors import Code, Refusal
from coldquery.telemetry.call import Call
from coldquery.telemetry.json_line import encoder
from coldquery.telemetry.metrics import AUDIT_FAILURES, AUDIT_LINES

# Lines that nobody waits for are written after so long.
FLUSH_EVERY_S = 1.0
# How long a commit waits for the lines before it, and how long the news of it for its own.
SECURE_TIMEOUT_S = 5.0
SETTLE_TIMEOUT_S = 1.5
MAX_PENDING = 10_000

_log = structlog.get_logger(__name__)
_encode = encoder(str)


class Sink(Protocol):
    """Where lines go. Called in a thread of its own, once at a time."""

    def append(self, data: bytes, *, sync: bool) -> None:
        """Add whole lines, all or none of them; with `sync`, onto the disk.

        Raises:
            OSError: they could not be written.
        """
        ...

    def close(self) -> None:
        """Nothing more comes."""
        ...


class Audit:
    """Takes notes, and writes them in their order.

    Args:
        sink: where to; without one no notes are taken.
        refuse: whether a commit is refused while notes can't be written.
    """

    def __init__(self, sink: Sink | None = None, *, refuse: bool = True) -> None:
        self._sink = sink
        self._refuse = refuse
        self._lines: deque[bytes] = deque()
        self._lost = 0
        self._unsynced = False
        self._failing = False
        self._thread = _Thread()
        self._turn = asyncio.Lock()
        # The write that is under way, with how many lines it holds, and how many lost ones it tells of.
        self._writing: tuple[asyncio.Future[None], int, int] | None = None

    @property
    def on(self) -> bool:
        """Whether notes are taken at all."""
        return self._sink is not None

    @property
    def pending(self) -> int:
        """How many lines wait to be written."""
        return len(self._lines)

    @property
    def is_crowded(self) -> bool:
        """Whether so many lines wait that the next ones might be lost."""
        return len(self._lines) >= MAX_PENDING // 2

    def note(self, event: str, call: Call | None = None, **fields: Any) -> None:
        """Take down what has happened. Waits for nobody.

        Args:
            event: what it was.
            call: in which it happened.
            **fields: more about it; what is None is left out.
        """
        if self._sink is None:
            return
        line: dict[str, Any] = {"time": _now(), "event": event}
        if call is not None:
            line |= {"request": call.request, "principal": call.principal, "tool": call.tool, "action": call.action}
            fields.setdefault("session", call.session)
        line.update((name, value) for name, value in fields.items() if value is not None)
        if len(self._lines) >= MAX_PENDING and (self._writing is None or self._writing[1] < len(self._lines)):
            # The newest one, for those before it may be under way.
            self._lines.pop()
            self._lost += 1
        self._lines.append(_line(line))

    async def secure(self) -> None:
        """Have everything noted so far written, before what was noted is committed.

        Raises:
            Refusal: `audit_unavailable`, if it can't be and commits are to be refused then.
        """
        if self._sink is None or not self._lines or await self._flush(SECURE_TIMEOUT_S, sync=False):
            return
        if self._refuse:
            raise Refusal(Code.AUDIT_UNAVAILABLE, "The audit can't be written, and nothing is committed without it.")

    async def settle(self) -> None:
        """Have everything noted so far on the disk, before a caller hears of it.

        That comes to an end in any case: what has been committed must be told.
        """
        if self._sink is not None and (self._lines or self._unsynced):
            await self._flush(SETTLE_TIMEOUT_S, sync=True)

    async def run(self) -> None:
        """Write what nobody waits for, for ever; cancel it to stop."""
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            if self._lines:
                await self._flush(SECURE_TIMEOUT_S, sync=False)

    async def close(self) -> None:
        """Write what is left. What is noted later is lost."""
        await self.settle()
        if self._lines:
            _log.error("audit_lines_lost", lines=len(self._lines) + self._lost)
        if self._sink is not None and self._writing is None:
            self._sink.close()
        self._sink = None
        self._thread.stop()

    async def _flush(self, timeout_s: float, *, sync: bool) -> bool:
        """Whether everything that had been noted when this began is written. Many who wait share one write."""
        try:
            async with asyncio.timeout(timeout_s), self._turn:
                if self._writing is not None:
                    await self._written(sync=False)
                if self._lines or (sync and self._unsynced):
                    self._begin_to_write(sync=sync)
                    await self._written(sync=sync)
        except Exception as error:  # noqa: BLE001 - whatever it is, what has been committed must be told
            AUDIT_FAILURES.inc()
            if not self._failing:
                self._failing = True
                _log.error("audit_failing", reason=str(error) or "it takes too long", pending=len(self._lines))
            return False
        if self._failing:
            self._failing = False
            _log.info("audit_recovered")
        return True

    def _begin_to_write(self, *, sync: bool) -> None:
        assert self._sink is not None  # noqa: S101 - else there is nothing to write
        lines, lost = tuple(self._lines), self._lost
        told = _line({"time": _now(), "event": "lost", "lines": lost}) if lost else b""
        sink, data = self._sink, b"".join(lines) + told
        self._writing = self._thread.run(lambda: sink.append(data, sync=sync)), len(lines), lost

    async def _written(self, *, sync: bool) -> None:
        assert self._writing is not None  # noqa: S101 - whoever comes here has looked
        future, count, lost = self._writing
        try:
            # A caller who leaves, or is out of time, leaves the write under way.
            await asyncio.shield(future)
        except Exception:
            self._writing = None
            raise
        self._writing = None
        for _ in range(count):
            self._lines.popleft()
        self._lost -= lost
        AUDIT_LINES.inc(count)
        self._unsynced = not sync


class _Thread:
    """A thread that does one thing after the other. Unlike an executor's, one that hangs does not hold up the exit."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._started = False

    def run(self, work: Callable[[], None]) -> asyncio.Future[None]:
        if not self._started:
            self._started = True
            threading.Thread(target=self._run, name="audit", daemon=True).start()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def do() -> None:
            failure: Exception | None = None
            try:
                work()
            except Exception as error:  # noqa: BLE001 - it is the caller's
                failure = error
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(_finish, done, failure)

        self._work.put(do)
        return done

    def stop(self) -> None:
        self._work.put(None)

    def _run(self) -> None:
        while (do := self._work.get()) is not None:
            do()


def _finish(done: asyncio.Future[None], failure: Exception | None) -> None:
    if failure is None:
        done.set_result(None)
    else:
        done.set_exception(failure)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _line(fields: dict[str, Any]) -> bytes:
    return _encode(fields) + b"\n"


NO_AUDIT = Audit()
"""Takes no notes."""
