"""What each check says of which figures."""

from __future__ import annotations

from typing import Any

import pytest

from coldquery.postgres.monitor import health
from coldquery.postgres.monitor.finding import Verdict
from coldquery.postgres.monitor.health_server import LAST_AGE

MIB = 1 << 20


def databases(age: int, multixact_age: int = 0, freeze_max: int = 200_000_000) -> dict[str, Any]:
    return {
        "freeze_max": freeze_max,
        "databases": [{"name": "shop", "age": age, "multixact_age": multixact_age}],
        "tables": [{"name": "public.old", "age": age}],
    }


def transactions(*ages: float) -> list[dict[str, Any]]:
    return [{"pid": 7, "user": "u", "application": "a", "state": "active", "age_s": age} for age in ages]


def standbys(*behind: tuple[int | None, float | None], behind_s: float | None = None) -> dict[str, Any]:
    return {
        "standby": behind_s is not None,
        "behind_s": behind_s,
        "standbys": [{"application": "s", "behind_bytes": size, "behind_s": time} for size, time in behind],
    }


def slot(status: str = "reserved", kept: int | None = 0, *, active: bool = True) -> dict[str, Any]:
    return {"slot": "s", "active": active, "wal_status": status, "kept_bytes": kept}


def dead(count: int, live: int) -> dict[str, Any]:
    return {"name": "public.t", "dead": count, "live": live, "vacuumed_days": None}


def overdue(*, on: bool = True, off: tuple[str, ...] = (), late: int = 0) -> dict[str, Any]:
    table = {"name": "public.t", "dead": 5000, "due_at": 100, "vacuumed_days": 3.0}
    return {"on": on, "off": list(off), "overdue": [table] * late}


def bloat(size: int, wasted: int, unknown: int = 0) -> dict[str, Any]:
    tables = [{"name": "public.t", "bytes": size, "wasted": wasted}]
    return {"measured": 1, "unknown": unknown, "tables": tables}


def sequence(*used: float) -> dict[str, Any]:
    worst = [{"name": "s", "column": None, "last": 1, "end_value": 2, "used": each} for each in used]
    return {"count": len(used), "worst": worst}


UNUSED = {"name": "i", "table": "t", "bytes": 2 * MIB}

