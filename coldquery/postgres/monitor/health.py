"""The checks of a database's health: which question answers each, and who judges the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from coldquery.postgres.monitor import health_schema, health_server, health_tables
from coldquery.postgres.monitor.finding import ORDER, Finding, Verdict, worst


class Check(NamedTuple):
    """A check: the question that has a column of the check's name, and what makes a finding of that column's value."""

    question: str
    judge: Callable[[Any], Finding]


CHECKS: Mapping[str, Check] = {
    "connections": Check("health_server", health_server.judge_connections),
    "cache": Check("health_server", health_server.judge_cache),
    "wraparound": Check("health_server", health_server.judge_wraparound),
    "long_transactions": Check("health_server", health_server.judge_long_transactions),
    "lock_waits": Check("health_server", health_server.judge_lock_waits),
    "replication": Check("health_server", health_server.judge_replication),
    "replication_slots": Check("health_server", health_server.judge_slots),
    "dead_rows": Check("health_tables", health_tables.judge_dead_rows),
    "autovacuum": Check("health_tables", health_tables.judge_autovacuum),
    "bloat": Check("health_tables", health_tables.judge_bloat),
    "sequences": Check("health_tables", health_tables.judge_sequences),
    "invalid_indexes": Check("health_schema", health_schema.judge_invalid_indexes),
    "unused_indexes": Check("health_schema", health_schema.judge_unused_indexes),
    "duplicate_indexes": Check("health_schema", health_schema.judge_duplicate_indexes),
    "constraints": Check("health_schema", health_schema.judge_constraints),
}


def questions(checks: Iterable[str]) -> list[str]:
    """The questions that these checks need, each once."""
    return list(dict.fromkeys(CHECKS[each].question for each in checks))


def judge(checks: Iterable[str], answers: Mapping[str, Mapping[str, Any] | str]) -> dict[str, Any]:
    """All findings, the worst first, and the verdict on all of them.

    Args:
        checks: which.
        answers: to each question its one row, or why there is none.
    """
    findings = [(check, _finding(check, answers[CHECKS[check].question])) for check in dict.fromkeys(checks)]
    findings.sort(key=lambda each: ORDER.index(each[1].verdict))
    return {
        "verdict": worst([finding.verdict for _, finding in findings]).value,
        "checks": [finding.to_dict(check) for check, finding in findings],
    }


def _finding(check: str, answer: Mapping[str, Any] | str) -> Finding:
    if isinstance(answer, str):
        return Finding(Verdict.UNKNOWN, answer, "", "Ask again for this check alone.")
    return CHECKS[check].judge(answer[check])
