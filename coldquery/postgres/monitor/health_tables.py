"""Verdicts on what health_tables.sql answers: each from the value of the check's column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coldquery.postgres.monitor.finding import Finding, Verdict, grade, worst
from coldquery.postgres.monitor.words import number, percent, size

type Facts = Mapping[str, Any]

ENOUGH_DEAD = 10_000
DEAD_SHARE = (0.2, 0.5)
BLOAT_SHARE = 0.5
BLOAT_BYTES = (64 << 20, 10 << 30)
SEQUENCE_USED = (0.75, 0.9)


def judge_dead_rows(facts: Sequence[Facts]) -> Finding:
    """Whether a table is full of rows that nobody sees any longer."""
    warn, critical = DEAD_SHARE
    bad = [each for each in facts if each["dead"] >= ENOUGH_DEAD and _dead_share(each) >= warn]
    top = max(bad or facts, key=_dead_share, default=None)
    return Finding(
        worst([grade(_dead_share(each), warn, critical) for each in bad]),
        f"{percent(_dead_share(top))} of {top['name']} ({top['dead']:,} rows)" if top else "no table has 1,000",
        f"warn at {percent(warn)} and {ENOUGH_DEAD:,} rows of a table, critical at {percent(critical)}",
        "Run VACUUM (ANALYZE) on them, and see why autovacuum does not come: checks autovacuum, long_transactions.",
        [
            {
                "table": each["name"],
                "dead": each["dead"],
                "live": each["live"],
                "vacuumed": _days_ago(each["vacuumed_days"]),
            }
            for each in bad
        ],
    )


def judge_autovacuum(facts: Facts) -> Finding:
    """Whether autovacuum does its work."""
    threshold = "warn if off for a table, or if one has twice the dead rows that call for it; critical if off for all"
    if not facts["on"]:
        step = "Set autovacuum and track_counts to on; without them tables grow until transaction ids run out."
        return Finding(Verdict.CRITICAL, "off for the whole server", threshold, step)
    off, overdue = facts["off"], facts["overdue"]
    return Finding(
        Verdict.WARN if off or overdue else Verdict.OK,
        f"on; off for {number(len(off), 'table')}; {number(len(overdue), 'table')} overdue",
        threshold,
        "ALTER TABLE … RESET (autovacuum_enabled), unless something else vacuums the table; where it is overdue, look "
        "for old transactions, and give it more autovacuum_max_workers or a smaller autovacuum_vacuum_cost_delay.",
        [{"table": name, "autovacuum": "off"} for name in off]
        + [
            {
                "table": each["name"],
                "dead": each["dead"],
                "due_at": each["due_at"],
                "vacuumed": _days_ago(each["vacuumed_days"]),
            }
            for each in overdue
        ],
    )


def judge_bloat(facts: Facts) -> Finding:
    """Whether tables take much more room than their rows need, by estimate."""
    warn, critical = BLOAT_BYTES
    tables: Sequence[Facts] = facts["tables"]
    bad = [each for each in tables if each["wasted"] >= warn and each["wasted"] / each["bytes"] >= BLOAT_SHARE]
    unknown = f"; {number(facts['unknown'], 'table has', 'tables have')} no statistics that the role may read"
    top = max(bad or tables, key=lambda each: float(each["wasted"]), default=None)
    most = f", at most {size(top['wasted'])} of {size(top['bytes'])} in {top['name']}" if top else ""
    return Finding(
        worst([grade(each["wasted"], warn, critical) for each in bad]),
        f"estimated for {number(facts['measured'], 'table')} of 10 MiB or more{most}"
        + (unknown if facts["unknown"] else ""),
        f"warn at {size(warn)} and {percent(BLOAT_SHARE)} of a table, critical at {size(critical)}",
        "Confirm with pgstattuple_approx; then pg_repack, or VACUUM FULL where a lock on the table is no harm.",
        [{"table": each["name"], "size": size(each["bytes"]), "wasted": size(each["wasted"])} for each in bad],
    )


def judge_sequences(facts: Facts) -> Finding:
    """Whether a sequence, or the column that it fills, is near its end."""
    warn, critical = SEQUENCE_USED
    used: Sequence[Facts] = facts["worst"]
    top = used[0] if used else None
    return Finding(
        worst([grade(each["used"], warn, critical) for each in used]),
        f"{number(facts['count'], 'sequence')}" + (f"; {top['name']} has used {percent(top['used'])}" if top else ""),
        f"warn at {percent(warn)}, critical at {percent(critical)}",
        "Make the column bigint (ALTER TABLE … ALTER COLUMN … TYPE bigint, which rewrites the table) and the sequence "
        "too (ALTER SEQUENCE … AS bigint), before inserts fail.",
        [
            {
                "sequence": each["name"],
                "column": each["column"],
                "last": each["last"],
                "end": each["end_value"],
                "used": percent(each["used"]),
            }
            for each in used
            if each["used"] >= warn
        ],
    )


def _dead_share(table: Facts) -> float:
    return float(table["dead"] / (table["dead"] + table["live"]))


def _days_ago(days: float | None) -> str:
    return "never, as far as is known" if days is None else f"{days:.1f} days ago"
