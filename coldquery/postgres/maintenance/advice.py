"""What the figures of the statistics suggest. Rules of thumb: each says the figure that it goes by, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from coldquery.postgres.maintenance.words import number, size

type Figures = Mapping[str, Any]

# Below these nothing is worth a word.
FEW_TUPLES = 1_000
SMALL_BYTES = 10 << 20

DEAD_PART = 0.2
CHANGED_PART = 0.2
BLOATED = 2.0
LARGE_SCAN_ROWS = 10_000
MANY_SCANS = 50
MANY_UPDATES = 10_000
LOW_HOT_RATIO = 0.5
LOW_CACHE_HIT_RATIO = 0.9
MANY_BLOCKS = 100_000
LONG_COUNTED = timedelta(days=7)


def table_advice(table: Figures) -> list[str]:
    """For an answer to the question `admin_table`."""
    return list(_of_table(table))


def index_advice(index: Figures, now: datetime | None = None) -> list[str]:
    """For an answer to the question `admin_index`."""
    return list(_of_index(index, now or datetime.now(UTC)))


def database_advice(database: Figures) -> list[str]:
    """For an answer to the question `admin_database`."""
    return list(_of_database(database))


def _of_table(table: Figures) -> Iterator[str]:
    live, dead = table["live_tuples"] or 0, table["dead_tuples"] or 0
    if dead >= FEW_TUPLES and dead > DEAD_PART * (live + dead):
        step = "run pg_admin vacuum"
        if table["autovacuum"] and dead > table["autovacuum_at_dead_tuples"]:
            step += "; autovacuum is due, and what holds it up may be an old transaction"
        yield f"{number(dead)} tuples are dead, {dead / (live + dead):.0%} of all: {step}."
    if table["autovacuum"] is False:
        yield "Autovacuum is off for it: nobody else removes dead tuples or renews the planner's statistics."
    rows = max(live, table["estimated_rows"] or 0)
    changed = table["changed_since_analyze"] or 0
    if rows and not (table["last_analyze"] or table["last_autoanalyze"]):
        yield "It was never analyzed, so the planner guesses: run pg_admin analyze."
    elif changed >= FEW_TUPLES and changed > CHANGED_PART * rows:
        yield f"{number(changed)} rows were changed since the last analyze: run pg_admin analyze."
    heap, expected = table["heap_bytes"] or 0, table["expected_heap_bytes"]
    if expected is not None and heap > SMALL_BYTES and heap > BLOATED * expected:
        yield (
            f"Its rows would fit into about {size(expected)}, and it takes {size(heap)}: new rows fill the free room; "
            "to give it back, run pg_admin vacuum with full=true, which locks everybody out meanwhile."
        )
    scans, index_scans = table["seq_scans"] or 0, table["index_scans"] or 0
    if scans >= MANY_SCANS and scans > index_scans and (each := table["seq_rows_read"] / scans) >= LARGE_SCAN_ROWS:
        yield (
            f"{number(scans)} sequential scans read {number(each)} rows each, against {number(index_scans)} by an "
            "index: look for the queries, and for an index that they lack, with pg_query explain."
        )
    hot = table["hot_update_ratio"]
    if hot is not None and table["updated"] >= MANY_UPDATES and hot < LOW_HOT_RATIO:
        yield (
            f"Only {hot:.0%} of {number(table['updated'])} updates left the indexes alone: drop indexes that nobody "
            "uses, or set a fillfactor below 100."
        )
    if table["index_bytes"] > SMALL_BYTES and table["index_bytes"] > 2 * heap:
        yield f"Its indexes take {size(table['index_bytes'])}, more than twice its rows: look for unused ones."
    yield from _wraparound(table, "table")


def _of_index(index: Figures, now: datetime) -> Iterator[str]:
    if not index["ready"] or not index["valid"]:
        yield (
            "It is invalid, so no query uses it, though writes may keep it up: rebuild it with pg_admin reindex, or "
            "drop it. If it is being built just now, wait."
        )
    needed = index["unique"] or index["primary"] or index["constraint"] or index["replica_identity"]
    since = index["counted_since"]
    long = since is None or now - datetime.fromisoformat(since) >= LONG_COUNTED
    if index["valid"] and not needed and not index["scans"] and index["bytes"] > SMALL_BYTES and long:
        counted = "" if since is None else f" since {since[:10]}"
        yield (
            f"No query on this server has used it{counted}, and it takes {size(index['bytes'])}: ask whether a replica "
            "or a rare report does; if not, drop it."
        )
    if index["bytes"] > SMALL_BYTES and index["bytes"] > (index["table_bytes"] or 0):
        yield (
            f"It takes {size(index['bytes'])}, more than its table: it holds much of each row, or is bloated, which "
            "pg_admin reindex would mend."
        )


def _of_database(database: Figures) -> Iterator[str]:
    hit = database["cache_hit_ratio"]
    if hit is not None and database["blocks_wanted"] >= MANY_BLOCKS and hit < LOW_CACHE_HIT_RATIO:
        yield f"{hit:.1%} of the blocks were found in PostgreSQL's cache: look at shared_buffers and at large scans."
    if database["deadlocks"]:
        yield f"{number(database['deadlocks'])} deadlocks: have all transactions lock rows in the same order."
    if database["temp_bytes"] > SMALL_BYTES:
        yield (
            f"{number(database['temp_files'])} sorts and hashes spilled {size(database['temp_bytes'])} to disk: raise "
            "work_mem for the queries that do (pg_admin settings sets it for a session)."
        )
    if database["conflicts"]:
        yield f"{number(database['conflicts'])} queries were cancelled by replay: look at max_standby_streaming_delay."
    if database["checksum_failures"]:
        yield f"{number(database['checksum_failures'])} pages failed their checksum: tell the operator at once."
    yield from _wraparound(database, "database")


def _wraparound(figures: Figures, what: str) -> Iterator[str]:
    age, limit = figures["xid_age"], figures["freeze_max_age"]
    if age is not None and age > limit:
        yield (
            f"The {what}'s oldest transaction id is {number(age)} back, beyond autovacuum_freeze_max_age "
            f"({number(limit)}): run pg_admin vacuum with freeze=true, and look for old transactions and slots."
        )
