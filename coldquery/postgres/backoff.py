"""How long to wait before the next attempt."""

from __future__ import annotations

import random


class Backoff:
    """Pauses that double up to a limit, each shortened at random by up to a half: not all gateways try at once.

    Args:
        first_s: the first pause, in seconds.
        limit_s: the longest.
    """

    def __init__(self, first_s: float, limit_s: float) -> None:
        self._first_s = self._next_s = first_s
        self._limit_s = limit_s

    def pause_s(self) -> float:
        """The next pause."""
        pause_s = min(self._next_s, self._limit_s)
        self._next_s = min(pause_s * 2, self._limit_s)
        return pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads attempts, hides nothing

    def reset(self) -> None:
        """An attempt has succeeded: begin with the first pause again."""
        self._next_s = self._first_s
