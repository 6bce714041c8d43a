"""What a plan's scans and joins waste: rows read to be thrown away, and inner sides run too often."""

from __future__ import annotations

from collections.abc import Iterator

from coldquery.postgres.plans.candidates import index_for
from coldquery.postgres.plans.finding import Finding, count, shortened
from coldquery.postgres.plans.text import title
from coldquery.postgres.plans.tree import Node

# Below this nobody waits for it.
_MANY_ROWS = 1_000
_MOST = 0.9
_MANY_LOOPS = 1_000
_MANY_PAIRS = 100_000
# The planner's cost of a scan is at least this for each row that it estimates, if it throws most of them away.
_COST_PER_ROW_KEPT = 1.0
_COSTLY = 100.0

_CANDIDATE = "A candidate: {}. Try it with hypothetical_indexes where HypoPG is installed, or in a transaction."


def scan_findings(node: Node) -> Iterator[Finding]:
    """Of a node that reads a table."""
    removed = node.number("Rows Removed by Filter") * node.loops
    condition = node.text("Filter")
    if node.kind == "Seq Scan" and condition:
        if removed >= _MANY_ROWS and removed >= _MOST * (removed + node.rows):
            yield _filters(node, f"{count(removed)} of {count(removed + node.rows)} rows read are thrown away")
        elif "Actual Loops" not in node.raw and node.cost >= max(_COSTLY, node.number("Plan Rows")):
            figure = f"cost {count(node.cost)} for {count(node.number('Plan Rows'))} rows by the planner's estimate"
            yield _filters(node, figure)
    elif (
        node.kind in {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}
        and removed >= _MANY_ROWS
        and removed >= _MOST * (removed + node.rows)
    ):
        yield Finding.of(
            "index_filter",
            node,
            f"{count(removed)} of {count(removed + node.rows)} rows found are thrown away: {shortened(condition)}",
            "The index knows too little of what is wanted: give it the filter's columns too, or WHERE with the filter.",
        )
    fetches = node.number("Heap Fetches")
    if fetches >= _MANY_ROWS and fetches >= (1 - _MOST) * node.rows:
        yield Finding.of(
            "heap_fetches",
            node,
            f"{count(fetches)} of {count(node.rows)} rows were looked up in the table all the same",
            f"The table's visibility map is out of date: VACUUM {node.relation}.",
        )


def join_findings(node: Node) -> Iterator[Finding]:
    """Of a nested loop."""
    if node.kind != "Nested Loop" or len(node.inputs) != 2:  # noqa: PLR2004 - outer and inner
        return
    outer, inner = node.inputs
    removed = node.number("Rows Removed by Join Filter") * node.loops
    if removed >= _MANY_PAIRS:
        yield Finding.of(
            "pairs_compared",
            node,
            f"{count(removed)} pairs of rows were compared in vain: {shortened(node.text('Join Filter'))}",
            "Only a join on equality, of plain columns of one type, can use an index or a hash.",
        )
    runs = inner.loops if "Actual Loops" in inner.raw else outer.number("Plan Rows")
    # A kept copy is read again at little cost.
    if runs < _MANY_LOOPS or inner.kind in {"Materialize", "Memoize"}:
        return
    share = inner.total_ms / node.total_ms if node.total_ms else 1.0
    if share >= 1 - _MOST:
        yield Finding(
            "nested_loop",
            title(inner),
            f"run {count(runs)} times" + (f", {inner.total_ms:.1f} ms in all" if node.total_ms else " by the estimate"),
            "For so many rows a hash or merge join is the rule. Look whether the outer side is misestimated, whether "
            "statistics are old (ANALYZE), and whether the join is on equality of one type.",
            node.total_ms or node.cost,
        )


def _filters(node: Node, figure: str) -> Finding:
    condition = node.text("Filter")
    index = index_for(node, condition)
    advice = _CANDIDATE.format(index) if index else "No plain index serves this condition: rewrite it, if it can be."
    return Finding.of("seq_scan_filter", node, f"{figure}: {shortened(condition)}", advice)
