"""What a check of the database's health says: a verdict, its figure and threshold, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """`unknown`: it could not be looked at, and the figure says why."""

    OK = "ok"
    WARN = "warn"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


# The worst first. What could not be looked at may hide anything, so it comes before what is well.
ORDER = (Verdict.CRITICAL, Verdict.WARN, Verdict.UNKNOWN, Verdict.OK)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        verdict: how it is.
        figure: what was measured, in words.
        threshold: from where on the verdict is another.
        next: what to do, where it is not well.
        items: what it is about, the worst first.
    """

    verdict: Verdict
    figure: str
    threshold: str
    next: str | None = None
    items: Sequence[Mapping[str, Any]] = ()

    def to_dict(self, check: str) -> dict[str, Any]:
        """The wire form, without what says nothing. Of a check that is well, the items say nothing."""
        body: dict[str, Any] = {"check": check, "verdict": self.verdict.value, "figure": self.figure}
        if self.threshold:
            body["threshold"] = self.threshold
        if self.verdict is not Verdict.OK:
            if self.next:
                body["next"] = self.next
            if self.items:
                body["items"] = [
                    {name: value for name, value in each.items() if value is not None} for each in self.items
                ]
        return body


def grade(value: float, warn: float, critical: float) -> Verdict:
    """The verdict on a value that is the worse the larger it is."""
    if value >= critical:
        return Verdict.CRITICAL
    return Verdict.WARN if value >= warn else Verdict.OK


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on all of them together."""
    return min(verdicts, key=ORDER.index, default=Verdict.OK)
