"""What a user of the runtime writes (`Actor`) and what everyone else holds of it (`ActorRef`)."""

from collections.abc import Hashable
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, final, override

from actors.mailbox import Abandoned, Envelope

if TYPE_CHECKING:
    from actors.cell import Cell


class ExitReason(StrEnum):
    """Why the runtime itself ends an actor. An actor's own reasons stand beside these (`Actor.reasons`)."""

    CRASHED = "crashed"
    IDLE_TIMEOUT = "idle_timeout"
    MAX_LIFETIME = "max_lifetime"
    EVICTED = "evicted"
    DRAINED = "drained"
    KILLED = "killed"


class Actor[C, R]:
    """One task that owns a resource and handles commands of type `C` one at a time, answering each with an `R`.

    `setup`, `receive` and `teardown` run in the actor's own task, in a contextvars context that was empty at its
    start (invariant 5): no caller's cancellation reaches them. The `on_…` hooks are called synchronously, between two
    steps of that task, in an empty context as well; they must not block, and one that raises crashes the actor.

    Class attributes:
        replies: the exceptions that are answers. Any other exception that `receive` raises is a crash.
        reasons: the closed set of exit reasons; must hold those of `ExitReason`.
        teardown_timeout_s: after so long `teardown` is cancelled.

    Attributes:
        detail: what the tombstone is to tell beside the reason. Set it at any time until teardown ends.
        last_abandoned: what the last command did whose caller had left. Take it into the next reply.
            Whoever needs all of them has `on_unheard`.
    """

    replies: ClassVar[tuple[type[Exception], ...]] = ()
    reasons: ClassVar[frozenset[str]] = frozenset(ExitReason)
    teardown_timeout_s: ClassVar[float] = 5.0

    detail: object = None
    last_abandoned: Abandoned[C, R] | None = None
    _cell: "Cell[C, R] | None" = None

    @override
    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if missing := frozenset(ExitReason) - cls.reasons:
            raise TypeError(f"{cls.__name__}.reasons lacks {', '.join(sorted(missing))}, which the runtime uses.")

    async def setup(self) -> None:
        """Acquires what the actor owns. Raising makes the start fail, after `teardown`."""

    async def receive(self, command: C) -> R:
        """Handles one command. Cancelled only by a kill."""
        raise NotImplementedError

    async def teardown(self, reason: str) -> None:
        """Releases what the actor owns, and always runs once `setup` has begun, even when that failed half way.

        It may be cancelled, by its time limit or by a kill: whatever must happen belongs in a `finally` that does not
        await. An exception does not change the reason; it is in `ActorRef.error`.
        """

    def on_abandon(self, command: C) -> None:
        """The caller of the running command has left. By default the command simply runs to its end."""

    def on_unheard(self, abandoned: Abandoned[C, R]) -> None:
        """A command has ended, and nobody hears its answer. By default `last_abandoned` keeps it."""
        self.last_abandoned = abandoned

    def on_stop(self, reason: str) -> None:
        """A stop was asked for while a command runs. By default the command simply runs to its end."""

    def on_signal(self, signal: object) -> None:
        """Something happened outside (`ActorRef.signal`). Told at once, even while a command runs."""

    def describe(self) -> object:
        """A snapshot for those who list actors, taken synchronously and possibly in the middle of a command."""
        return None

    def kind(self, command: C) -> str:
        """The command's name, as the tombstone of the actor tells it."""
        return type(command).__name__

    @final
    def end(self, reason: str) -> None:
        """Decides, from within `receive` or `teardown`, that the actor ends for `reason`, and what is true of it.

        The command that runs is still answered; those that wait are refused. Unlike a stop, which is a wish and where
        the first reason counts, this is a verdict: it overrides every stop, and a later verdict an earlier one. So a
        commit that succeeds while the gateway shuts down is told as committed.
        """
        self.cell.end(reason)

    @final
    def take_abandoned(self) -> Abandoned[C, R] | None:
        """Returns `last_abandoned` and forgets it, so that it is told once."""
        abandoned, self.last_abandoned = self.last_abandoned, None
        return abandoned

    @property
    def running(self) -> Envelope[C, R] | None:
        """The command being handled, with its deadline, its caller's context, and whether the caller is still there."""
        return self.cell.running

    @property
    def ref(self) -> "ActorRef[C, R]":
        """The reference that others hold of this actor."""
        return self.cell.ref

    @property
    def cell(self) -> "Cell[C, R]":
        """The runtime's side of this actor; not for its author."""
        if self._cell is None:
            raise RuntimeError(f"{type(self).__name__} has not been started.")
        return self._cell

    @final
    def attach(self, cell: "Cell[C, R]") -> None:
        """Called by the runtime. Raises RuntimeError when the actor was started before: an actor lives once."""
        if self._cell is not None:
            raise RuntimeError(f"This {type(self).__name__} was started before. An actor lives once: make a new one.")
        self._cell = cell


