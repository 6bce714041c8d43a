"""Time, always injected: the supervisor's timers run on a `Clock`, and tests move a manual one (`actors.testing`).

Deadlines of calls and of I/O stay on the event loop, since they guard against things that happen in real time.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Protocol


class Timer(Protocol):
    """A callback that is due at some time."""

    def cancel(self) -> None:
        """The callback won't be called. Does nothing once it was."""
        ...


class Clock(Protocol):
    """A monotonic clock that can call back."""

    def now(self) -> float:
        """Seconds since some fixed moment; never goes backwards."""
        ...

    def call_at[*Ts](self, when: float, callback: Callable[[*Ts], object], *args: *Ts) -> Timer:
        """Calls `callback(*args)` once, as soon as `now() >= when`, never within this call."""
        ...


class LoopClock:
    """The running event loop's clock. Callbacks run in an empty context, not in that of whoever set the timer."""

    __slots__ = ("_loop",)

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def now(self) -> float:
        """The loop's time, in seconds."""
        return self._loop.time()

    def call_at[*Ts](self, when: float, callback: Callable[[*Ts], object], *args: *Ts) -> Timer:
        """Calls `callback(*args)` at the loop's time `when`."""
        return self._loop.call_at(when, callback, *args, context=Context())
