"""Verdicts on what health_server.sql answers: each from the value of the check's column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coldquery.postgres.monitor.finding import Finding, Verdict, grade, worst
from coldquery.postgres.monitor.words import number, percent, size, span

type Facts = Mapping[str, Any]

MOST_CONNECTIONS = (0.8, 0.95)
LEAST_HITS = (0.9, 0.6)
# So many blocks must have been asked for before their shares mean anything.
ENOUGH_BLOCKS = 100_000
# PostgreSQL takes no more writes 3 million ids before the end, and autovacuum gives all it has from 1,600 million on.
# https://www.postgresql.org/docs/current/routine-vacuuming.html#VACUUM-FOR-WRAPAROUND
LAST_AGE = 2**31 - 3_000_000
MOST_AGE = (500_000_000, 1_500_000_000)
LONG_TRANSACTION_S = (300.0, 3600.0)
LONG_WAIT_S = (5.0, 60.0)
BEHIND_S = (60.0, 600.0)
BEHIND_BYTES = (128 << 20, 1 << 30)
KEPT_BYTES = (1 << 30, 10 << 30)


def judge_connections(facts: Facts) -> Finding:
    """Whether there is room for more."""
    usable = max(facts["max"] - facts["reserved"], 1)
    warn, critical = MOST_CONNECTIONS
    return Finding(
        grade(facts["used"] / usable, warn, critical),
        f"{facts['used']} of {usable} ({percent(facts['used'] / usable)}); {facts['reserved']} more are reserved",
        f"warn at {percent(warn)}, critical at {percent(critical)}",
        "See whose they are with action=connections; end idle ones, put a pooler in between, or raise max_connections.",
    )


def judge_cache(facts: Facts | None) -> Finding:
    """Whether what is read is mostly in memory."""
    warn, critical = LEAST_HITS
    threshold = f"warn under {percent(warn)}, critical under {percent(critical)}, once {ENOUGH_BLOCKS:,} were asked for"
    hit, read = (facts["hit"], facts["read"]) if facts else (0, 0)
    if hit + read < ENOUGH_BLOCKS:
        return Finding(Verdict.OK, f"too little to say: {number(hit + read, 'block')} asked for", threshold)
    share = hit / (hit + read)
    return Finding(
        grade(-share, -warn, -critical),
        f"{percent(share)} of {hit + read:,} blocks were in shared_buffers",
        threshold,
        "Look for statements that read most with action=slow_queries, order_by=io; then consider more shared_buffers.",
    )


def judge_wraparound(facts: Facts) -> Finding:
    """How far transaction ids, and those of multixacts, are from their end."""
    databases: Sequence[Facts] = facts["databases"]
    oldest = max(databases, key=lambda each: max(each["age"], each["multixact_age"]))
    age = max(oldest["age"], oldest["multixact_age"])
    warn, critical = MOST_AGE
    # Vacuum may be set to come late; half as late again is still in order.
    warn = min(max(warn, facts["freeze_max"] * 3 // 2), critical)
    kind = "transaction" if age == oldest["age"] else "multixact"
    return Finding(
        grade(age, warn, critical),
        f"the oldest {kind} id is {age:,} old, in {oldest['name']}; {LAST_AGE - age:,} are left",
        f"warn at an age of {warn:,}, critical at {critical:,}",
        f"In {oldest['name']}, run VACUUM (FREEZE) on the oldest tables; see that autovacuum runs, and end the old "
        "transactions and slots that hold it back (checks long_transactions, replication_slots).",
        [{"database": each["name"], "age": each["age"]} for each in databases]
        + [{"table": each["name"], "age": each["age"]} for each in facts["tables"]],
    )


def judge_long_transactions(facts: Sequence[Facts]) -> Finding:
    """Whether a transaction keeps VACUUM from its work, and others from its locks."""
    warn, critical = LONG_TRANSACTION_S
    longest = max((each["age_s"] for each in facts), default=0)
    long = [each for each in facts if each["age_s"] >= warn]
    return Finding(
        grade(longest, warn, critical),
        f"{len(long)} older than {span(warn)}; the oldest is {span(longest)} old"
        if facts
        else "none is older than 1 s",
        f"warn at {span(warn)}, critical at {span(critical)}",
        "Have their owners end them: a gateway session with pg_tx commit or rollback, a prepared one with ROLLBACK "
        "PREPARED; as a last resort pg_terminate_backend(pid).",
        long,
    )


def judge_lock_waits(facts: Facts) -> Finding:
    """Whether somebody waits for a lock, and since when."""
    warn, critical = LONG_WAIT_S
    waiting = facts["waiting"]
    return Finding(
        grade(facts["longest_s"], warn, critical),
        f"{number(waiting, 'backend waits', 'backends wait')}, the longest for {span(facts['longest_s'])}"
        if waiting
        else "nobody waits",
        f"warn at {span(warn)}, critical at {span(critical)}",
        "See who stands in whose way with action=locks.",
    )


def judge_replication(facts: Facts) -> Finding:
    """Whether standbys, or this one, are behind."""
    threshold = (
        f"warn at {span(BEHIND_S[0])} or {size(BEHIND_BYTES[0])} behind, critical at {span(BEHIND_S[1])} or "
        f"{size(BEHIND_BYTES[1])}"
    )
    step = "See whether the standby and the network keep up, and whether a query on the standby holds the replay."
    behind_s = facts["behind_s"] or 0
    if not facts["standbys"]:
        said = f"this is a standby, {span(behind_s)} behind" if facts["standby"] else "no standby is connected"
        return Finding(grade(behind_s, *BEHIND_S), said, threshold, step)
    standbys = [each for each in facts["standbys"] if each["behind_bytes"] is not None or each["behind_s"] is not None]
    if not standbys:
        return Finding(
            Verdict.UNKNOWN, f"{len(facts['standbys'])} connected; how far is hidden or not told yet", threshold
        )
    verdicts = [
        worst([grade(each["behind_bytes"] or 0, *BEHIND_BYTES), grade(each["behind_s"] or 0, *BEHIND_S)])
        for each in standbys
    ]
    most = max(each["behind_bytes"] or 0 for each in standbys)
    longest = max(each["behind_s"] or 0 for each in standbys)
    return Finding(
        worst([*verdicts, grade(behind_s, *BEHIND_S)]),
        f"{len(facts['standbys'])} connected, at most {size(most)} and {span(longest)} behind",
        threshold,
        step,
        standbys,
    )


def judge_slots(facts: Sequence[Facts]) -> Finding:
    """Whether a slot keeps more of the write-ahead log than it should, or is lost."""
    warn, critical = KEPT_BYTES
    threshold = f"warn if inactive or at {size(warn)} kept, critical if lost or at {size(critical)}"
    bad = [each for each in facts if _slot(each) is not Verdict.OK]
    most = max((each["kept_bytes"] or 0 for each in facts), default=0)
    return Finding(
        worst([_slot(each) for each in facts]),
        f"{number(len(facts), 'slot')}, {size(most)} kept at most" if facts else "none",
        threshold,
        "Connect the consumer of the slot again, or if there is none any longer drop it: pg_drop_replication_slot. "
        "max_slot_wal_keep_size bounds what it keeps.",
        bad,
    )


def _slot(slot: Facts) -> Verdict:
    if slot["wal_status"] in {"lost", "unreserved"}:
        return Verdict.CRITICAL
    kept = grade(slot["kept_bytes"] or 0, *KEPT_BYTES)
    return worst([kept, Verdict.OK if slot["active"] else Verdict.WARN])
