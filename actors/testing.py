"""For tests of actors: time that moves when told to, a loop that comes to rest, and every order of events."""

import asyncio
import heapq
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context
from itertools import count


class ManualTimer:
    """A timer of a `ManualClock`."""

    __slots__ = ("_callback",)

    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback: Callable[[], object] | None = callback

    @property
    def armed(self) -> bool:
        """Whether it is still to fire."""
        return self._callback is not None

    def cancel(self) -> None:
        """It won't fire."""
        self._callback = None

    def fire(self) -> None:
        """Calls back, once, in an empty context as the loop's clock does."""
        callback, self._callback = self._callback, None
        if callback is not None:
            Context().run(callback)


class ManualClock:
    """A `Clock` that stands still until `advance`.

    Args:
        start: its time at first, in seconds.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._timers: list[tuple[float, int, ManualTimer]] = []
        self._order = count()

    def now(self) -> float:
        """The time that it was moved to."""
        return self._now

    def call_at[*Ts](self, when: float, callback: Callable[[*Ts], object], *args: *Ts) -> ManualTimer:
        """Calls back when the clock is advanced to `when`, or by `advance(0)` if that has passed."""
        timer = ManualTimer(lambda: callback(*args))
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Moves on and fires what is due, in order, each at its own time. What the callbacks arm fires too if due.

        The event loop does not run meanwhile: `await settle()` lets it react.
        """
        if seconds < 0:
            raise ValueError(f"Time does not go back, not even by {-seconds:g} s.")
        target = self._now + seconds
        while self._timers and self._timers[0][0] <= target:
            when, _, timer = heapq.heappop(self._timers)
            self._now = max(self._now, when)
            timer.fire()
        self._now = target

    @property
    def armed(self) -> int:
        """How many timers are still to fire: 0 when all was cleaned up."""
        return sum(timer.armed for _, _, timer in self._timers)


async def settle(turns: int = 50) -> None:
    """Lets the loop run until whatever is ready has run, as long as no chain of wake-ups is longer than `turns`.

    No public interface tells whether the loop has anything ready, so it gets a fixed number of turns. It does not wait
    for I/O or timers.
    """
    for _ in range(turns):
        await asyncio.sleep(0)


def every_interleaving[T](*sequences: Sequence[T]) -> Iterator[tuple[T, ...]]:
    """Every order in which the steps of several sequences can happen, each sequence keeping its own order.

    `every_interleaving("ab", "c")` gives abc, acb, cab. Steps that may happen in any order are sequences of one. For
    lengths a, b, c … it yields (a+b+c+…)! / (a! b! c! …) schedules: six single steps make 720.
    """
    rest = [sequence for sequence in sequences if sequence]
    if not rest:
        yield ()
    for index, sequence in enumerate(rest):
        for tail in every_interleaving(*rest[:index], sequence[1:], *rest[index + 1 :]):
            yield (sequence[0], *tail)
