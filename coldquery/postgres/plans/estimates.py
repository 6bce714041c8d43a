"""Where the planner was wrong about the number of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from coldquery.postgres.plans.candidates import columns_of
from coldquery.postgres.plans.finding import Finding, count
from coldquery.postgres.plans.text import title
from coldquery.postgres.plans.tree import Node

_FACTOR = 10.0
# A wrong guess about so few rows misleads nobody.
_FEW_ROWS = 100.0
# What these give is not rows of the query, or not by an estimate.
_NOT_ROWS = {"BitmapAnd", "BitmapOr", "ModifyTable", "Result", "Hash"}
# They read their input to its end, whatever is wanted of them.
_READ_ALL = {"Sort", "Aggregate", "Hash", "Materialize", "WindowAgg", "HashSetOp"}


@dataclass(frozen=True, slots=True)
class _Above:
    """What of the nodes above bears on an estimate.

    Attributes:
        stops_early: somebody there may have wanted fewer rows than there are.
        joins: the rows are joined with others there.
    """

    stops_early: bool = False
    joins: bool = False

    def below(self, parent: Node) -> _Above:
        """The same for the children of a node that this holds for."""
        joins = self.joins or len(parent.inputs) > 1
        if parent.kind in _READ_ALL:
            return _Above(False, joins)
        if parent.kind in {"Limit", "Merge Join"} or parent.text("Join Type") in {"Semi", "Anti"}:
            return _Above(True, joins)
        return _Above(self.stops_early or parent.raw.get("Inner Unique") is True, joins)


def misestimates(nodes: list[Node]) -> Iterator[Finding]:
    """Each node whose rows were estimated ten times too high or too low, if its inputs' were not.

    Args:
        nodes: all of a plan, top down.
    """
    wrong: dict[int, float] = {}
    above = {id(nodes[0]): _Above()} if nodes else {}
    for node in nodes:
        around = above[id(node)]
        if factor := _factor(node, around):
            wrong[id(node)] = factor
        below = around.below(node)
        for child in node.children:
            apart = child.text("Parent Relationship") in {"InitPlan", "SubPlan"}
            above[id(child)] = _Above(True, True) if apart else below
    for node in (each for each in nodes if id(each) in wrong):
        factor = wrong[id(node)]
        if any(wrong.get(id(each), 0.0) * factor > 0 for each in node.inputs):
            continue
        estimated, actual = node.number("Plan Rows"), node.number("Actual Rows")
        runs = f" in each of {count(node.loops)} runs" if node.loops > 1 else ""
        figure = f"{count(estimated)} rows estimated, {count(actual)} found{runs}: {count(abs(factor))} times too "
        yield Finding(
            "misestimate",
            title(node),
            figure + ("few" if factor > 0 else "many"),
            _advice(node),
            max(node.self_ms, node.parent.total_ms if node.parent else 0.0),
        )


def _factor(node: Node, above: _Above) -> float | None:
    """How many times too low the estimate was; negative for too high; None where it is not wrong, or can't be told."""
    if not node.loops or node.kind in _NOT_ROWS:
        return None
    estimated, actual = max(node.number("Plan Rows"), 1.0), max(node.number("Actual Rows"), 1.0)
    if max(estimated, actual) * node.loops < _FEW_ROWS or max(estimated / actual, actual / estimated) < _FACTOR:
        return None
    if actual > estimated:
        return actual / estimated
    # Too high an estimate that is no table's, and that no choice of join went by, changed nothing.
    return -estimated / actual if not above.stops_early and (above.joins or node.relation) else None


def _advice(node: Node) -> str:
    relation = node.relation
    if not relation:
        return "The inputs were estimated well, and what becomes of them was not: expect a wrong choice of join above."
    columns = columns_of(node, " ".join(node.text(each) for each in ("Filter", "Index Cond", "Recheck Cond")))
    if len(columns) > 1:
        return (
            f"ANALYZE {relation}. If that does not help, the columns depend on each other: "
            f"CREATE STATISTICS (dependencies, mcv) ON {', '.join(columns)} FROM {relation}, then ANALYZE."
        )
    more = f" If that does not help: ALTER TABLE {relation} ALTER {columns[0]} SET STATISTICS 1000." if columns else ""
    return f"ANALYZE {relation}.{more}"