@final
class ActorRef[C, R]:
    """What one may do with an actor from outside. Stays valid, and truthful, after the actor has ended."""

    __slots__ = ("__weakref__", "_cell")

    def __init__(self, cell: "Cell[C, R]") -> None:
        self._cell = cell

    async def ask(self, command: C, timeout_s: float, context: object = None) -> R:
        """Has the command run and returns the reply.

        The caller's cancellation, or `timeout_s` passing, never cancels a command that runs: see `Actor.on_abandon`.
        `context` travels with the command.

        Raises:
            MailboxFull: not accepted.
            AskTimeout: no answer in time.
            ActorStopped: the actor has ended, or ends before answering.
            Exception: one of `Actor.replies`.
        """
        return await self._cell.ask(command, timeout_s, context)

    def tell(self, command: C, context: object = None) -> None:
        """Has the command run, for whoever needs no reply. Raises `MailboxFull` and `ActorStopped` as `ask` does."""
        self._cell.mailbox.put(Envelope(command, context=context))

    def signal(self, signal: object) -> None:
        """Hands something to `Actor.on_signal`, at once. An actor that is ending hears no signals."""
        self._cell.signal(signal)

    def stop(self, reason: str) -> None:
        """Soft: the running command ends as it will, those that wait are refused now. The first reason counts."""
        self._cell.stop(reason)

    def kill(self, reason: str = ExitReason.KILLED) -> None:
        """Hard: cancels the running command, or the teardown if it has come to that. The first reason counts."""
        self._cell.kill(reason)

    async def join(self, timeout_s: float) -> str:
        """Waits until the actor has ended, teardown included, and returns the reason. Raises TimeoutError."""
        return await self._cell.join(timeout_s)

    def describe(self) -> object:
        """The actor's own snapshot of itself."""
        return self._cell.actor.describe()

    @property
    def id(self) -> str:
        """The name that it was started under."""
        return self._cell.id

    @property
    def key(self) -> Hashable | None:
        """Whose it is: what the per-key limit counts by."""
        return self._cell.key

    @property
    def started_at(self) -> float:
        """When it was made, on its clock, in seconds."""
        return self._cell.started_at

    @property
    def idle_since(self) -> float | None:
        """When the last command ended (or the set-up), on its clock; None while a command runs or waits."""
        return None if self.busy else self._cell.idle_since

    @property
    def busy(self) -> bool:
        """Whether a command runs or waits."""
        return self._cell.running is not None or self.queued > 0

    @property
    def queued(self) -> int:
        """How many commands wait."""
        return len(self._cell.mailbox)

    @property
    def last_command(self) -> str | None:
        """The kind of the command that began last."""
        return self._cell.last_command

    @property
    def detail(self) -> object:
        """What the actor has to say of its end."""
        return self._cell.actor.detail

    @property
    def reason(self) -> str | None:
        """Why it ends or has ended; None while it accepts commands."""
        return self._cell.reason

    @property
    def error(self) -> BaseException | None:
        """What it crashed of, or what went wrong in its teardown."""
        return self._cell.error
