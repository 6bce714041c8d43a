"""The reading of plans that PostgreSQL 15 and 18 made of known queries on known tables.

Each is EXPLAIN's own JSON, but for counters of blocks that are zero and what no reading looks at.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldquery.postgres.plans import Plan, parse, read, render

PLANS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted(Path(__file__, "..", "plans").resolve().glob("*.json"))
}
MAJORS = sorted(PLANS)


def plan(name: str, major: str = "18") -> Plan:
    (only,) = parse(PLANS[major][name])
    return only


def kinds(name: str, major: str) -> list[str]:
    return [each.kind for each in read(plan(name, major))]


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("seq_scan", ["slowest", "seq_scan_filter"]),
        ("seq_scan_estimated", ["costliest", "seq_scan_filter"]),
        ("misestimate", ["slowest", "misestimate", "seq_scan_filter"]),
        ("sort_spill", ["slowest", "sort_spill", "many_rows"]),
        ("hash_spill", ["slowest", "hash_spill"]),
        ("aggregate_spill", ["slowest", "aggregate_spill"]),
        ("nested_loop", ["slowest", "nested_loop", "heap_fetches"]),
        ("pairs_compared", ["slowest", "misestimate", "pairs_compared"]),
        ("lossy_bitmap", ["slowest", "lossy_bitmap"]),
        ("heap_fetches", ["slowest", "heap_fetches"]),
        ("workers", ["slowest", "workers_missing"]),
        ("parallel", ["slowest", "seq_scan_filter"]),
        ("trigger", ["trigger"]),
        ("cte", ["slowest"]),
        ("plain", []),
        ("append", []),
    ],
)
def test_each_plan_has_its_findings_the_slowest_node_first(name: str, expected: list[str], major: str) -> None:
    assert kinds(name, major) == expected


def test_time_to_compile_expressions_is_told() -> None:
    # The embedded server can't compile, so that only the other's plan has it.
    assert kinds("jit", "15") == ["slowest", "jit"]
    assert kinds("jit", "18") == []


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize(
    ("name", "kind", "node", "figure", "advice"),
    [
        ("seq_scan", "seq_scan_filter", "Seq Scan on shop.orders o", "60,000 of 60,000 rows read are thrown away",
         "CREATE INDEX ON shop.orders (customer_id, status)"),
        ("seq_scan_estimated", "seq_scan_filter", "Seq Scan on shop.orders", "cost 1,432 for 30 rows",
         "CREATE INDEX ON shop.orders (customer_id)"),
        ("misestimate", "misestimate", "Seq Scan on shop.pairs", "2 rows estimated, 200 found: 100 times too few",
         "CREATE STATISTICS (dependencies, mcv) ON a, b FROM shop.pairs"),
        ("sort_spill", "sort_spill", "Sort", "MB sorted on disk", "work_mem = '8MB'"),
        ("hash_spill", "hash_spill", "Hash", "batches instead of 1", "work_mem = '4MB'"),
        ("aggregate_spill", "aggregate_spill", "HashAggregate", "1.75 MB of groups on disk", "work_mem"),
        ("nested_loop", "nested_loop", "Index Only Scan using customers_pkey on shop.customers c", "run 60,000 times",
         "hash or merge join"),
        ("lossy_bitmap", "lossy_bitmap", "Bitmap Heap Scan on shop.sparse", "1,548 of 2,273 pages", "work_mem"),
        ("heap_fetches", "heap_fetches", "Index Only Scan using orders_placed_at_idx on shop.orders",
         "11,800 of 11,800 rows", "VACUUM shop.orders"),
        ("workers", "workers_missing", "Gather", "0 of 2 workers", "max_parallel_workers"),
        ("trigger", "trigger", "children_parent_id_fkey on parents", "200 calls", "index in the referencing table"),
    ],
)  # fmt: skip
def test_a_finding_says_where_by_which_figure_and_what_to_do(
    name: str, kind: str, node: str, figure: str, advice: str, *, major: str
) -> None:
    (found,) = (each for each in read(plan(name, major)) if each.kind == kind)
    assert found.node == node
    assert figure in found.figure
    assert advice in found.advice


@pytest.mark.parametrize("major", MAJORS)
def test_the_time_of_a_cte_is_not_counted_where_it_hangs_and_where_it_is_read(major: str) -> None:
    whole = plan("cte", major)
    assert sum(node.self_ms for node in whole.nodes()) <= (whole.execution_ms or 0) * 1.1
    (slowest,) = read(whole)
    assert slowest.node == "HashAggregate"


@pytest.mark.parametrize("major", MAJORS)
def test_the_time_of_parallel_workers_is_not_summed(major: str) -> None:
    whole = plan("parallel", major)
    assert all(node.total_ms <= (whole.execution_ms or 0) for node in whole.nodes())


@pytest.mark.parametrize("major", MAJORS)
def test_the_text_has_a_line_for_each_node_in_explains_own_words(major: str) -> None:
    lines = render(plan("cte", major)).splitlines()
    nodes = [line for line in lines if "(cost=" in line]
    assert len(nodes) == len(plan("cte", major).nodes())
    assert nodes[0].startswith("Limit  (cost=1647.29..1649.76 rows=5 width=25) (actual time=")
    assert nodes[1].startswith("  CTE per: HashAggregate  (cost=")
    assert nodes[-1].startswith("    Index Scan using customers_pkey on shop.customers c  (cost=0.28..0.43 rows=1")
    assert lines[-2].lstrip().startswith("Index Cond: (c.id = per.customer_id); Buffers: shared hit=15")
    assert lines[-1] == "Settings: jit = off, max_parallel_workers_per_gather = 0"
    assert "Workers Launched: 0" in render(plan("workers", major))


def test_a_scan_of_thousands_of_partitions_is_cut() -> None:
    scan = {"Node Type": "Seq Scan", "Relation Name": "p", "Parent Relationship": "Member"}
    (wide,) = parse([{"Plan": {"Node Type": "Append", "Plans": [scan] * 5000}}])
    text = render(wide)
    assert text.count("\n") == 300
    assert text.endswith("… 4701 more nodes")


def test_what_only_a_few_runs_wanted_is_no_misestimate() -> None:
    rows = {"Plan Rows": 50_000, "Actual Rows": 5, "Actual Loops": 1, "Actual Total Time": 3}
    below = {"Node Type": "Seq Scan", "Relation Name": "t", **rows}
    limit = {"Node Type": "Limit", "Plan Rows": 5, "Actual Rows": 5, "Actual Loops": 1, "Plans": [below]}
    assert [each.kind for each in read(parse([{"Plan": limit, "Execution Time": 3}])[0])] == ["slowest"]
    sort = {**limit, "Plans": [{"Node Type": "Sort", **{k: v for k, v in limit.items() if k != "Node Type"}}]}
    found = read(parse([{"Plan": sort, "Execution Time": 3}])[0])
    assert [(each.kind, each.node) for each in found if each.kind == "misestimate"] == [
        ("misestimate", "Seq Scan on t")
    ]


def test_only_the_lowest_of_the_misestimates_in_a_row_is_told() -> None:
    rows = {"Plan Rows": 1, "Actual Rows": 1000, "Actual Loops": 1, "Actual Total Time": 9}
    tree = {"Node Type": "Sort", **rows, "Plans": [{"Node Type": "Seq Scan", "Relation Name": "t", **rows}]}
    found = [each for each in read(parse([{"Plan": tree, "Execution Time": 9}])[0]) if each.kind == "misestimate"]
    assert [each.node for each in found] == ["Seq Scan on t"]


def test_too_high_an_estimate_that_changes_nothing_is_not_told() -> None:
    rows = {"Plan Rows": 700, "Actual Rows": 0, "Actual Loops": 1, "Actual Total Time": 5}
    top = {"Node Type": "Sort", **rows, "Plans": [{"Node Type": "Aggregate", **rows}]}
    assert "misestimate" not in [each.kind for each in read(parse([{"Plan": top, "Execution Time": 9}])[0])]


RUN = {"Actual Loops": 1, "Actual Total Time": 5.0, "Actual Rows": 10}
WORKERS = [{"Worker Number": 0, "Sort Space Type": "Disk", "Sort Space Used": 2048}]


@pytest.mark.parametrize(
    ("kind", "node"),
    [
        ("sort_spill", {"Node Type": "Sort", "Sort Space Type": "Memory", "Sort Space Used": 9000, "Workers": WORKERS}),
        ("sort_spill", {"Node Type": "Incremental Sort",
                        "Full-sort Groups": {"Sort Space Disk": {"Peak Sort Space Used": 512}}}),
        ("spill", {"Node Type": "Materialize", "Storage": "Disk", "Maximum Storage": 4096}),
        ("spill", {"Node Type": "CTE Scan", "CTE Name": "c", "Temp Written Blocks": 100}),
        ("index_filter", {"Node Type": "Index Scan", "Index Name": "i", "Relation Name": "t", "Filter": "(t.a = 1)",
                          "Rows Removed by Filter": 5000}),
        ("read_from_disk", {"Node Type": "Seq Scan", "Shared Read Blocks": 2000, "Shared Hit Blocks": 10}),
    ],
)  # fmt: skip
def test_what_the_fixtures_do_not_show_is_found_too(kind: str, node: dict[str, Any]) -> None:
    (odd,) = parse([{"Plan": {**RUN, **node}, "Execution Time": 5.5}])
    assert kind in [each.kind for each in read(odd)]


def test_planning_that_takes_longer_than_running_is_told() -> None:
    (slow,) = parse([{"Plan": {"Node Type": "Result"}, "Planning Time": 50.0, "Execution Time": 1.5}])
    assert "planning" in [each.kind for each in read(slow)]


@pytest.mark.parametrize(
    "odd",
    [
        None, [], ["Utility Statement"], [None], [{}], [{"Plan": None}], [{"Plan": {}}],
        [{"Plan": {"Plans": [1, None]}}],
        [{"Plan": {"Node Type": "Quantum Scan", "Qubits": {"a": 1}, "Actual Loops": "many"}, "Execution Time": 9}],
        [{"Plan": {"Node Type": 7, "Workers": 3, "Sort Key": "x"}, "JIT": 1, "Triggers": {}, "Settings": []}],
    ],
)  # fmt: skip
def test_what_is_not_known_breaks_nothing(odd: object) -> None:
    for each in parse(odd):
        read(each)
        render(each)


def test_what_has_no_plan_says_so() -> None:
    (utility,) = parse(["Utility Statement"])
    assert (render(utility), read(utility)) == ("Utility Statement", [])


_VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([]), st.just({}))


@given(st.sampled_from(sorted(PLANS["18"])), st.lists(st.tuples(st.integers(0, 500), _VALUES), max_size=8))
def test_no_field_whatever_breaks_the_reading(name: str, changes: list[tuple[int, Any]]) -> None:
    tree = copy.deepcopy(PLANS["18"][name])
    fields = list(_fields(tree))
    for number, value in changes:
        holder, key = fields[number % len(fields)]
        holder[key] = value
    for each in parse(tree):
        read(each)
        render(each)


def _fields(tree: Any) -> Iterator[tuple[Any, Any]]:
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _fields(value)
