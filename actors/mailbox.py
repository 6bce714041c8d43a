"""A command on its way: the envelope that carries it, and the bounded mailbox where it waits.

An envelope's phases, all of them::

    QUEUED --begin--> RUNNING --resolve, reject--> ANSWERED
      |                  |                            |
      | abandon,         | abandon                    | abandon: the answer and the
      | refuse           v                            v caller's cancellation crossed
    DROPPED           ORPHANED --resolve, reject--> UNHEARD
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from actors.errors import ActorStopped, AskTimeout, MailboxFull


class Phase(Enum):
    """How far a command has come."""

    QUEUED = "waits in the mailbox"
    RUNNING = "runs, and its caller waits"
    ORPHANED = "runs, and its caller has gone"
    ANSWERED = "was answered"
    UNHEARD = "ended, and nobody heard the answer"
    DROPPED = "never ran and never will"


@dataclass(frozen=True, slots=True)
class Abandoned[C, R]:
    """What a command did whose caller did not wait for the answer: its reply, or the error that was its reply."""

    command: C
    reply: R | None
    error: Exception | None


class Envelope[C, R]:
    """A command, the place for its answer, and how far it has come.

    Attributes:
        command: what to do.
        sent_at: when it was made, by `time.perf_counter`, for how long it waits. A loop's clock may be too coarse.
        deadline: when the caller stops waiting, on the loop's clock; infinity for a tell.
        context: the caller's, opaque to the runtime (a request id, a log context).
        phase: see the module's picture.
        unheard: the answer, once the phase is UNHEARD.
    """

    # Slots, since one is made for every call.
    __slots__ = ("_reply", "_timeout_s", "command", "context", "deadline", "phase", "sent_at", "unheard")

    def __init__(
        self,
        command: C,
        *,
        reply: asyncio.Future[R] | None = None,
        deadline: float = float("inf"),
        timeout_s: float = float("inf"),
        context: object = None,
    ) -> None:
        self.command = command
        self.sent_at = time.perf_counter()
        self.context = context
        self.deadline = deadline
        self.phase = Phase.QUEUED
        self.unheard: Abandoned[C, R] | None = None
        self._timeout_s = timeout_s
        self._reply = reply

    def begin(self) -> bool:
        """Whether the command is to run now (invariant 4: never, once its caller has left)."""
        # A cancelled task has cancelled the future it awaits, but gets to abandon the envelope only when it runs next.
        gone = self._reply is not None and self._reply.done()
        self.phase = Phase.DROPPED if gone else Phase.RUNNING
        return not gone

    def abandon(self) -> Phase | None:
        """The caller has left. Returns the new phase, or None when this changes nothing."""
        match self.phase:
            case Phase.QUEUED:
                self.phase = Phase.DROPPED
            case Phase.RUNNING:
                self.phase = Phase.ORPHANED
            case Phase.ANSWERED if self._reply is not None:
                error = self._reply.exception()
                reply = self._reply.result() if error is None else None
                self._keep(reply, error if isinstance(error, Exception) else None)
            case _:
                return None
        return self.phase

    def expire(self) -> Phase | None:
        """The deadline has passed: the caller is told so and has left. Returns as `abandon` does."""
        if self._reply is None or self._reply.done():
            return None
        self._reply.set_exception(AskTimeout(self._timeout_s, started=self.phase is Phase.RUNNING))
        return self.abandon()

    def refuse(self, reason: str) -> None:
        """The actor ends and this command has not begun: it never runs."""
        self.phase = Phase.DROPPED
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(ActorStopped(reason, started=False))

    def resolve(self, reply: R) -> None:
        """Answers with the reply."""
        if self.phase is Phase.ORPHANED or (self._reply is not None and self._reply.done()):
            self._keep(reply, None)
        else:
            self.phase = Phase.ANSWERED
            if self._reply is not None:
                self._reply.set_result(reply)

    def reject(self, error: Exception) -> None:
        """Answers with an error."""
        if self.phase is Phase.ORPHANED or (self._reply is not None and self._reply.done()):
            self._keep(None, error)
        else:
            self.phase = Phase.ANSWERED
            if self._reply is not None:
                self._reply.set_exception(error)

    def _keep(self, reply: R | None, error: Exception | None) -> None:
        self.phase = Phase.UNHEARD
        self.unheard = Abandoned(self.command, reply, error)


class Mailbox[C, R]:
    """Commands in the order of their arrival, for one reader. Nobody waits to get in.

    The system lane is one place wide: the reason to stop (`close`), which the reader sees before any command. Other
    signals need no place, since they are handed to the actor in the step that they arrive in.

    Args:
        capacity: how many commands can wait.
    """

    __slots__ = ("_closed", "_queue", "_waiter", "capacity")

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"A mailbox needs room for at least one command, not {capacity}.")
        self.capacity = capacity
        self._queue: deque[Envelope[C, R]] = deque()
        self._closed: str | None = None
        self._waiter: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        """How many commands wait."""
        return len(self._queue)

    def __iter__(self) -> Iterator[Envelope[C, R]]:
        """The commands that wait, oldest first."""
        return iter(self._queue)

    def put(self, envelope: Envelope[C, R]) -> None:
        """Accepts the envelope. Raises `ActorStopped` when closed and `MailboxFull` when full, at once."""
        if self._closed is not None:
            raise ActorStopped(self._closed, started=False)
        if len(self._queue) >= self.capacity:
            raise MailboxFull(self.capacity)
        self._queue.append(envelope)
        self._wake()

    async def get(self) -> Envelope[C, R] | None:
        """The command that has waited longest; None when the mailbox is closed. Waits for ever, by design."""
        while not self._queue:
            if self._closed is not None:
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._queue.popleft()

    def discard(self, envelope: Envelope[C, R]) -> None:
        """Takes out an abandoned envelope, so that callers who have left take no room."""
        with suppress(ValueError):
            self._queue.remove(envelope)

    def close(self, reason: str) -> None:
        """Lets nobody in any more and refuses those who wait (invariant 3). A later reason replaces the earlier."""
        self._closed = reason
        while self._queue:
            self._queue.popleft().refuse(reason)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
