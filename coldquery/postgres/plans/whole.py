"""What is to be said of a statement as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from coldquery.postgres.plans.finding import Finding, count, megabytes
from coldquery.postgres.plans.text import title
from coldquery.postgres.plans.tree import Plan, number_of

_PAGE_KB = 8
_SHARE = 0.2
_NOTABLE_MS = 10.0
_MANY_ROWS = 10_000
_MANY_PAGES = 1_000
# Below this cost a statement is quick whatever its plan.
_COSTLY = 100.0

_BY_KIND = {
    "Seq Scan": "It reads the whole table: an index helps only if few of its rows are wanted.",
    "Sort": "It sorts all its rows: an index in this order, or a LIMIT, would spare it.",
    "Nested Loop": "It runs its inner side once for each outer row.",
    "Index Scan": "It visits the table for each row: read fewer, or put what is selected into the index (INCLUDE).",
    "Bitmap Heap Scan": "It visits many of the table's pages: narrow the condition.",
    "Aggregate": "It goes through all its rows: filter them before, or keep a summary (a materialized view).",
    "ModifyTable": "Its own time is that of writing rows and index entries, and of waiting for locks.",
    "Gather": "Its own time is that of starting workers and passing rows on.",
    "Function Scan": "The time is the function's.",
    "Foreign Scan": "The time is the other server's, and the network's.",
}


def slowest(plan: Plan) -> Iterator[Finding]:
    """The node that took the most by itself; by the planner's cost, where nothing was measured."""
    nodes = plan.nodes()
    if not nodes:
        return
    if plan.analyzed:
        node, whole = max(nodes, key=lambda each: each.self_ms), plan.execution_ms or 0.0
        if node.self_ms >= _SHARE / 2 * whole:
            figure = f"{node.self_ms:.1f} of {whole:.1f} ms ({min(node.self_ms / whole, 1):.0%})"
            loops = f" in {count(node.loops)} loops" if node.loops > 1 else ""
            yield Finding.of("slowest", node, figure + loops, _BY_KIND.get(node.kind, ""))
        return
    node, whole = max(nodes, key=lambda each: each.cost), nodes[0].number("Total Cost")
    if whole >= _COSTLY and node.cost > 0:
        figure = f"cost {count(node.cost)} of {count(whole)} ({min(node.cost / whole, 1):.0%}), estimated"
        yield Finding.of("costliest", node, figure, _BY_KIND.get(node.kind, ""))


def whole_findings(plan: Plan) -> Iterator[Finding]:
    """Of planning, compiling, triggers, workers, pages read and rows sent."""
    planning, execution = plan.planning_ms or 0.0, plan.execution_ms or 0.0
    if plan.analyzed and planning >= _NOTABLE_MS and planning > execution:
        yield Finding(
            "planning",
            "",
            f"{planning:.1f} ms to plan, {execution:.1f} ms to run",
            "Name fewer tables or partitions, or let the partition key stand in the condition.",
            planning,
        )
    jit = plan.raw.get("JIT")
    timing = jit.get("Timing") if isinstance(jit, Mapping) else None
    compiled = number_of(timing, "Total") if isinstance(timing, Mapping) else 0.0
    if compiled >= _NOTABLE_MS and compiled >= _SHARE * execution:
        yield Finding(
            "jit",
            "",
            f"{compiled:.1f} of {execution:.1f} ms to compile expressions",
            "SET LOCAL jit = off in its transaction, or raise jit_above_cost.",
            compiled,
        )
    yield from _triggers(plan, execution)
    yield from _nodes(plan)


def _triggers(plan: Plan, execution: float) -> Iterator[Finding]:
    triggers = plan.raw.get("Triggers")
    for each in triggers if isinstance(triggers, list) else []:
        if not isinstance(each, Mapping):
            continue
        spent, constraint = number_of(each, "Time"), each.get("Constraint Name")
        if spent >= _NOTABLE_MS and spent >= _SHARE * execution:
            key = "The foreign key's columns need an index in the referencing table, if they have none."
            yield Finding(
                "trigger",
                f"{constraint or each.get('Trigger Name')} on {each.get('Relation')}",
                f"{spent:.1f} of {execution:.1f} ms in {count(number_of(each, 'Calls'))} calls",
                key if constraint else "The time is the trigger function's.",
                spent,
            )


def _nodes(plan: Plan) -> Iterator[Finding]:
    for node in plan.nodes():
        planned, launched = node.number("Workers Planned"), node.number("Workers Launched")
        if "Workers Launched" in node.raw and launched < planned:
            yield Finding(
                "workers_missing",
                title(node),
                f"{count(launched)} of {count(planned)} workers were to be had",
                "Other statements had the workers, or max_parallel_workers is too low: the time varies with them.",
                node.total_ms,
            )
    root = plan.root
    if root is None:
        return
    pages, hit = root.number("Shared Read Blocks"), root.number("Shared Hit Blocks")
    if pages >= _MANY_PAGES and pages > hit:
        yield Finding(
            "read_from_disk",
            "",
            f"{count(pages)} pages ({megabytes(pages * _PAGE_KB)}) were not in PostgreSQL's cache, {count(hit)} were",
            "Run it again: if it is faster then, the first time was the disk's.",
            0.0,
        )
    rows = root.rows if plan.analyzed else root.number("Plan Rows")
    if rows >= _MANY_ROWS:
        yield Finding(
            "many_rows",
            "",
            f"{count(rows)} rows are returned" if plan.analyzed else f"{count(rows)} rows are expected",
            "More than anyone reads: aggregate, or page by key (WHERE key > last ORDER BY key LIMIT n).",
            0.0,
        )
