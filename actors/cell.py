"""The runtime's side of one actor: its task, its mailbox, and the one way through its life.

The invariants that are held here are numbered as in docs/actors.md.
"""

import asyncio
import math
from collections.abc import Callable, Hashable
from contextvars import Context
from enum import Enum, auto

from actors.actor import Actor, ActorRef, ExitReason
from actors.clock import Clock
from actors.errors import ActorStopped, StartTimeout
from actors.mailbox import Envelope, Mailbox, Phase


class Life(Enum):
    """Where an actor is in its life. It only moves downwards."""

    CREATED = auto()
    SETTING_UP = auto()
    SERVING = auto()
    TEARING_DOWN = auto()
    ENDED = auto()


class Cell[C, R]:
    """Starts the actor's task at once. Use `ready` to wait for its set-up.

    Args:
        actor: not started before.
        id: how others call it.
        key: whose it is.
        clock: for `started_at` and `idle_since`; deadlines are the loop's.
        capacity: how many commands can wait.
        on_exit: called once, after teardown, whether or not the set-up succeeded.
    """

    __slots__ = (
        "_clock", "_context", "_deadline", "_loop", "_on_exit", "_ready", "_task", "_verdict", "_wish", "actor",
        "error", "id", "idle_since", "key", "last_command", "life", "mailbox", "ref", "running", "started_at",
    )  # fmt: skip

    def __init__(
        self,
        actor: Actor[C, R],
        *,
        id: str,  # noqa: A002 - the field's name
        key: Hashable | None,
        clock: Clock,
        capacity: int,
        on_exit: Callable[[ActorRef[C, R]], None],
    ) -> None:
        self.mailbox = Mailbox[C, R](capacity)
        actor.attach(self)
        self.actor = actor
        self.id = id
        self.key = key
        self.ref = ActorRef(self)
        self.life = Life.CREATED
        self.running: Envelope[C, R] | None = None
        self.last_command: str | None = None
        self.error: BaseException | None = None
        self.started_at = self.idle_since = clock.now()
        self._clock = clock
        self._on_exit = on_exit
        self._wish: str | None = None
        self._verdict: str | None = None
        self._loop = asyncio.get_running_loop()
        self._deadline: asyncio.TimerHandle | None = None
        self._ready: asyncio.Future[None] = self._loop.create_future()
        # An empty context, or the first caller's would live on in the actor. No id in the name: it shows in debug logs.
        self._context = Context()
        self._task = self._loop.create_task(self._run(), name=type(actor).__name__, context=self._context)

    @property
    def reason(self) -> str | None:
        """The exit reason as far as it is known: the actor's verdict, or the first wish; None while it serves."""
        return self._verdict or self._wish

    # What others do to it: all synchronous, so that nothing can happen between a check and its act.

    async def ready(self, timeout_s: float) -> None:
        """Waits until the actor serves. A waiter that is cancelled or out of time undoes the start.

        Raises the set-up's own exception, after teardown; `StartTimeout`; or `ActorStopped`.
        """
        timer = self._loop.call_later(timeout_s, self._start_late, timeout_s)
        try:
            await self._ready
            self._require_alive()
        except asyncio.CancelledError:
            # Also when the set-up succeeded in this very step: accept or undo.
            self.kill(ExitReason.KILLED)
            raise
        finally:
            timer.cancel()

    async def ask(self, command: C, timeout_s: float, context: object) -> R:
        """See `ActorRef.ask`."""
        loop = self._loop
        deadline = loop.time() + timeout_s
        reply: asyncio.Future[R] = loop.create_future()
        envelope = Envelope(command, reply=reply, deadline=deadline, timeout_s=timeout_s, context=context)
        self.mailbox.put(envelope)
        if self._deadline is None or deadline < self._deadline.when():
            self._watch(deadline)
        try:
            return await reply
        except asyncio.CancelledError:
            self._abandoned(envelope, envelope.abandon())
            raise
        finally:
            # An error's traceback holds this frame, which must not hold the error: only the collector would free them.
            del envelope, reply

    def signal(self, signal: object) -> None:
        """See `ActorRef.signal`."""
        if self.reason is None:
            self._call(self.actor.on_signal, signal)

    def stop(self, reason: str) -> None:
        """See `ActorRef.stop`. A set-up is cancelled: nobody knows the actor yet, so nothing is worth finishing."""
        self._wish_end(reason)
        if self.life is Life.SETTING_UP:
            self._task.cancel()
        elif self.running is not None:
            self._call(self.actor.on_stop, reason)

    def kill(self, reason: str) -> None:
        """See `ActorRef.kill`."""
        self._wish_end(reason)
        # A task that is cancelled before its first step never runs at all, hence no teardown and no exit. And to
        # cancel oneself would hit the teardown, as there may be no other await before it.
        if self.life is not Life.CREATED and asyncio.current_task() is not self._task:
            self._task.cancel()

    def end(self, reason: str) -> None:
        """See `Actor.end`."""
        self._check(reason)
        if self.life is not Life.ENDED:
            self._verdict = reason
            self.mailbox.close(reason)

    async def join(self, timeout_s: float) -> str:
        """See `ActorRef.join`."""
        await asyncio.wait((self._task,), timeout=timeout_s)
        reason = self.reason if self._task.done() else None
        if reason is None:
            raise TimeoutError(f"The actor has not ended within {timeout_s:g} s.")
        return reason

    # Its life, in its own task.

    async def _run(self) -> None:
        try:
            if self.reason is None:
                await self._live()
        finally:
            self._finish()

    async def _live(self) -> None:
        self.life = Life.SETTING_UP
        try:
            await self.actor.setup()
            self._serves()
            while await self._serve_one():
                pass
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - becomes the exit reason, or a part of it
            self._broke_off(error)
        await self._tear_down()

    def _broke_off(self, error: BaseException) -> None:
        # Not cancelled and yet CancelledError: something that the actor awaited was cancelled by others, a crash.
        # Cancelled and yet another error: a driver's translation of it, no crash.
        if self._task.cancelling():
            self._wish_end(ExitReason.KILLED)
            if isinstance(error, Exception):
                self.error = self.error or error
        else:
            self._crash(error)
        # Told before the teardown, which may take long.
        if self.running is not None and self.reason is not None:
            self.running.reject(ActorStopped(self.reason, started=True))
            self.running = None

    def _serves(self) -> None:
        self.life = Life.SERVING
        self.idle_since = self._clock.now()
        if self.reason is None and not self._ready.done():
            self._ready.set_result(None)

    async def _serve_one(self) -> bool:
        """One command (invariant 2). A function of its own, so that an idle actor holds neither command nor reply."""
        envelope = await self.mailbox.get()
        if envelope is None:
            return False
        # The loop may have been too busy to fire the deadline's timer.
        if envelope.deadline <= self._loop.time():
            self._expire(envelope)
        elif envelope.begin():
            self.running = envelope
            self.last_command = self.actor.kind(envelope.command)
            try:
                reply = await self.actor.receive(envelope.command)
            except self.actor.replies as error:
                envelope.reject(error)
            else:
                envelope.resolve(reply)
            self._keep_unheard(envelope)
            self.running = None
            self.idle_since = self._clock.now()
        # The traceback of an error that was the reply holds this frame, which must not hold the error in turn.
        del envelope
        return True

    async def _tear_down(self) -> None:
        self.life = Life.TEARING_DOWN
        try:
            async with asyncio.timeout(self.actor.teardown_timeout_s):
                await self.actor.teardown(self.reason or ExitReason.CRASHED)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - kept for the supervisor
            self.error = self.error or error

    def _finish(self) -> None:
        self._wish_end(ExitReason.KILLED)  # counts only if none is known: the interpreter is going down
        self.life = Life.ENDED
        if self._deadline is not None:
            self._deadline.cancel()
        if not self._ready.done():
            if self._verdict == ExitReason.CRASHED and isinstance(self.error, Exception):
                self._ready.set_exception(self.error)
            else:
                self._ready.set_exception(ActorStopped(self.reason or ExitReason.KILLED, started=False))
        self._on_exit(self.ref)

    # What happens to it.

    def _wish_end(self, reason: str) -> None:
        self._check(reason)
        self._wish = self._wish or reason
        self.mailbox.close(self._verdict or self._wish)

    def _crash(self, error: BaseException) -> None:
        self.error = self.error or error
        # A verdict stands: what was committed stays committed, whatever broke afterwards.
        self.end(self._verdict or ExitReason.CRASHED)

    def _check(self, reason: str) -> None:
        if reason not in self.actor.reasons:
            raise ValueError(f"{reason!r} is no exit reason of {type(self.actor).__name__}: it has a closed set.")

    def _require_alive(self) -> None:
        # It may have been stopped between the end of its set-up and its starter's next step.
        if self.reason is not None:
            raise ActorStopped(self.reason, started=False)

    def _start_late(self, timeout_s: float) -> None:
        if not self._ready.done():
            self._ready.set_exception(StartTimeout(timeout_s))
            self.kill(ExitReason.KILLED)

    def _watch(self, deadline: float) -> None:
        """Look for asks that are out of time no later than then: one timer for all, and none set anew for each.

        In the actor's context, not in that of the ask that happens to set it.
        """
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._loop.call_at(deadline, self._expire_all, context=self._context)

    def _expire_all(self) -> None:
        self._deadline = None
        now = self._loop.time()
        waiting = [*self.mailbox, self.running] if self.running is not None else [*self.mailbox]
        for envelope in waiting:
            if envelope.deadline <= now:
                self._expire(envelope)
        later = [envelope.deadline for envelope in waiting if now < envelope.deadline < math.inf]
        if later:
            self._watch(min(later))

    def _expire(self, envelope: Envelope[C, R]) -> None:
        self._abandoned(envelope, envelope.expire())

    def _abandoned(self, envelope: Envelope[C, R], phase: Phase | None) -> None:
        match phase:
            case Phase.DROPPED:
                self.mailbox.discard(envelope)
            case Phase.ORPHANED:
                self._call(self.actor.on_abandon, envelope.command)
            case Phase.UNHEARD:
                self._keep_unheard(envelope)
            case _:
                """The caller left before, or there is nothing left to leave."""

    def _keep_unheard(self, envelope: Envelope[C, R]) -> None:
        if envelope.unheard is not None:
            self._call(self.actor.on_unheard, envelope.unheard)

    def _call[*Ts](self, hook: Callable[[*Ts], None], *args: *Ts) -> None:
        # In a context of its own: whatever the hook starts must not inherit the caller's.
        try:
            Context().run(hook, *args)
        except Exception as error:  # noqa: BLE001 - the actor's defect, not that of whoever triggered the hook
            self._crash(error)
            self.kill(ExitReason.CRASHED)
