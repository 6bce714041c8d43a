"""Verdicts on what health_schema.sql answers: each from the value of the check's column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coldquery.postgres.monitor.finding import Finding, Verdict
from coldquery.postgres.monitor.words import number, size

type Facts = Mapping[str, Any]


def judge_invalid_indexes(facts: Sequence[Facts]) -> Finding:
    """Whether an index is kept up, but used by no query."""
    return Finding(
        Verdict.WARN if facts else Verdict.OK,
        number(len(facts), "index", "indexes"),
        "warn at 1",
        "CREATE INDEX CONCURRENTLY or its like has failed half-way: REINDEX INDEX CONCURRENTLY, or drop it and build "
        "it again. A unique one fails again while there are duplicates. A partitioned one lacks some partition's: "
        "attach it.",
        facts,
    )


def judge_unused_indexes(facts: Facts) -> Finding:
    """Whether an index costs writes and room, and no query has used it."""
    since = f"since {facts['since']}" if facts["since"] else "since statistics began"
    return Finding(
        Verdict.WARN if facts["count"] else Verdict.OK,
        f"{number(facts['count'], 'index', 'indexes')}, {size(facts['bytes'])}, not used {since}",
        "warn at 1 of 1 MiB or more that holds no constraint",
        "Make sure that the statistics are old enough and that no standby uses it, since each counts its own; then "
        "DROP INDEX CONCURRENTLY.",
        [{"index": each["name"], "table": each["table"], "size": size(each["bytes"])} for each in facts["indexes"]],
    )


def judge_duplicate_indexes(facts: Sequence[Facts]) -> Finding:
    """Whether two indexes are the same but for their names."""
    needless = sum(len(each["needless"]) for each in facts)
    return Finding(
        Verdict.WARN if facts else Verdict.OK,
        f"{number(needless, 'index is', 'indexes are')} needless"
        + (f", {size(sum(each['bytes'] for each in facts))}" if facts else ""),
        "warn at 1",
        "DROP INDEX CONCURRENTLY each that is `needless`; `keep` does the same.",
        [{**each, "bytes": None, "size": size(each["bytes"])} for each in facts],
    )


def judge_constraints(facts: Sequence[Facts]) -> Finding:
    """Whether a constraint holds for new rows only."""
    return Finding(
        Verdict.WARN if facts else Verdict.OK,
        f"{len(facts)} NOT VALID",
        "warn at 1",
        "ALTER TABLE … VALIDATE CONSTRAINT …: it reads the table, and lets others write meanwhile. Mend the rows that "
        "break it first.",
        facts,
    )