CASES: list[tuple[str, Any, Verdict, str]] = [
    ("connections", {"used": 70, "max": 100, "reserved": 3}, Verdict.OK, "70 of 97 (72.2 %)"),
    ("connections", {"used": 80, "max": 100, "reserved": 3}, Verdict.WARN, "82.5 %"),
    ("connections", {"used": 97, "max": 100, "reserved": 3}, Verdict.CRITICAL, "100 %"),
    ("cache", None, Verdict.OK, "too little to say"),
    ("cache", {"hit": 10, "read": 90}, Verdict.OK, "too little to say"),
    ("cache", {"hit": 990_000, "read": 10_000}, Verdict.OK, "99 %"),
    ("cache", {"hit": 800_000, "read": 200_000}, Verdict.WARN, "80 %"),
    ("cache", {"hit": 500_000, "read": 500_000}, Verdict.CRITICAL, "50 %"),
    ("wraparound", databases(1000), Verdict.OK, f"{LAST_AGE - 1000:,} are left"),
    ("wraparound", databases(600_000_000), Verdict.WARN, "the oldest transaction id is 600,000,000 old, in shop"),
    ("wraparound", databases(600_000_000, freeze_max=1_000_000_000), Verdict.OK, "600,000,000"),
    ("wraparound", databases(10, 1_600_000_000), Verdict.CRITICAL, "multixact"),
    ("wraparound", databases(1_600_000_000, freeze_max=2_000_000_000), Verdict.CRITICAL, "1,600,000,000"),
    ("long_transactions", [], Verdict.OK, "none is older"),
    ("long_transactions", transactions(20, 10), Verdict.OK, "0 older than 5 min; the oldest is 20 s old"),
    ("long_transactions", transactions(400, 10), Verdict.WARN, "1 older"),
    ("long_transactions", transactions(4000, 400), Verdict.CRITICAL, "2 older"),
    ("lock_waits", {"waiting": 0, "longest_s": 0.0}, Verdict.OK, "nobody waits"),
    ("lock_waits", {"waiting": 2, "longest_s": 1.0}, Verdict.OK, "2 backends wait"),
    ("lock_waits", {"waiting": 1, "longest_s": 9.0}, Verdict.WARN, "1 backend waits, the longest for 9 s"),
    ("lock_waits", {"waiting": 1, "longest_s": 61.0}, Verdict.CRITICAL, "61 s"),
    ("replication", standbys(), Verdict.OK, "no standby is connected"),
    ("replication", standbys(behind_s=5.0), Verdict.OK, "this is a standby, 5 s behind"),
    ("replication", standbys(behind_s=700.0), Verdict.CRITICAL, "12 min behind"),
    ("replication", standbys((MIB, 0.1), (0, None)), Verdict.OK, "2 connected, at most 1 MiB"),
    ("replication", standbys((200 * MIB, 0.1)), Verdict.WARN, "200 MiB"),
    ("replication", standbys((0, 601.0)), Verdict.CRITICAL, "10 min"),
    ("replication", standbys((None, None)), Verdict.UNKNOWN, "hidden"),
    ("replication_slots", [], Verdict.OK, "none"),
    ("replication_slots", [slot()], Verdict.OK, "1 slot, 0 B kept"),
    ("replication_slots", [slot(active=False)], Verdict.WARN, "1 slot"),
    ("replication_slots", [slot(kept=2048 * MIB)], Verdict.WARN, "2 GiB"),
    ("replication_slots", [slot(), slot("lost", None)], Verdict.CRITICAL, "2 slots"),
    ("dead_rows", [], Verdict.OK, "no table"),
    ("dead_rows", [dead(5000, 10)], Verdict.OK, "99.8 % of public.t"),
    ("dead_rows", [dead(20_000, 60_000)], Verdict.WARN, "25 %"),
    ("dead_rows", [dead(20_000, 20_000)], Verdict.CRITICAL, "50 % of public.t (20,000 rows)"),
    ("autovacuum", overdue(), Verdict.OK, "on"),
    ("autovacuum", overdue(off=("public.t",)), Verdict.WARN, "off for 1 table"),
    ("autovacuum", overdue(late=1), Verdict.WARN, "1 table overdue"),
    ("autovacuum", overdue(on=False), Verdict.CRITICAL, "off for the whole server"),
    ("bloat", {"measured": 0, "unknown": 0, "tables": []}, Verdict.OK, "0 tables"),
    ("bloat", bloat(100 * MIB, 40 * MIB), Verdict.OK, "at most 40 MiB of 100 MiB in public.t"),
    ("bloat", bloat(100 * MIB, 70 * MIB), Verdict.WARN, "70 MiB"),
    ("bloat", bloat(200 * MIB, 70 * MIB, 2), Verdict.OK, "2 tables have no statistics"),
    ("bloat", bloat(30_000 * MIB, 20_000 * MIB), Verdict.CRITICAL, "19.5 GiB"),
    ("sequences", sequence(), Verdict.OK, "0 sequences"),
    ("sequences", sequence(0.5), Verdict.OK, "1 sequence; s has used 50 %"),
    ("sequences", sequence(0.8, 0.1), Verdict.WARN, "80 %"),
    ("sequences", sequence(0.95), Verdict.CRITICAL, "95 %"),
    ("invalid_indexes", [], Verdict.OK, "0 indexes"),
    ("invalid_indexes", [{"name": "i"}], Verdict.WARN, "1 index"),
    ("unused_indexes", {"since": None, "count": 0, "bytes": 0, "indexes": []}, Verdict.OK, "0 indexes"),
    ("unused_indexes", {"since": "2026-01-31", "count": 1, "bytes": 2 * MIB, "indexes": [UNUSED]}, Verdict.WARN,
     "1 index, 2 MiB, not used since 2026-01-31"),
    ("duplicate_indexes", [], Verdict.OK, "0 indexes are needless"),
    ("duplicate_indexes", [{"table": "t", "keep": "a", "needless": ["b"], "bytes": MIB}], Verdict.WARN,
     "1 index is needless, 1 MiB"),
    ("constraints", [], Verdict.OK, "0 NOT VALID"),
    ("constraints", [{"table": "t", "name": "c", "kind": "check"}], Verdict.WARN, "1 NOT VALID"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "facts", "verdict", "figure"), CASES)
def test_a_check_has_a_verdict_its_figure_its_threshold_and_a_step(
    check: str, facts: Any, verdict: Verdict, figure: str
) -> None:
    finding = health.CHECKS[check].judge(facts)
    assert finding.verdict is verdict
    assert figure in finding.figure
    assert finding.threshold
    told = finding.to_dict(check)
    if verdict in {Verdict.WARN, Verdict.CRITICAL}:
        assert told["next"].endswith(".")
    if verdict is Verdict.OK:
        assert set(told) == {"check", "verdict", "figure", "threshold"}


def test_every_check_is_tried_well_and_ill() -> None:
    for check in health.CHECKS:
        verdicts = {verdict for name, _, verdict, _ in CASES if name == check}
        assert Verdict.OK in verdicts, check
        assert verdicts & {Verdict.WARN, Verdict.CRITICAL}, check


def test_findings_come_worst_first_and_what_was_not_answered_is_unknown() -> None:
    answers: dict[str, dict[str, Any] | str] = {
        "health_schema": {"constraints": [{"table": "t", "name": "c", "kind": "check"}], "invalid_indexes": []},
        "health_tables": "PostgreSQL did not answer within 5 s.",
        "health_server": {"connections": {"used": 97, "max": 100, "reserved": 3}},
    }
    body = health.judge(["invalid_indexes", "bloat", "constraints", "connections", "bloat"], answers)
    assert body["verdict"] == "critical"
    told = [(each["check"], each["verdict"]) for each in body["checks"]]
    assert told == [
        ("connections", "critical"), ("constraints", "warn"), ("bloat", "unknown"), ("invalid_indexes", "ok")
    ]  # fmt: skip
    assert body["checks"][2]["figure"] == "PostgreSQL did not answer within 5 s."


def test_a_question_is_asked_once_for_all_its_checks() -> None:
    assert health.questions(health.CHECKS) == ["health_server", "health_tables", "health_schema"]
    assert health.questions(["bloat", "sequences"]) == ["health_tables"]
