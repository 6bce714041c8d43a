"""From the answer to EXPLAIN (FORMAT JSON) to its plans."""

from __future__ import annotations

from coldquery.postgres.answer import Limits, Result
from coldquery.postgres.catalog import records
from coldquery.postgres.plans.tree import Plan, parse

# A plan comes in one cell, and half of it says nothing: those over thousands of partitions are larger.
PLAN_LIMITS = Limits(max_rows=1, max_bytes=16 << 20, max_cell_bytes=16 << 20)


def plans_of(result: Result) -> tuple[Plan, ...]:
    """The plans in an answer: one, but for what rules have made several of."""
    if result.truncated is not None or not result.rows:
        return (Plan(None, {}, f"The plan is larger than {PLAN_LIMITS.max_cell_bytes >> 20} MB, and is not shown."),)
    (explained,) = records(result)[0].values()
    return parse(explained)
