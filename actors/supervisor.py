"""The supervisor: admits actors, watches them, ends those whose time is up, and remembers how each ended.

It restarts none. Everything but `start` and `drain` is synchronous: nothing can happen between a check and its act.
"""

import asyncio
from collections.abc import Callable, Hashable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from itertools import chain

from actors.actor import Actor, ActorRef, ExitReason
from actors.cell import Cell
from actors.clock import Clock, Timer
from actors.errors import ActorStopped, Draining, TooManyActors
from actors.tombstones import Tombstone, Tombstones

# At the limit, a start waits so long for an actor that is ending already.
SLOT_PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many actors there may be and how long they may take. None means without limit.

    Attributes:
        max_actors: in all, those included that are starting or ending.
        max_per_key: of one key.
        idle_timeout_s: since the last command ended, while none runs or waits.
        max_lifetime_s: since the actor was admitted.
        stop_grace_s: from the soft stop at a limit (or an eviction) to the kill.
        mailbox_capacity: commands that can wait for one actor.
        tombstone_ttl_s: how long an end is remembered.
        max_tombstones: how many ends are remembered.
    """

    max_actors: int
    max_per_key: int | None = None
    idle_timeout_s: float | None = None
    max_lifetime_s: float | None = None
    stop_grace_s: float = 10.0
    mailbox_capacity: int = 16
    tombstone_ttl_s: float = 3600.0
    max_tombstones: int = 1000


@dataclass(slots=True, eq=False)
class _Child[C, R]:
    """An admitted actor and its timers, which hold this object and not its name: none can hit a successor."""

    ref: ActorRef[C, R]
    idle_timeout_s: float | None
    expires_at: float | None
    idle_timer: Timer | None = None
    lifetime_timer: Timer | None = None
    kill_timer: Timer | None = None

    def cancel_timers(self) -> None:
        for timer in (self.idle_timer, self.lifetime_timer, self.kill_timer):
            if timer is not None:
                timer.cancel()


class Supervisor[C, R]:
    """Owns its actors: holds the strong references, the slots and the timers.

    Args:
        clock: what every limit here is measured by.
        limits: see `Limits`.
        on_exit: called exactly once for every actor that `start` returned, after its teardown and with its slot free.
    """

    def __init__(
        self,
        clock: Clock,
        limits: Limits,
        *,
        on_exit: Callable[[ActorRef[C, R], Tombstone], None] | None = None,
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._on_exit = on_exit
        # Where an actor is held is its state here: starting (or a start being undone), then admitted, then a tombstone.
        self._starting: dict[str, ActorRef[C, R]] = {}
        self._children: dict[str, _Child[C, R]] = {}
        self._tombstones = Tombstones(clock, ttl_s=limits.tombstone_ttl_s, capacity=limits.max_tombstones)
        self._draining = False
        self._waiting_for_all: set[asyncio.Future[None]] = set()
        self._waiting_for_slot: set[asyncio.Future[None]] = set()

    @property
    def draining(self) -> bool:
        """Whether newcomers are refused for good."""
        return self._draining

    async def start(
        self,
        actor: Actor[C, R],
        id: str,  # noqa: A002 - the field's name
        *,
        timeout_s: float,
        key: Hashable | None = None,
        idle_timeout_s: float | None = None,
    ) -> ActorRef[C, R]:
        """Starts the actor under a name and returns when it serves.

        The slot is taken before anything of the actor runs, and is free again when a failed start has been torn down.
        At the limit a start waits only for a slot whose actor is ending already, and is refused at once where there is
        none. A starter that is cancelled, even in the step in which the set-up succeeds, leaves nothing behind.

        Args:
            actor: a new one.
            id: its name, never used before.
            timeout_s: for the set-up.
            key: whose it is.
            idle_timeout_s: this actor's own, in place of the limits'.

        Raises:
            Draining: no newcomers any more.
            TooManyActors: no slot.
            StartTimeout: not set up in time.
            ActorStopped: it ended before it served.
            ValueError: the name is taken, or was and is still remembered.
            Exception: what the set-up raised.
        """
        await self._wait_for_slot(key, timeout_s)
        if id in self._starting or self.lookup(id) is not None:
            raise ValueError("The name of an actor can't be used twice: choose a fresh one.")
        cell = Cell(
            actor,
            id=id,
            key=key,
            clock=self._clock,
            capacity=self._limits.mailbox_capacity,
            on_exit=self._exited,
        )
        ref = self._starting[id] = cell.ref
        try:
            await cell.ready(timeout_s)
        except ActorStopped as error:
            if self._draining:
                raise Draining from error
            raise
        self._admit(ref, self._limits.idle_timeout_s if idle_timeout_s is None else idle_timeout_s)
        return ref

    def lookup(self, id: str) -> ActorRef[C, R] | Tombstone | None:  # noqa: A002 - the field's name
        """The actor of that name, or how it ended, or None when it is not known (any more, or yet)."""
        child = self._children.get(id)
        return self._tombstones.get(id) if child is None else child.ref

    def list(self) -> tuple[ActorRef[C, R], ...]:
        """The actors that were started and have not ended, oldest first."""
        return tuple(child.ref for child in self._children.values())

    def count(self, key: Hashable | None = None) -> int:
        """How many slots are taken, by starting and ending actors too: in all, or by one key."""
        if key is None:
            return len(self._starting) + len(self._children)
        return sum(ref.key == key for ref in chain(self._starting.values(), self.list()))

    def next_expiry_s(self, key: Hashable | None = None) -> float | None:
        """In how many seconds the next slot can become free by expiry, if nobody does anything; None if never."""
        now = self._clock.now()
        expiries = [
            expiry
            for child in self._children.values()
            if (key is None or child.ref.key == key) and (expiry := self._expiry(child, now)) is not None
        ]
        return max(0.0, min(expiries) - now) if expiries else None

    def evict(self, id: str, reason: str = ExitReason.EVICTED) -> bool:  # noqa: A002 - the field's name
        """Ends an actor: a soft stop, then a kill after the grace. Returns whether there was one of that name."""
        child = self._children.get(id)
        if child is None:
            return False
        self._stop(child, reason)
        return True

    async def drain(self, soft_timeout_s: float, hard_timeout_s: float) -> tuple[ActorRef[C, R], ...]:
        """Admits nobody any more and ends everybody: running commands have the soft time to end, then all are killed.

        A second call while the first still waits, with a soft time of 0, goes straight to the kill. Returns those that
        have not even then ended within the hard time: none, unless an actor ignores its cancellation.
        """
        self._draining = True
        for ref in self._everyone():
            ref.stop(ExitReason.DRAINED)
        if not await self._all_ended(soft_timeout_s):
            for ref in self._everyone():
                ref.kill(ExitReason.DRAINED)
            await self._all_ended(hard_timeout_s)
        return self._everyone()

    # Admission and exit.

    def _require_slot(self, key: Hashable | None) -> None:
        limits = self._limits
        if self.count() >= limits.max_actors:
            raise TooManyActors(limits.max_actors, key=None, next_expiry_s=self.next_expiry_s())
        if limits.max_per_key is not None and key is not None and self.count(key) >= limits.max_per_key:
            raise TooManyActors(limits.max_per_key, key=key, next_expiry_s=self.next_expiry_s(key))

    async def _wait_for_slot(self, key: Hashable | None, timeout_s: float) -> None:
        """Return in the step in which there is a slot.

        At the limit, wait a moment for a slot that is becoming free anyway, if there are more of those than who wait
        for them. Raises `Draining` and `TooManyActors`.
        """
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + min(timeout_s, SLOT_PATIENCE_S)
        while True:
            if self._draining:
                raise Draining
            try:
                self._require_slot(key)
            except TooManyActors as full:
                enough = len(self._waiting_for_slot) >= self._ending_count(full.key)
                if enough or loop.time() >= give_up_at:
                    raise
            else:
                return
            waiter = loop.create_future()
            self._waiting_for_slot.add(waiter)
            timer = loop.call_at(give_up_at, _wake, waiter, context=Context())
            try:
                await waiter
            finally:
                timer.cancel()
                self._waiting_for_slot.discard(waiter)

    def _ending_count(self, key: Hashable | None) -> int:
        return sum(ref.reason is not None and key in {None, ref.key} for ref in self.list())

    def _admit(self, ref: ActorRef[C, R], idle_timeout_s: float | None) -> None:
        lifetime_s = self._limits.max_lifetime_s
        expires_at = None if lifetime_s is None else self._clock.now() + lifetime_s
        child = _Child(ref, idle_timeout_s, expires_at)
        del self._starting[ref.id]
        self._children[ref.id] = child
        if expires_at is not None:
            child.lifetime_timer = self._clock.call_at(expires_at, self._stop, child, ExitReason.MAX_LIFETIME)
        self._check_idle(child)

    def _exited(self, ref: ActorRef[C, R]) -> None:
        child = self._children.pop(ref.id, None)
        if child is None:
            del self._starting[ref.id]
        else:
            child.cancel_timers()
            self._bury(ref)
        for waiter in self._waiting_for_slot:
            _wake(waiter)
        if not self.count():
            for waiter in self._waiting_for_all:
                _wake(waiter)

    def _bury(self, ref: ActorRef[C, R]) -> None:
        tombstone = Tombstone.of(ref, self._clock.now())
        self._tombstones.add(tombstone)
        if self._on_exit is None:
            return
        try:
            self._on_exit(ref, tombstone)
        except Exception as error:  # noqa: BLE001 - a defect of the subscriber; the books here are in order
            asyncio.get_running_loop().call_exception_handler(
                {"message": "on_exit of an actor's supervisor failed", "exception": error}
            )

    # Expiry.

    def _expiry(self, child: _Child[C, R], now: float) -> float | None:
        """When the actor's time is up, at the earliest: of its lifetime, or idle from now on if it is busy."""
        idle_at = self._idle_expiry(child, now)
        known = [when for when in (idle_at, child.expires_at) if when is not None]
        return min(known) if known else None

    def _idle_expiry(self, child: _Child[C, R], now: float) -> float | None:
        if child.idle_timeout_s is None:
            return None
        idle_since = child.ref.idle_since
        return (now if idle_since is None else idle_since) + child.idle_timeout_s

    def _check_idle(self, child: _Child[C, R]) -> None:
        """Stops an idle actor whose time is up, in one step with the check; else looks again when it can be up next.

        So a command costs no timer, and an actor at most one for each idle time (invariant 14).
        """
        now = self._clock.now()
        due = self._idle_expiry(child, now)
        if due is None:
            return
        if due <= now:
            self._stop(child, ExitReason.IDLE_TIMEOUT)
        else:
            child.idle_timer = self._clock.call_at(due, self._check_idle, child)

    def _stop(self, child: _Child[C, R], reason: str) -> None:
        child.ref.stop(reason)
        if child.kill_timer is None:
            kill_at = self._clock.now() + self._limits.stop_grace_s
            child.kill_timer = self._clock.call_at(kill_at, child.ref.kill, reason)

    # The end of everybody.

    def _everyone(self) -> tuple[ActorRef[C, R], ...]:
        return (*self._starting.values(), *self.list())

    async def _all_ended(self, timeout_s: float) -> bool:
        if self.count() and timeout_s > 0:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting_for_all.add(waiter)
            timer = self._clock.call_at(self._clock.now() + timeout_s, _wake, waiter)
            try:
                await waiter
            finally:
                timer.cancel()
                self._waiting_for_all.discard(waiter)
        return not self.count()


def _wake(waiter: asyncio.Future[None]) -> None:
    with suppress(asyncio.InvalidStateError):
        waiter.set_result(None)
