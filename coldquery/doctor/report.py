"""Checks as text for people, and as JSON for programs. None of their words may steer the terminal."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from coldquery.control.table import printable
from coldquery.doctor.finding import Check, Verdict, exit_code

# In capitals what must not be overlooked where there are no colours.
MARKS = {Verdict.OK: "ok", Verdict.WARN: "warn", Verdict.FAIL: "FAIL", Verdict.SKIP: "skip"}


def as_text(checks: Sequence[Check]) -> str:
    """A line for each check, the next step under those that need one, and a summary."""
    names = [each.name + (f" ({each.identity})" if each.identity else "") for each in checks]
    width = max(map(len, names))
    lines = []
    for check, name in zip(checks, names, strict=True):
        finding = check.finding
        lines.append(f"{MARKS[finding.verdict]:4}  {name:{width}}  {printable(finding.found)}")
        if finding.next:
            lines.append(f"      Next: {printable(finding.next)}")
    return "\n".join([*lines, "", _summary(checks)])


def as_json(checks: Sequence[Check]) -> str:
    """The same, for a program."""
    rows = [
        {
            "name": each.name,
            "identity": each.identity,
            "verdict": each.finding.verdict,
            "found": each.finding.found,
            "next": each.finding.next,
        }
        for each in checks
    ]
    return json.dumps({"exit_code": exit_code(checks), "checks": rows}, indent=2)


def _summary(checks: Sequence[Check]) -> str:
    counts = Counter(each.finding.verdict for each in checks)
    warnings, failures = counts[Verdict.WARN], counts[Verdict.FAIL]
    skipped = f", {counts[Verdict.SKIP]} skipped" if counts[Verdict.SKIP] else ""
    return (
        f"{counts[Verdict.OK]} ok, {warnings} warning{'s' * (warnings != 1)}, "
        f"{failures} failure{'s' * (failures != 1)}{skipped}."
    )
