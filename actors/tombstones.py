"""What is remembered of actors that have ended, so that a late caller is told what happened and why."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from actors.actor import ActorRef
from actors.clock import Clock


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One actor's end. Times are seconds on the supervisor's clock.

    Attributes:
        id: the name that it was started under.
        key: whose it was.
        reason: why it ended, one of `Actor.reasons`.
        started_at: when its start began.
        ended_at: when its teardown was done.
        last_command: the kind of the command that began last; None when there was none.
        detail: what the actor itself had to say (`Actor.detail`).
    """

    id: str
    key: Hashable | None
    reason: str
    started_at: float
    ended_at: float
    last_command: str | None
    detail: object

    @classmethod
    def of[C, R](cls, ref: ActorRef[C, R], ended_at: float) -> "Tombstone":
        """The tombstone of an actor that has just ended."""
        return cls(
            id=ref.id,
            key=ref.key,
            reason=str(ref.reason),
            started_at=ref.started_at,
            ended_at=ended_at,
            last_command=ref.last_command,
            detail=ref.detail,
        )


class Tombstones:
    """A bounded number of tombstones, each kept for a limited time; those not asked after for longest give way first.

    Args:
        clock: what their age is measured by.
        ttl_s: how long one is kept.
        capacity: how many are kept; 0 keeps none.
    """

    def __init__(self, clock: Clock, *, ttl_s: float, capacity: int) -> None:
        self._clock = clock
        self._ttl_s = ttl_s
        self._capacity = capacity
        self._stones: OrderedDict[str, Tombstone] = OrderedDict()

    def add(self, stone: Tombstone) -> None:
        """Keeps a tombstone."""
        self._stones[stone.id] = stone
        while len(self._stones) > self._capacity:
            self._stones.popitem(last=False)

    def get(self, id: str) -> Tombstone | None:  # noqa: A002 - the field's name
        """The tombstone of that name, unless it has aged out."""
        stone = self._stones.get(id)
        if stone is None:
            return None
        if self._clock.now() >= stone.ended_at + self._ttl_s:
            del self._stones[id]
            return None
        self._stones.move_to_end(id)
        return stone
