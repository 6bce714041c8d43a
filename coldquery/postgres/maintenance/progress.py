"""How far a running VACUUM, ANALYZE or REINDEX is, from what PostgreSQL shows of it.

Source: https://www.postgresql.org/docs/current/progress-reporting.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Where each phase begins and ends, in hundredths of the whole: by how long they take as a rule.
_PHASES: dict[str, tuple[float, float]] = {
    # VACUUM
    "scanning heap": (0, 60),
    "vacuuming indexes": (60, 75),
    "vacuuming heap": (75, 95),
    "cleaning up indexes": (95, 97),
    "truncating heap": (97, 98),
    "performing final cleanup": (98, 99),
    # ANALYZE
    "acquiring sample rows": (0, 90),
    "acquiring inherited sample rows": (0, 90),
    "computing statistics": (90, 98),
    "computing extended statistics": (98, 99),
    "finalizing analyze": (98, 99),
    # VACUUM FULL
    "seq scanning heap": (0, 70),
    "index scanning heap": (0, 50),
    "sorting tuples": (50, 60),
    "writing new heap": (60, 70),
    "swapping relation files": (70, 71),
    "rebuilding index": (71, 99),
    # REINDEX
    "waiting for writers before build": (0, 2),
    "building index": (2, 70),
    "building index: scanning table": (2, 40),
    "building index: sorting live tuples": (40, 50),
    "building index: sorting dead tuples": (50, 52),
    "building index: loading tuples in tree": (52, 70),
    "waiting for writers before validation": (70, 72),
    "index validation: scanning index": (72, 78),
    "index validation: sorting tuples": (78, 80),
    "index validation: scanning table": (80, 95),
    "waiting for old snapshots": (95, 97),
    "waiting for readers before marking dead": (97, 98),
    "waiting for readers before dropping": (98, 99),
}
_WHOLE = 100.0
# MCP wants each value to be larger than the one before, also where PostgreSQL goes through a table again.
_HARDLY = 0.01


@dataclass(frozen=True, slots=True)
class Progress:
    """What a client is told: how much of how much, and in words."""

    done: float
    total: float | None
    message: str


@dataclass(slots=True)
class Meter:
    """Turns what PostgreSQL shows into progress that only grows.

    Attributes:
        of_one: it is one relation that is worked on, so that there is a whole. Else progress counts seconds.
    """

    of_one: bool
    _done: float = field(default=0.0, init=False)
    _message: str = field(default="", init=False)

    def read(self, row: Mapping[str, Any] | None, elapsed_s: float) -> Progress | None:
        """The progress to tell; None if there is no news.

        Args:
            row: an answer to the question `admin_progress`; None if PostgreSQL shows no such statement.
            elapsed_s: since the beginning.
        """
        if row is None or (row["phase"] is None and not row["waits_for"] and self._done):
            # It has not begun, or has ended, or is between two relations.
            return None
        message = describe(row)
        if not self.of_one:
            self._done = max(round(elapsed_s, 1), self._done + _HARDLY)
            return Progress(self._done, None, message)
        done = percent(row)
        if done <= self._done:
            if message == self._message:
                return None
            done = self._done + _HARDLY
        self._done, self._message = done, message
        return Progress(round(done, 2), _WHOLE, message)


def percent(row: Mapping[str, Any]) -> float:
    """How much of one relation is done, in hundredths."""
    begin, end = _PHASES.get(row["phase"] or "", (0, 0))
    return begin + (end - begin) * (_part(row) or 0.0)


def describe(row: Mapping[str, Any]) -> str:
    """What goes on, for people."""
    if waits := row["waits_for"]:
        return f"waiting for a lock; before it comes: process {', '.join(map(str, waits))}"
    if row["phase"] is None:
        return "starting"
    where = f"{row['relation']}: " if row["relation"] else ""
    part = _part(row)
    return f"{where}{row['phase']}{'' if part is None else f', {part:.0%}'}"


def _part(row: Mapping[str, Any]) -> float | None:
    done, total = row["done"], row["total"]
    return min(done / total, 1.0) if done is not None and total else None
