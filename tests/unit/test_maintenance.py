"""The pure parts of maintenance: statements, progress, what changed, what the figures suggest."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from coldquery.postgres.maintenance.advice import database_advice, index_advice, table_advice
from coldquery.postgres.maintenance.progress import Meter, describe, percent
from coldquery.postgres.maintenance.statements import Maintenance, Subject
from coldquery.postgres.maintenance.summary import compared, summary
from coldquery.postgres.maintenance.words import number, size

TABLE = Subject("table", "shop.orders", 1)
DATABASE = Subject("database", "")
NOW = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("work", "sql"),
    [
        (Maintenance("vacuum", TABLE), "VACUUM shop.orders"),
        (Maintenance("vacuum", TABLE, full=True, freeze=True), "VACUUM (FULL, FREEZE) shop.orders"),
        (Maintenance("vacuum", DATABASE, analyze=True, verbose=True), "VACUUM (ANALYZE, VERBOSE)"),
        (Maintenance("analyze", TABLE), "ANALYZE shop.orders"),
        (Maintenance("analyze", DATABASE), "ANALYZE"),
        (Maintenance("reindex", TABLE), "REINDEX TABLE shop.orders"),
        (Maintenance("reindex", Subject("index", "a.b", 2), concurrently=True), "REINDEX (CONCURRENTLY) INDEX a.b"),
        (Maintenance("reindex", Subject("schema", '"A"', 3)), 'REINDEX SCHEMA "A"'),
    ],
)
def test_the_statement_says_what_was_asked_for(work: Maintenance, sql: str) -> None:
    assert work.sql == sql


def test_progress_has_an_end_where_one_relation_is_worked_on() -> None:
    index = Subject("index", "shop.i", 2)
    assert Maintenance("vacuum", TABLE).is_of_one
    assert Maintenance("reindex", index).is_of_one
    assert not Maintenance("reindex", TABLE).is_of_one
    assert not Maintenance("vacuum", DATABASE).is_of_one
    assert not Maintenance("analyze", Subject("table", "p", 3, partitioned=True)).is_of_one


def test_the_figures_show_whether_a_table_was_passed_over() -> None:
    before = {"vacuums": 1, "analyzes": 1, "files": [7]}
    for work, after in (
        (Maintenance("vacuum", TABLE), {**before, "vacuums": 2}),
        (Maintenance("analyze", TABLE), {**before, "analyzes": 2}),
        (Maintenance("vacuum", TABLE, full=True), {**before, "files": [8]}),
    ):
        assert work.took_place(before, after)
        assert not work.took_place(before, before)
    for other in (Maintenance("vacuum", DATABASE), Maintenance("reindex", TABLE)):
        assert other.took_place(before, before)


# Progress.


def seen(phase: str | None, done: int | None = None, total: int | None = None, **more: Any) -> dict[str, Any]:
    return {"phase": phase, "done": done, "total": total, "relation": "shop.orders", "waits_for": None, **more}


@pytest.mark.parametrize(
    ("row", "hundredths"),
    [
        (seen("scanning heap", 50, 100), 30),
        (seen("scanning heap", 0, 0), 0),
        (seen("vacuuming heap", 200, 100), 95),
        (seen("building index: scanning table", 1, 2), 21),
        (seen("seq scanning heap", 1, 2), 35),
        (seen("a phase of a later major"), 0),
        (seen(None), 0),
    ],
)
def test_a_phase_and_its_part_make_a_percentage(row: dict[str, Any], hundredths: float) -> None:
    assert percent(row) == hundredths


def test_what_goes_on_is_said_in_words() -> None:
    assert describe(seen("scanning heap", 1, 4)) == "shop.orders: scanning heap, 25%"
    assert describe(seen("truncating heap")) == "shop.orders: truncating heap"
    assert describe(seen(None, relation=None)) == "starting"
    waiting = seen(None, waits_for=[7, 8])
    assert describe(waiting) == "waiting for a lock; before it comes: process 7, 8"


def test_progress_only_grows_and_is_told_only_when_there_is_news() -> None:
    meter = Meter(of_one=True)
    rows = [
        None,
        seen(None),
        seen(None),
        seen("scanning heap", 1, 2),
        seen("scanning heap", 1, 2),
        seen("vacuuming indexes"),
        # Through the table once more, and then through its TOAST table.
        seen("scanning heap", 3, 4),
        seen("scanning heap", 1, 4, relation="pg_toast.pg_toast_1"),
        seen(None),
    ]
    told = [meter.read(row, 1) for row in rows]
    values = [each.done for each in told if each]
    assert values == [0.01, 30, 60, 60.01, 60.02]
    assert [each is None for each in told] == [True, False, True, False, True, False, False, False, True]
    assert {each.total for each in told if each} == {100}


def test_of_several_relations_progress_is_time_without_an_end() -> None:
    meter = Meter(of_one=False)
    told = [meter.read(seen("scanning heap", 1, 2), elapsed_s) for elapsed_s in (0.2, 1.2, 1.2)]
    assert [(each.done, each.total) for each in told if each] == [(0.2, None), (1.2, None), (1.21, None)]


# What changed.


def figures(**known: Any) -> dict[str, Any]:
    names = ("dead_tuples", "live_tuples", "estimated_rows", "table_bytes", "index_bytes", "database_bytes")
    times = ("last_vacuum", "last_autovacuum", "last_analyze", "last_autoanalyze")
    return {**dict.fromkeys((*names, *times)), **known}


def test_what_changed_is_told_in_figures_and_in_words() -> None:
    before = figures(dead_tuples=5_000, table_bytes=3 << 20, index_bytes=8192)
    after = figures(dead_tuples=0, table_bytes=1 << 20, index_bytes=8192, last_vacuum="now")
    work = Maintenance("vacuum", TABLE)
    assert compared(work, before, after) == {
        "dead_tuples": {"before": 5_000, "after": 0},
        "table_bytes": {"before": 3 << 20, "after": 1 << 20},
        "index_bytes": {"before": 8192, "after": 8192},
        "last_vacuum": "now",
    }
    assert summary(work, before, after) == (
        "Dead tuples: 5,000 before, 0 after; table size: 3 MB before, 1 MB after; index size: 8 kB, as before."
    )


def test_dead_tuples_that_stay_are_explained() -> None:
    same = figures(dead_tuples=9_000)
    assert summary(Maintenance("vacuum", TABLE), same, same).startswith(
        "Dead tuples: 9,000 before, 9,000 after. The dead tuples that stay may still be needed by an older transaction"
    )
    few = figures(dead_tuples=9)
    assert summary(Maintenance("vacuum", TABLE), few, few) == "Dead tuples: 9 before, 9 after."


def test_vacuum_full_does_not_count_anew_unless_it_analyzes() -> None:
    same = figures(dead_tuples=9, table_bytes=1)
    assert "dead" not in summary(Maintenance("vacuum", TABLE, full=True), same, same)
    assert "dead_tuples" not in compared(Maintenance("vacuum", TABLE, full=True), same, same)
    assert "dead_tuples" in compared(Maintenance("vacuum", TABLE, full=True, analyze=True), same, same)


def test_where_nothing_is_known_it_is_done() -> None:
    assert summary(Maintenance("reindex", TABLE), figures(), figures()) == "Done."
    known = figures(estimated_rows=1_200)
    assert summary(Maintenance("analyze", TABLE), known, known) == "The planner now reckons with 1,200 rows."


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 bytes"), (8192, "8 kB"), (1536, "1.5 kB"), (3 << 30, "3 GB"), (1 << 60, "1024 PB")]
)
def test_sizes_are_in_the_largest_unit_that_fits(count: int, words: str) -> None:
    assert size(count) == words
    assert number(1234567) == "1,234,567"


# What the figures suggest.

MB = 1 << 20
HEALTHY_TABLE = {
    "live_tuples": 100_000,
    "dead_tuples": 0,
    "autovacuum": True,
    "autovacuum_at_dead_tuples": 20_050,
    "estimated_rows": 100_000,
    "changed_since_analyze": 0,
    "last_analyze": "2026-01-01",
    "last_autoanalyze": None,
    "heap_bytes": 20 * MB,
    "expected_heap_bytes": 18 * MB,
    "index_bytes": 5 * MB,
    "seq_scans": 0,
    "seq_rows_read": 0,
    "index_scans": 0,
    "hot_update_ratio": None,
    "updated": 0,
    "xid_age": 1_000,
    "freeze_max_age": 200_000_000,
}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, None),
        ({"dead_tuples": 999, "live_tuples": 1, "estimated_rows": 1}, None),
        ({"dead_tuples": 50_000}, "33% of all: run pg_admin vacuum; autovacuum is due"),
        ({"dead_tuples": 50_000, "autovacuum_at_dead_tuples": 60_000}, "33% of all: run pg_admin vacuum."),
        ({"autovacuum": False}, "Autovacuum is off"),
        ({"last_analyze": None}, "never analyzed"),
        ({"last_analyze": None, "live_tuples": 0, "estimated_rows": 0}, None),
        ({"changed_since_analyze": 30_000}, "30,000 rows were changed"),
        ({"expected_heap_bytes": 5 * MB}, "about 5 MB, and it takes 20 MB"),
        ({"expected_heap_bytes": None}, None),
        ({"seq_scans": 100, "seq_rows_read": 10**7}, "read 100,000 rows each"),
        ({"seq_scans": 100, "seq_rows_read": 10**7, "index_scans": 1_000}, None),
        ({"updated": 50_000, "hot_update_ratio": 0.1}, "Only 10% of 50,000 updates"),
        ({"index_bytes": 50 * MB}, "Its indexes take 50 MB"),
        ({"xid_age": 250_000_000}, "freeze=true"),
        ({"xid_age": None}, None),
    ],
)
def test_a_tables_figures_suggest_what_to_do(changed: dict[str, Any], words: str | None) -> None:
    told = table_advice({**HEALTHY_TABLE, **changed})
    assert len(told) == (words is not None)
    assert words is None or words in told[0]


HEALTHY_INDEX = {
    "valid": True,
    "ready": True,
    "unique": False,
    "primary": False,
    "constraint": None,
    "replica_identity": False,
    "scans": 9,
    "bytes": 20 * MB,
    "table_bytes": 100 * MB,
    "counted_since": None,
}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, None),
        ({"valid": False}, "It is invalid"),
        ({"scans": 0}, "No query on this server has used it, and it takes 20 MB"),
        ({"scans": 0, "counted_since": "2026-01-02T00:00:00+00:00"}, "has used it since 2026-01-02"),
        ({"scans": 0, "counted_since": "2026-01-30T00:00:00+00:00"}, None),
        ({"scans": 0, "unique": True}, None),
        ({"scans": 0, "bytes": MB}, None),
        ({"table_bytes": 15 * MB}, "more than its table"),
    ],
)
def test_an_indexs_figures_suggest_what_to_do(changed: dict[str, Any], words: str | None) -> None:
    told = index_advice({**HEALTHY_INDEX, **changed}, NOW)
    assert len(told) == (words is not None)
    assert words is None or words in told[0]


HEALTHY_DATABASE = {
    "cache_hit_ratio": 0.99,
    "blocks_wanted": 10**6,
    "deadlocks": 0,
    "temp_files": 0,
    "temp_bytes": 0,
    "conflicts": 0,
    "checksum_failures": None,
    "xid_age": 1_000,
    "freeze_max_age": 200_000_000,
}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, None),
        ({"cache_hit_ratio": 0.5}, "50.0% of the blocks"),
        ({"cache_hit_ratio": 0.5, "blocks_wanted": 10}, None),
        ({"deadlocks": 3}, "3 deadlocks"),
        ({"temp_files": 4, "temp_bytes": 40 * MB}, "4 sorts and hashes spilled 40 MB"),
        ({"conflicts": 1}, "cancelled by replay"),
        ({"checksum_failures": 1}, "checksum"),
        ({"xid_age": 300_000_000}, "The database's oldest transaction id is 300,000,000 back"),
    ],
)
def test_the_databases_figures_suggest_what_to_do(changed: dict[str, Any], words: str | None) -> None:
    told = database_advice({**HEALTHY_DATABASE, **changed})
    assert len(told) == (words is not None)
    assert words is None or words in told[0]
