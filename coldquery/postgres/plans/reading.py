"""What is worth knowing of a plan, the weightiest first."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nlargest
from itertools import islice

from coldquery.postgres.plans.estimates import misestimates
from coldquery.postgres.plans.finding import Finding
from coldquery.postgres.plans.memory import memory_findings
from coldquery.postgres.plans.scans import join_findings, scan_findings
from coldquery.postgres.plans.tree import Plan
from coldquery.postgres.plans.whole import slowest, whole_findings

# Partitions say the same thing a thousand times.
MAX_FINDINGS = 12
_MAX_OF_A_KIND = 3
# So many nodes are looked at closely: what nobody will be told of need not be found.
_MAX_NODES = 100
# Nobody waits for less, and less than this part of the whole is not worth a change.
_SHORT_MS = 1.0
_SMALL_SHARE = 0.01


def read(plan: Plan) -> list[Finding]:
    """The node that took most, then what else there is, by the time or cost that is at stake."""
    whole_ms = plan.execution_ms
    if whole_ms is not None and whole_ms + (plan.planning_ms or 0.0) < _SHORT_MS:
        return []
    kept: list[Finding] = []
    for each in sorted(_all(plan), key=lambda finding: -finding.weight):
        if sum(other.kind == each.kind for other in kept) < _MAX_OF_A_KIND:
            kept.append(each)
    return [*slowest(plan), *kept][:MAX_FINDINGS]


def _all(plan: Plan) -> Iterator[Finding]:
    nodes = plan.nodes()
    least = _SMALL_SHARE * (plan.execution_ms or 0.0)
    for node in nlargest(_MAX_NODES, nodes, key=lambda each: each.self_ms or each.cost):
        for look in (scan_findings, join_findings, memory_findings):
            yield from (each for each in look(node) if each.weight >= least)
    yield from islice(misestimates(nodes), _MAX_NODES)
    yield from whole_findings(plan)
