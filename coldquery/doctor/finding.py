"""What doctor says of one thing: a verdict, what was found, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """`skip`: it was not looked at, since something else makes it pointless. It does not count."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict with its figures. `next` is the next step where the verdict is `warn` or `fail`."""

    verdict: Verdict
    found: str
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A finding and what it is about.

    Attributes:
        name: of the thing.
        identity: "reader" or "writer", where it concerns the role of reads or that of sessions and writes alone.
        finding: what is said of it.
    """

    name: str
    identity: str | None
    finding: Finding


def ok(found: str) -> Finding:
    """All is well."""
    return Finding(Verdict.OK, found)


def warn(found: str, next_step: str) -> Finding:
    """It works, but not as it should."""
    return Finding(Verdict.WARN, found, next_step)


def fail(found: str, next_step: str) -> Finding:
    """It does not work, or a promise of the gateway's does not hold."""
    return Finding(Verdict.FAIL, found, next_step)


def skip(why: str) -> Finding:
    """It was not looked at."""
    return Finding(Verdict.SKIP, why)


def exit_code(checks: Iterable[Check]) -> int:
    """0 if all is well, 1 if something deserves a warning, 2 if something fails."""
    verdicts = {each.finding.verdict for each in checks}
    return 2 if Verdict.FAIL in verdicts else 1 if Verdict.WARN in verdicts else 0
